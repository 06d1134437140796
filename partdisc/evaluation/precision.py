"""Part detection: average precision of every channel for every annotated part.

Plain NumPy in float64. Points are (y, x); absent or invisible points are NaN.
"""

import functools
from typing import NamedTuple

import numpy as np

from partdisc.errors import ConfigError
from partdisc.evaluation.regression import relative_distances

CHANNEL_SELECTIONS = ("fit", "test")
# Channels handled at once: bounds the memory, and keeps the arrays near the cache.
_CHUNK = 32


class MeanPrecision(NamedTuple):
    """Mean average precision with one channel for each part.

    Attributes:
        mean: mean of `per_part` over the parts that the test split shows, %.
        per_part: [L] test AP of the part's channel, %; NaN where the part never shows.
        channels: [L] the channel that answers for the part.
        channel_selection: the split whose AP chose the channels.
    """

    mean: float
    per_part: np.ndarray
    channels: np.ndarray
    channel_selection: str


def part_average_precision(
    scores: np.ndarray,
    points: np.ndarray,
    instances: np.ndarray,
    normaliser: np.ndarray,
    *,
    threshold: float = 0.1,
) -> np.ndarray:
    """Return the average precision [K, L] of every channel for every part, in %.

    The detections of a channel over all images are taken by falling score, ties by image
    and then by slot. Each takes the nearest instance of the part in its image that is
    nearer than `threshold` x normaliser and not yet taken; without one it is a false
    positive, as is every detection in an image that does not show the part. The AP is
    the area under the monotone precision-recall curve at all points (VOC 2010 on). It
    is NaN for a part that no image shows.

    Args:
        scores: [N, K, D] scores; -inf or NaN marks an unused slot.
        points: [N, K, D, 2] detections, pixels; a NaN one matches nothing.
        instances: [N, L, M, 2] all instances of each part, or landmarks [N, L, 2] where
            a part occurs once, pixels.
        normaliser: [N] length that the threshold refers to, pixels; an image where it is
            not above 0 is left out.
        threshold: share of the normaliser below which a detection is right.

    Raises:
        ValueError: the shapes do not agree.
    """
    scores, points, instances, normaliser = (
        np.asarray(array, np.float64) for array in (scores, points, instances, normaliser)
    )
    if instances.ndim == 3:
        instances = instances[:, :, None]
    images = scores.shape[0]
    if (
        points.shape != (*scores.shape, 2)
        or instances.shape[0] != images
        or normaliser.shape != (images,)
    ):
        raise ValueError(
            f"scores {scores.shape}, points {points.shape}, instances {instances.shape} and "
            f"normaliser {normaliser.shape} must be [N, K, D], [N, K, D, 2], [N, L, M, 2], [N]"
        )
    usable = np.isfinite(normaliser) & (normaliser > 0)
    scores, points, instances, normaliser = (
        array[usable] for array in (scores, points, instances, normaliser)
    )
    limit = np.square(threshold * normaliser)
    return _average_precision(scores, points, instances, limit, _squared_distances)


def box_average_precision(
    scores: np.ndarray,
    boxes: np.ndarray,
    instances: np.ndarray,
    *,
    iou: float = 0.5,
    inclusive: bool = False,
) -> np.ndarray:
    """Return the average precision [K, L] of the boxes of every channel for every part, in %.

    As `part_average_precision`, but a detection takes the free instance that it overlaps
    most, by an intersection over union above `iou` (protocol B, `iou`). Clip the boxes
    to the image first.

    Args:
        scores: [N, K, D] scores; -inf or NaN marks an unused slot.
        boxes: [N, K, D, 4] detections (y0, x0, y1, x1), pixels; a NaN one matches nothing.
        instances: [N, L, M, 4] all instances of each part, pixels; absent ones NaN.
        iou: overlap that a match must exceed.
        inclusive: whether a box ends with the pixel y1, x1 and so is y1 - y0 + 1 high,
            as in the VOC kit and the authors' code (`vsp`); it ends at y1, x1 otherwise.

    Raises:
        ValueError: the shapes do not agree.
    """
    scores, boxes, instances = (
        np.asarray(array, np.float64) for array in (scores, boxes, instances)
    )
    if (
        boxes.shape != (*scores.shape, 4)
        or instances.ndim != 4
        or instances.shape[::3] != (len(scores), 4)
    ):
        raise ValueError(
            f"scores {scores.shape}, boxes {boxes.shape} and instances {instances.shape} must "
            "be [N, K, D], [N, K, D, 4] and [N, L, M, 4]"
        )
    costs = functools.partial(_negative_overlaps, extra=float(inclusive))
    return _average_precision(scores, boxes, instances, np.full(len(scores), -iou), costs)


