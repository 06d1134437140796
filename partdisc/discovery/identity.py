"""What a training depends on, by content, and how it differs from another."""

from typing import Any, NamedTuple

from partdisc.backbones import Weights
from partdisc.config import flatten
from partdisc.data import Listed
from partdisc.errors import shortened
from partdisc.workdir import digest

# What the layer is, and what it reads: a layer goes on only where these stay.
LAYER = (
    "backbone.name", "backbone.layer", "backbone.center", "parts.count", "parts.kappa",
    "parts.background", "clusters.kind", "train.objective",
)  # fmt: skip
_FRAMING = ("data.short_side", "data.max_aspect", "data.crop_margin")
_LEFT_OUT = ("parts.wanted", "train.steps", "train.checkpoint_every")
_SECTIONS = {
    "alignment": ("pools", "matching", "alignment", "pseudo_gt"),
    "part_templates": ("part_templates",),
}
# Names of images that a difference is told by.
_SHOWN = 3


class Identity(NamedTuple):
    """All that the params of a layer depend on, but for the number of steps.

    Attributes:
      settings: {'section.key': value}.
      weights: the digest of the network's weights.
      images: the content of each training image, and of what it is cropped to, by its name.
    """

    settings: dict[str, Any]
    weights: str
    images: dict[str, str]

    @property
    def key(self) -> str:
        """A short name of it."""
        return digest(*self)


def identity_of(config: Any, listed: Listed, weights: Weights) -> Identity:
    """Say what a training with this config, data and weights depends on."""
    sections = ("parts", "clusters", "train", *_SECTIONS[config.train.objective])
    settings = {
        key: value
        for key, value in flatten(config).items()
        if key not in _LEFT_OUT
        and (key in (*LAYER, *_FRAMING, "seed") or key.partition(".")[0] in sections)
    }
    return Identity(settings, digest(weights.digest, weights.preprocessing), listed.training)


def differences(was: Identity, now: Identity) -> list[str]:
    """Say how two differ: a line a key, and one on the images; none where they are the same."""
    pairs = {
        key: (was.settings.get(key), now.settings.get(key))
        for key in [*was.settings, *now.settings]
    }
    lines = [
        f"config.{key}: was {shortened(before)}, is {shortened(after)}"
        for key, (before, after) in pairs.items()
        if before != after
    ]
    if was.weights != now.weights:
        lines.append("the weights of the network are others")
    counted = [
        ("added", [name for name in now.images if name not in was.images]),
        ("removed", [name for name in was.images if name not in now.images]),
        (
            "changed",
            [
                name
                for name, content in now.images.items()
                if was.images.get(name, content) != content
            ],
        ),
    ]
    said = [f"{len(names)} {how} ({_some(names)})" for how, names in counted if names]
    return lines + ([f"training images: {', '.join(said)}"] if said else [])


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)
