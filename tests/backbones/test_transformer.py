"""The kernels of vision transformers against NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from partdisc.backbones.transformer import attention, layer_norm, linear, resampling


def test_linear_equals_loop(rng):
    x, kernel, bias = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5)), rng.normal(size=5)
    found = linear(*(jnp.asarray(a, jnp.float32) for a in (x, kernel, bias)))
    for b in range(2):
        for t in range(3):
            expected = [
                sum(x[b, t, c] * kernel[c, d] for c in range(4)) + bias[d] for d in range(5)
            ]
            np.testing.assert_allclose(found[b, t], expected, rtol=1e-5, atol=1e-5)


def test_layer_norm_equals_loop(rng):
    x, scale, bias = rng.normal(3, 2, size=(2, 3, 8)), rng.normal(size=8), rng.normal(size=8)
    found = layer_norm(*(jnp.asarray(a, jnp.float32) for a in (x, scale, bias)))
    for b in range(2):
        for t in range(3):
            token = x[b, t]
            spread = math.sqrt(np.mean((token - token.mean()) ** 2) + 1e-6)
            expected = (token - token.mean()) / spread * scale + bias
            np.testing.assert_allclose(found[b, t], expected, rtol=1e-4, atol=1e-5)


def test_layer_norm_of_equal_channels_is_the_bias():
    bias = jnp.arange(4.0)
    found = layer_norm(jnp.full((1, 2, 4), 7.0), jnp.ones(4), bias)
    np.testing.assert_array_equal(found, np.broadcast_to(bias, (1, 2, 4)))


@pytest.mark.parametrize("heads", [1, 2, 6])
def test_attention_equals_loop(rng, heads):
    queries, keys, values = rng.normal(size=(3, 2, 5, 12))
    found = attention(*(jnp.asarray(a, jnp.float32) for a in (queries, keys, values)), heads=heads)
    size = 12 // heads
    for b in range(2):
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            for t in range(5):
                fit = [queries[b, t, own] @ keys[b, s, own] / math.sqrt(size) for s in range(5)]
                weights = np.exp(fit) / np.exp(fit).sum()
                expected = sum(weights[s] * values[b, s, own] for s in range(5))
                np.testing.assert_allclose(found[b, t, own], expected, rtol=1e-4, atol=1e-5)


def test_attention_of_one_token_is_its_value_and_of_equal_keys_the_mean(rng):
    one = jnp.asarray(rng.normal(size=(3, 1, 1, 4)), jnp.float32)
    np.testing.assert_allclose(attention(*one, heads=2), one[2], rtol=1e-6)
    values = jnp.asarray(rng.normal(size=(1, 6, 4)), jnp.float32)
    found = attention(values, jnp.ones((1, 6, 4)), values, heads=2)
    expected = np.broadcast_to(np.mean(values, axis=1, keepdims=True), found.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_attention_of_large_scores_stays_finite():
    large = jnp.full((1, 3, 2), 1e4)
    assert np.isfinite(attention(large, large, large, heads=1)).all()


def _loop(old, new, antialias):
    """Resample by cubic convolution, sample by sample."""
    a, wide = (-0.5, max(old / new, 1)) if antialias else (-0.75, 1)
    matrix = np.zeros((new, old))
    for i in range(new):
        centre = (i + 0.5) * old / new - 0.5
        for j in range(-3 * old - 8, 4 * old + 8):
            x = abs(j - centre) / wide
            if x <= 1:
                weight = (a + 2) * x**3 - (a + 3) * x**2 + 1
            elif x < 2:
                weight = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
            else:
                continue
            if not antialias:
                matrix[i, min(max(j, 0), old - 1)] += weight
            elif 0 <= j < old:
                matrix[i, j] += weight
        if antialias:
            matrix[i] /= matrix[i].sum()
    return matrix


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(
    "old,new", [(37, 16), (37, 7), (37, 39), (37, 1), (5, 60), (2, 3), (1, 4), (1, 1), (9, 8)]
)
def test_resampling_equals_loop(old, new, antialias):
    found = np.asarray(resampling(old, new, antialias=antialias))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, _loop(old, new, antialias), atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("antialias", [False, True])
def test_resampling_to_the_same_number_changes_nothing(antialias):
    np.testing.assert_allclose(resampling(37, 37, antialias=antialias), np.eye(37), atol=1e-6)


def test_resampling_equals_jax_where_it_smooths(rng):
    values = rng.normal(size=37)
    for new in (5, 16, 37, 50):
        expected = jax.image.resize(jnp.asarray(values, jnp.float32), (new,), "cubic")
        found = np.asarray(resampling(37, new, antialias=True)) @ values
        np.testing.assert_allclose(found, expected, atol=1e-5)
