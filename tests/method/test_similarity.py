"""Descriptors of images, and the Jensen-Shannon divergence of all pairs."""

import math

import numpy as np
import pytest
from kernels import jitted
from scipy.spatial.distance import jensenshannon

from partdisc.method.similarity import (
    BLOCK,
    LANES,
    block_count,
    js_divergence,
    peak_descriptor,
    spatial_descriptor,
)

peak_descriptor, spatial_descriptor = jitted(peak_descriptor, spatial_descriptor)


def distributions(rng, *shape, sharpness: float = 4.0) -> np.ndarray:
    logits = sharpness * rng.standard_normal(shape)
    probs = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (probs / probs.sum(axis=-1, keepdims=True)).astype(np.float32)


def divergence_loop(first: np.ndarray, second: np.ndarray) -> float:
    """Mean over cells of the Jensen-Shannon divergence, one term after the other."""
    total = 0.0
    for p, q in zip(first.astype(np.float64), second.astype(np.float64), strict=True):
        for a, b in zip(p, q, strict=True):
            middle = (a + b) / 2
            total += sum(0.5 * v * math.log(v / middle) for v in (a, b) if v > 0)
    return total / len(first)


@pytest.mark.parametrize("images", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5])
def test_divergence_of_all_pairs_equals_scipy_for_any_number(rng, images):
    descriptors = distributions(rng, images, 4, 7)
    found = js_divergence(descriptors)
    expected = np.zeros((images, images))
    for i in range(images):
        expected[i] = [
            np.mean(jensenshannon(descriptors[i], other, axis=1) ** 2) for other in descriptors
        ]
    assert found.shape == (images, images) and found.dtype == np.float32
    np.testing.assert_allclose(found, np.nan_to_num(expected), atol=3e-6)


@pytest.mark.parametrize("channels", [1, 2, LANES - 1, LANES, LANES + 1])
def test_divergence_equals_the_loop_for_any_number_of_channels(rng, channels):
    descriptors = distributions(rng, 5, 3, channels)
    descriptors[0, 0] = np.eye(channels)[0]
    found = js_divergence(descriptors)
    for i in range(5):
        for j in range(5):
            expected = divergence_loop(descriptors[i], descriptors[j])
            assert found[i, j] == pytest.approx(expected, abs=3e-6)


def test_divergence_at_the_size_of_a_real_map(rng):
    descriptors = distributions(rng, 3, 49, 513, sharpness=2.0)
    found = js_divergence(descriptors)
    assert found[0, 2] == pytest.approx(divergence_loop(descriptors[0], descriptors[2]), abs=5e-6)


def test_divergence_is_symmetric_bounded_and_zero_on_the_diagonal(rng):
    descriptors = distributions(rng, BLOCK + 3, 4, 6, sharpness=20.0)
    descriptors[1] = descriptors[0]
    found = js_divergence(descriptors)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 0.0)
    assert found.min() >= 0.0 and found.max() <= np.float32(math.log(2))
    assert found[0, 1] == pytest.approx(0.0, abs=1e-6)


def test_disjoint_distributions_are_log_2_apart():
    one_hot = np.eye(5, dtype=np.float32)[:, None]
    expected = math.log(2) * (1 - np.eye(5))
    np.testing.assert_allclose(js_divergence(one_hot), expected, atol=1e-6)


def test_equal_images_do_not_diverge(rng):
    descriptors = np.tile(distributions(rng, 1, 4, 6), (BLOCK + 2, 1, 1))
    np.testing.assert_allclose(js_divergence(descriptors), 0.0, atol=1e-6)


def test_no_image_has_no_divergence():
    assert js_divergence(np.zeros((0, 4, 3), np.float32)).shape == (0, 0)


def test_half_precision_descriptors(rng):
    descriptors = distributions(rng, 4, 3, 5)
    np.testing.assert_allclose(
        js_divergence(descriptors.astype(np.float16)), js_divergence(descriptors), atol=1e-3
    )


def test_divergence_tells_its_progress(rng):
    told = []
    images = 2 * BLOCK + 1
    js_divergence(distributions(rng, images, 1, 2), lambda: told.append(1))
    assert len(told) == block_count(images) == 6


@pytest.mark.parametrize("grid", [(4, 6), (6, 4), (1, 1), (2, 9), (7, 3)])
def test_spatial_descriptor_keeps_distributions(rng, grid):
    rows, columns = grid
    probs = np.zeros((30, 5), np.float32)
    probs[: rows * columns] = distributions(rng, rows * columns, 5)
    descriptor = np.asarray(spatial_descriptor(probs, np.array(grid, np.int32), size=3))
    assert descriptor.shape == (9, 5) and descriptor.min() >= 0
    np.testing.assert_allclose(descriptor.sum(axis=1), 1.0, atol=1e-5)


def test_spatial_descriptor_of_its_own_size_is_the_map(rng):
    probs = np.zeros((12, 5), np.float32)
    probs[:9] = distributions(rng, 9, 5)
    descriptor = spatial_descriptor(probs, np.array([3, 3], np.int32), size=3)
    np.testing.assert_allclose(descriptor, probs[:9], atol=1e-6)


def test_peak_descriptor_is_the_unit_vector_of_maxima(rng):
    probs = distributions(rng, 8, 5)
    peaks = np.array([max(probs[p, k] for p in range(8)) for k in range(4)], np.float64)
    expected = peaks / np.linalg.norm(peaks)
    np.testing.assert_allclose(peak_descriptor(probs), expected, atol=1e-6)
    shuffled = peak_descriptor(rng.permutation(probs))
    np.testing.assert_array_equal(shuffled, peak_descriptor(probs))
    np.testing.assert_array_equal(peak_descriptor(np.zeros((8, 5), np.float32)), 0.0)
