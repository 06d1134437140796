"""Whether the parts of a mirrored image lie where the parts of the image do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.detector import AROUND
from partdisc.discovery.part_evidence import Mirrored
from partdisc.discovery.run import Run
from partdisc.method.part_layer import packed_probabilities
from partdisc.method.parts import locate, membership


def part_shifts(
    run: Run, mirrored: Mirrored, labels: tuple[tuple[int, ...], ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Say how far the mirrored image moves each part's point.

    Args:
      run: whose channels the parts are made of.
      mirrored: mirror images of m images.
      labels: the part of each channel, for all numbers of parts, T parts in all.

    Returns:
      The scores [m, T] in the images, and the distances [m, T] from a part's point to that in the
      mirrored image, taken back: shares of the longer side of the object's box.
    """
    detector, rows = run.detector, []
    for image, other, extent in zip(*mirrored, strict=True):
        own, grids = run.features.take_fine(np.array([image]))
        pair, frame = (own[0], other), (grids[0], extent)
        rows.append(_shifts(detector.layer, labels, detector.params, pair, frame, detector.offset))
    scores, shifts = (np.stack(fields) for fields in zip(*rows, strict=True))
    return scores, shifts


@functools.partial(jax.jit, static_argnums=(0, 1))
def _shifts(layer, labels, params, pair, frame, offset):
    """Return scores [T] of one image, and shifts [T] of its mirror image, of features [P, C]."""
    grid, extent = frame
    members = [membership(jnp.array(one), parts=max(one) + 1)[:, :-1] for one in labels]
    probs, other = (packed_probabilities(layer, params, one, grid, offset) for one in pair)

    def located(probs):
        maps = jnp.concatenate([*(probs @ one for one in members), probs[:, -1:]], axis=1)
        return locate(maps, grid, width=AROUND)

    (points, scores), (there, _) = located(probs), located(other)
    back = jnp.stack([there[:, 0], extent - there[:, 1]], axis=1)
    inside = jnp.sum(probs[:, :-1], axis=1) > 0.5
    cell = jnp.arange(len(probs))
    sides = [
        1 + jnp.max(jnp.where(inside, place, -1)) - jnp.min(jnp.where(inside, place, len(probs)))
        for place in (cell // grid[1], cell % grid[1])
    ]
    # An image without an object is as large as the object can be.
    side = jnp.where(jnp.any(inside), jnp.maximum(*sides), jnp.max(grid)).astype(jnp.float32)
    return scores, jnp.sqrt(jnp.sum((points - back) ** 2, axis=1)) / side
