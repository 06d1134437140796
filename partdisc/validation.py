"""What each key of the configuration allows."""

import math

import ml_collections

from partdisc import data, errors, evaluation
from partdisc.config import (
    base_config,
    detection_protocols,
    extras_wanted,
    flatten,
    regression_protocols,
)
from partdisc.discovery import step
from partdisc.method import (
    alignment,
    clusters,
    matching,
    optimizer,
    part_layer,
    pools,
    pseudo_gt,
    transforms,
)

# Allowed values: a tuple of names, or (smallest, largest) as a list.
_CHOICES = {
    "data.name": data.names(),
    "data.splits": data.readers.celeba.WILD_SPLITS,
    "backbone.name": ("vgg16", "googlenet"),
    "parts.background": part_layer.BACKGROUNDS,
    "clusters.kind": clusters.KINDS,
    "pools.similarity": pools.SIMILARITIES,
    "matching.kind": matching.MATCHINGS,
    "alignment.transform": tuple(transforms.FAMILIES),
    "alignment.scoring": alignment.SCORINGS,
    "pseudo_gt.background": pseudo_gt.BACKGROUNDS,
    "train.objective": tuple(step.OBJECTIVES),
    "train.decay_kind": optimizer.DECAYS,
    "evaluation.channel_selection": ("fit", "test"),
}
DETECTION_PROTOCOLS = ("l2", "iou", "vsp")
EXTRAS = ("keypoints", "equivariance", "fit_sizes", "cumulative", "backward")
_KINDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}
_INFINITY = math.inf
_RANGES = {
    "seed": (0, 2**31 - 1),
    "data.crop_margin": (-1, 10),
    "data.short_side": (16, 4096),
    "data.max_aspect": (1, 20),
    "data.train_subset": (0, _INFINITY),
    "data.max_bad_fraction": (0, 1),
    "data.shapes_train": (1, _INFINITY),
    "data.shapes_fit": (1, _INFINITY),
    "data.shapes_test": (1, _INFINITY),
    "data.shapes_size": (32, 2048),
    "backbone.batch": (1, 1024),
    "parts.count": (2, 65_536),
    "parts.kappa": (1e-3, 1e4),
    "clusters.cells_per_image": (1, _INFINITY),
    "clusters.border": (0, _INFINITY),
    "clusters.iterations": (1, _INFINITY),
    "clusters.tolerance": (0, _INFINITY),
    "clusters.seeding_vectors": (1, _INFINITY),
    "pools.size": (1, _INFINITY),
    "pools.candidates": (0, _INFINITY),
    "pools.grid": (1, 64),
    "pools.refresh_epochs": (0, _INFINITY),
    "matching.threshold": (-1, 1),
    "matching.slots": (4, _INFINITY),
    "alignment.hypotheses": (1, _INFINITY),
    "alignment.radius": (1e-3, _INFINITY),
    "alignment.max_area_change": (1, _INFINITY),
    "alignment.max_stretch": (1, _INFINITY),
    "alignment.max_rotation": (0, 180),
    "alignment.polish": (0, 100),
    "pseudo_gt.capacity": (1, _INFINITY),
    "pseudo_gt.suppression": (0, _INFINITY),
    "part_templates.tau": (1e-3, 1e4),
    "part_templates.beta": (1e-3, 1e3),
    "train.steps": (0, _INFINITY),
    "train.batch": (1, _INFINITY),
    "train.learning_rate": (0, _INFINITY),
    "train.decay": (0, _INFINITY),
    "train.decay_every": (1, _INFINITY),
    "train.checkpoint_every": (1, _INFINITY),
    "detection.box": (1, _INFINITY),
    "detection.nms_iou": (0, 1),
    "detection.per_part": (1, 1000),
    "detection.min_score": (0, 1),
    "detection.parts": (1, _INFINITY),
    "evaluation.threshold": (0, _INFINITY),
    "evaluation.iou": (0, 1),
    "evaluation.min_firing": (0, 1),
    "evaluation.alignment_images": (0, _INFINITY),
    "table.number": (1, 10),
    "report.images": (1, 100),
    "report.channels": (1, 100),
}


