"""Equivariance: the warp of an image is that of its cells, and equal maps have no distance."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from partdisc.method.part_layer import PartLayer
from partdisc.scoring import equivariance


def test_warps_are_similarities_about_the_centre(rng):
    for _ in range(1000):
        size = rng.integers(20, 400, 2)
        matrix = equivariance.random_warp(rng, size)
        turn = matrix[:2, :2]
        scale = np.sqrt(np.linalg.det(turn))
        np.testing.assert_allclose(turn @ turn.T, scale**2 * np.eye(2), atol=1e-9)
        assert 1 / equivariance.SCALE <= scale <= equivariance.SCALE
        angle = np.degrees(np.arctan2(turn[1, 0], turn[0, 0]))
        assert abs(angle) <= equivariance.ROTATION
        centre = (size - 1) / 2
        moved = turn @ centre + matrix[:2, 2] - centre
        assert (abs(moved) <= equivariance.SHIFT * size + 1e-9).all()


@pytest.mark.parametrize("seed", range(5))
def test_images_are_warped_as_scipy_does(seed):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.uniform(0, 255, (60, 40, 3)), (3, 3, 0))
    pixels = smooth.astype(np.uint8)
    matrix = equivariance.random_warp(rng, np.array([60, 40]))
    inverse = np.linalg.inv(matrix)
    expected = np.stack([
        ndimage.affine_transform(
            pixels[..., c].astype(float), inverse[:2, :2], inverse[:2, 2], order=1, mode="nearest"
        )
        for c in range(3)
    ], axis=-1)  # fmt: skip
    found = equivariance.warp_image(pixels, matrix).astype(float)
    assert np.abs(found - expected).max() <= 1.5


def test_no_warp_leaves_the_image_alone(rng):
    pixels = rng.integers(0, 255, (20, 30, 3), np.uint8)
    np.testing.assert_array_equal(equivariance.warp_image(pixels, np.eye(3)), pixels)


def test_a_warp_of_cells_is_that_of_their_centres(rng):
    matrix = equivariance.random_warp(rng, np.array([100, 200]))
    cells = equivariance.to_cells(matrix, 16, 14.0)
    for point in rng.uniform(0, 10, (20, 2)):
        moved = matrix[:2, :2] @ (16 * point + 14) + matrix[:2, 2]
        np.testing.assert_allclose(cells[:2, :2] @ point + cells[:2, 2], (moved - 14) / 16)


def features_of(rng, rows, columns):
    vectors = rng.normal(size=(rows * columns, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def distance(original, warped, grid, shift):
    layer = PartLayer(4, 10.0, "mean")
    rng = np.random.default_rng(7)
    params = {
        "centres": jnp.asarray(rng.normal(size=(4, 8)), jnp.float32),
        "background": jnp.asarray(rng.normal(size=8), jnp.float32),
    }
    transform = np.eye(3, dtype=np.float32)
    transform[:2, 2] = shift
    found = equivariance.map_distance(
        layer, params, original, warped, np.array(grid, np.int32), transform
    )
    return tuple(map(float, found))


def test_shifted_features_agree_where_they_overlap(rng):
    features = features_of(rng, 5, 6)
    shifted = np.roll(features.reshape(5, 6, 8), (1, 2), axis=(0, 1)).reshape(30, 8)
    error, cells = distance(features, shifted, (5, 6), (1, 2))
    assert cells == 4 * 4 and error == pytest.approx(0, abs=1e-6)
    wrong, _ = distance(features, shifted, (5, 6), (0, 0))
    assert wrong > 0.1


def test_nothing_covered_is_no_distance(rng):
    features = features_of(rng, 2, 3)
    assert distance(features, features, (2, 3), (50, 0)) == (0, 0)
    error, cells = distance(features, features, (2, 3), (0, 0))
    assert cells == 6 and error == pytest.approx(0, abs=1e-6)
