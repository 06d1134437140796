"""A small detector with parts, for tests."""

import jax.numpy as jnp
import numpy as np

from partdisc.backbones import backbone, load_weights, unit_features
from partdisc.data.images import Framing
from partdisc.detector import Detector, PartSet, make_parts
from partdisc.method.cells import centred, normalise
from partdisc.method.detection import DetectSettings
from partdisc.method.discriminant import Discriminant
from partdisc.method.facing import Facing
from partdisc.method.part_layer import PartLayer

CHANNELS = 6
SETTINGS = DetectSettings(
    half_stride=True, box=24.0, nms_iou=0.3, per_part=2, min_score=0.2, parts=3
)


def described(*groups):
    """Return what is known of parts made of these channels."""
    return [
        {
            "channels": list(channels), "presence": 0.9, "maximum": 0.8, "threshold": 0.05,
            "area": 0.1, "place": (0.25, 0.5), "agreement": 0.7, "mirror": 0.6,
            "stability": 0.5, "neighbours": [1], "equivariance": 0.1,
        }
        for channels in groups
    ]  # fmt: skip


def small_choices(centres, features) -> dict[int, PartSet]:
    """Return 2 and 3 parts of the 6 channels, equally frequent in these features [P, C]."""
    units = np.asarray(normalise(centres))
    choices = {}
    for channels in ([[0, 1, 2], [3, 4, 5]], [[0, 3], [1, 4], [2, 5]]):
        # A part is where the mean of its channels is.
        weights = np.stack([60 * units[one].mean(axis=0) for one in channels], axis=1)
        read = Discriminant(weights, -np.mean(features @ weights, axis=0))
        choices[len(channels)] = PartSet(make_parts(described(*channels)), read)
    return choices


def small_detector(seed: int = 0) -> Detector:
    """Return a detector of random weights with 2 or 3 parts, two of whose channels are listed."""
    rng = np.random.default_rng(seed)
    network = backbone("vgg16", "pool3")
    params = {
        "centres": jnp.asarray(rng.normal(size=(CHANNELS, network.channels)), jnp.float32),
        "background": jnp.asarray(rng.normal(size=network.channels), jnp.float32),
    }
    detector = Detector(
        network,
        load_weights(network, "random", seed=0),
        Framing(48, 2.0),
        PartLayer(CHANNELS, 8.0, "mean"),
        params,
        rng.normal(size=network.channels).astype(np.float32) / 30,
        SETTINGS,
        2,
    )
    noise = rng.integers(0, 256, (1, 48, 48, 3), dtype=np.uint8)
    features = unit_features(network, detector.weights, noise, half_stride=True)
    features = np.asarray(centred(features[0], detector.offset))
    choices = small_choices(params["centres"], features)
    facing = Facing(rng.normal(size=CHANNELS).astype(np.float32), np.float32(0.1))
    best = np.full(CHANNELS, 0.5, np.float32)
    whole = detector.with_choices(choices, best, facing).with_parts(3)
    return whole.listing({"wheel": 4, "door": 1})
