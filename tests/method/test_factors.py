"""Non-negative factors against loops, scikit-learn and SciPy, and the layer made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from kernels import jitted

from partdisc.method import clusters
from partdisc.method.factors import (
    FactorLayer,
    coefficients,
    fit_basis,
    initial_params,
    multiplicative_step,
)
from partdisc.method.part_layer import make_layer, part_probabilities

coefficients, multiplicative_step, part_probabilities = jitted(
    coefficients, multiplicative_step, part_probabilities
)

FIT = {"iterations": 100, "tolerance": 0.0, "seeding_vectors": 1000, "seed": 0}


def unit(rng, *shape) -> np.ndarray:
    """Draw unit vectors that are not negative and often zero, as after a ReLU."""
    vectors = np.maximum(rng.standard_normal(shape), 0.0) + 1e-9
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def start(rng, vectors, parts):
    """Draw a positive start for a factorisation."""
    level = np.sqrt(vectors.mean() / parts)
    return tuple(
        np.abs(level * rng.standard_normal(shape)).astype(np.float32)
        for shape in ((len(vectors), parts), (parts, vectors.shape[1]))
    )


def reference_step(amounts, basis, vectors):
    """One step in float64, entry by entry."""
    amounts, basis, vectors = (np.array(a, np.float64) for a in (amounts, basis, vectors))
    error = [np.sum((v - a @ basis) ** 2) for v, a in zip(vectors, amounts, strict=True)]
    made, new = amounts @ basis, amounts.copy()
    for i, k in np.ndindex(*amounts.shape):
        new[i, k] *= vectors[i] @ basis[k] / max(made[i] @ basis[k], 1e-12)
    made, changed = new @ basis, basis.copy()
    for k, c in np.ndindex(*basis.shape):
        changed[k, c] *= new[:, k] @ vectors[:, c] / max(new[:, k] @ made[:, c], 1e-12)
    return new, changed, np.mean(error)


@pytest.mark.parametrize(("count", "parts", "channels"), [(9, 3, 6), (4, 4, 4), (1, 2, 3)])
def test_step_equals_the_loop(rng, count, parts, channels):
    vectors = unit(rng, count, channels)
    factors = start(rng, vectors, parts)
    (amounts, basis), error = multiplicative_step(factors, vectors)
    expected = reference_step(*factors, vectors)
    np.testing.assert_allclose(amounts, expected[0], rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(basis, expected[1], rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(error, expected[2], rtol=1e-5)


def test_what_is_zero_stays_zero(rng):
    vectors = unit(rng, 12, 5)
    amounts, basis = start(rng, vectors, 3)
    amounts[4], basis[1, 2], basis[2] = 0.0, 0.0, 0.0
    for _ in range(5):
        (amounts, basis), _ = multiplicative_step((amounts, basis), vectors)
    assert np.all(amounts[4] == 0) and basis[1, 2] == 0 and np.all(basis[2] == 0)
    assert np.isfinite(amounts).all() and np.isfinite(basis).all()


def test_error_never_grows():
    """3,000 random sets, of which many vectors repeat, 12 steps each."""
    rng = np.random.default_rng(1)
    cases, count, parts = 3000, 16, 4
    vectors = unit(rng, cases, count, 6)
    distinct = rng.integers(1, count + 1, (cases, 1))
    vectors = np.take_along_axis(
        vectors, rng.integers(0, distinct, (cases, count))[..., None], axis=1
    )
    factors = tuple(
        np.abs(rng.normal(size=(cases, *shape))).astype(np.float32)
        for shape in ((count, parts), (parts, 6))
    )
    step = jax.jit(jax.vmap(multiplicative_step))
    before = np.full(cases, np.inf)
    for _ in range(12):
        factors, error = step(factors, vectors)
        assert np.all(error <= before * (1 + 1e-6) + 1e-7)
        before = np.asarray(error)


@pytest.mark.parametrize("steps", [1, 10, 100])
def test_agrees_with_scikit_learn(rng, steps):
    from sklearn.decomposition import NMF

    vectors = unit(rng, 80, 12)
    factors = start(rng, vectors, 4)
    peer = NMF(4, init="custom", solver="mu", max_iter=steps, tol=0.0)
    expected = peer.fit_transform(
        vectors.astype(np.float64),
        W=factors[0].astype(np.float64),
        H=factors[1].astype(np.float64),
    )
    for _ in range(steps):
        factors, _ = multiplicative_step(factors, vectors)
    np.testing.assert_allclose(factors[0], expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(factors[1], peer.components_, rtol=1e-3, atol=1e-4)
    _, error = multiplicative_step(factors, vectors)
    assert np.sqrt(error * len(vectors)) == pytest.approx(peer.reconstruction_err_, rel=1e-5)


def test_planted_factors_are_found(rng):
    planted = np.zeros((4, 24), np.float32)
    for k in range(4):
        planted[k, 6 * k : 6 * k + 6] = rng.uniform(0.2, 1.0, 6)
    planted /= np.linalg.norm(planted, axis=1, keepdims=True)
    vectors = rng.dirichlet(np.full(4, 0.3), 500) @ planted
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    told = []
    basis = np.asarray(
        fit_basis(
            vectors,
            parts=4,
            **FIT | {"iterations": 500},
            after_step=lambda step, error: told.append((step, error)),
        )
    )
    cosine = basis @ planted.T
    assert sorted(cosine.argmax(axis=0)) == list(range(4))
    assert cosine.max(axis=0).min() > 0.999
    np.testing.assert_allclose(np.linalg.norm(basis, axis=1), 1.0, atol=1e-6)
    assert [step for step, _ in told] == list(range(1, 501))
    assert told[-1][1] < 1e-3 < told[0][1]


def test_fit_is_deterministic_and_follows_its_seed(rng):
    vectors = unit(rng, 200, 8)
    first, again, other = (
        fit_basis(vectors, parts=6, **FIT | {"seed": seed, "iterations": 5}) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_fit_stops_where_the_error_stands_still(rng):
    told = []
    fit_basis(
        unit(rng, 60, 8),
        parts=3,
        **FIT | {"iterations": 1000, "tolerance": 1e-4},
        after_step=lambda _, error: told.append(error),
    )
    assert len(told) < 1000
    assert told[-2] - told[-1] < 1e-4 <= told[-3] - told[-2]


@pytest.mark.parametrize("parts", [1, 3, 10])
def test_equal_vectors(parts):
    vectors = np.tile(np.array([[0.6, 0.0, 0.8]], np.float32), (10, 1))
    basis = fit_basis(vectors, parts=parts, **FIT)
    np.testing.assert_allclose(basis, vectors[:parts], atol=1e-6)


def test_one_vector_and_a_zero_one_among_others(rng):
    vectors = unit(rng, 1, 5)
    np.testing.assert_allclose(fit_basis(vectors, parts=1, **FIT), vectors, atol=1e-6)
    with_zero = np.concatenate([unit(rng, 20, 5), np.zeros((1, 5), np.float32)])
    assert np.isfinite(fit_basis(with_zero, parts=3, **FIT)).all()
    nothing = np.zeros((4, 5), np.float32)
    np.testing.assert_array_equal(fit_basis(nothing, parts=2, **FIT), np.zeros((2, 5)))


def test_as_many_parts_as_vectors():
    vectors = np.eye(5, dtype=np.float32)
    basis = np.asarray(fit_basis(vectors, parts=5, **FIT | {"iterations": 1000}))
    assert (basis @ vectors.T).max(axis=0).min() > 0.99


def nnls(vectors, basis) -> np.ndarray:
    basis = np.asarray(basis, np.float64)
    return np.array([scipy.optimize.nnls(basis.T, np.float64(v))[0] for v in vectors])


def residual(vectors, amounts, basis) -> np.ndarray:
    vectors, amounts, basis = (np.asarray(a, np.float64) for a in (vectors, amounts, basis))
    return np.sum((vectors - amounts @ basis) ** 2, axis=-1)


@pytest.mark.parametrize(("parts", "channels"), [(1, 6), (2, 6), (4, 32), (16, 64), (40, 512)])
def test_coefficients_agree_with_scipy(rng, parts, channels):
    basis = unit(rng, parts, channels)
    mixed = rng.dirichlet(np.full(parts, 0.5), 500) @ basis + 0.1 * unit(rng, 500, channels)
    vectors = np.concatenate([unit(rng, 500, channels), mixed.astype(np.float32)])
    expected = nnls(vectors, basis)
    np.testing.assert_allclose(coefficients(vectors, basis), expected, atol=2e-5)


def test_coefficients_of_factors_that_nearly_coincide(rng):
    """The fit is as good as the best, whatever its parts."""
    basis = unit(rng, 1, 32) + 0.05 * unit(rng, 8, 32)
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)
    basis[7] = basis[6]
    vectors = unit(rng, 300, 32)
    amounts = coefficients(vectors, basis)
    best = residual(vectors, nnls(vectors, basis), basis)
    assert np.max(residual(vectors, amounts, basis) - best) < 1e-4


def test_no_coefficient_is_above_the_length_of_its_vector(rng):
    basis, vectors = unit(rng, 6, 10), unit(rng, 1000, 10)
    amounts = np.asarray(coefficients(vectors, basis))
    assert amounts.min() >= 0 and amounts.max() <= 1 + 1e-6
    # Nor the length of all of them, for no two factors are at an obtuse angle.
    assert np.linalg.norm(amounts, axis=1).max() <= 1 + 1e-5
    np.testing.assert_allclose(coefficients(3 * vectors, basis), 3 * amounts, atol=1e-5)


def test_each_cell_is_solved_for_itself(rng):
    basis, vectors = unit(rng, 5, 8), unit(rng, 2, 7, 8)
    together = coefficients(vectors, basis)
    np.testing.assert_allclose(
        jax.vmap(lambda v: coefficients(v, basis))(vectors), together, atol=1e-6
    )
    for b, p in np.ndindex(2, 7):
        np.testing.assert_allclose(coefficients(vectors[b, p], basis), together[b, p], atol=1e-6)


def test_vectors_and_factors_that_are_zero(rng):
    basis = unit(rng, 3, 8)
    basis[1] = 0.0
    vectors = np.concatenate([np.zeros((1, 8), np.float32), unit(rng, 20, 8)])
    amounts = coefficients(vectors, basis)
    np.testing.assert_array_equal(amounts[0], 0.0)
    np.testing.assert_array_equal(amounts[:, 1], 0.0)
    np.testing.assert_allclose(amounts, nnls(vectors, basis), atol=2e-5)
    np.testing.assert_array_equal(coefficients(vectors, np.zeros_like(basis)), np.zeros((21, 3)))
    assert coefficients(vectors[:0], basis).shape == (0, 3)


def test_initial_params_fit_the_module(rng):
    params = initial_params(unit(rng, 3, 5), unit(rng, 20, 5))
    module = make_layer("nmf", parts=3, kappa=30.0, background="mean")
    shapes = jax.eval_shape(
        lambda key: module.init(key, jnp.zeros((1, 5)), method="probs"), jax.random.key(0)
    )
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), params) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), shapes["params"]
    )


def test_the_scale_is_the_largest_sum_of_the_sample(rng):
    basis, features = unit(rng, 6, 10), unit(rng, 2500, 10)
    params = initial_params(basis, features)
    assert float(params["scale"]) == pytest.approx(nnls(features, basis).sum(axis=1).max(), 1e-4)
    nothing = initial_params(basis, np.zeros((3, 10), np.float32))
    assert float(nothing["scale"]) == 1.0


def test_shares_rank_as_coefficients_and_the_background_has_the_rest(rng):
    basis, features = unit(rng, 4, 10), unit(rng, 200, 10)
    params = initial_params(basis, features)
    valid = np.arange(200) < 190
    probs = np.asarray(part_probabilities(FactorLayer(4), params, features, valid))
    np.testing.assert_array_equal(probs[190:], 0.0)
    np.testing.assert_allclose(probs.sum(axis=1), valid, atol=1e-6)
    assert probs.min() >= 0
    scaled = nnls(features, basis)[:190] / float(params["scale"])
    np.testing.assert_allclose(probs[:190, :-1], scaled, atol=2e-5)
    np.testing.assert_allclose(probs[:190, -1], 1 - scaled.sum(axis=1), atol=5e-5)


def test_a_cell_beyond_the_scale_has_no_background(rng):
    basis = np.eye(4, dtype=np.float32)
    params = initial_params(basis, basis[:2])  # each sums to 1
    spread = np.full((1, 4), 0.5, np.float32)  # sums to 2
    probs = part_probabilities(FactorLayer(4), params, spread, np.ones(1, bool))
    np.testing.assert_allclose(probs, [[0.25, 0.25, 0.25, 0.25, 0.0]], atol=1e-6)
    nothing = part_probabilities(FactorLayer(4), params, np.zeros((1, 4)), np.ones(1, bool))
    np.testing.assert_array_equal(nothing, [[0.0, 0.0, 0.0, 0.0, 1.0]])


def test_every_kind_has_a_layer():
    for kind in clusters.KINDS:
        layer = make_layer(kind, parts=7, kappa=30.0, background="mean")
        assert layer.parts == 7 and callable(layer.probs)
        assert isinstance(layer, FactorLayer) == (kind == "nmf")
