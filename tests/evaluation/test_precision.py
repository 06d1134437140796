"""Average precision against a second implementation in plain loops, and sklearn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from partdisc.errors import ConfigError
from partdisc.evaluation.precision import (
    _CHUNK,
    box_average_precision,
    firing_channels,
    mean_average_precision,
    part_average_precision,
    pck,
    select_channels,
)

pytestmark = pytest.mark.filterwarnings("error")


def loop_average_precision(scores, points, instances, normaliser, threshold):
    """Score one channel and one part: scores [N][D], points, instances [N][M], in %."""
    detections = []
    for image, row in enumerate(scores):
        for slot, score in enumerate(row):
            if score == score and score != -np.inf:
                detections.append((-score, image, slot))
    remaining = [[p for p in instances[n] if p[0] == p[0]] for n in range(len(scores))]
    positives = sum(len(row) for row in remaining)
    if not positives:
        return np.nan
    curve, right = [], 0
    for rank, (_, image, slot) in enumerate(sorted(detections), start=1):
        best, best_distance = None, threshold * normaliser[image]
        for candidate in remaining[image]:
            distance = np.linalg.norm(np.subtract(points[image][slot], candidate))
            if distance < best_distance:
                best, best_distance = candidate, distance
        if best is not None:
            index = next(i for i, other in enumerate(remaining[image]) if other is best)
            del remaining[image][index]
            right += 1
        curve.append((right / positives, right / rank))
    # The area as an integral: recall levels, each at the best precision at or beyond it.
    area, recall = 0.0, 0.0
    for level, _ in curve:
        if level > recall:
            area += (level - recall) * max(p for r, p in curve if r >= level)
            recall = level
    return 100 * area


def loop(scores, points, instances, normaliser, threshold):
    _, channels, _ = scores.shape
    return np.array(
        [
            [
                loop_average_precision(
                    scores[:, k], points[:, k], instances[:, part], normaliser, threshold
                )
                for part in range(instances.shape[1])
            ]
            for k in range(channels)
        ]
    )


def draw(rng):
    """Draw a small case with ties, unused slots, invisible parts and equal points.

    On a lattice of quarters and with a threshold of 0.5, all distances compared are
    exact or clearly different, so that both implementations must decide alike.
    """
    images, channels, slots, parts, copies = rng.integers([1, 1, 1, 1, 1], [6, 4, 5, 4, 4])
    scores = rng.integers(0, 4, (images, channels, slots)).astype(float)
    scores[rng.random(scores.shape) < 0.15] = -np.inf
    scores[rng.random(scores.shape) < 0.1] = np.nan
    points = rng.integers(0, 9, (images, channels, slots, 2)) / 4
    points[rng.random(scores.shape) < 0.1] = np.nan
    instances = rng.integers(0, 9, (images, parts, copies, 2)) / 4
    instances[rng.random((images, parts, copies)) < 0.3] = np.nan
    return scores, points, instances, rng.integers(1, 5, images) / 2


def test_it_equals_the_loops(rng):
    rows = 0
    for _ in range(600):
        case = draw(rng)
        got, wanted = part_average_precision(*case, threshold=0.5), loop(*case, 0.5)
        np.testing.assert_allclose(got, wanted, rtol=1e-12, err_msg=repr(case))
        rows += ((wanted > 0) & (wanted < 100)).sum()
    assert rows > 900  # most cases are neither empty nor perfect


def test_channels_of_several_chunks_are_independent(rng):
    shape = 12, 2 * _CHUNK + 3, 2
    scores, points = rng.normal(size=shape), rng.uniform(0, 4, (*shape, 2))
    instances, normaliser = rng.uniform(0, 4, (12, 3, 2)), np.full(12, 10.0)
    got = part_average_precision(scores, points, instances, normaliser)
    assert got.shape == (shape[1], 3)
    one_by_one = [
        part_average_precision(scores[:, [k]], points[:, [k]], instances, normaliser)[0]
        for k in range(shape[1])
    ]
    np.testing.assert_array_equal(got, one_by_one)
    np.testing.assert_allclose(
        got[:5], loop(scores[:, :5], points[:, :5], instances[:, :, None], normaliser, 0.1)
    )
    assert len(np.unique(got)) > 50


def single(scores, hits, positives=None):
    """Score one detection and one part per image: right where `hits`."""
    images = len(scores)
    points = np.where(np.asarray(hits)[:, None], 5.0, 50.0) * np.ones((images, 2))
    marks = np.full((images, 1, 2), 5.0)
    if positives is not None:
        marks[~np.asarray(positives)] = np.nan
    return part_average_precision(
        np.reshape(scores, (images, 1, 1)),
        points.reshape(images, 1, 1, 2),
        marks,
        np.full(images, 10),
    )[0, 0]


def test_it_interpolates_what_sklearn_does_not(rng):
    equal = 0
    for _ in range(300):
        images = rng.integers(1, 8)
        hits = rng.random(images) < 0.6
        if not hits.any():
            continue
        scores = rng.permutation(images).astype(float)
        got = single(scores, np.ones(images, bool), hits)  # wrong where the part is invisible
        wanted = 100 * average_precision_score(hits, scores)
        ranked = hits[np.argsort(-scores)]
        precision = (np.cumsum(ranked) / np.arange(1, images + 1))[ranked]
        assert got >= wanted - 1e-9
        falling = (np.diff(precision) <= 0).all()
        assert np.isclose(got, wanted) == falling
        equal += falling
    assert 50 < equal < 250


def test_cases_known_by_hand():
    assert single([3.0, 2.0, 1.0], [True, True, True]) == 100
    assert single([3.0, 2.0, 1.0], [False, False, False]) == 0
    np.testing.assert_allclose(single([3.0, 2.0, 1.0], [False, True, True]), 100 * 4 / 9)
    np.testing.assert_allclose(single([3.0, 2.0, 1.0], [True, False, True]), 100 * 5 / 9)
    # A detection where the part is invisible costs precision, an unused slot does not.
    visible = [False, True, True]
    np.testing.assert_allclose(single([3.0, 2.0, 1.0], [True] * 3, visible), 100 * 2 / 3)
    assert single([-np.inf, 2.0, 1.0], [True] * 3, visible) == 100
    assert single([np.nan, 2.0, 1.0], [True] * 3, visible) == 100
    # Ties go by image.
    np.testing.assert_allclose(single([1.0, 1.0], [True] * 2, [False, True]), 50)
    assert single([1.0, 1.0], [True] * 2, [True, False]) == 100
    # No instance anywhere: undefined, not 0.
    assert np.isnan(single([1.0, 1.0], [True] * 2, [False, False]))


def test_an_instance_is_found_once_and_the_nearest_free_one_is_taken():
    points = np.array([[0.0, 0.0], [0.0, 0.1], [0.0, 0.9]])[None, None]
    scores, normaliser = np.array([[[3.0, 2.0, 1.0]]]), np.array([10.0])
    # Two repeated finds, then one in a second image: precisions 1 and 2 / 4.
    one = np.zeros((2, 1, 1, 2))
    repeated = part_average_precision(
        np.array([[[3.0, 2.0, 1.0]], [[0.0, -np.inf, -np.inf]]]),
        np.concatenate([points, 0 * points]),
        one,
        np.array([10.0, 10.0]),
    )
    np.testing.assert_allclose(repeated, 75)
    # The second detection is nearest to the taken instance and falls back on the free one.
    two = np.array([[[[0.0, 0.0], [0.0, 1.0]]]])
    np.testing.assert_allclose(part_average_precision(scores, points, two, normaliser), 100)
    # The radius itself is outside.
    edge = part_average_precision(
        scores[..., :1], points[:, :, :1], np.array([[[2.0, 0.0]]]), np.array([4.0]), threshold=0.5
    )
    assert edge == 0


def test_only_the_ranks_of_scores_matter_and_empty_slots_do_not(rng):
    scores, points = rng.normal(size=(20, 3, 2)), rng.uniform(0, 10, (20, 3, 2, 2))
    marks, normaliser = rng.uniform(0, 10, (20, 4, 2)), np.full(20, 30.0)
    base = part_average_precision(scores, points, marks, normaliser)
    np.testing.assert_array_equal(
        part_average_precision(np.exp(scores), 2 * points, 2 * marks, 2 * normaliser), base
    )
    more = np.concatenate([scores, np.full((20, 3, 2), -np.inf)], axis=2)
    padded = np.concatenate([points, np.tile(marks[:, :1, None], (1, 3, 2, 1))], axis=2)
    np.testing.assert_array_equal(part_average_precision(more, padded, marks, normaliser), base)
    # An image without a normaliser is left out, detections and all.
    less = normaliser.copy()
    less[:4] = np.nan, 0.0, -30.0, np.inf
    np.testing.assert_array_equal(
        part_average_precision(scores, points, marks, less),
        part_average_precision(scores[4:], points[4:], marks[4:], normaliser[4:]),
    )
    first = scores[..., :1], points[:, :, :1]
    wider = part_average_precision(*first, marks, normaliser, threshold=10.0)
    np.testing.assert_allclose(wider, 100)


def test_no_images_and_no_instances():
    none = np.zeros((0, 3, 2)), np.zeros((0, 3, 2, 2)), np.zeros((0, 4, 2)), np.zeros(0)
    assert np.isnan(part_average_precision(*none)).all()
    empty = np.ones((2, 3, 1)), np.ones((2, 3, 1, 2)), np.ones((2, 4, 0, 2)), np.ones(2)
    assert np.isnan(part_average_precision(*empty)).all()
    with pytest.raises(ValueError, match=r"normaliser \(3,\)"):
        part_average_precision(*empty[:3], np.ones(3))


def test_the_mean_is_over_the_channels_chosen_on_the_fit_split():
    fit = np.array([[10.0, 50.0, np.nan, 7.0], [30.0, 50.0, np.nan, 9.0]])
    test = np.array([[90.0, 20.0, 40.0, np.nan], [60.0, 80.0, 30.0, np.nan]])
    np.testing.assert_array_equal(select_channels(fit), [1, 0, 0, 1])
    honest = mean_average_precision(fit, test)
    np.testing.assert_array_equal(honest.channels, [1, 0, 0, 1])
    np.testing.assert_array_equal(honest.per_part, [60.0, 20.0, 40.0, np.nan])
    assert honest.mean == 40 and honest.channel_selection == "fit"
    upper = mean_average_precision(fit, test, channel_selection="test")
    np.testing.assert_array_equal(upper.per_part, [90.0, 80.0, 40.0, np.nan])
    assert upper.mean == 70 and upper.channel_selection == "test"
    assert np.isnan(mean_average_precision(fit, np.full((2, 4), np.nan)).mean)
    with pytest.raises(
        ConfigError, match="channel_selection: 'best' is unknown, allowed: fit, test"
    ):
        mean_average_precision(fit, test, channel_selection="best")


def test_pck(rng):
    points, marks = rng.uniform(0, 10, (30, 4, 2)), rng.uniform(0, 10, (30, 4, 2))
    points[rng.random((30, 4)) < 0.2] = np.nan
    marks[rng.random((30, 4)) < 0.2] = np.nan
    normaliser = rng.uniform(5, 20, 30)
    normaliser[3] = np.nan
    near = []
    for image in [*range(3), *range(4, 30)]:
        for landmark in range(4):
            if not np.isnan(marks[image, landmark, 0]):
                distance = np.linalg.norm(points[image, landmark] - marks[image, landmark])
                near.append(distance / normaliser[image] < 0.3)
    got = pck(points, marks, normaliser, threshold=0.3)
    np.testing.assert_allclose(got, 100 * np.mean(near))
    assert 5 < got < 60
    assert pck(marks, marks, normaliser) == 100
    assert pck(np.full_like(marks, np.nan), marks, normaliser) == 0
    assert np.isnan(pck(points, np.full_like(marks, np.nan), normaliser))


def test_firing_channels_are_what_a_loop_finds(rng):
    scores = rng.random((7, 30)) ** 4
    scores[rng.random(scores.shape) < 0.3] = -np.inf
    means = [
        sum(scores[n, k] for n in range(7) if np.isfinite(scores[n, k])) / 7 for k in range(30)
    ]
    for share in (0.0, 0.05, 0.5, 1.0):
        expected = [mean >= share * max(means) for mean in means]
        np.testing.assert_array_equal(firing_channels(scores, min_firing=share), expected)
    assert not firing_channels(scores, min_firing=0.5).all()


def test_channels_that_never_fire_do_not_empty_the_regression():
    assert firing_channels(np.full((3, 4), -np.inf), min_firing=0.05).all()
    np.testing.assert_array_equal(
        firing_channels(np.array([[0.9, 0.01, 0.0]]), min_firing=0.05), [True, False, False]
    )
    with pytest.raises(ValueError, match="negative"):
        firing_channels(np.array([[-1.0, -np.inf]]), min_firing=0.05)


def loop_iou(box, other, extra):
    height = min(box[2], other[2]) - max(box[0], other[0]) + extra
    width = min(box[3], other[3]) - max(box[1], other[1]) + extra
    shared = max(height, 0) * max(width, 0)
    areas = [(b[2] - b[0] + extra) * (b[3] - b[1] + extra) for b in (box, other)]
    return shared / (sum(areas) - shared) if sum(areas) > shared else 0.0


def loop_box_precision(scores, boxes, instances, iou, extra):
    """Score one channel and one part: every detection takes what it overlaps most."""
    detections = sorted(
        (-score, n, slot)
        for n, row in enumerate(scores)
        for slot, score in enumerate(row)
        if np.isfinite(score)
    )
    free = [[tuple(b) for b in row if b[0] == b[0]] for row in instances]
    positives = sum(len(row) for row in free)
    if not positives:
        return np.nan
    hits = []
    for _, n, slot in detections:
        best, most = None, iou
        for index, other in enumerate(free[n]):
            overlap = loop_iou(boxes[n][slot], other, extra)
            if overlap > most:
                best, most = index, overlap
        hits.append(best is not None)
        if best is not None:
            del free[n][best]
    precision = [sum(hits[: r + 1]) / (r + 1) for r in range(len(hits))]
    return 100 * sum(max(precision[r:]) for r, hit in enumerate(hits) if hit) / positives


def draw_boxes(rng, *shape):
    """Draw boxes on a coarse lattice; some are NaN."""
    start = rng.integers(0, 6, (*shape, 2))
    boxes = np.concatenate([start, start + rng.integers(1, 5, (*shape, 2))], axis=-1).astype(float)
    boxes[rng.random(shape) < 0.2] = np.nan
    return boxes


@pytest.mark.parametrize("inclusive", [False, True])
def test_boxes_equal_the_loops(rng, inclusive):
    between = 0
    for _ in range(1000):
        n, k, d, parts, copies = rng.integers([1, 1, 1, 1, 1], [6, 4, 5, 4, 4])
        scores = rng.integers(0, 4, (n, k, d)).astype(float)
        scores[rng.random(scores.shape) < 0.2] = -np.inf
        boxes, instances = draw_boxes(rng, n, k, d), draw_boxes(rng, n, parts, copies)
        got = box_average_precision(scores, boxes, instances, iou=0.4, inclusive=inclusive)
        wanted = [
            [
                loop_box_precision(scores[:, c], boxes[:, c], instances[:, p], 0.4, inclusive)
                for p in range(parts)
            ]
            for c in range(k)
        ]
        np.testing.assert_allclose(got, wanted, rtol=1e-12)
        between += ((got > 0) & (got < 100)).sum()
    assert between > 500


def test_an_overlap_must_exceed_the_threshold():
    """Two 2 x 3 boxes that share half: IoU 1/3 by area, 1/2 with inclusive pixels."""
    box, other = [0.0, 0.0, 2.0, 2.0], [0.0, 1.0, 2.0, 3.0]
    case = np.ones((1, 1, 1)), np.reshape(box, (1, 1, 1, 4)), np.reshape(other, (1, 1, 1, 4))
    assert box_average_precision(*case, iou=0.33)[0, 0] == 100
    assert box_average_precision(*case, iou=1 / 3)[0, 0] == 0
    assert box_average_precision(*case, iou=0.49, inclusive=True)[0, 0] == 100
    assert box_average_precision(*case, iou=0.5, inclusive=True)[0, 0] == 0


def test_boxes_without_area_or_of_wrong_shape(rng):
    point = np.zeros((1, 1, 1, 4))
    assert box_average_precision(np.ones((1, 1, 1)), point, point)[0, 0] == 0
    with pytest.raises(ValueError, match=r"instances \(1, 1, 4\)"):
        box_average_precision(np.ones((1, 1, 1)), point, point[0])
