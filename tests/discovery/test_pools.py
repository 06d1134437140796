"""Pools of images that look alike and align: crops of planted patterns."""

import types

import jax.numpy as jnp
import numpy as np
import pytest

from partdisc.config import base_config
from partdisc.detector import Detector
from partdisc.discovery import pools
from partdisc.discovery.clusters import Start
from partdisc.discovery.images import Images
from partdisc.discovery.pool_alignment import align_pools, aligner_of
from partdisc.discovery.pools import PoolSettings, best_aligned, find_pools
from partdisc.discovery.settings import step_settings
from partdisc.method.similarity import divergences
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


def similar(descriptors, kind, size):
    told = []
    progress = types.SimpleNamespace(advance=told.append)
    members, distances = pools.similar(jnp.asarray(descriptors), kind, size, progress)
    assert sum(told) == len(descriptors)
    assert members.dtype == np.int32 and distances.dtype == np.float32
    assert members.shape == distances.shape == (len(descriptors), size)
    assert all(n not in pool and len(set(pool)) == size for n, pool in enumerate(members.tolist()))
    return members, distances


@pytest.mark.parametrize("pairs", [1, 37, 1 << 24])
def test_the_most_similar_are_those_of_all_pairs_whatever_the_block(rng, monkeypatch, pairs):
    monkeypatch.setattr(pools, "PAIRS", pairs)
    vectors = rng.normal(size=(14, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    members, distances = similar(vectors, "position_free", 4)
    apart = 1.0 - vectors @ vectors.T + np.diag(np.full(14, 9.0, np.float32))
    np.testing.assert_array_equal(members, np.argsort(apart, axis=1)[:, :4])
    np.testing.assert_allclose(distances, np.sort(apart, axis=1)[:, :4], atol=1e-6)


def clustered(rng, count):
    """Draw distributions [count, 4, 30] around a few, as images of a class are."""
    logits = 2 * rng.normal(size=(6, 4, 30))[rng.integers(0, 6, count)]
    probs = np.exp(logits + rng.normal(size=(count, 4, 30)))
    return (probs / probs.sum(axis=-1, keepdims=True)).astype(np.float32)


def nearest_by_divergence(descriptors, size):
    everyone = np.arange(len(descriptors))
    apart = np.stack([divergences(descriptors[image], descriptors) for image in everyone])
    np.fill_diagonal(apart, np.inf)
    order = np.argsort(apart, axis=1, kind="stable")[:, :size]
    return order, np.take_along_axis(apart, order, axis=1)


@pytest.mark.parametrize("pairs", [1, 1 << 24])
def test_few_images_are_all_compared_by_their_divergence(rng, monkeypatch, pairs):
    monkeypatch.setattr(pools, "PAIRS", pairs)
    descriptors = clustered(rng, 31)
    expected, apart = nearest_by_divergence(descriptors, 3)
    members, distances = similar(descriptors, "spatial_js", 3)
    np.testing.assert_array_equal(members, expected)
    np.testing.assert_array_equal(distances, apart)


def test_of_many_images_nearly_all_of_the_nearest_are_found(rng):
    descriptors = clustered(rng, 300)
    expected, _ = nearest_by_divergence(descriptors, 5)
    members, distances = similar(descriptors, "spatial_js", 5)
    found = np.mean([np.isin(a, b).mean() for a, b in zip(expected, members, strict=True)])
    assert found >= 0.95
    assert np.all(np.diff(distances, axis=1) >= 0)


def test_where_all_are_equal_the_lower_index_is_nearer():
    for descriptors, kind in (
        (np.tile([0.6, 0.8], (4, 1)), "position_free"),
        (np.full((4, 2, 5), 0.2), "spatial_js"),
    ):
        members, distances = similar(descriptors.astype(np.float32), kind, 2)
        assert members.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]
        np.testing.assert_allclose(distances, 0.0, atol=1e-6)


def test_best_aligned_is_a_stable_sort():
    scores = np.array([[0.1, 0.5, 0.5, np.nan], [np.nan, np.nan, 0.0, -1.0]])
    np.testing.assert_array_equal(best_aligned(scores, 3), [[1, 2, 0], [2, 3, 0]])
