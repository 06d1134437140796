"""RANSAC on planted matches, and its steps against NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels import jitted

from partdisc.method.alignment import (
    BLOCK,
    SCORINGS,
    Alignment,
    AlignSettings,
    align,
    align_pool,
    is_identity,
    sample_matches,
    score_transforms,
    squared_residuals,
)
from partdisc.method.matching import Matches, MatchSettings
from partdisc.method.transforms import FAMILIES

is_identity, score_transforms, squared_residuals = jitted(
    is_identity, score_transforms, squared_residuals
)

GRID = (14, 18)
OPTIONS = {
    "hypotheses": 256,
    "scoring": "count",
    "radius": 1.0,
    "max_area_change": 3.0,
    "polish": 0,
    "max_stretch": 1e4,
    "max_rotation": 180.0,
}
PLANTED = {
    "translation": [[1, 0, 3.2], [0, 1, -2.4], [0, 0, 1]],
    "affine": [[0.95, 0.2, -2.1], [-0.15, 1.1, 1.3], [0, 0, 1]],
    "homography": [[1.05, 0.1, 0.4], [-0.1, 0.95, 1.2], [0.01, -0.008, 1]],
}

align_jitted = jax.jit(align, static_argnames=("family", *OPTIONS))


def products(jaxpr):
    """Yield the precision of every product of a program and of those that it calls."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.params["precision"]
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=is_program):
            if is_program(value):
                yield from products(getattr(value, "jaxpr", value))


def is_program(value):
    return hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns")


@pytest.mark.parametrize("family", FAMILIES)
def test_geometry_is_computed_in_full_precision(family):
    """On every device: accelerators would round the factors of a product first."""
    maps, ones = jnp.ones((3, 12, 5)), jnp.ones((3, 12))
    grids = jnp.full((3, 2), 3)
    settings = AlignSettings(family, **OPTIONS | {"polish": 2, "scoring": "truncated"})
    matching = MatchSettings("mutual", 0.4, True, 8)
    run = functools.partial(align_pool, matching=matching, alignment=settings)
    traced = jax.make_jaxpr(run)(jax.random.key(0), maps, ones, grids)
    precisions = list(products(traced.jaxpr))
    assert precisions and set(precisions) == {(jax.lax.Precision.HIGHEST,) * 2}


def align_one(seed, matches, **options):
    return align_jitted(jax.random.key(seed), matches, jnp.array(GRID), **OPTIONS | options)


def mapped(transform, points):
    columns = np.c_[points, np.ones(len(points))] @ np.asarray(transform, float).T
    return columns[:, :2] / columns[:, 2:]


def matches_of(source, target, weight=None):
    source = jnp.asarray(np.asarray(source), jnp.float32).reshape(-1, 2)
    target = jnp.asarray(np.asarray(target), jnp.float32).reshape(-1, 2)
    weight = np.ones(len(source)) if weight is None else weight
    weight = jnp.asarray(weight, jnp.float32)
    return Matches(source, target, weight, jnp.sum(weight > 0))


def planted_matches(rng, transform, *, inliers=80, outliers=100, unused=40, rounded=False):
    """Draw cells, the planted transform's targets for some of them, and empty slots."""
    count = inliers + outliers + unused
    source = np.stack([rng.integers(0, GRID[0], count), rng.integers(0, GRID[1], count)], axis=1)
    target = mapped(transform, source)
    # An outlier lies 3 cells off at least.
    off = np.zeros((count - inliers, 2))
    while (near := np.abs(off).max(axis=1) < 3).any():
        off[near] = rng.uniform(-14, 14, (near.sum(), 2))
    target[inliers:] += off
    target = np.round(target) if rounded else target
    weight = np.r_[np.ones(inliers + outliers), np.zeros(unused)]
    order = rng.permutation(count)
    return matches_of(source[order], target[order], weight[order])


def farthest_error(found, expected):
    """Return the largest distance between two maps of the cells of the grid."""
    cells = np.stack(np.mgrid[: GRID[0], : GRID[1]], -1).reshape(-1, 2)
    return np.linalg.norm(mapped(found, cells) - mapped(expected, cells), axis=1).max()


