"""The coherence loss against a loop."""

import math

import jax
import numpy as np
import pytest
from kernels import jitted

from partdisc.method.loss import coherence_loss
from partdisc.method.warp import Warp, mean_map

[aligned_loss] = jitted(coherence_loss)


def coherence_loss(mean, labels):
    """The loss of an image without neighbours: its mean map is its own."""
    cells, channels = mean.shape
    nothing = Warp(np.zeros((0, cells, 4), np.int32), np.zeros((0, cells, 4), np.float32))
    return aligned_loss(mean, np.zeros((0, cells, channels), np.float32), nothing, labels)


def loop(mean: np.ndarray, labels: np.ndarray) -> float:
    terms = [-math.log(row[label]) for row, label in zip(mean, labels, strict=True) if label >= 0]
    return sum(terms) / len(terms) if terms else 0.0


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_equals_the_loop(rng, share):
    mean = rng.uniform(0.01, 1.0, (20, 6)).astype(np.float32)
    labels = np.where(rng.random(20) < share, rng.integers(0, 6, 20), -1).astype(np.int32)
    assert float(coherence_loss(mean, labels)) == pytest.approx(loop(mean, labels), rel=1e-5)


def test_certain_and_right_costs_nothing():
    mean = np.eye(4, dtype=np.float32)
    assert float(coherence_loss(mean, np.arange(4))) == 0.0


def test_unlabelled_cells_do_not_count(rng):
    mean = rng.uniform(0.01, 1.0, (6, 3)).astype(np.float32)
    labels = np.array([0, -1, 2, -1, -1, 1], np.int32)
    changed = np.where((labels < 0)[:, None], 0.0, mean).astype(np.float32)
    assert float(coherence_loss(mean, labels)) == float(coherence_loss(changed, labels))
    gradient = np.asarray(jax.grad(coherence_loss)(mean, labels))
    np.testing.assert_array_equal(gradient[labels < 0], 0.0)


@pytest.mark.parametrize("cells", [0, 3])
def test_without_a_label_loss_and_gradient_are_zero(cells):
    mean = np.zeros((cells, 3), np.float32)
    loss, gradient = jax.value_and_grad(coherence_loss)(mean, np.full(cells, -1, np.int32))
    assert float(loss) == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


def test_gradient_is_minus_one_over_the_probability(rng):
    mean = rng.uniform(0.01, 1.0, (5, 4)).astype(np.float32)
    labels = np.array([3, -1, 0, 0, 2], np.int32)
    expected = np.zeros((5, 4))
    for cell, label in enumerate(labels):
        if label >= 0:
            expected[cell, label] = -1.0 / mean[cell, label] / 4
    np.testing.assert_allclose(jax.grad(coherence_loss)(mean, labels), expected, rtol=1e-5)


def test_a_probability_of_zero_costs_a_finite_amount():
    loss, gradient = jax.value_and_grad(coherence_loss)(
        np.zeros((1, 2), np.float32), np.zeros(1, np.int32)
    )
    assert 40 < float(loss) < 60
    assert np.isfinite(gradient).all()


def drawn(rng, *, neighbours, cells=7, channels=5):
    own = rng.uniform(0.01, 1, (cells, channels)).astype(np.float32)
    others = rng.uniform(0.01, 1, (neighbours, cells, channels)).astype(np.float32)
    around = rng.integers(0, cells, (neighbours, cells, 4)).astype(np.int32)
    weights = rng.random((neighbours, cells, 4)).astype(np.float32)
    weights[:, 3] = 0.0  # No neighbour covers this cell.
    labels = np.where(rng.random(cells) < 0.8, rng.integers(0, channels, cells), -1)
    return own, others, Warp(around, weights), labels.astype(np.int32)


@pytest.mark.parametrize("neighbours", [1, 4])
def test_it_is_that_of_the_mean_map_and_so_are_its_gradients(rng, neighbours):
    own, others, warps, labels = drawn(rng, neighbours=neighbours)

    def through_the_mean(own, others):
        mean, _ = mean_map(own, others, warps, True)
        return coherence_loss(mean, labels)

    mean, _ = mean_map(own, others, warps, True)
    expected = loop(np.asarray(mean), labels)
    assert float(aligned_loss(own, others, warps, labels)) == pytest.approx(expected, rel=1e-5)
    found = jax.grad(aligned_loss, argnums=(0, 1))(own, others, warps, labels)
    for one, other in zip(found, jax.grad(through_the_mean, (0, 1))(own, others), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)
