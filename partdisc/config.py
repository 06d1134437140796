"""The configuration: every key with its default, and what each key allows."""

import math

import ml_collections

from partdisc import (
    alignment,
    clusters,
    data,
    errors,
    evaluation,
    matching,
    optimizer,
    part_layer,
    pools,
    pseudo_gt,
    training,
    transforms,
)


def base_config() -> ml_collections.ConfigDict:
    """Return the defaults; a file in `configs/` changes what its experiment needs."""
    section = ml_collections.ConfigDict
    config = section()
    config.seed = 0
    config.data = section({
        "name": "folder",  # celeba, celeba_wild, mtfl, cub, vehicle_part, coco, folder, shapes
        "root": "",  # '' = where PARTDISC_DATA says
        "splits": "official",
        # cub: numbers of species, '' = all; vehicle_part: 'car', ...; coco: whose keypoints
        "category": "",
        "coco_train": "",  # a file below root, or file:folder of its images
        "coco_test": "",
        "split_polygons": "",  # parts of coco, by commas, whose polygons are instances
        "flip": False,  # mirrored training images too
        "crop_margin": -1.0,  # negative = full frame; 0.15 = the object's box + 15 %
        "short_side": 224,  # pixels
        "max_aspect": 1.5,  # longer images are squeezed to this; mapped back exactly
        "train_subset": 2000,  # random training images that learning uses; 0 = all
        "max_bad_fraction": 0.05,
        "shapes_train": 400,
        "shapes_fit": 150,
        "shapes_test": 150,
        "shapes_size": 224,  # pixels
    })
    config.backbone = section({
        "name": "vgg16",
        "layer": "pool4",
        "weights": "",  # a file, a folder, 'random', or '' = find or download
        "batch": 4,
        "center": False,  # subtract the mean feature; random weights need it
    })
    config.parts = section({
        "count": 512,
        "kappa": 30.0,  # of no meaning to clusters.kind = nmf, as is the next
        "background": "mean",
    })
    config.clusters = section({
        "kind": "vmf",  # the paper's; nmf factorises, and is not trained
        "cells_per_image": 20,
        "border": 3,  # cells
        "iterations": 150,
        "tolerance": 5e-5,  # nats; of kmeans and nmf the mean squared distance
        "seeding_vectors": 50_000,
    })
    config.pools = section({
        "similarity": "spatial_js",
        "size": 15,
        "grid": 7,  # cells of the resized map, a side
        "refresh_epochs": 0,  # 0 = the pools of the start are kept
    })
    config.matching = section({
        "kind": "mutual",
        "threshold": 0.4,
        "saliency": True,
        "slots": 1024,
    })
    config.alignment = section({
        "transform": "affine",
        "hypotheses": 256,
        "scoring": "truncated",
        "radius": 1.5,  # cells
        "max_area_change": 3.0,
        "max_stretch": 2.5,
        "max_rotation": 90.0,  # degrees
        "polish": 2,
    })
    config.pseudo_gt = section({
        "capacity": 3,  # cells a part takes in an image
        "background": "capped",
        "background_share": 0.8,  # of the cells, what capped lets the background take
        "suppression": 0,  # cells
        "include_self": False,
    })
    config.part_templates = section({  # of train.objective = part_templates
        "tau": 16.0,  # height of a template, per unit of probability
        "beta": 4.0,  # how fast it falls from its peak
    })
    config.train = section({
        "objective": "alignment",  # or part_templates, the baseline MaskRegularized
        "steps": 1000,
        "batch": 4,
        "learning_rate": 2e-2,  # the paper has 5e-3, with which parts form far more slowly
        "decay": 0.1,
        "decay_kind": "none",
        "decay_every": 1000,  # steps, for decay_kind = step
        "checkpoint_every": 100,
    })
    config.detection = section({
        "box": 100.0,  # pixels at the short side of `data.short_side`
        "nms_iou": 0.3,
        "per_part": 5,
        "min_score": 0.2,  # of what detections.jsonl lists, as a share of the channel's best
        "parts": 24,  # channels it lists where no landmarks choose them
    })
    config.evaluation = section({
        "threshold": 0.1,  # of the normaliser
        "iou": 0.5,  # of boxes, what a match must exceed
        "channel_selection": "fit",
        "detection": "l2",  # protocols, by commas; the first one chooses the channels
        # Of regression, by commas; the first one's errors stand in the main table.
        "protocols": "default",
        # Channels whose mean best score is below this share of the strongest channel's
        # are not regressed from.
        "min_firing": 0.05,
        "alignment_images": 100,
    })
    config.report = section({"images": 6, "channels": 6})
    return config


# Allowed values: a tuple of names, or (smallest, largest) as a list.
_CHOICES = {
    "data.name": data.NAMES,
    "data.splits": data.SPLITS,
    "backbone.name": ("vgg16", "googlenet"),
    "parts.background": part_layer.BACKGROUNDS,
    "clusters.kind": clusters.KINDS,
    "pools.similarity": pools.SIMILARITIES,
    "matching.kind": matching.MATCHINGS,
    "alignment.transform": tuple(transforms.FAMILIES),
    "alignment.scoring": alignment.SCORINGS,
    "pseudo_gt.background": pseudo_gt.BACKGROUNDS,
    "train.objective": tuple(training.OBJECTIVES),
    "train.decay_kind": optimizer.DECAYS,
    "evaluation.channel_selection": ("fit", "test"),
}
DETECTION_PROTOCOLS = ("l2", "iou", "vsp")
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
    "pseudo_gt.background_share": (0, 1),
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
    "report.images": (1, 100),
    "report.channels": (1, 100),
}


def flatten(config: ml_collections.ConfigDict) -> dict[str, object]:
    """Return the config as {'section.key': value}."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            flat.update({f"{name}.{key}": leaf for key, leaf in flatten(value).items()})
        else:
            flat[name] = value
    return flat


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
                raise errors.ConfigError(
                    f"config.{key} is {value!r}; allowed: {low} to {high}"
                )
    for key, given, known in (
        ("protocols", regression_protocols(config), evaluation.PROTOCOLS),
        ("detection", detection_protocols(config), DETECTION_PROTOCOLS),
    ):
        if not set(given) <= set(known):
            raise errors.ConfigError(
                f"config.evaluation.{key} is {config.evaluation[key]!r}; allowed, by commas: "
                f"{', '.join(known)}"
            )
    if config.alignment.polish and config.alignment.transform == "homography":
        raise errors.ConfigError(
            "config.alignment.polish is for affine and translation, but "
            "config.alignment.transform is 'homography'; set polish to 0"
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
            f"'{config.data.name}' has no boxes to crop to; set it to -1"
        )


def regression_protocols(config: ml_collections.ConfigDict) -> list[str]:
    """Return the names in `config.evaluation.protocols`."""
    return [name.strip() for name in config.evaluation.protocols.split(",")]


def detection_protocols(config: ml_collections.ConfigDict) -> list[str]:
    """Return the names in `config.evaluation.detection`."""
    return [name.strip() for name in config.evaluation.detection.split(",")]


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
