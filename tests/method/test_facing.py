"""Which way the object faces, against loops, and on planted sides."""

import jax
import numpy as np
import pytest
from kernels import jitted

from partdisc.method.facing import Facing, facing_of, fit_facing

fit_facing, facing_of = jitted(fit_facing, facing_of)


def planted(rng, count=60):
    """Peaks of images and of their mirror images, and the way that each faces.

    Channel 0 is seen from one side, channel 1 from the other, the rest whatever the side.
    """
    way = rng.choice([-1, 1], count)
    neutral = rng.uniform(0.1, 0.9, (count, 3))

    def peaks(way):
        sided = np.where(way[:, None] == (1, -1), 0.8, 0.1)
        return np.hstack([sided, neutral]) + 0.02 * rng.random((count, 5))

    return peaks(way).astype(np.float32), peaks(-way).astype(np.float32), way


def probs_of(peaks):
    """Maps [n, P, K + 1] of two cells with these peaks [n, K], the background the rest."""
    cells = np.stack([peaks, 0.3 * peaks], axis=1)
    return np.concatenate([cells, np.zeros((*cells.shape[:2], 1), np.float32)], axis=2)


def test_fit_is_the_leading_component_of_the_change(rng):
    own, other = rng.random((2, 12, 5)).astype(np.float32)
    found = fit_facing(own, other)
    change = np.sqrt(own, dtype=float) - np.sqrt(other, dtype=float)
    weights = np.linalg.svd(change)[2][0]
    weights *= np.sign(weights[np.abs(weights).argmax()])
    values = [sum(w * p**0.5 for w, p in zip(weights, row, strict=True)) for row in (*own, *other)]
    np.testing.assert_allclose(found.weights, weights / np.std(values), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.bias, -np.mean(values) / np.std(values), rtol=1e-3)


def test_facing_is_the_loop(rng):
    probs = rng.random((7, 5)).astype(np.float32)
    weights = rng.normal(size=4).astype(np.float32)
    total = 0.3 + sum(weights[k] * max(row[k] for row in probs) ** 0.5 for k in range(4))
    found = facing_of(Facing(weights, np.float32(0.3)), probs)
    assert float(found) == pytest.approx(np.tanh(total), rel=1e-5)


def test_planted_ways_are_found_and_mirroring_turns_them(rng):
    own, mirrored, way = planted(rng)
    fitted = fit_facing(own, mirrored)
    assert np.abs(fitted.weights[2:]).max() < 0.05 * np.abs(fitted.weights[:2]).max()
    ways = jax.vmap(lambda probs: facing_of(fitted, probs))
    found, turned = np.asarray(ways(probs_of(own))), np.asarray(ways(probs_of(mirrored)))
    assert abs(np.mean(np.sign(found) * way)) == 1.0
    assert np.abs(found).min() > 0.5
    np.testing.assert_allclose(found, -turned, atol=0.1)


def test_the_largest_weight_is_positive(rng):
    own, mirrored, _ = planted(rng)
    for pair in ((own, mirrored), (mirrored, own)):
        weights = np.asarray(fit_facing(*pair).weights)
        assert weights[np.abs(weights).argmax()] > 0


@pytest.mark.parametrize("peaks", [np.zeros((4, 3)), np.full((4, 3), 0.5), np.eye(3)])
def test_what_the_mirror_leaves_alone_faces_neither_way(peaks):
    fitted = fit_facing(peaks.astype(np.float32), peaks.astype(np.float32))
    assert not np.any(fitted.weights) and float(fitted.bias) == 0.0
    assert float(facing_of(fitted, np.full((2, 4), 0.25, np.float32))) == 0.0
