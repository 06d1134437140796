"""Descriptors of images, how far they are apart, and which are nearest."""

import math

import numpy as np
import pytest
from kernels import jitted
from scipy.spatial.distance import jensenshannon

from partdisc.method.similarity import (
    LANES,
    SKETCH,
    divergences,
    nearest,
    peak_descriptor,
    sketch,
    spatial_descriptor,
)

peak_descriptor, sketch, spatial_descriptor = jitted(peak_descriptor, sketch, spatial_descriptor)


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


def all_pairs(descriptors) -> np.ndarray:
    everyone = np.arange(len(descriptors))
    return np.stack([divergences(descriptors[image], descriptors) for image in everyone])


def test_divergence_equals_scipy(rng):
    descriptors = distributions(rng, 9, 4, 7)
    expected = [
        [np.mean(jensenshannon(one, other, axis=1) ** 2) for other in descriptors]
        for one in descriptors
    ]
    np.testing.assert_allclose(all_pairs(descriptors), np.nan_to_num(expected), atol=3e-6)


@pytest.mark.parametrize("channels", [1, 2, LANES - 1, LANES, LANES + 1])
def test_divergence_equals_the_loop_for_any_number_of_channels(rng, channels):
    descriptors = distributions(rng, 5, 3, channels)
    descriptors[0, 0] = np.eye(channels)[0]
    found = all_pairs(descriptors)
    for i in range(5):
        for j in range(5):
            expected = divergence_loop(descriptors[i], descriptors[j])
            assert found[i, j] == pytest.approx(expected, abs=3e-6)


def test_divergence_at_the_size_of_a_real_map(rng):
    descriptors = distributions(rng, 3, 49, 513, sharpness=2.0)
    found = divergences(descriptors[0], descriptors[2:3])
    assert found[0] == pytest.approx(divergence_loop(descriptors[0], descriptors[2]), abs=5e-6)


def test_divergence_is_symmetric_bounded_and_zero_to_itself(rng):
    descriptors = distributions(rng, 7, 4, 6, sharpness=20.0)
    descriptors[1] = descriptors[0]
    found = all_pairs(descriptors)
    np.testing.assert_allclose(found, found.T, atol=1e-6)
    np.testing.assert_allclose(np.diag(found), 0.0, atol=1e-6)
    assert found.min() >= 0.0 and found.max() <= np.float32(math.log(2))
    assert found[0, 1] == pytest.approx(0.0, abs=1e-6)


def test_disjoint_distributions_are_log_2_apart():
    one_hot = np.eye(5, dtype=np.float32)[:, None]
    expected = math.log(2) * (1 - np.eye(5))
    np.testing.assert_allclose(all_pairs(one_hot), expected, atol=1e-6)


def test_no_others_and_half_precision(rng):
    descriptors = distributions(rng, 4, 3, 5)
    assert divergences(descriptors[1], descriptors[:0]).shape == (0,)
    half = all_pairs(descriptors.astype(np.float16))
    np.testing.assert_allclose(half, all_pairs(descriptors), atol=1e-3)


def nearest_loop(vectors, rows, size):
    found = []
    for row in rows:
        cosine = {j: float(vectors[row] @ vectors[j]) for j in range(len(vectors)) if j != row}
        found.append(sorted(cosine, key=lambda j, cosine=cosine: (-cosine[j], j))[:size])
    return np.array(found, int).reshape(len(rows), size)


@pytest.mark.parametrize("size", [0, 1, 3, 9])
def test_nearest_equals_the_loop(rng, size):
    # Few directions, whose products are exact, so that there are many ties.
    vectors = np.eye(4, dtype=np.float32)[rng.integers(0, 4, 10)]
    vectors[3] = 0.0
    for rows in (np.arange(10), np.array([7, 0, 7])):
        members, cosines = nearest(vectors, rows, size)
        np.testing.assert_array_equal(members, nearest_loop(vectors, rows, size))
        expected = (vectors[rows][:, None] * vectors[np.asarray(members)]).sum(axis=-1)
        np.testing.assert_array_equal(cosines, expected)
        assert not np.any(np.asarray(members) == rows[:, None])


def test_cosines_of_sketches_are_those_of_the_roots(rng):
    descriptors = distributions(rng, 12, 9, 600, sharpness=3.0)
    descriptors[6:] = 0.7 * descriptors[6:] + 0.3 * descriptors[:6]
    found = np.asarray(sketch(descriptors))
    assert found.shape == (12, SKETCH)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-5)
    roots = np.sqrt(descriptors.reshape(12, -1).astype(float))
    expected = roots @ roots.T / 9
    off = ~np.eye(12, dtype=bool)
    # Random sums are off by about 1 / sqrt(SKETCH).
    assert np.abs(found @ found.T - expected)[off].max() < 6 / SKETCH**0.5
    assert np.corrcoef((found @ found.T)[off], expected[off])[0, 1] > 0.95


def test_sketches_of_short_descriptors_and_of_none(rng):
    descriptors = distributions(rng, 3, 2, 5)
    roots = np.sqrt(descriptors.reshape(3, -1))
    found = np.asarray(sketch(descriptors))
    np.testing.assert_allclose(found @ found.T, roots @ roots.T / 2, atol=1e-5)
    assert sketch(np.zeros((0, 2, 5), np.float32)).shape == (0, SKETCH)
    assert not np.any(sketch(np.zeros((2, 2, 5), np.float32)))


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
