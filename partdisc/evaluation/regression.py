"""Landmark regression: how well unsupervised points predict annotated landmarks.

A linear regressor is fitted on labelled fit images and scored on test images; the
published harnesses differ in coordinates, regressor and normaliser, so each is a named
protocol. Trivial baselines that read no image come with the same result type.

Plain NumPy in float64. Points are (y, x); invisible or unknown points are NaN.
"""

from typing import NamedTuple

import numpy as np

from partdisc.errors import ConfigError, DataError

# Relative to the total variance of the inputs, so that neither the scale of the pixels
# nor the number of images or channels shifts the grid. Strongest first: ties go to it.
STRENGTHS = np.logspace(2, -6, 17)


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
    normaliser: np.ndarray,
    protocol: str = "default",
) -> LandmarkScore:
    """Regress landmarks from points on the fit images and score on the test images.

    A point of a channel that did not fire is NaN and takes the channel's mean over the
    fit images; leave channels that hardly ever fire out of `points`. A landmark is
    fitted on the fit images that show it; one that none shows is predicted at the mean
    of the image's other predictions, so that it still counts.

    Protocol `default`: ridge with intercept; one strength for all landmarks, by exact
    leave-one-out cross-validation of the mean distance on the fit images alone.

    Args:
        fit_points: [Nf, K, 2] points of the channels, pixels.
        fit_landmarks: [Nf, L, 2] annotated landmarks, pixels.
        test_points: [Nt, K, 2] points of the channels, pixels.
        test_landmarks: [Nt, L, 2] annotated landmarks, pixels.
        normaliser: [Nt] length that counts as 100 % in each test image, pixels.
        protocol: one of PROTOCOLS.

    Raises:
        ConfigError: the protocol is unknown.
        DataError: no fit image, or no test image, can be used.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol: {protocol!r} is unknown, allowed: {', '.join(PROTOCOLS)}")
    fit_landmarks, used = _usable_fit(fit_landmarks)
    fit_points = np.asarray(fit_points, np.float64)[used]
    test_points = np.asarray(test_points, np.float64)
    means = _mean_of_finite(fit_points)
    fit_inputs, test_inputs = (
        np.where(np.isfinite(points), points, means).reshape(len(points), means.size)
        for points in (fit_points, test_points)
    )
    predictions, strength = PROTOCOLS[protocol](fit_inputs, fit_landmarks, test_inputs)
    return _score(_fill_unseen(predictions), test_landmarks, normaliser, len(used), strength)


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


def inter_ocular(landmarks: np.ndarray, left: int = 0, right: int = 1) -> np.ndarray:
    """Return the distance between the eyes [N], pixels, of landmarks [N, L, 2].

    Args:
        landmarks: [N, L, 2] annotated landmarks, pixels.
        left: index of one eye among the landmarks.
        right: index of the other eye.
    """
    landmarks = np.asarray(landmarks, np.float64)
    return np.hypot(*(landmarks[:, left] - landmarks[:, right]).T)


def longer_side(boxes: np.ndarray) -> np.ndarray:
    """Return the longer side [N], pixels, of boxes [N, 4] (y0, x0, y1, x1)."""
    boxes = np.asarray(boxes, np.float64)
    return (boxes[:, 2:] - boxes[:, :2]).max(1)


def short_side(sizes: np.ndarray) -> np.ndarray:
    """Return the short side [N], pixels, of images of sizes [N, 2] (height, width)."""
    return np.asarray(sizes, np.float64).min(1)


def _ridge(
    inputs: np.ndarray, landmarks: np.ndarray, test_inputs: np.ndarray
) -> tuple[np.ndarray, float]:
    """Predict landmarks [Nt, L, 2] of the test inputs by ridge, and name the strength."""
    visible = _visible(landmarks)
    losses = np.zeros(len(STRENGTHS))
    shape = (len(STRENGTHS), len(test_inputs), landmarks.shape[1], 2)
    predictions = np.full(shape, np.nan)
    # Landmarks that are visible in the same images share one factorisation.
    patterns, group = np.unique(visible, axis=1, return_inverse=True)
    for index, rows in enumerate(patterns.T):
        if not rows.any():
            continue
        members = np.flatnonzero(group.reshape(-1) == index)
        x = inputs[rows]
        y = landmarks[rows][:, members].reshape(len(x), -1)
        x_mean, y_mean = x.mean(0), y.mean(0)
        x, y = x - x_mean, y - y_mean
        eigenvalues, u = _left_singular(x)
        scores = u.T @ y
        damped = eigenvalues + STRENGTHS[:, None] * eigenvalues.sum()
        weights = x.T @ (u @ (scores / damped[..., None]))
        predicted = (test_inputs - x_mean) @ weights + y_mean
        predictions[:, :, members] = predicted.reshape(*shape[:2], len(members), 2)
        if len(x) > 1:
            losses += _left_out_distances(eigenvalues / damped, u, scores, y)
    best = int(losses.argmin())
    return predictions[best], float(STRENGTHS[best])


def _left_out_distances(
    shrink: np.ndarray, u: np.ndarray, scores: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Sum the distances [S] at which images are predicted by fits that leave them out.

    The residual of a left-out image is its residual in the full fit divided by
    1 - leverage: exact for ridge with an unpenalised intercept.
    """
    residuals = y - u @ (shrink[..., None] * scores)
    leverage = 1 / len(y) + shrink @ np.square(u).T
    left_out = (residuals / (1 - leverage)[..., None]).reshape(len(shrink), -1, 2)
    return np.hypot(left_out[..., 0], left_out[..., 1]).sum(1)


def _left_singular(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return squared singular values [R] and left singular vectors [n, R] of x [n, d].

    The eigenvectors of the smaller Gram matrix cost a fraction of an SVD. What they
    lose, the directions below 1e-12 of the variance, the weakest ridge shrinks anyway.
    """
    wide = len(x) <= x.shape[1]
    gram = x @ x.T if wide else x.T @ x
    eigenvalues, vectors = np.linalg.eigh(gram)
    keep = eigenvalues > 1e-12 * np.trace(gram)
    eigenvalues, vectors = eigenvalues[keep], vectors[:, keep]
    return eigenvalues, vectors if wide else x @ vectors / np.sqrt(eigenvalues)


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


PROTOCOLS = {"default": _ridge}
