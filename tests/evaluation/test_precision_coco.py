"""Average precision against pycocotools, where the conventions agree.

They match greedily by falling score, ties by image, and take the envelope of precision. COCO
samples it at given recalls, so it is given those where a true positive can stand, i / positives:
the mean over them is the area at all points. A match there may equal the threshold, here it must
exceed it, so the cases are continuous.
"""

import contextlib
import io

import numpy as np
import pytest
from pycocotools import coco, cocoeval

from partdisc.evaluation.precision import box_average_precision, part_average_precision

CASES = 400


class PointEval(cocoeval.COCOeval):
    """COCOeval of points: a similarity of 1 at distance 0, of 1/2 at the limit of the image."""

    def __init__(self, truth, found, limit):
        super().__init__(truth, found, "bbox")
        self.limit = limit

    def computeIoU(self, image, category):
        truth, found = self._gts[image, category], self._dts[image, category]
        if not truth or not found:
            return []
        order = np.argsort([-one["score"] for one in found], kind="mergesort")
        ours = np.array([one["bbox"][:2] for one in found])[order]
        theirs = np.array([one["bbox"][:2] for one in truth])
        distance = np.linalg.norm(ours[:, None] - theirs, axis=-1)
        return 1 / (1 + distance / self.limit[image])


def coco_precision(scores, boxes, instances, threshold, evaluator):
    """Score every channel for every part by COCOeval: a category each pair of them.

    Boxes are (y0, x0, y1, x1).
    """
    images, channels, slots = scores.shape
    parts = instances.shape[1]

    def entries(box):
        y0, x0, y1, x1 = box.tolist()
        return {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}

    truth, found = [], []
    for channel in range(channels):
        for part in range(parts):
            category = channel * parts + part + 1
            for image in range(images):
                where = {"image_id": image, "category_id": category}
                truth += [
                    {**where, **entries(box), "iscrowd": 0}
                    for box in instances[image, part]
                    if np.isfinite(box).all()
                ]
                found += [
                    {**where, **entries(boxes[image, channel, slot]),
                     "score": float(scores[image, channel, slot])}
                    for slot in range(slots) if np.isfinite(scores[image, channel, slot])
                ]  # fmt: skip
    both = []
    with contextlib.redirect_stdout(io.StringIO()):
        for annotations in (truth, found):
            for number, one in enumerate(annotations, 1):
                one["id"] = number
            made = coco.COCO()
            made.dataset = {
                "images": [{"id": image} for image in range(images)],
                "categories": [{"id": i + 1} for i in range(channels * parts)],
                "annotations": annotations,
            }
            made.createIndex()
            both.append(made)
        judge = evaluator(*both)
        counts = [
            sum(one["category_id"] == i + 1 for one in truth) for i in range(channels * parts)
        ]
        recalls = sorted({i / count for count in counts for i in range(1, count + 1)})
        judge.params.iouThrs = np.array([threshold])
        judge.params.recThrs = np.array(recalls or [1.0])
        judge.params.areaRng, judge.params.areaRngLbl = [[-1, 1e10]], ["all"]
        judge.params.maxDets = [slots]
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][0, :, :, 0, 0]
    result = [
        100 * precision[np.isin(recalls, [i / count for i in range(1, count + 1)]), category].mean()
        if count else np.nan
        for category, count in enumerate(counts)
    ]  # fmt: skip
    return np.reshape(result, (channels, parts))


def draw(rng):
    """Draw the shape of a case, and scores with ties and unused slots."""
    images, channels, slots, parts, copies = rng.integers([1, 1, 1, 1, 1], [7, 3, 5, 3, 4])
    scores = rng.integers(0, 6, (images, channels, slots)) / 8
    scores[rng.random(scores.shape) < 0.15] = -np.inf
    absent = rng.random((images, parts, copies)) < 0.35
    return scores, absent


@pytest.mark.parametrize("inclusive", [False, True])
def test_boxes(rng, inclusive):
    between = 0
    for _ in range(CASES):
        scores, absent = draw(rng)
        boxes, instances = (
            np.concatenate([start, start + rng.uniform(2, 8, start.shape)], axis=-1)
            for start in (rng.uniform(0, 6, (*shape, 2)) for shape in (scores.shape, absent.shape))
        )
        instances[absent] = np.nan
        got = box_average_precision(scores, boxes, instances, iou=0.3, inclusive=inclusive)
        # A box that ends with its last pixel covers what one that ends a pixel later does.
        end = np.array([0, 0, inclusive, inclusive])
        wanted = coco_precision(
            scores, boxes + end, instances + end, 0.3,
            lambda truth, found: cocoeval.COCOeval(truth, found, "bbox"),
        )  # fmt: skip
        np.testing.assert_allclose(got, wanted, rtol=1e-12)
        between += ((got > 0) & (got < 100)).sum()
    assert between > CASES / 2


def test_points(rng):
    between = 0
    for _ in range(CASES):
        scores, absent = draw(rng)
        points, instances = (
            rng.uniform(0, 10, (*shape, 2)) for shape in (scores.shape, absent.shape)
        )
        instances[absent] = np.nan
        normaliser = rng.uniform(15, 40, len(scores))
        got = part_average_precision(scores, points, instances, normaliser, threshold=0.1)
        limit = 0.1 * normaliser
        boxes, others = (
            np.concatenate([corner, corner + 1], axis=-1) for corner in (points, instances)
        )
        wanted = coco_precision(
            scores, boxes, others, 0.5,
            lambda truth, found, limit=limit: PointEval(truth, found, limit),
        )  # fmt: skip
        np.testing.assert_allclose(got, wanted, rtol=1e-12)
        between += ((got > 0) & (got < 100)).sum()
    assert between > CASES / 2
