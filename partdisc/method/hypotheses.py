"""Hypotheses of how a neighbour lies on its target, from random matches (section 3.2.2)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from partdisc.method.matching import Matches
from partdisc.method.transforms import FAMILIES, solve

# Minimal sets that are solved for a hypothesis; the first plausible transform is it.
SETS = 8
# Set i holds the drawn matches i + these: no two sets have more than one draw in common.
MEMBERS = (0, 1, 4, 6)


def draw_matches(key: jax.Array, weight: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Draw indices of matches in proportion to their weights [M], by the inverse CDF."""
    cumulative = jnp.cumsum(weight)
    level = jax.random.uniform(key, shape, weight.dtype) * cumulative[-1]
    index = jnp.searchsorted(cumulative, level, side="right")
    # The sums are rounded one by one, so that a match of weight 0 can seem to add to them
    # and a draw can fall past the last: the last match with a weight up to there is meant.
    slot = jnp.arange(weight.shape[0])
    weighted = jax.lax.cummax(jnp.where(weight > 0, slot, 0))
    return weighted[jnp.minimum(index, weight.shape[0] - 1)]


def draw_hypotheses(
    key: jax.Array,
    matches: Matches,
    plausible: Callable[[jax.Array], jax.Array],
    *,
    family: str,
    hypotheses: int,
) -> jax.Array:
    """Draw transforms, each of a random minimal set of matches.

    Args:
      key: random key.
      matches: M matches, drawn by weight.
      plausible: of a transform [3, 3], whether it may be one.
      family: one of `transforms.FAMILIES` that has minimal sets.
      hypotheses: T.

    Returns:
      [T, 3, 3], each the first of `SETS` that a set determines and that is plausible; the
      identity where none of them is.
    """
    drawn = draw_matches(key, matches.weight, (SETS * hypotheses,))
    points = jnp.concatenate([matches.source, matches.target], axis=1).T[:, drawn]
    members = MEMBERS[: FAMILIES[family]]
    sets = jnp.stack([jnp.roll(points, -member, axis=1) for member in members])

    def solved(points):
        return solve(points[:, :2], points[:, 2:], family=family)

    def is_usable(points):
        transform, determined = solved(points)
        return determined & plausible(transform)

    # The sets lie along the last axis, where a processor works on many of them at a time.
    usable = jax.vmap(is_usable, in_axes=-1)(sets).reshape(SETS, hypotheses)
    usable &= jnp.sum(matches.weight) > 0
    chosen = jnp.argmax(usable, axis=0) * hypotheses + jnp.arange(hypotheses)
    transforms, _ = jax.vmap(solved, in_axes=-1)(sets[:, :, chosen])
    identity = jnp.eye(3, dtype=transforms.dtype)
    return jnp.where(jnp.any(usable, axis=0)[:, None, None], transforms, identity[None])
