"""Landmark regression: how well unsupervised points predict annotated landmarks.

A linear regressor is fitted on labelled fit images and scored on test images; the
published harnesses differ in coordinates, regressor and normaliser, so each is a named
protocol. Trivial baselines that read no image come with the same result type.

Plain NumPy in float64. Points are (y, x); invisible or unknown points are NaN.
"""

from typing import NamedTuple

import numpy as np

from partdisc.errors import ConfigError, DataError
from partdisc.evaluation.protocols import (
    PROTOCOLS,
    Images,
    Protocol,
    inter_ocular,
    longer_side,
)


class LandmarkScore(NamedTuple):
    """The error of predicted landmarks, in % of each image's normaliser.

    Attributes:
        error: mean over images of the mean over visible landmarks, %.
        per_image: [Nt] the same for each test image, %; NaN where it was left out.
        per_landmark: [L] mean over the images that show it, %; NaN where none does.
        n_fit: fit images used, those with a visible landmark.
        n_test: test images scored.
        n_left_out: test images with no visible landmark or no usable normaliser.
        strength: chosen ridge strength, relative to the variance; NaN for a baseline.
        predictions: [Nt, L, 2] predicted landmarks, in the units of the landmarks.
    """

    error: float
    per_image: np.ndarray
    per_landmark: np.ndarray
    n_fit: int
    n_test: int
    n_left_out: int
    strength: float
    predictions: np.ndarray


def regression_error(
    fit_points: np.ndarray,
    fit_landmarks: np.ndarray,
    test_points: np.ndarray,
    test_landmarks: np.ndarray,
    *,
    protocol: str = "default",
    normaliser: np.ndarray | None = None,
    image_size: np.ndarray | tuple | None = None,
    boxes: tuple[np.ndarray, np.ndarray] | None = None,
    eyes: tuple[int, int] | None = None,
) -> LandmarkScore:
    """Regress landmarks from points on the fit images and score on the test images.

    A point of a channel that did not fire is NaN and takes the channel's mean over the
    fit images; leave channels that hardly ever fire out of `points`. A landmark is
    fitted on the fit images that show it; one that none shows is predicted at the mean
    of the image's other predictions, so that it still counts.

    Args:
        fit_points: [Nf, K, 2] points of the channels, pixels.
        fit_landmarks: [Nf, L, 2] annotated landmarks, pixels.
        test_points: [Nt, K, 2] points of the channels, pixels.
        test_landmarks: [Nt, L, 2] annotated landmarks, pixels.
        protocol: one of `protocols.PROTOCOLS`; `default` leaks nothing.
        normaliser: [Nt] length that counts as 100 % in each test image, pixels; for
            `default` alone. Without it the inter-ocular distance counts where `eyes` are
            given, the longer side of the box otherwise.
        image_size: (height, width), or a pair of arrays [Nf, 2] and [Nt, 2], pixels.
        boxes: a pair of arrays [Nf, 4] and [Nt, 4], (y0, x0, y1, x1), pixels.
        eyes: indices of the two eyes among the landmarks.

    Returns:
        The score; its predictions are in the coordinates of the protocol.

    Raises:
        ConfigError: the protocol is unknown, or lacks an argument that it needs.
        DataError: no fit image, or no test image, can be used.
        ValueError: the shapes do not agree.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol: {protocol!r} is unknown, allowed: {', '.join(PROTOCOLS)}")
    rules = PROTOCOLS[protocol]
    shapes = [np.shape(one) for one in (fit_points, fit_landmarks, test_points, test_landmarks)]
    (fit_k, fit_l, test_k, test_l) = (shape[1:] for shape in shapes)
    if (
        any(len(shape) != 3 or shape[2] != 2 for shape in shapes)
        or fit_k != test_k
        or fit_l != test_l
        or shapes[0][0] != shapes[1][0]
        or shapes[2][0] != shapes[3][0]
    ):
        raise ValueError(
            "points and landmarks of the fit and of the test images must be [Nf, K, 2], "
            f"[Nf, L, 2], [Nt, K, 2], [Nt, L, 2]; they are {', '.join(map(str, shapes))}"
        )
    if eyes is not None and not all(0 <= eye < shapes[1][1] for eye in eyes):
        raise ConfigError(f"eyes: {eyes} are no indices of {shapes[1][1]} landmarks")
    fit, test = (
        Images(
            np.asarray(marks, np.float64),
            _sizes(image_size, split, len(marks)),
            None if boxes is None else np.asarray(boxes[split], np.float64),
            eyes,
        )
        for split, marks in enumerate((fit_landmarks, test_landmarks))
    )
    for name in rules.needs:
        if getattr(test, name) is None:
            argument = {"sizes": "image_size"}.get(name, name)
            raise ConfigError(f"{argument}: protocol '{protocol}' needs it")
    length = _normaliser(protocol, normaliser, test)
    (fit_points, fit_marks), (test_points, test_marks) = (
        (
            rules.frame(np.asarray(points, np.float64), images),
            _truncated(rules.frame(images.landmarks, images), rules),
        )
        for points, images in ((fit_points, fit), (test_points, test))
    )
    if length is None:
        length = np.ones(len(test_marks)) if rules.divided else inter_ocular(test_marks, *eyes)
    fitted = max(1, round(rules.fit_share * len(fit_marks)))
    fit_marks, used = _usable_fit(fit_marks[:fitted])
    fit_points = fit_points[used]
    means = _mean_of_finite(fit_points)
    fit_inputs, test_inputs = (
        np.where(np.isfinite(points), points, means).reshape(len(points), means.size)
        for points in (fit_points, test_points)
    )
    predictions, strength = rules.regressor(fit_inputs, fit_marks, test_inputs)
    return _score(_fill_unseen(predictions), test_marks, length, len(used), strength)


def _sizes(image_size, split: int, count: int) -> np.ndarray | None:
    """Return the sizes [count, 2] of one split's images, from one size or a pair of arrays."""
    if image_size is None:
        return None
    one = np.asarray(image_size[split], np.float64)
    sizes = one if one.ndim == 2 else np.asarray(image_size, np.float64)
    return np.broadcast_to(sizes, (count, 2))