def loop_score(transform, matches, scoring, radius):
    """Return the score of one transform, the number of its inliers, and all distances."""
    score, inliers, distances = 0.0, 0, []
    for source, target, weight in zip(*map(np.asarray, matches[:3]), strict=True):
        v, u, depth = np.asarray(transform, float) @ [*source, 1]
        if depth > 0:
            distance = np.hypot(v / depth - target[0], u / depth - target[1])
        else:
            distance = np.inf
        distances.append(distance)
        if distance <= radius:
            score += weight * (1 if scoring == "count" else 1 - (distance / radius) ** 2)
            inliers += weight > 0
    return score, inliers, np.array(distances)


@pytest.mark.parametrize("family", PLANTED)
@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("seed", range(3))
def test_planted_transforms_come_back(family, scoring, seed):
    matches = planted_matches(np.random.default_rng(seed), PLANTED[family])
    result = align_one(seed, matches, family=family, scoring=scoring)
    assert farthest_error(result.transform, PLANTED[family]) < 0.05
    score, inliers, _ = loop_score(result.transform, matches, scoring, 1.0)
    assert int(result.inliers) == inliers >= 80
    assert float(result.score) == pytest.approx(score / 180, abs=1e-4)


@pytest.mark.parametrize("family", ["translation", "affine", "homography"])
@pytest.mark.parametrize("seed", range(2))
def test_polish_averages_the_rounding_of_cells(family, seed):
    matches = planted_matches(np.random.default_rng(seed), PLANTED[family], rounded=True)
    # A count leaves the inliers anywhere within the radius; a distance does not.
    for scoring, allowed in (("count", 1.5), ("truncated", 0.5)):
        rough = align_one(seed, matches, family=family, scoring=scoring)
        polished = align_one(seed, matches, family=family, scoring=scoring, polish=2)
        assert polished.score >= rough.score
        assert farthest_error(polished.transform, PLANTED[family]) < allowed


@pytest.mark.parametrize("family", PLANTED)
def test_planted_transforms_come_back_among_thousands_of_matches(family):
    """A sample chooses among the hypotheses; the score is that of all matches."""
    rng = np.random.default_rng(0)
    matches = planted_matches(rng, PLANTED[family], inliers=BLOCK, outliers=2 * BLOCK)
    result = align_one(0, matches, family=family, scoring="truncated", polish=1)
    assert farthest_error(result.transform, PLANTED[family]) < 0.05
    score, inliers, _ = loop_score(result.transform, matches, "truncated", 1.0)
    assert int(result.inliers) == inliers >= BLOCK
    assert float(result.score) == pytest.approx(score / (3 * BLOCK), abs=1e-4)


def test_a_sample_scores_as_all_matches_do(rng):
    matches = planted_matches(rng, PLANTED["affine"], inliers=2 * BLOCK, outliers=2 * BLOCK)
    weight = matches.weight * rng.random(len(matches.weight)).astype(np.float32)
    matches = matches._replace(weight=weight)
    some = jax.jit(sample_matches)(jax.random.key(0), matches)
    assert len(some.weight) == BLOCK
    assert float(jnp.sum(some.weight)) == pytest.approx(float(jnp.sum(weight)), rel=1e-4)
    transforms = jnp.stack([jnp.asarray(PLANTED["affine"], jnp.float32), jnp.eye(3)])
    scores = [
        score_transforms(transforms, one, scoring="count", radius=1.0) for one in (some, matches)
    ]
    np.testing.assert_allclose(scores[0], scores[1], atol=0.06 * float(jnp.sum(weight)))


def test_weights_outvote_numbers():
    # Two shifts: 30 light matches for one, 10 heavy ones for the other.
    source = np.random.default_rng(0).integers(0, 14, (40, 2))
    target = source + np.where(np.arange(40) < 30, 2, 7)[:, None]
    for heavy, shift in ((1.0, 2), (10.0, 7)):
        weight = np.where(np.arange(40) < 30, 1.0, heavy)
        result = align_one(0, matches_of(source, target, weight), family="translation")
        assert np.asarray(result.transform)[:2, 2].tolist() == [shift, shift]
        assert float(result.score) == pytest.approx(max(30, 10 * heavy) / (30 + 10 * heavy))


def test_without_a_family_the_identity_is_scored(rng):
    matches = planted_matches(rng, np.eye(3))
    result = align_one(0, matches, family="none")
    np.testing.assert_array_equal(result.transform, np.eye(3))
    score, inliers, _ = loop_score(np.eye(3), matches, "count", 1.0)
    assert int(result.inliers) == inliers >= 80
    assert float(result.score) == pytest.approx(score / 180)


