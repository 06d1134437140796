"""Maps on pixels, and which part a pixel is of, against plain loops."""

import jax
import numpy as np
import pytest

from partdisc.detector.pixels import label_pixels, on_pixels


def sampled(values, y, x):
    """Sample a map [h, w] at (y, x) cells, the border's value beyond it, in plain Python."""
    height, width = values.shape
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    total = 0.0
    for row in range(height):
        for column in range(width):
            weight = max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column))
            total += weight * values[row, column]
    return total


@pytest.mark.parametrize(
    ("shape", "size", "stride", "origin"),
    [
        ((3, 4), (24, 32), 8, 3.5),
        ((3, 4), (24, 32), 8, 7.0),
        ((1, 1), (5, 7), 4, 1.5),
        ((2, 5), (9, 20), 4, 0.0),
    ],
)
def test_maps_lie_on_the_pixels_of_their_cells(rng, shape, size, stride, origin):
    maps = rng.random((2, *shape))
    got = on_pixels(maps, size, stride, origin)
    assert got.shape == (2, *size)
    for k, y, x in np.ndindex(2, *size):
        want = sampled(maps[k], (y - origin) / stride, (x - origin) / stride)
        assert got[k, y, x] == pytest.approx(want, rel=1e-5)
    np.testing.assert_allclose(on_pixels(np.ones(shape), size, stride, origin), 1.0, rtol=1e-6)


@pytest.mark.parametrize("parts", [0, 1, 3, 16])
def test_a_pixel_is_of_its_most_probable_part(rng, parts):
    maps = rng.dirichlet(np.ones(parts + 1), (3, 4)).astype(np.float32)
    # Half of the object's: so that there is some of both.
    maps[..., -1] = np.where(rng.random((3, 4)) < 0.5, 0.1, 0.9)
    maps = np.moveaxis(maps, -1, 0)
    fine = on_pixels(maps, (24, 32), 8, 3.5)
    labels, foreground = label_pixels(maps, (24, 32), 8, 3.5)
    assert labels.dtype == np.uint8
    np.testing.assert_allclose(foreground, 1 - fine[-1], atol=1e-6)
    assert 0 < (foreground > 0.5).mean() < 1
    for y, x in np.ndindex(24, 32):
        wanted = 1 + np.argmax(fine[:-1, y, x]) if parts and foreground[y, x] > 0.5 else 0
        assert labels[y, x] == wanted


def test_of_equal_parts_a_pixel_is_of_the_first():
    maps = np.stack([np.full((2, 2), value) for value in (0.3, 0.3, 0.4)])
    labels, _ = label_pixels(maps, (16, 16), 8, 3.5)
    assert (labels == 1).all()
    # Half and half is background.
    labels, _ = label_pixels(np.full((2, 2, 2), 0.5), (16, 16), 8, 3.5)
    assert not labels.any()


def test_one_cell_and_unknown_values():
    labels, foreground = label_pixels(np.array([[[0.8]], [[0.2]]]), (16, 16), 8, 7.5)
    assert (labels == 1).all() and np.allclose(foreground, 0.8)
    with jax.debug_nans(False):
        labels, _ = label_pixels(np.full((3, 2, 2), np.nan), (16, 16), 8, 3.5)
    assert not labels.any()
