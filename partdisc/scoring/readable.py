"""Parts that a person reads, and the object they make, against keypoints and boxes."""

from typing import Any

import numpy as np

from partdisc import evaluation
from partdisc.detector import Detector, Reader, find_object, membership, on_pixels
from partdisc.discovery.run import Run
from partdisc.scoring.keypoints import keypoint_probs

# Numbers of parts that the field reports, besides the one that was chosen.
COUNTS = (4, 8, 16)


def measure_parts(run: Run, detector: Detector) -> dict[str, Any]:
    """Measure the parts and the object on the test images.

    Returns:
      For numbers of parts k, `kK`: NMI and ARI at keypoints, %, and `presence_auc`: how often
      the score of a landmark's best part is higher where it is seen than where it is not, the
      mean over landmarks that are not always seen, %; then `object_iou` and `object_corloc`, %.
    """
    dataset = run.inputs.dataset
    index = dataset.splits["test"]
    counts = [k for k in sorted({*COUNTS, len(detector.parts)}) if k in detector.choices]
    members = [membership(detector.choices[k], detector.layer.parts) for k in counts]
    seen = keypoint_probs(run, detector)
    scores, boxes = _scores_and_boxes(run, detector, members)
    there = np.isfinite(dataset.instances[index]).all(axis=-1).any(axis=-1)
    figures: dict[str, Any] = {}
    for k, member, score in zip(counts, members, scores, strict=True):
        auc = np.array([evaluation.ranking_auc(score, column) for column in there.T])
        best = auc.max(axis=1)
        known = np.isfinite(best)
        figures[f"k{k}"] = seen.agreement(seen.probs @ member) | {
            "presence_auc": 100 * float(best[known].mean()) if known.any() else float("nan")
        }
    quality = evaluation.object_quality(boxes, dataset.boxes[index])
    return figures | {"object_iou": quality.iou, "object_corloc": quality.corloc}


def _scores_and_boxes(
    run: Run, detector: Detector, members: list[np.ndarray]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return each part's score in the test images, [n, k] for each number, and boxes [n, 4]."""
    index = run.inputs.dataset.splits["test"]
    reader = Reader((), (), detector.stride, detector.backbone.origin)
    scores: list[list[np.ndarray]] = [[] for _ in members]
    boxes = np.full((len(index), 4), np.nan)
    for n, image in enumerate(index):
        taken, (grid,) = run.features.take_fine(index[n : n + 1])
        probs = np.asarray(detector.probabilities(taken, grid[None]))[0, : grid.prod()]
        for kept, member in zip(scores, members, strict=True):
            kept.append((probs @ member)[:, :-1].max(axis=0))
        geometry = run.inputs.geometry.take(int(image))
        background = on_pixels(probs[:, -1:].reshape(*grid, 1), geometry, reader)
        whole = find_object(1.0 - background[0], geometry)
        if whole:
            boxes[n] = whole.box
    return [np.stack(kept) for kept in scores], boxes