@pytest.mark.parametrize(
    "family, polish",
    [(family, polish) for family in FAMILIES for polish in (0, 3)],
)
def test_nothing_to_go_by_gives_the_identity(rng, family, polish):
    some = rng.integers(0, 14, (12, 2))
    line = np.stack([np.arange(12), np.arange(12)], axis=1)
    empty = matches_of(some, some[::-1], np.zeros(12))
    result = align_one(0, empty, family=family, polish=polish)
    assert [float(result.score), int(result.inliers)] == [0, 0]
    np.testing.assert_array_equal(result.transform, np.eye(3))
    # One match, one match many times, and a line determine no more than a translation.
    one = np.arange(12) == 4
    for source, weight in ((some, one), (np.tile(some[:1], (12, 1)), None), (line, None)):
        target = source + [3, -2]
        matches = matches_of(source, target, weight)
        result = align_one(0, matches, family=family, polish=polish)
        assert all(np.isfinite(part).all() for part in result)
        if family == "translation":
            np.testing.assert_allclose(result.transform[:2, 2], [3, -2], atol=1e-4)
            assert float(result.score) == pytest.approx(1)
        else:
            np.testing.assert_array_equal(result.transform, np.eye(3))
            assert [float(result.score), int(result.inliers)] == [0, 0]


def test_implausible_transforms_are_rejected(rng):
    mirror = np.array([[-1, 0, 13], [0, 1, 0], [0, 0, 1]])
    swollen = np.diag([2.5, 2.5, 1])
    for planted in (mirror, swollen):
        matches = planted_matches(rng, planted)
        result = align_one(0, matches, family="affine")
        assert 1 / 3 <= np.linalg.det(result.transform) <= 3
        assert result.inliers < 80
    allowed = align_one(0, matches, family="affine", max_area_change=7.0)
    assert farthest_error(allowed.transform, swollen) < 0.05


def test_the_identity_wins_a_tie():
    # Every hypothesis is a shift of 0.5 and explains what the identity explains.
    source = np.stack(np.mgrid[:5, :5], -1).reshape(-1, 2)
    matches = matches_of(source, source + 0.5)
    result = align_one(0, matches, family="translation")
    np.testing.assert_array_equal(result.transform, np.eye(3))
    assert [float(result.score), int(result.inliers)] == [1, 25]
    # By distance it is no tie: the identity would have half.
    result = align_one(0, matches, family="translation", scoring="truncated")
    assert np.asarray(result.transform)[:2, 2].tolist() == [0.5, 0.5]
    assert [float(result.score), int(result.inliers)] == [1, 25]
    result = align_one(0, matches, family="none", scoring="truncated")
    assert [float(result.score), int(result.inliers)] == [0.5, 25]


@pytest.mark.parametrize("family", PLANTED)
def test_moving_the_targets_moves_the_alignment(rng, family):
    matches = planted_matches(rng, PLANTED[family])
    shift = np.array([[1, 0, 2], [0, 1, 5], [0, 0, 1]])
    moved = matches._replace(target=matches.target + jnp.array([[2.0, 5.0]]))
    first = align_one(3, matches, family=family)
    second = align_one(3, moved, family=family)
    assert farthest_error(second.transform, shift @ np.asarray(first.transform)) < 0.05
    assert int(first.inliers) == int(second.inliers)


@pytest.mark.parametrize("family", PLANTED)
def test_the_scale_of_the_weights_does_not_matter(rng, family):
    matches = planted_matches(rng, PLANTED[family])
    matches = matches._replace(weight=matches.weight * rng.random(len(matches.weight)).astype("f"))
    scaled = matches._replace(weight=matches.weight / 1024)
    first = align_one(0, matches, family=family)
    second = align_one(0, scaled, family=family)
    for name in Alignment._fields:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("family", FAMILIES)
def test_vmap_of_pairs_is_the_loop(rng, family):
    planted = PLANTED.get(family, np.eye(3))
    pairs = [planted_matches(rng, planted) for _ in range(3)]
    pairs.append(pairs[0]._replace(weight=jnp.zeros_like(pairs[0].weight)))
    batch = jax.tree.map(lambda *parts: jnp.stack(parts), *pairs)
    options = OPTIONS | {"family": family}
    batched = jax.jit(
        jax.vmap(lambda seed, one: align(jax.random.key(seed), one, jnp.array(GRID), **options))
    )(jnp.arange(4), batch)
    for index, pair in enumerate(pairs):
        one = align_one(index, pair, **options)
        # Ties between equally good hypotheses may fall to another by rounding.
        assert farthest_error(batched.transform[index], one.transform) < 0.05
        assert abs(int(batched.inliers[index]) - int(one.inliers)) <= 1
        assert float(batched.score[index]) == pytest.approx(float(one.score), abs=0.01)


