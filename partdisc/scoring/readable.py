"""Parts that a person reads, and the object they make, against keypoints and boxes."""

from typing import Any

import numpy as np

from partdisc import evaluation
from partdisc.detector import Detector, find_object, on_pixels
from partdisc.discovery.run import Run
from partdisc.scoring.keypoints import keypoint_probs

# Numbers of parts that the field reports, besides the one that was chosen.
COUNTS = (4, 8, 16)


def measure_parts(run: Run, detector: Detector) -> dict[str, Any]:
    """Measure the parts and the object on the test images.

    Returns:
      For numbers of parts k, `kK`: NMI and ARI at keypoints, %, and `presence_auc`: how often
      the score of a landmark's best part, or of one of its two sides, is higher where it is seen
      than where it is not, the mean over landmarks that are not always seen, %;
      `presence_auc_plain` is the same without the sides; then `object_iou` and `object_corloc`, %.
    """
    dataset = run.inputs.dataset
    index = dataset.splits["test"]
    counts = [k for k in sorted({*COUNTS, len(detector.parts)}) if k in detector.choices]

    def maps(features: np.ndarray, grids: np.ndarray) -> np.ndarray:
        probs = detector.probabilities(features, grids)
        return np.asarray(detector.part_probabilities(features, probs, counts))

    seen = keypoint_probs(run, detector, maps)
    scores, facing, boxes = _scores_and_boxes(run, detector, counts)
    there = np.isfinite(dataset.instances[index]).all(axis=-1).any(axis=-1)
    figures: dict[str, Any] = {}
    for k, end in zip(counts, np.cumsum(counts), strict=True):
        # The parts of this number, and the background.
        columns, score = [*range(end - k, end), -1], scores[:, end - k : end]
        side = 0.5 * score * (1.0 + facing[:, None])
        figures[f"k{k}"] = seen.agreement(seen.probs[..., columns]) | {
            "presence_auc": presence_auc(np.hstack([score, side, score - side]), there),
            "presence_auc_plain": presence_auc(score, there),
        }
    quality = evaluation.object_quality(boxes, dataset.boxes[index])
    return figures | {"object_iou": quality.iou, "object_corloc": quality.corloc}


def presence_auc(scores: np.ndarray, there: np.ndarray) -> float:
    """Say how well the best of some scores tells whether a landmark is seen.

    Args:
      scores: [n, k], of n images.
      there: bool [n, L], whether a landmark is seen.

    Returns:
      The mean over the landmarks that are neither always seen nor never, %; NaN without any.
    """
    best = np.array([evaluation.ranking_auc(scores, column) for column in there.T]).max(axis=1)
    known = np.isfinite(best)
    return 100 * float(best[known].mean()) if known.any() else float("nan")


def _scores_and_boxes(
    run: Run, detector: Detector, counts: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Look at the n test images.

    Returns:
      The scores [n, T] of the parts of each number, which way the objects face [n], and their boxes
      [n, 4].
    """
    index = run.inputs.dataset.splits["test"]
    scores, facing, boxes = [], np.zeros(len(index)), np.full((len(index), 4), np.nan)
    for n, image in enumerate(index):
        taken, grids = run.features.take_fine(index[n : n + 1])
        cells = grids[0].prod()
        probs = detector.probabilities(taken, grids)
        found = np.asarray(detector.part_probabilities(taken, probs, counts))[0, :cells]
        scores.append(found[:, :-1].max(axis=0))
        facing[n] = detector.facing_in(np.asarray(probs)[0, :cells])
        geometry = run.inputs.geometry.take(int(image))
        background = found[:, -1].reshape(grids[0])
        lines = detector.stride, detector.backbone.origin
        background = on_pixels(background, geometry.working, *lines)
        whole = find_object(1.0 - background, geometry)
        if whole:
            boxes[n] = whole.box
    return np.stack(scores), facing, boxes
