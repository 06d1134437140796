"""The list of detections, and the files that it is written to."""

import json

import numpy as np

from partdisc.data import images
from partdisc.detector import Detector, Predictions
from partdisc.export import FORMATS, list_detections, write_detections
from partdisc.method.detection import DetectSettings

FRAMING = images.Framing(224, 1.5)
SETTINGS = DetectSettings(
    half_stride=False, box=100.0, nms_iou=0.3, per_part=2, min_score=0.2, parts=2
)
DETECTOR = Detector(
    None, None, FRAMING, None, {}, np.zeros(1), SETTINGS, 1, best=np.array([0.5, 0.3])
)
GEOMETRY = images.geometry(
    np.array([[300, 200], [90, 120]]), np.array([[10, 20, 260, 170], [0, 0, 90, 120]]), 224, 16, 1.5
)


def listed(scores, points, parts):
    found = Predictions(points, scores, points[:, :, 0])
    return list_detections(DETECTOR, ["2.jpg", "5.jpg"], GEOMETRY, found, parts)


def test_detections_are_listed_by_part_then_image_the_weak_ones_left_out(rng):
    scores = np.array([[[0.5, 0.05], [0.3, -np.inf]], [[0.2, 0.12], [-np.inf, -np.inf]]])
    points = rng.uniform(0, 50, (2, 2, 2, 2))
    rows = listed(scores, points, {"a": 0, "b": 1, "c": 0})
    strong = [("2.jpg", 0.5), ("5.jpg", 0.2), ("5.jpg", 0.12)]  # 0.05 < 0.2 * 0.5
    assert [(row.part, row.image, row.score) for row in rows] == (
        [("a", *one) for one in strong] + [("b", "2.jpg", 0.3)] + [("c", *one) for one in strong]
    )
    y0, x0, y1, x1 = rows[0].box
    np.testing.assert_allclose([(y0 + y1) / 2, (x0 + x1) / 2], points[0, 0, 0], atol=0.02)
    # The short side of the crop, 150 pixels, is 224 of the network's input.
    np.testing.assert_allclose([y1 - y0, x1 - x0], 100 * 150 / 224, atol=0.02)


def test_no_detection_at_all():
    assert listed(np.full((2, 1, 2), -np.inf), np.zeros((2, 1, 2, 2)), {"a": 0}) == []


def test_every_format_is_written(tmp_path, rng):
    scores = np.array([[[0.5, 0.4]], [[0.2, -np.inf]]])
    detections = listed(scores, rng.uniform(0, 50, (2, 1, 2, 2)), {"a": 0})
    written = write_detections(tmp_path, detections)
    assert [path.name for path in written] == [f"detections.{ending}" for ending in FORMATS]
    lines = [json.loads(line) for line in (tmp_path / "detections.jsonl").read_text().splitlines()]
    assert lines == [detection._asdict() for detection in detections]
    assert list(lines[0]) == ["image", "part", "channel", "score", "point", "box"]
