"""Whether a score says that a part is to be seen, and whether a box is that of the object.

Plain NumPy in float64. Boxes are (y0, x0, y1, x1).
"""

from typing import NamedTuple

import numpy as np


class ObjectQuality(NamedTuple):
    """How well boxes find the objects.

    Attributes:
        iou: mean intersection over union with the true box, %; nothing found counts 0.
        corloc: share of the images with an IoU above 0.5, %.
        items: images compared.
    """

    iou: float
    corloc: float
    items: int


def ranking_auc(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Return how often a positive image has a higher score than a negative one, a tie half.

    The area under the receiver operating characteristic, by ranks (Mann and Whitney).

    Args:
        scores: [N, k], of k detectors; -inf where nothing was found.
        positive: bool [N].

    Returns:
        [k], in [0, 1]; NaN where all images are positive, or none is.
    """
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, bool)
    yes, no = int(positive.sum()), int((~positive).sum())
    if not yes or not no:
        return np.full(scores.shape[1], np.nan)
    ranks = np.empty_like(scores)
    for k, column in enumerate(scores.T):
        _, place, count = np.unique(column, return_inverse=True, return_counts=True)
        ranks[:, k] = (np.cumsum(count) - 0.5 * (count - 1))[place]
    return (ranks[positive].sum(axis=0) - 0.5 * yes * (yes + 1)) / (yes * no)


def box_overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union [...] of boxes [..., 4]; 0 where one is NaN."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    low, high = np.maximum(first, second)[..., :2], np.minimum(first, second)[..., 2:]
    shared = np.prod(np.maximum(high - low, 0.0), axis=-1)
    areas = [np.prod(np.maximum(box[..., 2:] - box[..., :2], 0.0), -1) for box in (first, second)]
    union = areas[0] + areas[1] - shared
    known = np.isfinite(first).all(axis=-1) & np.isfinite(second).all(axis=-1) & (union > 0)
    return np.where(known, shared / np.where(known, union, 1.0), 0.0)


def object_quality(found: np.ndarray, true: np.ndarray) -> ObjectQuality:
    """Compare the boxes found with those annotated.

    Args:
        found: [N, 4], pixels; NaN where no object was found.
        true: [N, 4], pixels; NaN where none is annotated, which leaves the image out.
    """
    known = np.isfinite(true).all(axis=-1)
    if not known.any():
        return ObjectQuality(float("nan"), float("nan"), 0)
    overlap = box_overlap(found[known], true[known])
    return ObjectQuality(100 * overlap.mean(), 100 * (overlap > 0.5).mean(), int(known.sum()))
