"""From maps to pixels: planted parts come back where they are, in images of every shape."""

import numpy as np
import pytest

from partdisc.data import images
from partdisc.detector import make_parts
from partdisc.detector.pixels import bounds, largest_piece, on_original, to_original_size
from partdisc.detector.prediction import (
    Listed,
    Prediction,
    Reader,
    Reading,
)

STRIDE, ORIGIN = 8, 7.5
SIZES = [(96, 96), (301, 203), (97, 640), (1203, 57), (48, 48)]
NAMES = ("presence", "maximum", "area", "agreement", "mirror", "stability", "equivariance")
FIELDS = dict.fromkeys(NAMES, 0.5)


def reader(parts=2):
    described = (
        FIELDS | {"channels": [k], "threshold": 0.5, "place": (0.5, 0.5), "neighbours": []}
        for k in range(parts)
    )
    return Reader(make_parts(described), (Listed("wheel", 4, 0.3),), STRIDE, ORIGIN)


def geometry_of(size, crop=None):
    return images.geometry(np.array(size), crop, 96, 16, 3.0)


def reading_of(geometry, maps):
    count = maps.shape[-1] - 1
    return Reading(
        geometry,
        maps,
        np.tile([3.0, 4.0], (count, 1)),
        np.linspace(0.9, 0.1, count),
        np.array([[[10.0, 20.0], [30.0, 40.0], [5.0, 5.0]]]),
        np.array([[0.8, 0.2, -np.inf]]),
        np.float64(6.0),
        np.float64(0.5),
    )