@pytest.mark.parametrize("outliers, share", [(0.3, 1.0), (0.6, 1.0), (0.8, 0.95)])
def test_planted_transforms_come_back_from_many_outliers(outliers, share):
    """As often as from OpenCV's RANSAC, with the number of hypotheses that is the default."""
    rng = np.random.default_rng(0)
    options = OPTIONS | {"hypotheses": 128, "scoring": "truncated", "radius": 1.5, "polish": 2}
    shape = {"max_stretch": 2.5, "max_rotation": 90.0}
    found = []
    for seed in range(60):
        turned = np.eye(3)
        turned[:2] += rng.normal(0, [0.12, 0.12, 2], (2, 3))
        good = round(100 * (1 - outliers))
        matches = planted_matches(rng, turned, inliers=good, outliers=100 - good, rounded=True)
        result = align_one(seed, matches, family="affine", **options | shape)
        found.append(farthest_error(result.transform, turned) < 2)
    assert np.mean(found) >= share


@pytest.mark.parametrize("scoring", SCORINGS)
def test_residuals_and_scores_are_the_loop(rng, scoring):
    transforms = np.eye(3) + rng.normal(size=(40, 3, 3)) * [
        [0.1, 0.1, 2],
        [0.1, 0.1, 2],
        [0.06, 0.06, 0.3],
    ]
    transforms = transforms.astype(np.float32)
    source, target = rng.uniform(0, 14, (2, 60, 2)).astype(np.float32)
    matches = matches_of(source, target, rng.random(60))
    squared = np.asarray(squared_residuals(jnp.asarray(transforms), matches))
    scores = score_transforms(jnp.asarray(transforms), matches, scoring=scoring, radius=4.0)
    assert squared.shape == (40, 60) and scores.shape == (40,)
    behind = np.zeros((40, 60), bool)
    for index, transform in enumerate(transforms):
        score, _, distances = loop_score(transform, matches, scoring, 4.0)
        behind[index] = np.isinf(distances)
        near = distances < 30
        np.testing.assert_allclose(squared[index, near], distances[near] ** 2, rtol=1e-3, atol=1e-3)
        assert (squared[index, ~near] > 800).all()
        assert float(scores[index]) == pytest.approx(score, abs=1e-2)
    assert 50 < behind.sum() < 1200


@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("used", [0, 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_matches_in_many_blocks_count_once_each(rng, scoring, used):
    transforms = np.eye(3, dtype=np.float32) + rng.normal(0, 0.1, (5, 3, 3)).astype(np.float32)
    transforms[:, 2] = [0, 0, 1]
    source, target = rng.uniform(0, 9, (2, 3 * BLOCK + 7, 2))
    weight = rng.random(len(source)) * (np.arange(len(source)) < used)
    matches = matches_of(source, target, weight)
    scores = score_transforms(jnp.asarray(transforms), matches, scoring=scoring, radius=3.0)
    expected = [loop_score(each, matches, scoring, 3.0)[0] for each in transforms]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_the_radius_is_inclusive():
    matches = matches_of([[0, 0], [0, 0], [0, 0]], [[0, 2], [2, 0], [0, 2.01]], [1, 2, 4])
    score = score_transforms(jnp.eye(3)[None], matches, scoring="count", radius=2.0)
    assert score.tolist() == [3]
    assert int(align_one(0, matches, family="none", radius=2.0).inliers) == 2


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3), (2, 5, 3, 3)])
def test_is_identity(shape):
    transforms = np.broadcast_to(np.eye(3), shape).astype(np.float32)
    assert is_identity(jnp.asarray(transforms)).shape == shape[:-2]
    assert is_identity(jnp.asarray(transforms)).all()
    moved = transforms.copy()
    moved.reshape(-1, 3, 3)[-1, 0, 2] = 1e-3
    expected = np.ones(moved.size // 9, bool)
    expected[-1] = False
    assert np.asarray(is_identity(jnp.asarray(moved))).reshape(-1).tolist() == expected.tolist()
