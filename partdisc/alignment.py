"""Align a neighbour with its target: hypotheses scored by inliers (section 3.2.2)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from partdisc.matching import Matches
from partdisc.transforms import FAMILIES, is_plausible, least_squares, solve


class Alignment(NamedTuple):
    """How a neighbour lies on its target.

    Attributes:
      transform: [3, 3], neighbour cells to target cells.
      score: [], summed weight of the inliers, divided by that of all matches.
      inliers: [], matches within the radius.
    """

    transform: jax.Array
    score: jax.Array
    inliers: jax.Array


def draw_matches(key: jax.Array, weight: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Draw indices of matches in proportion to their weights [M], by the inverse CDF."""
    cumulative = jnp.cumsum(weight)
    level = jax.random.uniform(key, shape, weight.dtype) * cumulative[-1]
    index = jnp.searchsorted(cumulative, level, side="right")
    # Where rounding takes a draw past the last match, the last with a weight is meant.
    last = jnp.searchsorted(cumulative, cumulative[-1], side="left")
    return jnp.minimum(index, jnp.minimum(last, weight.shape[0] - 1))


def residual_within(transforms: jax.Array, matches: Matches, radius: float) -> jax.Array:
    """Return which matches each transform explains.

    Args:
      transforms: [T, 3, 3].
      matches: M matches.
      radius: largest distance in target cells, inclusive.

    Returns:
      bool [M, T].
    """
    y, x = matches.source[:, 0, None], matches.source[:, 1, None]
    t = transforms.reshape(-1, 9).T[:, None]
    depth = t[6] * y + t[7] * x + t[8]
    # Compared after multiplying by the depth: one division less per match and hypothesis.
    error_y = t[0] * y + t[1] * x + t[2] - matches.target[:, 0, None] * depth
    error_x = t[3] * y + t[4] * x + t[5] - matches.target[:, 1, None] * depth
    return (error_y**2 + error_x**2 <= (radius * depth) ** 2) & (depth > 0)


def align(
    key: jax.Array,
    matches: Matches,
    source_grid: jax.Array,
    *,
    family: str,
    hypotheses: int,
    radius: float,
    max_area_change: float,
    polish: int,
) -> Alignment:
    """Find the transform that most of the matches agree on, RANSAC in one parallel step.

    Every hypothesis is solved from a random minimal set of matches, drawn by weight;
    degenerate and implausible ones are rejected, and the identity always competes.

    Args:
      key: random key.
      matches: M matches.
      source_grid: int [2], the neighbour's rows and columns.
      family: one of `transforms.FAMILIES`.
      hypotheses: T.
      radius: of an inlier, in target cells.
      max_area_change: see `transforms.is_plausible`.
      polish: rounds of least squares on the inliers of the best hypothesis, each kept
        only if it scores no lower (not in the paper; translation and affine).

    Returns:
      The best alignment; the identity where there are no matches.
    """
    identity = jnp.eye(3, dtype=jnp.float32)
    candidates = identity[None]
    if FAMILIES[family]:
        chosen = draw_matches(key, matches.weight, (hypotheses, FAMILIES[family]))
        transforms, determined = jax.vmap(lambda s, t: solve(s, t, family=family))(
            matches.source[chosen], matches.target[chosen]
        )
        plausible = jax.vmap(
            lambda t: is_plausible(t, source_grid, max_area_change=max_area_change)
        )(transforms)
        usable = determined & plausible & (jnp.sum(matches.weight) > 0)
        transforms = jnp.where(usable[:, None, None], transforms, identity[None])
        candidates = jnp.concatenate([candidates, transforms])

    def score(transforms):
        within = residual_within(transforms, matches, radius)
        return jnp.sum(jnp.where(within, matches.weight[:, None], 0.0), axis=0)

    scores = score(candidates)
    best = jnp.argmax(scores)
    transform, best_score = candidates[best], scores[best]
    for _ in range(polish if FAMILIES[family] else 0):
        within = residual_within(transform[None], matches, radius)[:, 0]
        weight = jnp.where(within, matches.weight, 0.0)
        polished, determined = least_squares(
            matches.source, matches.target, weight, family=family
        )
        new_score = score(polished[None])[0]
        better = (
            determined
            & is_plausible(polished, source_grid, max_area_change=max_area_change)
            & (new_score >= best_score)
        )
        transform = jnp.where(better, polished, transform)
        best_score = jnp.where(better, new_score, best_score)
    within = residual_within(transform[None], matches, radius)[:, 0]
    total = jnp.sum(matches.weight)
    return Alignment(
        transform=transform,
        score=best_score / jnp.where(total > 0, total, 1.0),
        inliers=jnp.sum(within & (matches.weight > 0)),
    )


def is_identity(transform: jax.Array) -> jax.Array:
    """Return whether a transform [..., 3, 3] is the identity within 1e-6."""
    difference = jnp.abs(transform - jnp.eye(3, dtype=transform.dtype))
    return jnp.all(difference < 1e-6, axis=(-2, -1))
