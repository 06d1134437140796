"""The layers of the backbones against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import jitted

from partdisc.backbones.layers import conv, local_response_norm, max_pool

conv, local_response_norm, max_pool = jitted(conv, local_response_norm, max_pool)


@pytest.mark.parametrize("size,stride", [(1, 1), (3, 1), (5, 1), (7, 2)])
@pytest.mark.parametrize("height,width", [(8, 6), (2, 4), (1, 1)])
def test_conv_equals_scipy(rng, size, stride, height, width):
    x = rng.normal(size=(2, height, width, 3)).astype(np.float32)
    kernel = rng.normal(size=(size, size, 3, 4)).astype(np.float32)
    bias = rng.normal(size=4).astype(np.float32)
    found = conv(x, kernel, bias, stride=stride)
    unrectified = conv(x, kernel, bias, stride=stride, rectify=False)

    pad = size // 2
    padded = np.pad(x.astype(float), [(0, 0), (pad, pad), (pad, pad), (0, 0)])
    for b in range(2):
        for d in range(4):
            full = sum(
                scipy.signal.correlate(padded[b, :, :, c], kernel[:, :, c, d], "valid")
                for c in range(3)
            )
            expected = full[::stride, ::stride] + bias[d]
            np.testing.assert_allclose(unrectified[b, :, :, d], expected, rtol=1e-4, atol=1e-4)
            expected = np.maximum(expected, 0)
            np.testing.assert_allclose(found[b, :, :, d], expected, rtol=1e-4, atol=1e-4)


def _max_pool_loop(x, size, stride, before):
    """Windows from so many cells before their cell on, cut at the border."""
    _, height, width, _ = x.shape
    out = np.empty((x.shape[0], height // stride, width // stride, x.shape[3]), x.dtype)
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            y0, x0 = i * stride - before, j * stride - before
            window = x[:, max(y0, 0) : y0 + size, max(x0, 0) : x0 + size]
            out[:, i, j] = window.max(axis=(1, 2))
    return out


@pytest.mark.parametrize("size,stride,before", [(2, 2, 0), (3, 2, 0), (3, 1, 1), (3, 2, 1)])
@pytest.mark.parametrize("height,width", [(8, 6), (2, 4), (2, 2)])
def test_max_pool_equals_loop(rng, size, stride, before, height, width):
    x = rng.normal(size=(2, height, width, 3)).astype(np.float32) - 5  # no 0 may leak in
    found = max_pool(x, size=size, stride=stride, before=before)
    np.testing.assert_array_equal(found, _max_pool_loop(x, size, stride, before))


def test_max_pool_of_equal_values_is_that_value():
    x = jnp.full((1, 4, 4, 2), -3.0)
    np.testing.assert_array_equal(max_pool(x, size=3, stride=2), jnp.full((1, 2, 2, 2), -3.0))


@pytest.mark.parametrize("channels", [1, 2, 5, 12])
def test_local_response_norm_equals_loop(rng, channels):
    x = 200 * rng.normal(size=(2, 3, 2, channels)).astype(np.float32)
    expected = np.empty(x.shape)
    for c in range(channels):
        window = x[..., max(c - 2, 0) : c + 3].astype(float)
        expected[..., c] = x[..., c] / (1 + 1e-4 / 5 * (window**2).sum(-1)) ** 0.75
    np.testing.assert_allclose(local_response_norm(x), expected, rtol=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 9), st.floats(1e-6, 1e4))
def test_local_response_norm_shrinks_and_keeps_signs(channels, scale):
    x = np.float32(scale) * np.sin(np.arange(channels, dtype=np.float32))[None, None, None, :]
    y = np.asarray(local_response_norm(x))
    assert (np.abs(y) <= np.abs(x) * (1 + 1e-6)).all()
    assert (np.sign(y) == np.sign(x)).all()


def test_nan_stays_in_its_window(rng):
    x = rng.normal(size=(1, 8, 8, 6)).astype(np.float32)
    x[0, 0, 0, 0] = np.nan
    with jax.debug_nans(False):
        assert np.isnan(local_response_norm(x)).sum() == 3
        pooled = np.isnan(max_pool(x, size=3, stride=1, before=1))
    assert pooled[0, :2, :2, 0].all() and pooled.sum() == 4
