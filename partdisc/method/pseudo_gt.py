"""Pseudo ground truth from the mean of aligned maps (Algorithm 1)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from partdisc.method.cells import cell_positions, largest

BACKGROUNDS = ("salient", "printed", "excluded")
# The power of saliency at which object and background are told apart: Otsu's threshold of the
# plain saliency leaves a halo around the object.
CONTRAST = 3


class LabelSettings(NamedTuple):
    """How cells are labelled.

    Attributes:
      capacity: cells that a part takes in an image.
      background: one of `BACKGROUNDS`, see `channel_capacity`.
      suppression: radius in cells, see `printed_algorithm`.
      include_self: whether an image's own map is in the mean that labels its cells.
    """

    capacity: int
    background: str
    suppression: int
    include_self: bool


def deferred_acceptance(scores: jax.Array, open_cells: jax.Array, capacity: jax.Array) -> jax.Array:
    """Label the cells as Algorithm 1 does, in a few parallel rounds.

    Algorithm 1 takes the largest remaining value, gives that cell that channel, and
    closes a channel that is full. Cells and channels rank each other by the same value,
    so its result is the only stable matching of cells to channels with these capacities
    and deferred acceptance finds the same one: each cell proposes to its best channel
    that has not refused it, each channel keeps its best, until nobody is refused. Ties go
    to the lower cell, then to the lower channel, as an arg-max over [P, channels] does.

    Args:
      scores: [P, channels], the mean map.
      open_cells: bool [P], the cells to label.
      capacity: int [channels], cells that a channel takes.

    Returns:
      int32 [P], the channel of each cell; -1 where the cell is not open or no channel
      had room for it.
    """
    cells, channels = scores.shape
    index = jnp.arange(cells)

    def rounds(state):
        refused, _, _ = state
        value, choice = largest(jnp.where(refused, -jnp.inf, scores), axis=1)
        active = open_cells & (value > -jnp.inf)
        rival = (choice[:, None] == choice[None]) & active[None]
        ahead = (value[None] > value[:, None]) | (
            (value[None] == value[:, None]) & (index[None] < index[:, None])
        )
        rank = jnp.sum(rival & ahead, axis=1)
        refusal = active & (rank >= capacity[choice])
        refused = refused | (refusal[:, None] & (choice[:, None] == jnp.arange(channels)[None]))
        return refused, jnp.where(active, choice, -1), jnp.any(refusal)

    # The labels are carried along, so that the scores are looked at in the loop alone: looked
    # at elsewhere too, they would be computed there once more.
    start = jnp.broadcast_to((capacity <= 0)[None], scores.shape)
    nothing = jnp.full(cells, -1, jnp.int32)
    return jax.lax.while_loop(lambda state: state[2], rounds, (start, nothing, jnp.array(True)))[1]


def printed_algorithm(
    scores: jax.Array,
    open_cells: jax.Array,
    capacity: jax.Array,
    grid: jax.Array,
    *,
    suppression: int,
) -> jax.Array:
    """Label the cells by Algorithm 1 as printed, one arg-max after the other.

    Args:
      scores: [P, channels], the mean map.
      open_cells: bool [P], the cells to label.
      capacity: int [channels], cells that a channel takes.
      grid: int [2], rows and columns.
      suppression: radius in cells (0, 1, 2 in Table 7) around a chosen cell within which
        the channel may not be chosen again: a square of side 2 * radius + 1. The
        background, the last channel, is not suppressed.

    Returns:
      int32 [P] as `deferred_acceptance`, and equal to it at radius 0.
    """
    cells, channels = scores.shape
    position = cell_positions(grid, cells)

    def pick(_, state):
        values, labels, taken = state
        best = jnp.argmax(values)
        cell, channel = best // channels, best % channels
        found = values[cell, channel] > -jnp.inf
        taken = taken.at[channel].add(1)
        near = jnp.max(jnp.abs(position - position[cell][None]), axis=-1) <= suppression
        near = near & (channel < channels - 1)
        closed = near | (taken[channel] >= capacity[channel])
        column = jnp.where(closed, -jnp.inf, values[:, channel])
        after = values.at[:, channel].set(column).at[cell].set(-jnp.inf)
        return (
            jnp.where(found, after, values),
            jnp.where(found, labels.at[cell].set(channel.astype(jnp.int32)), labels),
            taken,
        )

    allowed = open_cells[:, None] & (capacity > 0)[None]
    state = (
        jnp.where(allowed, scores, -jnp.inf),
        jnp.full(cells, -1, jnp.int32),
        jnp.zeros(channels, capacity.dtype),
    )
    return jax.lax.fori_loop(0, cells, pick, state)[1]


def otsu_threshold(values: jax.Array, valid: jax.Array) -> jax.Array:
    """Return the threshold that parts the valid values [P] into the two clearest classes.

    The lower class is what does not exceed it (Otsu 1979: the variance between the classes is
    largest). Where the values are all equal, or none is valid, nothing is lower: -inf.
    """
    cells = values.shape[0]
    ordered = jnp.sort(jnp.where(valid, values, jnp.inf))
    total = jnp.sum(valid).astype(values.dtype)
    lower = jnp.arange(1, cells + 1, dtype=values.dtype)
    sums = jnp.cumsum(jnp.where(jnp.isfinite(ordered), ordered, 0.0))
    upper = total - lower
    apart = sums / lower - (sums[-1] - sums) / jnp.maximum(upper, 1.0)
    between = jnp.where(upper > 0, lower * upper * apart**2, 0.0)
    # Rounded sums would part equal values too.
    differ = ordered[0] < jnp.max(jnp.where(valid, values, -jnp.inf))
    return jnp.where(differ, ordered[jnp.argmax(between)], -jnp.inf)


def background_cells(saliency: jax.Array, valid: jax.Array) -> jax.Array:
    """Tell the background of an image by the saliency of its aligned pool, without labels.

    Args:
      saliency: [P] in [0, 1], see `matching.saliency`.
      valid: bool [P], the cells in question.

    Returns:
      bool [P], the valid cells whose saliency to the power `CONTRAST` does not exceed Otsu's
      threshold.
    """
    contrast = saliency**CONTRAST
    return valid & (contrast <= otsu_threshold(contrast, valid))


def channel_capacity(parts: int, *, capacity: int, background: str) -> jax.Array:
    """Return how many cells each channel may take in Algorithm 1, the background last.

    Args:
      parts: K.
      capacity: cells a part may take (3 in the paper).
      background: `printed`, as many cells as there are (the paper's, which takes nearly all or
        nearly none); `excluded`, none; `salient`, none that `background_cells` has not named.

    Returns:
      int32 [K + 1].
    """
    # Open-ended is what exceeds every packed length.
    last = 2**30 if background == "printed" else 0
    return jnp.array([capacity] * parts + [last], jnp.int32)


def generate(
    mean: jax.Array,
    covered: jax.Array,
    grid: jax.Array,
    capacity: jax.Array,
    *,
    suppression: int,
) -> jax.Array:
    """Generate the pseudo ground truth of one image (Algorithm 1).

    Args:
      mean: [P, K + 1], mean of the normalised aligned maps.
      covered: bool [P], the cells that some neighbour covers.
      grid: int [2].
      capacity: int [K + 1], see `channel_capacity`.
      suppression: radius in cells.

    Returns:
      int32 [P] in 0..K (K the background), -1 where unlabelled.
    """
    if suppression == 0:
        return deferred_acceptance(mean, covered, capacity)
    return printed_algorithm(mean, covered, capacity, grid, suppression=suppression)