def select_channels(ap: np.ndarray) -> np.ndarray:
    """Return the best channel [L] of each part; ties, and unseen parts, go to the lowest.

    Args:
        ap: [K, L] average precision, as `part_average_precision` returns it.
    """
    return np.where(np.isnan(ap), -1, ap).argmax(0)


def firing_channels(scores: np.ndarray, *, min_firing: float) -> np.ndarray:
    """Say which channels fire often enough to regress landmarks from (protocol A).

    Args:
        scores: [N, K] best score of each channel in each image, 0 or more; -inf where it
            has none, which counts as 0.
        min_firing: smallest mean score over the images, as a share of the strongest
            channel's.

    Returns:
        bool [K]; the strongest always fires.

    Raises:
        ValueError: a score is negative, and so no strength.
    """
    if (np.where(np.isfinite(scores), scores, 0.0) < 0).any():
        raise ValueError("scores must not be negative to be compared as strengths")
    strength = np.where(np.isfinite(scores), scores, 0.0).mean(axis=0)
    return strength >= min_firing * strength.max()


def mean_average_precision(
    fit_ap: np.ndarray, test_ap: np.ndarray, *, channel_selection: str = "fit"
) -> MeanPrecision:
    """Choose a channel for each part and average their precision on the test split.

    Args:
        fit_ap: [K, L] average precision on the fit split, %.
        test_ap: [K, L] average precision on the test split, %.
        channel_selection: `fit` chooses by the fit split; `test` by the test split
            itself, an upper bound.

    Raises:
        ConfigError: the channel selection is unknown.
    """
    if channel_selection not in CHANNEL_SELECTIONS:
        raise ConfigError(
            f"channel_selection: {channel_selection!r} is unknown, "
            f"allowed: {', '.join(CHANNEL_SELECTIONS)}"
        )
    channels = select_channels(fit_ap if channel_selection == "fit" else test_ap)
    per_part = np.asarray(test_ap, np.float64)[channels, np.arange(len(channels))]
    seen = per_part[~np.isnan(per_part)]
    mean = float(seen.mean()) if seen.size else float("nan")
    return MeanPrecision(mean, per_part, channels, channel_selection)


def pck(
    points: np.ndarray, landmarks: np.ndarray, normaliser: np.ndarray, *, threshold: float = 0.1
) -> float:
    """Return the share of visible landmarks whose point is near enough, in %.

    NaN where no landmark is visible. A NaN point is a miss.

    Args:
        points: [N, L, 2] the point of each part's channel, pixels.
        landmarks: [N, L, 2] annotated landmarks, pixels.
        normaliser: [N] length that the threshold refers to, pixels; an image where it is
            not above 0 is left out.
        threshold: share of the normaliser below which a point is right.

    Raises:
        ValueError: the shapes do not agree.
    """
    near = relative_distances(points, landmarks, normaliser) < threshold
    visible = np.isfinite(relative_distances(landmarks, landmarks, normaliser))
    return float(100 * near[visible].mean()) if visible.any() else float("nan")


