"""Pools of images that look alike and align: crops of planted patterns."""

import jax.numpy as jnp
import numpy as np
import pytest

from partdisc.config import base_config
from partdisc.detector import Detector
from partdisc.discovery import pools
from partdisc.discovery.clusters import Start
from partdisc.discovery.pool_alignment import align_pools, aligner_of
from partdisc.discovery.pools import PoolSettings, best_aligned, find_pools, nearest
from partdisc.discovery.settings import step_settings
from partdisc.discovery.supervision import Images
from partdisc.workdir import Workdir

SIDE, WIDE, CHANNELS, PARTS = 9, 11, 12, 24
# Crops of pattern 0 and of pattern 1, which has the same cells in another order.
CORNERS = [(0, 0), (2, 1), (1, 2), (2, 2), (1, 1), (0, 2)]


@pytest.fixture
def crops(rng):
    """Return images, crop n of pattern n // 6 at `CORNERS[n % 6]`, and a layer's params."""
    directions = rng.standard_normal((PARTS, CHANNELS))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    cells = directions[rng.integers(0, PARTS, (WIDE, WIDE))]
    other = rng.permutation(cells.reshape(-1, CHANNELS)).reshape(cells.shape)
    features = np.stack(
        [
            pattern[y : y + SIDE, x : x + SIDE].reshape(-1, CHANNELS)
            for pattern in (cells, other)
            for y, x in CORNERS
        ]
    )
    count = len(features)
    images = Images(
        jnp.asarray(features, jnp.float16),
        jnp.full((count, 2), SIDE, jnp.int32),
        jnp.ones((count, SIDE * SIDE)),
        jnp.zeros(CHANNELS),
    )
    params = {"centres": jnp.asarray(directions, jnp.float32), "background": -jnp.ones(CHANNELS)}
    return images, params


def config_with(**changes):
    config = base_config()
    config.parts.count = PARTS
    config.alignment.transform = "translation"
    config.alignment.hypotheses = 64
    config.pools.size = 4
    for name, value in changes.items():
        config.pools[name] = value
    return config


def found_pools(config, params, images):
    return find_pools(PoolSettings(**config.pools), step_settings(config), params, images, seed=0)


def test_shifts_are_found(crops):
    images, params = crops
    aligner = aligner_of(step_settings(config_with()), params, images, seed=0)
    targets, members = np.array([0, 8]), np.array([[1, 2, 3], [6, 7, 11]])
    found = align_pools(aligner, targets, members, label="aligning")
    for n, target in enumerate(targets):
        for j, member in enumerate(members[n]):
            shift = np.subtract(CORNERS[member % 6], CORNERS[target % 6])
            np.testing.assert_allclose(found.transforms[n, j, :2, 2], shift, atol=0.3)
    assert found.scores.shape == found.inliers.shape == found.matches.shape == (2, 3)
    assert np.all(found.inliers <= found.matches)


def test_a_pool_is_aligned_as_if_alone(crops):
    images, params = crops
    aligner = aligner_of(step_settings(config_with()), params, images, seed=3)
    targets, members = np.array([5, 0, 9]), np.array([[1, 7], [8, 3], [2, 4]])
    together = align_pools(aligner, targets, members, label="")
    for n in range(3):
        one = slice(n, n + 1)
        alone = align_pools(aligner, targets[one], members[one], label="")
        for array, expected in zip(alone, together, strict=True):
            np.testing.assert_array_equal(array, expected[one])


@pytest.mark.parametrize("similarity", ["position_free", "spatial_js"])
def test_candidates_that_align_make_the_pool(crops, similarity):
    images, params = crops
    # All images are candidates, so that alignment alone decides.
    config = config_with(similarity=similarity, candidates=40)
    members, distances = found_pools(config, params, images)
    assert members.shape == distances.shape == (12, 4)
    for n, pool in enumerate(members):
        assert n not in pool and len(set(pool)) == 4
        assert np.all(pool // 6 == n // 6)


def test_without_candidates_the_most_similar_are_taken(crops):
    images, params = crops
    config = config_with(candidates=0)
    members, distances = found_pools(config, params, images)
    assert np.all(np.diff(distances, axis=1) >= 0)
    # With as many candidates as the pool holds, alignment changes their order alone.
    same = config_with(candidates=4)
    sorted_anew, apart = found_pools(same, params, images)
    np.testing.assert_array_equal(np.sort(sorted_anew, axis=1), np.sort(members, axis=1))
    for n, pool in enumerate(sorted_anew):
        place = [members[n].tolist().index(member) for member in pool]
        np.testing.assert_array_equal(apart[n], distances[n][place])
    assert np.any(sorted_anew != members)


def test_pools_are_kept_by_what_they_depend_on(crops, tmp_path, monkeypatch):
    images, params = crops
    detector = Detector(None, None, None, None, params, np.zeros(CHANNELS), None, 1)
    start = Start(detector, "key")
    made = []
    found = np.zeros((12, 4), np.int32), np.zeros((12, 4), np.float32)
    monkeypatch.setattr(pools, "find_pools", lambda one, *_, **__: made.append(one) or found)
    with Workdir(tmp_path / "run") as workdir:
        for candidates, radius, fresh in (
            (0, 1.5, True),
            (0, 2.5, False),
            (6, 1.5, True),
            (6, 1.5, False),
            (6, 2.5, True),
        ):
            made.clear()
            config = config_with(candidates=candidates)
            config.alignment.radius = radius
            settings = step_settings(config)
            pools.pools_stage(config, workdir, start, settings, images)
            assert bool(made) == fresh, (candidates, radius)


def nearest_loop(distance: np.ndarray, size: int) -> np.ndarray:
    pools = []
    for i, row in enumerate(distance):
        others = [j for j in range(len(row)) if j != i]
        pools.append(sorted(others, key=lambda j, row=row: (row[j], j))[:size])
    return np.array(pools)


@pytest.mark.parametrize("size", [1, 3, 9])
def test_nearest_equals_the_loop(rng, size):
    # Few levels, so that there are many ties.
    distance = rng.integers(0, 4, (10, 10)).astype(np.float32)
    members, distances = nearest(distance, size)
    assert members.dtype == np.int32 and distances.dtype == np.float32
    np.testing.assert_array_equal(members, nearest_loop(distance, size))
    np.testing.assert_array_equal(distances, np.take_along_axis(distance, members, axis=1))


def test_an_image_is_never_in_its_own_pool(rng):
    distance = rng.random((8, 8)).astype(np.float32)
    np.fill_diagonal(distance, -1.0)
    members, _ = nearest(distance, 7)
    assert not np.any(members == np.arange(8)[:, None])
    assert all(len(set(row)) == 7 for row in members.tolist())


def test_where_all_are_equal_the_lower_index_is_nearer():
    members, distances = nearest(np.zeros((4, 4), np.float32), 2)
    assert members.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]
    np.testing.assert_array_equal(distances, 0.0)


def test_nearest_leaves_its_argument_alone(rng):
    distance = rng.random((5, 5)).astype(np.float32)
    before = distance.copy()
    nearest(distance, 2)
    np.testing.assert_array_equal(distance, before)


def test_best_aligned_is_a_stable_sort():
    scores = np.array([[0.1, 0.5, 0.5, np.nan], [np.nan, np.nan, 0.0, -1.0]])
    np.testing.assert_array_equal(best_aligned(scores, 3), [[1, 2, 0], [2, 3, 0]])
