"""The discriminant of parts, against loops and scikit-learn; degenerate input."""

import jax.numpy as jnp
import numpy as np
import pytest
from kernels import jitted
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from partdisc.method import discriminant as kernels
from partdisc.method.discriminant import Discriminant, Moments

fit, moments, part_maps = jitted(kernels.fit_discriminant, kernels.moments, kernels.part_maps)


def loop_moments(features, probs):
    """Sum up cell by cell."""
    channels, size = probs.shape[1] - 1, features.shape[1]
    mass, sums, second = np.zeros(channels), np.zeros((channels, size)), np.zeros((size, size))
    for feature, prob in zip(features.astype(float), probs.astype(float), strict=True):
        for k in range(channels):
            mass[k] += prob[k]
            sums[k] += prob[k] * feature
            second += prob[k] * np.outer(feature, feature)
    return mass, sums, second


def loop_fit(features, probs, labels, parts):
    """Fit the discriminant by its definition, from the cells themselves."""
    weight = np.zeros((len(features), parts))
    for k, part in enumerate(labels):
        weight[:, part] += probs[:, k]
    total, size = weight.sum(), features.shape[1]
    means = [weight[:, p] @ features / weight[:, p].sum() for p in range(parts)]
    within = np.zeros((size, size))
    for n, p in np.ndindex(weight.shape):
        gap = features[n] - means[p]
        within += weight[n, p] * np.outer(gap, gap) / total
    within += kernels.SHRINKAGE * np.trace(within) / size * np.eye(size)
    inverse = np.linalg.inv(within)
    bias = [np.log(weight[:, p].sum() / total) - 0.5 * m @ inverse @ m for p, m in enumerate(means)]
    return np.stack([inverse @ m for m in means], axis=1), np.array(bias)


def cells(rng, count=60, size=5, channels=6):
    """Return features [n, C], which follow their strongest channel, and probs [n, K + 1]."""
    probs = rng.dirichlet(np.full(channels + 1, 0.3), count)
    centres = rng.normal(size=(channels + 1, size))
    features = centres[probs.argmax(axis=1)] + 0.4 * rng.normal(size=(count, size))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features.astype(np.float32), probs.astype(np.float32)


def test_moments_are_the_loop(rng):
    features, probs = cells(rng)
    for found, expected in zip(
        moments(features, probs), loop_moments(features, probs), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_cells_that_do_not_exist_count_nothing(rng):
    features, probs = cells(rng)
    probs[40:] = 0.0
    for found, expected in zip(
        moments(features, probs), moments(features[:40], probs[:40]), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 4, 5], [1, 1, 0, 1, 1, 1]])
def test_the_fit_is_that_of_the_cells(rng, labels):
    features, probs = cells(rng)
    parts = max(labels) + 1
    found = fit(moments(features, probs), jnp.eye(parts)[jnp.array(labels)])
    weights, bias = loop_fit(features.astype(float), probs.astype(float), labels, parts)
    np.testing.assert_allclose(found.weights, weights, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(found.bias, bias, rtol=2e-3, atol=2e-3)


def test_it_decides_as_scikit_learn_does(rng):
    features, _ = cells(rng, count=400)
    labels = rng.integers(0, 3, 400)
    features += 0.5 * np.eye(3, 5, dtype=np.float32)[labels]
    hard = np.zeros((400, 4), np.float32)
    hard[np.arange(400), labels] = 1.0
    found = fit(moments(features, hard), jnp.eye(3))
    # Their shrinkage is a mixture; ours is added.
    share = kernels.SHRINKAGE / (1 + kernels.SHRINKAGE)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=share).fit(features, labels)
    own = features @ np.asarray(found.weights) + np.asarray(found.bias)
    assert np.mean(own.argmax(axis=1) == theirs.predict(features)) > 0.97


def test_maps_share_the_object_out_and_leave_the_background(rng):
    features, probs = cells(rng)
    given = Discriminant(rng.normal(size=(5, 3)).astype(np.float32), np.zeros(3, np.float32))
    maps = np.asarray(part_maps(given, features, probs))
    assert maps.shape == (60, 4)
    np.testing.assert_allclose(maps.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(maps[:, -1], probs[:, -1])
    logits = features @ given.weights
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = (1 - probs[:, -1:]) * shares
    np.testing.assert_allclose(maps[:, :-1], expected, rtol=1e-4, atol=1e-6)


def test_no_part_is_all_background(rng):
    features, probs = cells(rng)
    none = Discriminant(np.zeros((0, 0), np.float32), np.zeros(0, np.float32))
    np.testing.assert_array_equal(part_maps(none, features, probs), probs[:, -1:])


def test_one_part_takes_the_whole_object(rng):
    features, probs = cells(rng)
    maps = part_maps(fit(moments(features, probs), jnp.ones((6, 1))), features, probs)
    np.testing.assert_allclose(maps[:, 0], 1 - probs[:, -1], rtol=1e-5)


def test_a_part_without_channels_takes_nothing(rng):
    features, probs = cells(rng)
    member = jnp.eye(3)[jnp.array([0, 0, 1, 1, 1, 0])]  # Part 2 has none.
    maps = np.asarray(part_maps(fit(moments(features, probs), member), features, probs))
    assert np.isfinite(maps).all() and maps[:, 2].max() < 0.01


@pytest.mark.parametrize("kind", ["nothing", "all equal"])
def test_degenerate_moments_give_finite_maps(rng, kind):
    features, probs = cells(rng)
    if kind == "nothing":
        found = Moments(
            np.zeros(6, np.float32), np.zeros((6, 5), np.float32), np.zeros((5, 5), np.float32)
        )
    else:
        found = moments(np.ones_like(features), probs)
    maps = np.asarray(part_maps(fit(found, jnp.eye(6)), features, probs))
    assert np.isfinite(maps).all()
    np.testing.assert_allclose(maps.sum(axis=1), 1.0, rtol=1e-4)