def _average_precision(scores, detections, instances, limit, costs_of) -> np.ndarray:
    """Return the average precision [K, L], in %; a match is a cost below a limit.

    Args:
        scores: [N, K, D].
        detections: [N, K, D, E].
        instances: [N, L, M, E], NaN where absent.
        limit: [N].
        costs_of: (detections [K, N, E], instances [N, M, E]) to costs [M, K, N].
    """
    present = np.isfinite(instances).all(-1)
    parts = instances.shape[1]
    result = np.empty((scores.shape[1], parts))
    for start in range(0, scores.shape[1], _CHUNK):
        chunk = slice(start, start + _CHUNK)
        falling, found = _sort_slots(scores[:, chunk], detections[:, chunk])
        # Unused slots come last in the sort, where false positives cost nothing.
        order = np.argsort(-falling.reshape(len(falling), -1), axis=1, kind="stable")
        for part in range(parts):
            hits = np.empty(falling.shape, bool)
            free = np.broadcast_to(
                present[:, part].T[:, None], (instances.shape[2], *falling.shape[:2])
            ).copy()
            for slot in range(falling.shape[2]):
                costs = costs_of(found[:, :, slot], instances[:, part])
                hits[:, :, slot] = _take_nearest(costs, limit, free)
            hits &= falling > -np.inf
            ranked = np.take_along_axis(hits.reshape(len(hits), -1), order, axis=1)
            result[chunk, part] = _area(ranked, int(present[:, part].sum()))
    return 100 * result


def _sort_slots(scores: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bring channels first and the slots of each image into falling order of score.

    Returns scores [K, N, D] with NaN made -inf, and what was found [K, N, D, E].
    """
    scores = np.where(np.isnan(scores), -np.inf, scores).swapaxes(0, 1)
    order = np.argsort(-scores, axis=2, kind="stable")
    found = np.take_along_axis(found.swapaxes(0, 1), order[..., None], axis=2)
    return np.take_along_axis(scores, order, axis=2), found


def _squared_distances(points: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Return squared distances [M, K, N] of points [K, N, 2] to instances [N, M, 2]."""
    y, x = np.moveaxis(points, -1, 0)
    instance_y, instance_x = np.moveaxis(instances, -1, 0)
    return (y - instance_y.T[:, None]) ** 2 + (x - instance_x.T[:, None]) ** 2


def _negative_overlaps(boxes: np.ndarray, instances: np.ndarray, *, extra: float) -> np.ndarray:
    """Return minus the IoU [M, K, N] of boxes [K, N, 4] and instances [N, M, 4].

    Args:
        boxes: (y0, x0, y1, x1).
        instances: likewise.
        extra: what is added to every side.
    """
    ours = np.moveaxis(boxes, -1, 0)
    theirs = np.moveaxis(instances, -1, 0).swapaxes(1, 2)[:, :, None]
    sides = np.minimum(ours[2:, None], theirs[2:]) - np.maximum(ours[:2, None], theirs[:2]) + extra
    shared = np.maximum(sides, 0.0).prod(0)
    areas = [np.maximum(box[2:] - box[:2] + extra, 0.0).prod(0) for box in (ours, theirs)]
    union = areas[0] + areas[1] - shared
    return -shared / np.where(union > 0, union, np.nan)


def _take_nearest(costs: np.ndarray, limit: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Let every detection take its nearest free instance below the limit.

    Args:
        costs: [M, K, N] cost of each instance for the detection (k, n); NaN: no match.
        limit: [N] cost below which they match.
        free: [M, K, N] whether the instance is untaken; updated in place.

    Returns:
        [K, N] whether the detection took one.
    """
    eligible = free & (costs < limit)
    if len(eligible) == 1:
        free &= ~eligible
        return eligible[0]
    if not len(eligible):
        return np.zeros(costs.shape[1:], bool)
    nearest = np.where(eligible, costs, np.inf).argmin(0)
    hits = eligible.any(0)
    taken = (nearest == np.arange(len(free))[:, None, None]) & hits
    free &= ~taken
    return hits


def _area(hits: np.ndarray, positives: int) -> np.ndarray:
    """Return the area under the monotone precision-recall curves of hits [K, R]: [K]."""
    if not positives:
        return np.full(len(hits), np.nan)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return np.where(hits, envelope, 0).sum(1) / positives