def _normaliser(protocol: str, normaliser, test: Images) -> np.ndarray | None:
    """Return the lengths of protocol `default`; None where the protocol has its own."""
    if protocol != "default":
        if normaliser is not None:
            raise ConfigError(f"normaliser: protocol '{protocol}' has its own")
        return None
    if normaliser is not None:
        return normaliser
    if test.eyes is not None:
        return inter_ocular(test.landmarks, *test.eyes)
    if test.boxes is not None:
        return longer_side(test.boxes)
    raise ConfigError("normaliser: protocol 'default' needs it, or eyes, or boxes")


def _truncated(landmarks: np.ndarray, rules: Protocol) -> np.ndarray:
    return np.trunc(landmarks) if rules.truncate else landmarks


def mean_shape_error(
    fit_landmarks: np.ndarray, test_landmarks: np.ndarray, *, normaliser: np.ndarray
) -> LandmarkScore:
    """Score the mean of the fit landmarks as the prediction for every test image.

    Args:
        fit_landmarks: [Nf, L, 2] annotated landmarks, pixels.
        test_landmarks: [Nt, L, 2] annotated landmarks, pixels.
        normaliser: [Nt] length that counts as 100 % in each test image, pixels.

    Raises:
        DataError: no fit image, or no test image, can be used.
    """
    fit_landmarks, used = _usable_fit(fit_landmarks)
    shape = _mean_of_finite(np.where(_visible(fit_landmarks)[..., None], fit_landmarks, np.nan))
    shape = np.where(_visible(fit_landmarks).any(0)[:, None], shape, np.nan)
    predictions = np.broadcast_to(_fill_unseen(shape), np.shape(test_landmarks)).copy()
    return _score(predictions, test_landmarks, normaliser, len(used), np.nan)


