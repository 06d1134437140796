"""What the pictures of pairs show: how training sees a target and its pool."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.detector import Detector
from partdisc.discovery.images import Images, gather
from partdisc.discovery.inputs import Inputs
from partdisc.discovery.supervision import StepSettings, forward, supervise
from partdisc.method.alignment import squared_residuals
from partdisc.method.cells import cells_to_pixels
from partdisc.report.figures import Aligned
from partdisc.report.parts import unpacked, working_image


class Pair(NamedTuple):
    """A target and one of its pool.

    Attributes:
      labels: int [rows, columns], the target's pseudo ground truth.
      neighbour: its row among the images.
      transform: [3, 3], the neighbour's to the target's pixels.
      source: [M, 2], matched points (y, x) of the neighbour, pixels.
      target: [M, 2] of the target, pixels.
      fits: bool [M], whether a match is an inlier.
    """

    labels: np.ndarray
    neighbour: int
    transform: np.ndarray
    source: np.ndarray
    target: np.ndarray
    fits: np.ndarray


def show_pair(
    detector: Detector,
    settings: StepSettings,
    images: Images,
    members: np.ndarray,
    *,
    seed: int,
    neighbour: int | None = None,
) -> Pair:
    """Align the pool of an image as training does, and take one of it.

    Args:
      detector: with the part layer that aligns.
      settings: static settings of training.
      images: the images on the device.
      members: int [1 + J], rows of the images: a target, followed by its pool.
      seed: of the hypotheses.
      neighbour: which of the J; None is the one whose transform gains the most matches
        over leaving it as it is.
    """
    key = jax.random.fold_in(jax.random.key(seed), int(members[0]))
    supervision, squared = jax.tree.map(
        lambda array: np.asarray(array[0]),
        _supervise(settings, detector.params, gather(images, members[None]), key),
    )
    matches = supervision.matches
    matched = matches.weight > 0
    fits = squared <= settings.alignment.radius**2
    gain = np.sum(matched[:, None] * fits, axis=2) @ [1, -1]
    j = int(np.argmax(gain)) if neighbour is None else int(neighbour)
    stride, origin = detector.backbone.stride, detector.backbone.origin
    to_pixels = np.array([[stride, 0, origin], [0, stride, origin], [0, 0, 1]])
    return Pair(
        labels=unpacked(supervision.labels, np.asarray(images.grids[members[0]])),
        neighbour=int(members[1 + j]),
        transform=to_pixels @ supervision.alignment.transform[j] @ np.linalg.inv(to_pixels),
        source=cells_to_pixels(matches.source[j, matched[j]], stride, origin),
        target=cells_to_pixels(matches.target[j, matched[j]], stride, origin),
        fits=fits[j, 0, matched[j]],
    )


def drawn_pair(
    inputs: Inputs, pair: Pair, target: int, neighbour: int, remark: str = ""
) -> Aligned:
    """Return a pair with the pictures of two images of the data set, to be drawn."""
    return Aligned(
        working_image(inputs, target),
        working_image(inputs, neighbour),
        pair.target,
        pair.source,
        pair.fits,
        pair.transform,
        remark,
    )


@functools.partial(jax.jit, static_argnums=0)
def _supervise(settings, params, batch, key):
    """Return the supervision of a target, and the squared residuals [J, 2, M] of the matches
    under the transform and under none, both as batches of one."""
    probs = forward(settings, params, batch)
    supervision = supervise(jax.random.split(key, len(probs)), settings, batch, probs)

    def residuals(transform, matches):
        return squared_residuals(jnp.stack([transform, jnp.eye(3)]), matches)

    squared = jax.vmap(jax.vmap(residuals))(supervision.alignment.transform, supervision.matches)
    return supervision, squared
