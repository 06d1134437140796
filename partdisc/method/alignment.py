"""Align a neighbour with its target: hypotheses scored by inliers (section 3.2.2)."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from partdisc.method.hypotheses import draw_hypotheses, draw_matches
from partdisc.method.matching import Matches, MatchSettings, find_matches
from partdisc.method.transforms import FAMILIES, is_plausible, least_squares

SCORINGS = ("count", "truncated")
# Of more matches than a block, a sample chooses so many hypotheses that all of them score.
SHORTLIST = 16
# So many of the best hypotheses are polished.
FINALISTS = 4
# So many matches are scored at a time: all pairs of cells may match, and mostly few of them do.
BLOCK = 1024


class AlignSettings(NamedTuple):
    """How a neighbour is aligned; the fields are arguments of `align`.

    Attributes:
      transform: the family, one of `transforms.FAMILIES`.
      hypotheses: T.
      scoring: one of `SCORINGS`.
      radius: of an inlier, in target cells.
      max_area_change: largest change of the area either way, a factor.
      max_stretch: largest change of a length against the length across it, a factor.
      max_rotation: degrees.
      polish: rounds of least squares.
    """

    transform: str
    hypotheses: int
    scoring: str
    radius: float
    max_area_change: float
    max_stretch: float
    max_rotation: float
    polish: int


class Alignment(NamedTuple):
    """How a neighbour lies on its target.

    Attributes:
      transform: [3, 3], neighbour cells to target cells.
      score: [], of the transform, as a share of the weight of all matches.
      inliers: [], matches within the radius.
    """

    transform: jax.Array
    score: jax.Array
    inliers: jax.Array


def squared_residuals(transforms: jax.Array, matches: Matches) -> jax.Array:
    """Return how far each transform leaves each match apart.

    Args:
      transforms: [T, 3, 3].
      matches: M matches.

    Returns:
      [T, M] squared distances in target cells; huge where the neighbour's cell falls behind
      a homography.
    """
    # Matches along the last axis: several times faster than transforms there.
    y, x = matches.source[None, :, 0], matches.source[None, :, 1]
    t = transforms.reshape(-1, 9).T[:, :, None]
    depth = t[6] * y + t[7] * x + t[8]
    ahead = depth > 1e-6
    scale = 1.0 / jnp.where(ahead, depth, 1.0)
    error_y = (t[0] * y + t[1] * x + t[2]) * scale - matches.target[None, :, 0]
    error_x = (t[3] * y + t[4] * x + t[5]) * scale - matches.target[None, :, 1]
    return jnp.where(ahead, error_y**2 + error_x**2, 1e12)


def score_transforms(
    transforms: jax.Array, matches: Matches, *, scoring: str, radius: float
) -> jax.Array:
    """Score transforms by the matches they explain.

    Args:
      transforms: [T, 3, 3].
      matches: M matches.
      scoring: `count` adds the weights of the matches within the radius (the paper's
        inliers); `truncated` counts a match the less the further off it is, in
        proportion to 1 - (distance / radius)^2, so that of the transforms with the same
        inliers the one in their middle wins.
      radius: in target cells, inclusive.

    Returns:
      [T].
    """

    def explained(some: Matches) -> jax.Array:
        closeness = 1.0 - squared_residuals(transforms, some) / radius**2
        if scoring == "count":
            closeness = (closeness >= 0).astype(closeness.dtype)
        return jnp.maximum(closeness, 0.0) @ some.weight

    slots = matches.weight.shape[0]
    if slots <= BLOCK:
        return explained(matches)
    used = jnp.max(jnp.where(matches.weight > 0, jnp.arange(slots) + 1, 0))
    listed = matches._asdict()
    count = listed.pop("count")
    padding = (0, -slots % BLOCK)
    listed = {k: jnp.pad(v, (padding, (0, 0))[: v.ndim]) for k, v in listed.items()}

    def add_block(state):
        start, score = state
        block = jax.tree.map(lambda v: jax.lax.dynamic_slice_in_dim(v, start, BLOCK), listed)
        return start + BLOCK, score + explained(Matches(**block, count=count))

    nothing = jnp.zeros(transforms.shape[0], matches.weight.dtype)
    return jax.lax.while_loop(lambda state: state[0] < used, add_block, (0, nothing))[1]


def sample_matches(key: jax.Array, matches: Matches) -> Matches:
    """Draw `BLOCK` of the matches by their weights, each of which counts the same then.

    A transform's score by the sample is that by all matches, give or take chance.
    """
    drawn = draw_matches(key, matches.weight, (BLOCK,))
    total = jnp.sum(matches.weight)
    share = jnp.full(BLOCK, 1.0 / BLOCK, matches.weight.dtype) * total
    return Matches(matches.source[drawn], matches.target[drawn], share, matches.count)


def align(
    key: jax.Array,
    matches: Matches,
    source_grid: jax.Array,
    *,
    family: str,
    hypotheses: int,
    scoring: str,
    radius: float,
    max_area_change: float,
    max_stretch: float,
    max_rotation: float,
    polish: int,
) -> Alignment:
    """Find the transform that most of the matches agree on, RANSAC in one parallel step.

    Every hypothesis is solved from a random minimal set of matches, drawn by weight, in
    place of which another is drawn where it is degenerate or its transform implausible. The
    identity always competes.

    Args:
      key: random key.
      matches: M matches.
      source_grid: int [2], the neighbour's rows and columns.
      family: one of `transforms.FAMILIES`.
      hypotheses: T.
      scoring: see `score_transforms`.
      radius: of an inlier, in target cells.
      max_area_change: see `transforms.is_plausible`.
      max_stretch: likewise.
      max_rotation: likewise, in degrees.
      polish: rounds of least squares on the inliers of the best hypotheses, each kept
        only if it scores no lower (not in the paper; as LO-RANSAC, Chum et al. 2003).

    Returns:
      The best alignment; the identity where there are no matches.
    """
    plausible = functools.partial(
        is_plausible,
        grid=source_grid,
        family=family,
        max_area_change=max_area_change,
        max_stretch=max_stretch,
        max_rotation=max_rotation,
    )
    identity = jnp.eye(3, dtype=jnp.float32)
    candidates = identity[None]
    if FAMILIES[family]:
        drawn = draw_hypotheses(key, matches, plausible, family=family, hypotheses=hypotheses)
        candidates = jnp.concatenate([candidates, drawn])

    score = functools.partial(score_transforms, matches=matches, scoring=scoring, radius=radius)
    if matches.weight.shape[0] > BLOCK and hypotheses > SHORTLIST and FAMILIES[family]:
        some = sample_matches(jax.random.fold_in(key, 1), matches)
        tried = score_transforms(drawn, some, scoring=scoring, radius=radius)
        candidates = jnp.concatenate([identity[None], drawn[jax.lax.top_k(tried, SHORTLIST)[1]]])

    def inliers_of(transform):
        within = squared_residuals(transform[None], matches)[0] <= radius**2
        return within & (matches.weight > 0)

    def polished(transform, own_score):
        weight = jnp.where(inliers_of(transform), matches.weight, 0.0)
        fitted, determined = least_squares(matches.source, matches.target, weight, family=family)
        new_score = score(fitted[None])[0]
        better = determined & plausible(fitted) & (new_score >= own_score)
        return jnp.where(better, fitted, transform), jnp.where(better, new_score, own_score)

    scores, place = jax.lax.top_k(score(candidates), min(FINALISTS, len(candidates)))
    finalists = candidates[place]
    for _ in range(polish if FAMILIES[family] else 0):
        finalists, scores = jax.vmap(polished)(finalists, scores)
    best = jnp.argmax(scores)
    transform, best_score = finalists[best], scores[best]
    total = jnp.sum(matches.weight)
    return Alignment(
        transform=transform,
        score=best_score / jnp.where(total > 0, total, 1.0),
        inliers=jnp.sum(inliers_of(transform)),
    )


def is_identity(transform: jax.Array) -> jax.Array:
    """Return whether a transform [..., 3, 3] is the identity within 1e-6."""
    identity = jnp.broadcast_to(jnp.eye(3, dtype=transform.dtype), transform.shape)
    return jnp.all(jnp.abs(transform - identity) < 1e-6, axis=(-2, -1))


def align_pool(
    key: jax.Array,
    maps: jax.Array,
    saliency: jax.Array,
    grids: jax.Array,
    *,
    matching: MatchSettings,
    alignment: AlignSettings,
) -> tuple[Alignment, Matches]:
    """Align each neighbour of a pool with their target.

    Args:
      key: random key.
      maps: [1 + J, P, D] unit vectors of the cells, zero where a cell does not exist; the
        target's first.
      saliency: [1 + J, P], which counts if `matching` says so.
      grids: int [1 + J, 2].
      matching: how cells are matched.
      alignment: how neighbours are aligned.

    Returns:
      Alignments and matches, each with a leading axis [J].
    """
    if not matching.saliency:
        saliency = jnp.ones_like(saliency)
    images, cells, _ = maps.shape
    options = alignment._asdict()
    family = options.pop("transform")

    def pair(key, cosine, salient, grid):
        matches = find_matches(
            cosine,
            saliency[0],
            salient,
            grids[0],
            grid,
            kind=matching.kind,
            threshold=matching.threshold,
            slots=matching.slots,
        )
        return align(key, matches, grid, family=family, **options), matches

    # Accelerators would otherwise round before they multiply, and choose among close matches
    # and transforms by what is left.
    with jax.default_matmul_precision("highest"):
        # One product for all, the target's own map among them: nothing is copied or turned.
        cosines = maps[0] @ maps.reshape(images * cells, -1).T
        cosines = cosines.reshape(cells, images, cells)[:, 1:]
        keys = jax.random.split(key, images - 1)
        return jax.vmap(pair, in_axes=(0, 1, 0, 0))(keys, cosines, saliency[1:], grids[1:])
