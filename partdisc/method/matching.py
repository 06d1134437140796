"""Matches between the cells of two feature maps (section 3.2.2)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from partdisc.method.cells import cell_positions, cell_validity, corner_cells, largest

MATCHINGS = ("threshold", "degree", "mutual")
SALIENCY_NEIGHBOURS = 4
# Of a side of the image. Its corners are background even where the object fills it.
CORNER_PERCENT = 15


class MatchSettings(NamedTuple):
    """How cells are matched.

    Attributes:
      kind: one of `MATCHINGS`, see `find_matches`.
      threshold: smallest cosine of a match, exclusive.
      saliency: whether matches count by how much their cells stand out.
      slots: M of the kinds `threshold` and `degree`; 0 keeps all matches.
    """

    kind: str
    threshold: float
    saliency: bool
    slots: int


class Matches(NamedTuple):
    """A fixed-size list of matched cells.

    Attributes:
      source: [M, 2], (y, x) cells of the neighbour.
      target: [M, 2], (y, x) cells of the target.
      weight: [M], how much a match counts; 0 in unused slots.
      count: [], how many matches there are, those beyond M slots included.
    """

    source: jax.Array
    target: jax.Array
    weight: jax.Array
    count: jax.Array


def peak_normalise(probs: jax.Array) -> jax.Array:
    """Divide each channel of probs [P, K + 1] by its spatial maximum, background too."""
    peak = jnp.max(probs, axis=0, keepdims=True)
    return probs / jnp.where(peak > 0, peak, 1.0)


def saliency(features: jax.Array, grid: jax.Array) -> jax.Array:
    """Say how unlike its image's corners each cell is, without labels.

    Args:
      features: [P, C] unit features.
      grid: int [2].

    Returns:
      [P] in [0, 1]: 1 minus the mean of the cell's 4 largest cosines to the cells in the
      corners of its own image (itself left out; -1 for each that a tiny map lacks).
    """
    cells = features.shape[0]
    cosine = features @ features.T
    corners = corner_cells(grid, cells, percent=CORNER_PERCENT)
    others = corners[None] & ~jnp.eye(cells, dtype=bool)
    largest, _ = jax.lax.top_k(jnp.where(others, cosine, -1.0), min(SALIENCY_NEIGHBOURS, cells))
    return jnp.clip(1.0 - jnp.mean(largest, axis=-1), 0.0, 1.0)


def _listed(passed: jax.Array, slots: int) -> tuple[jax.Array, jax.Array]:
    """List the places of what passed [N], in order, in M slots; see `find_matches`.

    Returns:
      int [M], the last place in slots without one; and int [], how many passed.
    """
    places = passed.shape[0]
    running = jnp.cumsum(passed.astype(jnp.int32))
    count = running[-1]
    if not slots:
        # With a slot for each place there is nothing to search, which is far faster.
        slot = jnp.where(passed, running - 1, places)
        index = jnp.full(places, places - 1).at[slot].set(jnp.arange(places), mode="drop")
        return index, count
    # Slot m holds match number floor(m * count / M): all of them, or an even sample.
    # In integers, and in two terms so that m * count cannot overflow.
    slot = jnp.arange(slots, dtype=jnp.int32)
    even = slot * (count // slots) + slot * (count % slots) // slots
    wanted = jnp.where(count > slots, even, slot)
    return jnp.minimum(jnp.searchsorted(running, wanted + 1), places - 1), count


def find_matches(
    cosine: jax.Array,
    target_saliency: jax.Array,
    source_saliency: jax.Array,
    target_grid: jax.Array,
    source_grid: jax.Array,
    *,
    kind: str,
    threshold: float,
    slots: int,
) -> Matches:
    """List the matched pairs of cells with their weights.

    Args:
      cosine: [P, Q], target cells by neighbour cells; of no meaning where a cell does
        not exist, which never matches.
      target_saliency: [P], factor of each target cell.
      source_saliency: [Q], factor of each neighbour cell.
      target_grid: int [2].
      source_grid: int [2].
      kind: `threshold`, every pair above the threshold, as in the paper; `degree`, the
        same with weight 1 / (matches of the one cell x matches of the other);
        `mutual`, pairs above the threshold that are each other's best.
      threshold: smallest cosine of a match (the paper's 0.6), exclusive.
      slots: M for `threshold` and `degree`; where there are more matches, an even
        sample of them in raster order is kept. 0: as many as there are pairs, P Q, and
        all matches are kept, as in the paper. `mutual` needs just Q slots.

    Returns:
      The matches.
    """
    targets, sources = cosine.shape
    target_valid = cell_validity(target_grid, targets)
    source_valid = cell_validity(source_grid, sources)
    cosine = jnp.where(target_valid[:, None] & source_valid[None], cosine, -jnp.inf)
    passed = cosine > threshold
    if kind == "mutual":
        best, target = largest(cosine, axis=0)
        _, best_source = largest(cosine, axis=1)
        source = jnp.arange(sources)
        kept = (best_source[target] == source) & (best > threshold)
        weight = kept.astype(cosine.dtype)
        count = jnp.sum(kept)
    else:
        index, count = _listed(passed.reshape(-1), slots)
        target, source = index // sources, index % sources
        weight = (jnp.arange(len(index)) < count).astype(cosine.dtype)
        if kind == "degree":
            target_degree = jnp.sum(passed, axis=1)[target]
            source_degree = jnp.sum(passed, axis=0)[source]
            degree = jnp.maximum(target_degree * source_degree, 1)
            weight = weight / degree.astype(cosine.dtype)
    return Matches(
        source=cell_positions(source_grid, sources)[source],
        target=cell_positions(target_grid, targets)[target],
        weight=weight * target_saliency[target] * source_saliency[source],
        count=count,
    )
