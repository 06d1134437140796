"""What the pictures of pairs show: how training sees a target and its pool."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.discovery import stages, step
from partdisc.method.alignment import squared_residuals
from partdisc.method.detection import cells_to_pixels
from partdisc.report.parts import unpacked


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
    config: Any,
    inputs: stages.Inputs,
    settings: step.Settings,
    params: Any,
    shown: step.Images,
    row: int,
    pool: np.ndarray,
    neighbour: int | None = None,
) -> Pair:
    """Align the pool of an image as training does, and take one of it.

    Args:
      config: the whole config.
      inputs: data set and backbone.
      settings: static settings of training.
      params: of the part layer.
      shown: the images.
      row: of the target among the images.
      pool: int [J], rows of its pool.
      neighbour: which of the pool; None is the one whose transform gains the most matches
        over leaving it as it is.
    """
    key = jax.random.fold_in(jax.random.key(config.seed), int(row))
    supervision, squared = jax.tree.map(
        lambda array: np.asarray(array[0]),
        _supervise(settings, params, shown, jnp.int32(row), jnp.asarray(pool, jnp.int32), key),
    )
    matches = supervision.matches
    matched = matches.weight > 0
    fits = squared <= config.alignment.radius**2
    gain = np.sum(matched[..., None] * fits, axis=1) @ [1, -1]
    j = int(np.argmax(gain)) if neighbour is None else int(neighbour)
    stride, origin = inputs.backbone.stride, inputs.backbone.origin
    to_pixels = np.array([[stride, 0, origin], [0, stride, origin], [0, 0, 1]])
    return Pair(
        labels=unpacked(supervision.labels, np.asarray(shown.grids[row])),
        neighbour=int(pool[j]),
        transform=to_pixels @ supervision.alignment.transform[j] @ np.linalg.inv(to_pixels),
        source=cells_to_pixels(matches.source[j, matched[j]], stride, origin),
        target=cells_to_pixels(matches.target[j, matched[j]], stride, origin),
        fits=fits[j, matched[j], 0],
    )


@functools.partial(jax.jit, static_argnums=0)
def _supervise(settings, params, shown, row, pool, key):
    """Return the supervision of a target, and the squared residuals [J, M, 2] of the matches
    under the transform and under none, both as batches of one."""
    batch = step.gather(shown, jnp.concatenate([row[None], pool])[None])
    probs = step.forward(settings, params, batch)
    supervision = step.supervise(key, settings, batch, probs)

    def residuals(transform, matches):
        return squared_residuals(jnp.stack([transform, jnp.eye(3)]), matches)

    squared = jax.vmap(jax.vmap(residuals))(supervision.alignment.transform, supervision.matches)
    return supervision, squared
