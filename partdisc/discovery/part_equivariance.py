"""Whether the parts of a mirrored image lie where the parts of the image do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.detector import AROUND
from partdisc.discovery.part_evidence import Mirrored
from partdisc.discovery.run import Run
from partdisc.method.cells import centred
from partdisc.method.discriminant import Discriminant, part_maps
from partdisc.method.part_layer import packed_probabilities
from partdisc.method.parts import locate


def part_shifts(
    run: Run, mirrored: Mirrored, discriminants: list[Discriminant]
) -> tuple[np.ndarray, np.ndarray]:
    """Say how far the mirrored image moves each part's point.

    Args:
      run: whose channels the parts are made of.
      mirrored: mirror images of m images.
      discriminants: for all numbers of parts, T parts in all.

    Returns:
      The scores [m, T] in the images, and the distances [m, T] from a part's point to that in the
      mirrored image, taken back: shares of the longer side of the object's box.
    """
    detector, rows = run.detector, []
    for image, other, extent in zip(*mirrored, strict=True):
        own, grids = run.features.take_fine(np.array([image]))
        pair, frame = (own[0], other), (grids[0], extent)
        read = detector.layer, detector.params, discriminants
        rows.append(_shifts(*read, pair, frame, detector.offset))
    scores, shifts = (np.stack(fields) for fields in zip(*rows, strict=True))
    return scores, shifts


@functools.partial(jax.jit, static_argnums=0)
def _shifts(layer, params, discriminants, pair, frame, offset):
    """Return scores [T] of one image, and shifts [T] of its mirror image, of features [P, C]."""
    grid, extent = frame

    def located(packed):
        probs = packed_probabilities(layer, params, packed, grid, offset)
        features = centred(packed, offset)
        maps = [part_maps(one, features, probs)[:, :-1] for one in discriminants]
        return probs, *locate(jnp.concatenate([*maps, probs[:, -1:]], axis=1), grid, width=AROUND)

    (probs, points, scores), (_, there, _) = map(located, pair)
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
