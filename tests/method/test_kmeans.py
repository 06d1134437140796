"""Euclidean k-means against loops and scikit-learn, and on odd sets of vectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from partdisc.method.clusters import first_centres
from partdisc.method.kmeans import fit_centres, lloyd_step

FIT = {"iterations": 50, "tolerance": 0.0, "seeding_vectors": 1000, "seed": 0}


def unit(rng, *shape) -> np.ndarray:
    vectors = rng.standard_normal(shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def reference_step(centres, vectors):
    """One step in float64, vector by vector, as `lloyd_step` describes it."""
    centres, vectors = (np.asarray(a, np.float64) for a in (centres, vectors))
    owner, distance = [], []
    for vector in vectors:
        each = [np.sum((vector - centre) ** 2) for centre in centres]
        owner.append(int(np.argmin(each)))
        distance.append(min(each))
    farthest = iter(np.argsort(-np.array(distance), kind="stable"))
    new = np.zeros_like(centres)
    for k in range(len(centres)):
        own = [vector for vector, o in zip(vectors, owner, strict=True) if o == k]
        new[k] = np.mean(own, axis=0) if own else vectors[next(farthest)]
    return new, np.array(distance)


@pytest.mark.parametrize(("count", "parts", "channels"), [(60, 4, 6), (7, 7, 3), (40, 1, 5)])
def test_step_equals_the_loop(rng, count, parts, channels):
    vectors, centres = unit(rng, count, channels), rng.normal(size=(parts, channels))
    found, distance = lloyd_step(centres.astype(np.float32), vectors)
    expected, each = reference_step(centres.astype(np.float32), vectors)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(distance, each.mean(), rtol=1e-5)


def test_empty_clusters_start_again_at_the_farthest_vectors(rng):
    vectors = unit(rng, 50, 6)
    centres = np.concatenate([vectors[:2], np.full((3, 6), 9.0, np.float32)])
    found, _ = lloyd_step(centres, vectors)
    expected, each = reference_step(centres, vectors)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(found[2:], vectors[np.argsort(-each)[:3]])


def test_more_empty_clusters_than_vectors(rng):
    vectors = unit(rng, 2, 4)
    centres = np.concatenate([vectors[:1], np.full((5, 4), 9.0, np.float32)])
    found, _ = lloyd_step(centres, vectors)
    assert np.isfinite(found).all()
    _, distance = lloyd_step(found, vectors)
    assert distance == 0.0


def test_distance_never_grows():
    """3,000 random sets, of which many vectors repeat and many clusters empty, 12 steps each."""
    rng = np.random.default_rng(1)
    cases, count, parts = 3000, 24, 6
    vectors = unit(rng, cases, count, 5)
    vectors = np.take_along_axis(
        vectors,
        rng.integers(0, rng.integers(1, count + 1, (cases, 1)), (cases, count))[..., None],
        axis=1,
    )
    spread = rng.choice([0.1, 1.0, 10.0], (cases, 1, 1))
    centres = (spread * rng.normal(size=(cases, parts, 5))).astype(np.float32)
    step = jax.jit(jax.vmap(lloyd_step))
    before = np.full(cases, np.inf)
    for _ in range(12):
        centres, distance = step(centres, vectors)
        assert np.all(distance <= before + 1e-6)
        before = np.asarray(distance)


@pytest.mark.parametrize("parts", [2, 5, 20])
def test_agrees_with_scikit_learn(rng, parts):
    from sklearn.cluster import KMeans

    vectors = unit(rng, 300, 8)
    start = first_centres(jnp.asarray(vectors), parts=parts, seeding_vectors=300, seed=0)
    peer = KMeans(
        parts,
        init=np.asarray(start, np.float64),
        n_init=1,
        max_iter=300,
        tol=0.0,
        algorithm="lloyd",
    ).fit(vectors.astype(np.float64))
    told = []
    centres = fit_centres(
        vectors,
        parts=parts,
        **FIT | {"iterations": 300, "tolerance": 1e-9},
        after_step=lambda _, distance: told.append(distance),
    )
    np.testing.assert_allclose(centres, peer.cluster_centers_, atol=2e-6)
    assert told[-1] * len(vectors) == pytest.approx(peer.inertia_, rel=1e-6)


def test_planted_clusters_are_found(rng):
    directions = unit(rng, 5, 16)
    counts = [400, 300, 200, 150, 100]
    vectors = np.repeat(directions, counts, axis=0)
    vectors = rng.permutation(vectors + 0.04 * rng.standard_normal(vectors.shape))
    centres = np.asarray(fit_centres(vectors.astype(np.float32), parts=5, **FIT))
    cosine = centres @ directions.T / np.linalg.norm(centres, axis=1, keepdims=True)
    assert sorted(cosine.argmax(axis=0)) == list(range(5))
    assert cosine.max(axis=0).min() > 0.999


def test_fit_is_deterministic_and_follows_its_seed(rng):
    vectors = unit(rng, 200, 8)
    first, again, other = (
        fit_centres(vectors, parts=6, **FIT | {"seed": seed}) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_zero_vector_among_the_others(rng):
    vectors = np.concatenate([unit(rng, 20, 6), np.zeros((1, 6), np.float32)])
    centres = fit_centres(vectors, parts=3, **FIT)
    assert np.isfinite(centres).all()


def test_one_vector():
    vectors = np.eye(4, dtype=np.float32)[:1]
    np.testing.assert_array_equal(fit_centres(vectors, parts=1, **FIT), vectors)


@pytest.mark.parametrize("parts", [1, 3, 10])
def test_equal_vectors(parts):
    vectors = np.tile(np.eye(4, dtype=np.float32)[:1], (10, 1))
    centres = fit_centres(vectors, parts=parts, **FIT)
    np.testing.assert_allclose(centres, vectors[:parts], atol=1e-6)


def test_as_many_parts_as_vectors(rng):
    vectors = unit(rng, 7, 16)
    centres = np.asarray(fit_centres(vectors, parts=7, **FIT))
    assert sorted(map(tuple, centres)) == sorted(map(tuple, vectors))


def test_opposite_vectors_have_their_mean_between_them():
    vectors = np.array([[1.0, 0.0], [-1.0, 0.0]], np.float32)
    np.testing.assert_array_equal(fit_centres(vectors, parts=1, **FIT), [[0.0, 0.0]])