def constant_point_error(
    test_landmarks: np.ndarray, sizes: np.ndarray, *, normaliser: np.ndarray
) -> LandmarkScore:
    """Score the centre of each image as the prediction of all its landmarks.

    Args:
        test_landmarks: [Nt, L, 2] annotated landmarks, pixels.
        sizes: [Nt, 2] height and width of the images, pixels.
        normaliser: [Nt] length that counts as 100 % in each test image, pixels.

    Raises:
        DataError: no test image can be used.
    """
    # Pixel centres are integers: an image [H, W] ends half a pixel beyond H - 1.
    centres = (np.asarray(sizes, np.float64) - 1) / 2
    predictions = np.broadcast_to(centres[:, None], np.shape(test_landmarks)).copy()
    return _score(predictions, test_landmarks, normaliser, 0, np.nan)


def relative_distances(
    points: np.ndarray, landmarks: np.ndarray, normaliser: np.ndarray
) -> np.ndarray:
    """Return L2 distances as shares of the normaliser [N, L], NaN where undefined.

    Args:
        points: [N, L, 2] points, pixels.
        landmarks: [N, L, 2] points to compare with, pixels.
        normaliser: [N] lengths, pixels; undefined unless finite and positive.

    Raises:
        ValueError: the shapes do not agree.
    """
    points, landmarks, normaliser = (
        np.asarray(array, np.float64) for array in (points, landmarks, normaliser)
    )
    if points.shape != landmarks.shape or normaliser.shape != landmarks.shape[:1]:
        raise ValueError(
            f"points {points.shape}, landmarks {landmarks.shape} and normaliser "
            f"{normaliser.shape} must be [N, L, 2], [N, L, 2] and [N]"
        )
    usable = np.isfinite(normaliser) & (normaliser > 0)
    length = np.where(usable, normaliser, np.nan)
    return np.hypot(*np.moveaxis(points - landmarks, -1, 0)) / length[:, None]


def _score(
    predictions: np.ndarray,
    landmarks: np.ndarray,
    normaliser: np.ndarray,
    n_fit: int,
    strength: float,
) -> LandmarkScore:
    distances = 100 * relative_distances(predictions, landmarks, normaliser)
    known = np.isfinite(distances)
    scored = known.any(1)
    if not scored.any():
        raise DataError(
            f"test images: none of {len(scored)} has a visible landmark and a normaliser above 0"
        )
    per_image, per_landmark = (
        np.where(known.any(axis), _mean_of_finite(distances, axis), np.nan) for axis in (1, 0)
    )
    return LandmarkScore(
        error=float(per_image[scored].mean()),
        per_image=per_image,
        per_landmark=per_landmark,
        n_fit=n_fit,
        n_test=int(scored.sum()),
        n_left_out=int((~scored).sum()),
        strength=float(strength),
        predictions=predictions,
    )


def _usable_fit(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the fit images that show a landmark; return their landmarks and indices."""
    landmarks = np.asarray(landmarks, np.float64)
    used = np.flatnonzero(_visible(landmarks).any(1))
    if not used.size:
        raise DataError(f"fit images: none of {len(landmarks)} has a visible landmark")
    return landmarks[used], used


def _visible(landmarks: np.ndarray) -> np.ndarray:
    return np.isfinite(landmarks).all(-1)


def _mean_of_finite(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Mean of the finite values along an axis, 0 where there is none."""
    finite = np.isfinite(values)
    return np.where(finite, values, 0).sum(axis) / np.maximum(finite.sum(axis), 1)


def _fill_unseen(predictions: np.ndarray) -> np.ndarray:
    """Put landmarks [..., L, 2] that could not be fitted at the mean of the others."""
    others = _mean_of_finite(predictions, -2)[..., None, :]
    return np.where(np.isfinite(predictions), predictions, others)