def validate(config: ml_collections.ConfigDict) -> None:
    """Check all keys and their values, before any work.

    Raises:
      errors.ConfigError: names the first key that is unknown, missing, out of range or
        at odds with another, its value, and what is allowed.
    """
    flat, known = flatten(config), flatten(base_config())
    for key in sorted(flat):
        check_key(key)
    for key in sorted(known.keys() - flat.keys()):
        raise errors.ConfigError(f"config.{key} is missing")
    for key, value in flat.items():
        kind = type(known[key])
        if type(value) not in ((int, float) if kind is float else (kind,)):
            raise errors.ConfigError(f"config.{key} is {value!r}; allowed: {_KINDS[kind]}")
        if key in _CHOICES and value not in _CHOICES[key]:
            allowed = ", ".join(_CHOICES[key])
            raise errors.ConfigError(f"config.{key} is {value!r}; allowed: {allowed}")
        if key in _RANGES:
            low, high = _RANGES[key]
            # The comparison is written so that NaN fails it.
            if not low <= value <= high:
                raise errors.ConfigError(f"config.{key} is {value!r}; allowed: {low} to {high}")
    for key, given, known in (
        ("protocols", regression_protocols(config), evaluation.PROTOCOLS),
        ("detection", detection_protocols(config), DETECTION_PROTOCOLS),
        ("extras", extras_wanted(config), EXTRAS),
    ):
        if not set(given) <= set(known):
            raise errors.ConfigError(
                f"config.evaluation.{key} is {config.evaluation[key]!r}; allowed, by commas: "
                f"{', '.join(known)}"
            )
    if 0 < config.pools.candidates < config.pools.size:
        raise errors.ConfigError(
            f"config.pools.candidates is {config.pools.candidates}, but config.pools.size "
            f"takes {config.pools.size} of them; set it to that many or more, or to 0"
        )
    if config.train.objective == "part_templates" and config.train.batch < 2:
        raise errors.ConfigError(
            f"config.train.batch is {config.train.batch}, but config.train.objective "
            "'part_templates' compares the images of a batch; set it to 2 or more"
        )
    if config.train.objective == "part_templates" and config.pools.refresh_epochs:
        raise errors.ConfigError(
            f"config.pools.refresh_epochs is {config.pools.refresh_epochs}, but "
            "config.train.objective 'part_templates' trains without pools; set it to 0"
        )
    if config.clusters.kind == "nmf" and config.train.steps > 0:
        raise errors.ConfigError(
            f"config.clusters.kind is 'nmf', whose layer is not trained, but "
            f"config.train.steps is {config.train.steps}; set it to 0"
        )
    if config.clusters.kind == "nmf" and config.backbone.center:
        raise errors.ConfigError(
            "config.clusters.kind is 'nmf', which needs features that are not negative, but "
            "config.backbone.center is True; set it to False"
        )
    if config.data.crop_margin >= 0 and config.data.name in ("celeba", "mtfl", "folder"):
        raise errors.ConfigError(
            f"config.data.crop_margin is {config.data.crop_margin}, but "
            f"'{config.data.name}' has no annotated boxes to crop to; set it to -1"
        )


def check_key(key: str) -> None:
    """Check that a key such as `train.steps` exists.

    Raises:
      errors.ConfigError: names the keys that there are.
    """
    known = flatten(base_config())
    if key not in known:
        raise errors.ConfigError(f"config.{key} is not a key; {_keys_near(key, known)}")


def _keys_near(key: str, known: dict[str, object]) -> str:
    section = key.rpartition(".")[0]
    near = sorted(name for name in known if section and name.rpartition(".")[0] == section)
    keys = near or sorted({name.partition(".")[0] for name in known})
    return f"allowed{f' in config.{section}' if near else ''}: " + ", ".join(
        name.rpartition(".")[2] for name in keys
    )
