"""The coherence loss against a loop."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels import jitted
from scipy.special import softmax

from partdisc.method.loss import coherence_loss, softmax_at
from partdisc.method.warp import Warp, mean_map

coherence_loss, softmax_at = jitted(coherence_loss, softmax_at)

CELLS, CHANNELS = 7, 5


def coherent(logits, warps, labels):
    return coherence_loss(logits, jax.nn.softmax(logits, axis=-1), warps, labels)


def alone(logits, labels):
    """Return the loss of an image without neighbours: its mean map is its own."""
    nothing = np.zeros((0, len(logits), 4))
    warps = Warp(nothing.astype(np.int32), nothing.astype(np.float32))
    return coherent(logits[None], warps, labels)


def loop(mean: np.ndarray, labels: np.ndarray) -> float:
    terms = [-math.log(row[label]) for row, label in zip(mean, labels, strict=True) if label >= 0]
    return sum(terms) / len(terms) if terms else 0.0


def drawn(rng, *, cells=CELLS, neighbours=0, share=0.8):
    logits = rng.normal(0, 2, (1 + neighbours, cells, CHANNELS)).astype(np.float32)
    around = rng.integers(0, cells, (neighbours, cells, 4)).astype(np.int32)
    weights = rng.random((neighbours, cells, 4)).astype(np.float32)
    weights[:, 3] = 0.0  # No neighbour covers this cell.
    labels = np.where(rng.random(cells) < share, rng.integers(0, CHANNELS, cells), -1)
    return logits, Warp(around, weights), labels.astype(np.int32)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_equals_the_loop(rng, share):
    logits, _, labels = drawn(rng, cells=20, share=share)
    expected = loop(softmax(logits[0], axis=1), labels)
    assert float(alone(logits[0], labels)) == pytest.approx(expected, rel=1e-5)


def test_certain_and_right_costs_nothing():
    assert float(alone(200 * np.eye(4, dtype=np.float32), np.arange(4))) == 0.0


def test_unlabelled_cells_do_not_count(rng):
    logits = rng.normal(size=(6, 3)).astype(np.float32)
    labels = np.array([0, -1, 2, -1, -1, 1], np.int32)
    changed = np.where((labels < 0)[:, None], 9.0, logits).astype(np.float32)
    assert float(alone(logits, labels)) == float(alone(changed, labels))
    gradient = np.asarray(jax.grad(alone)(logits, labels))
    np.testing.assert_array_equal(gradient[labels < 0], 0.0)


@pytest.mark.parametrize("cells", [0, 3])
def test_without_a_label_loss_and_gradient_are_zero(cells):
    logits = np.zeros((cells, 3), np.float32)
    loss, gradient = jax.value_and_grad(alone)(logits, np.full(cells, -1, np.int32))
    assert float(loss) == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


def test_gradient_is_what_is_there_less_what_is_wanted(rng):
    logits = rng.normal(size=(5, 4)).astype(np.float32)
    labels = np.array([3, -1, 0, 0, 2], np.int32)
    wanted = np.eye(4)[labels] * (labels >= 0)[:, None]
    there = softmax(logits, axis=1) * (labels >= 0)[:, None]
    np.testing.assert_allclose(jax.grad(alone)(logits, labels), (there - wanted) / 4, atol=1e-6)


def test_a_probability_of_zero_costs_a_finite_amount():
    logits = np.array([[0.0, 500.0]], np.float32)
    loss, gradient = jax.value_and_grad(alone)(logits, np.zeros(1, np.int32))
    assert 40 < float(loss) < 60
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("neighbours", [1, 4])
def test_it_is_that_of_the_mean_map_and_so_are_its_gradients(rng, neighbours):
    logits, warps, labels = drawn(rng, neighbours=neighbours)
    labelled = (labels >= 0).astype(np.float32)

    def mean_of(logits):
        probs = jax.nn.softmax(logits, axis=-1)
        return mean_map(probs[0], probs[1:], warps, True)[0]

    def through_the_mean(logits):
        picked = mean_of(logits)[np.arange(CELLS), np.maximum(labels, 0)]
        return -jnp.sum(labelled * jnp.log(picked)) / labelled.sum()

    expected = loop(np.asarray(mean_of(logits)), labels)
    assert float(coherent(logits, warps, labels)) == pytest.approx(expected, rel=1e-5)
    found = jax.grad(coherent)(logits, warps, labels)
    np.testing.assert_allclose(found, jax.grad(through_the_mean)(logits), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("entries", [0, 1, 40])
def test_entries_of_a_softmax_and_their_gradient(rng, entries):
    """Many of 40 entries of 6 rows are the same ones."""
    logits = rng.normal(0, 3, (6, CHANNELS)).astype(np.float32)
    row, channel = rng.integers(0, 6, entries), rng.integers(0, CHANNELS, entries)
    weight = rng.normal(size=entries).astype(np.float32)
    probs = jax.nn.softmax(logits, axis=-1)
    entries_of = functools.partial(softmax_at, probs=probs, row=row, channel=channel)
    np.testing.assert_allclose(entries_of(logits), softmax(logits, axis=1)[row, channel], rtol=1e-5)
    found = jax.grad(lambda x: jnp.sum(weight * entries_of(x)))(logits)
    plain = jax.grad(lambda x: jnp.sum(weight * jax.nn.softmax(x, axis=-1)[row, channel]))(logits)
    np.testing.assert_allclose(found, plain, atol=1e-6)
