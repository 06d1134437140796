"""Detections and landmark points from the part probabilities (section 3.3)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.cells import cell_positions, cell_validity


class Detections(NamedTuple):
    """Peaks of every part in one image, in cells.

    Attributes:
      points: [K, D, 2], (y, x), strongest first, refined below a cell.
      scores: [K, D], probs at the peak; -inf in unused slots.
    """

    points: jax.Array
    scores: jax.Array


def _neighbours(grid: jax.Array, cells: int) -> tuple[jax.Array, jax.Array]:
    """Return the packed indices [P, 9] of each cell's 3 x 3 surround, and which exist."""
    position = cell_positions(grid, cells)
    step = jnp.array([[dy, dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)], jnp.float32)
    around = position[:, None] + step[None]
    size = grid.astype(jnp.float32)
    inside = jnp.all((around >= 0) & (around < size[None, None]), axis=-1)
    index = (around[..., 0] * size[1] + around[..., 1]).astype(jnp.int32)
    return jnp.where(inside, index, 0), inside & cell_validity(grid, cells)[:, None]


def _vertex(before: jax.Array, centre: jax.Array, after: jax.Array) -> jax.Array:
    """Return the offset in [-0.5, 0.5] of the parabola's peak through three values."""
    curvature = before - 2.0 * centre + after
    peaked = curvature < -1e-6
    offset = 0.5 * (before - after) / jnp.where(peaked, curvature, -1.0)
    return jnp.where(peaked, jnp.clip(offset, -0.5, 0.5), 0.0)


def iou_of_shifted(shift: jax.Array, side: float) -> jax.Array:
    """Return the IoU of two equal square boxes whose centres differ by `shift` [..., 2]."""
    overlap = jnp.prod(jnp.maximum(0.0, side - jnp.abs(shift)), axis=-1)
    return overlap / (2.0 * side**2 - overlap)


def detect(
    probs: jax.Array, grid: jax.Array, *, box_side: float, nms_iou: float, per_part: int
) -> Detections:
    """Detect every part in one image.

    Local peaks (3 x 3) are taken from the strongest down, and each removes the peaks
    whose box overlaps its own by more than `nms_iou`: greedy non-maximum suppression.

    Args:
      probs: [P, K + 1].
      grid: int [2].
      box_side: side of a part's box in cells.
      nms_iou: IoU above which a weaker box is suppressed (0.3).
      per_part: D, detections of a part at most.

    Returns:
      The detections. A part without any probability has none.
    """
    cells = probs.shape[0]
    maps = probs[:, :-1]
    position, valid = cell_positions(grid, cells), cell_validity(grid, cells)
    index, exists = _neighbours(grid, cells)
    around = jnp.where(exists[..., None], maps[index], -jnp.inf)
    # A plateau has one peak, its first cell: strictly above the cells before it.
    is_peak = jnp.all(maps[:, None] > around[:, :4], axis=1) & jnp.all(
        maps[:, None] >= around[:, 5:], axis=1
    )
    is_peak = is_peak & valid[:, None] & (maps > 0)
    log_around = jnp.log(jnp.maximum(around, 1e-20))
    inner_y = (exists[:, 1] & exists[:, 7])[:, None]
    inner_x = (exists[:, 3] & exists[:, 5])[:, None]
    shift_y = _vertex(log_around[:, 1], log_around[:, 4], log_around[:, 7])
    shift_x = _vertex(log_around[:, 3], log_around[:, 4], log_around[:, 5])
    refined = position[:, None] + jnp.stack(
        [jnp.where(inner_y, shift_y, 0.0), jnp.where(inner_x, shift_x, 0.0)], axis=-1
    )

    part = jnp.arange(maps.shape[1])

    def take(remaining, _):
        best = jnp.argmax(remaining, axis=0)
        score, point = remaining[best, part], refined[best, part]
        shift = refined - point[None]
        kept = jnp.where(iou_of_shifted(shift, box_side) > nms_iou, -jnp.inf, remaining)
        return kept.at[best, part].set(-jnp.inf), (point, score)

    start = jnp.where(is_peak, maps, -jnp.inf)
    _, (points, scores) = jax.lax.scan(take, start, None, length=per_part)
    return Detections(jnp.swapaxes(points, 0, 1), scores.T)


def cells_to_pixels(points: np.ndarray, stride: int, origin: float) -> np.ndarray:
    """Map cells to pixels of the working image, where the first cell's centre is `origin`."""
    return stride * points + origin