def planted(geometry, boxes):
    """Maps whose parts hold the cells centred in boxes of the original, and the background else."""
    rows, columns = 2 * (geometry.working // 16) - 1
    centres = np.stack(np.mgrid[:rows, :columns], axis=-1) * STRIDE + ORIGIN
    original = images.to_original(centres.reshape(-1, 2), geometry).reshape(rows, columns, 2)
    maps = np.zeros((rows, columns, len(boxes) + 1), np.float32)
    for k, (y0, x0, y1, x1) in enumerate(boxes):
        inside = np.all((original > (y0, x0)) & (original < (y1, x1)), axis=-1)
        maps[inside, k] = 1.0
    maps[..., -1] = 1.0 - maps[..., :-1].max(axis=-1)
    return maps


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop", [None, (0.1, 0.2, 0.9, 0.8)])
def test_planted_parts_are_found_to_the_cell(size, crop):
    height, width = size
    if crop is not None:
        crop = (np.array(crop) * [*size, *size]).astype(np.int32)
    geometry = geometry_of(size, crop)
    y0, x0, y1, x1 = geometry.crop
    middle = (y0 + y1) / 2
    first = (y0 - 0.5, x0 - 0.5, middle - 0.5, x1 - 0.5)
    low, high = 0.25 * x0 + 0.75 * x1, x1
    second = (middle - 0.5, low - 0.5, y1 - 0.5, high - 0.5)
    found = Prediction.of(reader(), "a", reading_of(geometry, planted(geometry, [first, second])))
    # A cell and a half of the network's input, in pixels of the original.
    near = 1.5 * STRIDE * (geometry.crop[2:] - geometry.crop[:2]) / geometry.working
    for part, box in zip(found.parts, (first, second), strict=True):
        assert np.all(np.abs(np.subtract(part.box, box)) <= np.tile(near, 2) + 0.51)
    assert np.allclose(found.object.box[:2], first[:2], atol=0.01)
    assert found.mask.shape == size
    outside = np.ones(size, bool)
    outside[y0:y1, x0:x1] = False
    assert not found.mask[outside].any()
    top, bottom = int(y0 + 0.25 * (middle - y0)), int(y1 - 0.25 * (y1 - middle))
    assert found.mask[top, int((x0 + x1) / 2)] == 1
    assert found.mask[bottom, int((low + high) / 2)] == 2 or near[1] * 2 > high - low
    assert found.mask[bottom, x0] == 0


def test_scores_presence_and_detections_are_those_read():
    geometry = geometry_of((96, 96))
    maps = planted(geometry, [(0, 0, 40, 40), (60, 60, 90, 90)])
    found = Prediction.of(reader(), "a.jpg", reading_of(geometry, maps))
    assert [part.present for part in found.parts] == [True, False]
    assert [part.score for part in found.parts] == [0.9, 0.1]
    # The object faces side a, half of the way: three quarters of a part's score are of that side.
    assert found.object.facing == 0.5
    np.testing.assert_allclose(
        [part.sides for part in found.parts], [(0.675, 0.225), (0.075, 0.025)]
    )
    (one,) = found.detections  # One is too weak, one slot is unused.
    assert one == ("wheel", 4, 0.8, (10.0, 20.0), (7.0, 17.0, 13.0, 23.0))


def test_an_image_without_object_has_points_and_nothing_else():
    geometry = geometry_of((96, 120))
    maps = np.zeros((11, 13, 3), np.float32)
    maps[..., -1] = 1.0
    found = Prediction.of(reader(), "a", reading_of(geometry, maps))
    assert found.object is None and not found.mask.any()
    assert all(part.box is None and part.area == 0.0 for part in found.parts)
    assert all(np.isfinite(part.point).all() for part in found.parts)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop", [None, (0.1, 0.2, 0.9, 0.8)])
def test_pixels_of_the_original_are_bilinear_between_cells(rng, size, crop):
    if crop is not None:
        crop = (np.array(crop) * [*size, *size]).astype(np.int32)
    geometry = geometry_of(size, crop)
    rows, columns = 2 * (geometry.working // 16) - 1
    maps = rng.dirichlet(np.ones(3), (rows, columns)).astype(np.float32)
    fine = on_original(np.moveaxis(maps, -1, 0), geometry, STRIDE, ORIGIN)
    assert fine.shape == (*size, 3) and fine.dtype == np.float32
    np.testing.assert_allclose(fine.sum(axis=-1), 1, rtol=1e-5)
    y0, x0, y1, x1 = geometry.crop
    outside = np.ones(size, bool)
    outside[y0:y1, x0:x1] = False
    assert np.all(fine[outside] == (0, 0, 1))
    for y, x in ((y0, x0), (y1 - 1, x1 - 1), ((y0 + y1) // 2, (2 * x0 + x1) // 3)):
        cell = (images.to_working(np.array([y, x], float), geometry) - ORIGIN) / STRIDE
        row, column = np.clip(cell, 0, (rows - 1, columns - 1))
        expected = sum(
            max(0, 1 - abs(row - i)) * max(0, 1 - abs(column - j)) * maps[i, j].astype(float)
            for i, j in np.ndindex(rows, columns)
        )
        np.testing.assert_allclose(fine[y, x], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [(96, 96), (301, 203), (97, 640), (57, 1203)])
def test_planted_parts_hold_their_pixels_of_the_original(size):
    geometry = geometry_of(size)
    height, width = size
    first, second = (0, 0, height / 2, width / 3), (height / 2, width / 2, height, width)
    maps = planted(geometry, [first, second])
    fine = on_original(np.moveaxis(maps, -1, 0), geometry, STRIDE, ORIGIN)
    # In the middle of a part it is certain; in the empty corners there is none.
    for y, x, channel in ((0.2, 0.1, 0), (0.8, 0.8, 1), (0.2, 0.8, 2), (0.8, 0.1, 2)):
        assert fine[int(y * height), int(x * width), channel] == pytest.approx(1, abs=1e-5)
    # The labels are those of the mask, but where a part ends.
    found = Prediction.of(reader(), "a", reading_of(geometry, maps))
    labels = np.where(fine[..., -1] < 0.5, 1 + fine[..., :-1].argmax(axis=-1), 0)
    step = 2.0 * (np.array(size) / geometry.working)
    for y, x in np.argwhere(labels != found.mask):
        for box in (first, second):
            edges = np.abs(np.subtract([y, x, y, x], box)) / [*step, *step]
            if edges.min() <= STRIDE:
                break
        else:
            raise AssertionError((y, x))
    assert np.mean(labels != found.mask) < 0.02


def test_the_largest_piece_and_its_bounds():
    mask = np.zeros((96, 96), bool)
    mask[2:4, 2:4] = True
    mask[10:20, 30:33] = True
    piece = largest_piece(mask)
    assert piece.sum() == 30 and not piece[2, 2]
    assert bounds(piece, geometry_of((96, 96))) == (9.5, 29.5, 19.5, 32.5)
    # Twice as large an original: the edges of pixels, not their centres, double.
    assert bounds(piece, geometry_of((192, 192))) == (19.5, 59.5, 39.5, 65.5)
    assert bounds(piece[5:25, 3:40], geometry_of((96, 96)), (5, 3)) == (9.5, 29.5, 19.5, 32.5)
    assert not largest_piece(np.zeros((4, 5), bool)).any()


def test_masks_keep_their_values_at_any_size(rng):
    labels = rng.integers(0, 5, (96, 96)).astype(np.uint8)
    geometry = geometry_of((192, 192))
    found = to_original_size(labels, geometry)
    np.testing.assert_array_equal(found, labels.repeat(2, 0).repeat(2, 1))
