"""Detections against a brute-force loop, and their behaviour at the edges."""

import math

import jax
import numpy as np
import pytest
from kernels import jitted

from partdisc.method.detection import detect, iou_of_shifted

detect, iou_of_shifted = jitted(detect, iou_of_shifted)

OPTIONS = {"box_side": 3.0, "nms_iou": 0.3, "per_part": 4}


def packed(maps: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Pack maps [rows, columns, K] with a background channel of no meaning."""
    rows, columns, parts = maps.shape
    probs = np.zeros((cells, parts + 1), np.float32)
    probs[: rows * columns, :parts] = maps.reshape(-1, parts)
    probs[: rows * columns, parts] = 0.7
    return probs, np.array([rows, columns], np.int32)


def vertex(before: float, centre: float, after: float) -> float:
    """Fit a parabola through three values by its coefficients; its peak, half a cell at most."""
    if min(before, after) < 0:  # no value there
        return 0.0
    values = np.log(np.maximum(np.array([before, centre, after], np.float64), 1e-20))
    a, b, _ = np.polyfit([-1.0, 0.0, 1.0], values, 2)
    return float(np.clip(-b / (2 * a), -0.5, 0.5)) if 2 * a < -1e-6 else 0.0


def box_iou(first, second, side: float) -> float:
    """Intersect two boxes the long way."""
    a, b = [
        (p[0] - side / 2, p[1] - side / 2, p[0] + side / 2, p[1] + side / 2)
        for p in (first, second)
    ]
    height = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    width = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - height * width
    return height * width / union


def reference(maps: np.ndarray, *, box_side: float, nms_iou: float, per_part: int):
    """Find [(score, point), ...] of each part, value by value."""
    rows, columns, parts = maps.shape
    found = []
    for k in range(parts):
        padded = np.full((rows + 2, columns + 2), -1.0)
        padded[1:-1, 1:-1] = maps[..., k]
        peaks = []
        for y in range(rows):
            for x in range(columns):
                around = padded[y : y + 3, x : x + 3].reshape(-1)
                value = around[4]
                if value > 0 and (value > around[:4]).all() and (value >= around[5:]).all():
                    dy = vertex(around[1], value, around[7])
                    dx = vertex(around[3], value, around[5])
                    peaks.append((value, (y + dy, x + dx)))
        peaks.sort(key=lambda peak: -peak[0])  # stable: ties keep the raster order
        kept = []
        for peak in peaks:
            if all(box_iou(peak[1], other[1], box_side) <= nms_iou for other in kept):
                kept.append(peak)
        found.append(kept[:per_part])
    return found


def check(maps: np.ndarray, cells: int, **options) -> None:
    probs, grid = packed(maps, cells)
    detections = detect(probs, grid, **options)
    found = reference(maps.astype(np.float64), **options)
    parts = maps.shape[2]
    assert detections.points.shape == (parts, options["per_part"], 2)
    assert detections.scores.shape == (parts, options["per_part"])
    for k in range(parts):
        count = len(found[k])
        np.testing.assert_allclose(
            detections.scores[k, :count], [score for score, _ in found[k]], rtol=1e-6
        )
        assert np.all(np.asarray(detections.scores[k, count:]) == -np.inf)
        for slot, (_, point) in enumerate(found[k]):
            np.testing.assert_allclose(detections.points[k, slot], point, atol=1e-3)


@pytest.mark.parametrize("grid", [(7, 9), (9, 7), (2, 5), (1, 8), (8, 1), (1, 1)])
@pytest.mark.parametrize("cells", [63, 70])
def test_equals_the_loop_on_random_maps(rng, grid, cells):
    check(rng.random((*grid, 3)).astype(np.float32), cells, **OPTIONS)


@pytest.mark.parametrize(
    "options",
    [
        {"box_side": 6.25, "nms_iou": 0.3, "per_part": 5},
        {"box_side": 4.0, "nms_iou": 0.0, "per_part": 9},
        {"box_side": 4.0, "nms_iou": 1.0, "per_part": 70},
        {"box_side": 1.0, "nms_iou": 0.3, "per_part": 1},
    ],
)
def test_equals_the_loop_for_other_options(rng, options):
    check(rng.random((8, 8, 4)).astype(np.float32), 64, **options)


def test_equals_the_loop_on_plateaus(rng):
    # Few levels: plateaus of every shape, and ties between peaks.
    check(rng.integers(0, 3, (8, 8, 6)).astype(np.float32) / 2, 64, **OPTIONS)


def test_a_rectangular_plateau_has_one_peak_its_first_cell():
    maps = np.full((6, 6, 1), 0.1, np.float32)
    maps[2:4, 1:4, 0] = 0.8
    probs, grid = packed(maps, 36)
    detections = detect(probs, grid, **OPTIONS | {"nms_iou": 1.0})
    assert np.sum(np.asarray(detections.scores) == np.float32(0.8)) == 1
    # The parabola through (0.1, 0.8, 0.8) has its peak half-way to the equal neighbour.
    np.testing.assert_allclose(detections.points[0, 0], [2.5, 1.5], atol=1e-5)


def test_an_all_equal_map_has_its_first_cell():
    probs, grid = packed(np.full((4, 5, 2), 0.25, np.float32), 20)
    detections = detect(probs, grid, **OPTIONS)
    np.testing.assert_allclose(detections.scores[:, 0], 0.25)
    np.testing.assert_array_equal(detections.points[:, 0], 0.0)
    assert np.all(np.asarray(detections.scores[:, 1:]) == -np.inf)


def test_an_all_zero_map_has_no_detection():
    probs, grid = packed(np.zeros((3, 5, 2), np.float32), 20)
    detections = detect(probs, grid, **OPTIONS)
    assert np.all(np.asarray(detections.scores) == -np.inf)
    assert np.isfinite(detections.points).all()


def test_a_map_of_one_cell():
    probs, grid = packed(np.full((1, 1, 2), 0.5, np.float32), 6)
    detections = detect(probs, grid, **OPTIONS)
    np.testing.assert_array_equal(detections.points[:, 0], 0.0)
    assert detections.scores[:, 0].tolist() == [0.5, 0.5]


def test_more_slots_than_cells(rng):
    check(rng.random((2, 3, 2)).astype(np.float32), 6, **OPTIONS | {"per_part": 10})


@pytest.mark.parametrize("shift", [(0, 3), (2, 0), (3, 4)])
def test_detections_move_with_the_map(rng, shift):
    maps = np.zeros((14, 14, 3), np.float32)
    maps[2:8, 2:8] = rng.random((6, 6, 3))
    moved = np.roll(maps, shift, axis=(0, 1))
    before, after = (detect(*packed(m, 200), **OPTIONS) for m in (maps, moved))
    np.testing.assert_allclose(after.scores, before.scores)
    used = np.asarray(before.scores) > 0
    np.testing.assert_allclose(
        np.asarray(after.points)[used], np.asarray(before.points)[used] + shift, atol=1e-4
    )


def test_transposed_maps_have_transposed_detections(rng):
    maps = rng.random((5, 8, 3)).astype(np.float32)
    before = detect(*packed(maps, 40), **OPTIONS)
    after = detect(*packed(maps.transpose(1, 0, 2), 40), **OPTIONS)
    np.testing.assert_allclose(after.scores, before.scores)
    used = np.asarray(before.scores) > 0
    np.testing.assert_allclose(
        np.asarray(after.points)[used], np.asarray(before.points)[used][:, ::-1], atol=1e-4
    )


@pytest.mark.parametrize("peak", [(3.0, 4.0), (3.3, 4.4), (2.6, 3.75)])
def test_a_gaussian_is_located_below_a_cell(peak):
    y, x = np.mgrid[:8, :9]
    bump = np.exp(-((y - peak[0]) ** 2 + (x - peak[1]) ** 2) / 3).astype(np.float32)
    detections = detect(*packed(bump[..., None], 72), **OPTIONS)
    np.testing.assert_allclose(detections.points[0, 0], peak, atol=1e-3)


def test_two_instances_of_a_part_are_two_detections():
    y, x = np.mgrid[:8, :12]
    maps = sum(
        height * np.exp(-((y - cy) ** 2 + (x - cx) ** 2))
        for height, cy, cx in [(0.5, 3, 2), (0.9, 4, 9)]
    )
    detections = detect(*packed(maps[..., None].astype(np.float32), 96), **OPTIONS)
    np.testing.assert_allclose(detections.scores[0, :2], [0.9, 0.5], atol=1e-4)
    np.testing.assert_allclose(detections.points[0, :2], [(4, 9), (3, 2)], atol=0.01)
    assert np.all(np.asarray(detections.scores[0, 2:]) == -np.inf)


def test_a_batch_equals_single_images(rng):
    grids = [(4, 6), (6, 4), (3, 3)]
    images = [packed(rng.random((*grid, 2)).astype(np.float32), 24) for grid in grids]
    probs, grid = (np.stack(field) for field in zip(*images, strict=True))
    batched = jax.vmap(lambda p, g: detect(p, g, **OPTIONS))(probs, grid)
    for b in range(3):
        alone = detect(probs[b], grid[b], **OPTIONS)
        for field, single in zip(batched, alone, strict=True):
            np.testing.assert_allclose(field[b], single, atol=1e-6)


def test_iou_of_boxes_against_the_long_way(rng):
    for shift in rng.uniform(-4, 4, (50, 2)):
        expected = box_iou((0.0, 0.0), shift, 3.0)
        assert float(iou_of_shifted(shift.astype(np.float32), 3.0)) == pytest.approx(
            expected, abs=1e-6
        )
    assert float(iou_of_shifted(np.zeros(2, np.float32), 3.0)) == 1.0
    assert math.isclose(
        float(iou_of_shifted(np.array([0, 1.5], np.float32), 3.0)), 1 / 3, rel_tol=1e-6
    )
