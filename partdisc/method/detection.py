"""Detections from the part probabilities (section 3.3)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from partdisc.method.cells import cell_positions, cell_validity, largest

# The half of a cell's 3 x 3 surround that comes before it in raster order.
_BEFORE = ((-1, -1), (-1, 0), (-1, 1), (0, -1))


class DetectSettings(NamedTuple):
    """How parts are read from the maps.

    Attributes:
      half_stride: whether to detect on cells half a stride apart.
      box: side of a part's box, pixels of the network's input.
      nms_iou: IoU above which a weaker box is suppressed.
      per_part: D, detections of a part in an image, at most.
      min_score: of the detections that are listed, as a share of the channel's best.
      parts: channels that are listed where no landmarks choose them.
    """

    half_stride: bool
    box: float
    nms_iou: float
    per_part: int
    min_score: float
    parts: int


class Detections(NamedTuple):
    """Peaks of every part in one image, in cells.

    Attributes:
      points: [K, D, 2], (y, x), strongest first, refined below a cell.
      scores: [K, D], probs at the peak; -inf in unused slots.
    """

    points: jax.Array
    scores: jax.Array


def _beside(maps: jax.Array, grid: jax.Array, step: tuple[int, int]) -> jax.Array:
    """Return what lies `step` (y, x) from each cell of packed maps [P, K]; -inf off the map."""
    cells = maps.shape[0]
    position = cell_positions(grid, cells) + jnp.array(step, jnp.float32)[None]
    inside = jnp.all((position >= 0) & (position < grid.astype(jnp.float32)[None]), axis=-1)
    # One step is the same distance for all packed cells: a shift, far cheaper than a gather.
    moved = jnp.roll(maps, -(step[0] * grid[1] + step[1]), axis=0)
    return jnp.where((inside & cell_validity(grid, cells))[:, None], moved, -jnp.inf)


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
    # A plateau has one peak, its first cell: strictly above the cells before it.
    is_peak = valid[:, None] & (maps > 0)
    for step in _BEFORE:
        is_peak &= maps > _beside(maps, grid, step)
        is_peak &= maps >= _beside(maps, grid, (-step[0], -step[1]))
    logs = jnp.log(jnp.maximum(maps, 1e-20))
    shifts = []
    for step in ((1, 0), (0, 1)):
        before, after = (_beside(logs, grid, (s * step[0], s * step[1])) for s in (-1, 1))
        inner = jnp.isfinite(before) & jnp.isfinite(after)
        # At the border the three are made equal: no curvature, no shift, and no infinity.
        before, after = (jnp.where(inner, side, logs) for side in (before, after))
        shifts.append(_vertex(before, logs, after))
    refined = position[:, None] + jnp.stack(shifts, axis=-1)

    part = jnp.arange(maps.shape[1])

    def take(remaining, _):
        score, best = largest(remaining, axis=0)
        point = refined[best, part]
        shift = refined - point[None]
        kept = jnp.where(iou_of_shifted(shift, box_side) > nms_iou, -jnp.inf, remaining)
        return kept.at[best, part].set(-jnp.inf), (point, score)

    start = jnp.where(is_peak, maps, -jnp.inf)
    _, (points, scores) = jax.lax.scan(take, start, None, length=per_part)
    return Detections(jnp.swapaxes(points, 0, 1), scores.T)
