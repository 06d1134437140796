"""Regression errors as curves: against the number of fit images, and cumulative.

Plain NumPy. Points are (y, x).
"""

from typing import Any, NamedTuple

import numpy as np

from partdisc.errors import ConfigError
from partdisc.evaluation.regression import regression_error

FIT_SIZES = (5, 10, 20, 50, 100, 300, 1000)


class FitSizeError(NamedTuple):
    """The error of a regressor fitted on a few images.

    Attributes:
        images: how many fit images.
        mean: over the draws, %.
        deviation: sample standard deviation over the draws, %; 0 for a single draw.
        draws: how many draws; one where all images are taken.
    """

    images: int
    mean: float
    deviation: float
    draws: int


def error_by_fit_size(
    fit_points: np.ndarray,
    fit_landmarks: np.ndarray,
    test_points: np.ndarray,
    test_landmarks: np.ndarray,
    *,
    seed: int,
    sizes: tuple[int, ...] = FIT_SIZES,
    draws: int = 10,
    image_size: Any = None,
    boxes: Any = None,
    **options: Any,
) -> list[FitSizeError]:
    """Regress landmarks from random subsets of the fit images, and from all of them.

    Args:
        fit_points: as of `regression_error`.
        fit_landmarks: likewise.
        test_points: likewise.
        test_landmarks: likewise.
        seed: of the draws.
        sizes: numbers of fit images; those not below all of them are left out.
        draws: random subsets of each size.
        image_size: as of `regression_error`.
        boxes: likewise.
        options: the other options of `regression_error`.

    Returns:
        A row for each size, and one for all images last.

    Raises:
        ConfigError: a size or the number of draws is below 1.
    """
    if draws < 1 or any(size < 1 for size in sizes):
        raise ConfigError(f"sizes {tuple(sizes)} and draws {draws} must be at least 1")
    # An image without a visible landmark tells a regressor nothing.
    usable = np.flatnonzero(np.isfinite(fit_landmarks).all(axis=-1).any(axis=-1))
    count = len(usable)
    rows = []
    for size in [*sorted(size for size in set(sizes) if size < count), count]:
        errors = []
        for draw in range(draws if size < count else 1):
            chosen = usable[np.random.default_rng([seed, size, draw]).permutation(count)[:size]]
            errors.append(
                regression_error(
                    np.asarray(fit_points)[chosen],
                    np.asarray(fit_landmarks)[chosen],
                    test_points,
                    test_landmarks,
                    image_size=_of_fit(image_size, chosen),
                    boxes=_of_fit(boxes, chosen),
                    **options,
                ).error
            )
        deviation = float(np.std(errors, ddof=1)) if len(errors) > 1 else 0.0
        rows.append(FitSizeError(size, float(np.mean(errors)), deviation, len(errors)))
    return rows


def _of_fit(pair: Any, chosen: np.ndarray) -> Any:
    """Take the chosen fit images out of a pair of arrays; what stands for all stays."""
    if pair is None or np.ndim(pair[0]) < 2:
        return pair
    return np.asarray(pair[0])[chosen], pair[1]


def cumulative_errors(per_image: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return the share of images [T] whose error is at most each threshold, in %.

    Args:
        per_image: [N] errors, %; NaN ones are left out.
        thresholds: [T], %.

    Returns:
        [T], never falling along rising thresholds; NaN where no image has an error.
    """
    errors = np.sort(np.asarray(per_image, np.float64))
    errors = errors[np.isfinite(errors)]
    if not errors.size:
        return np.full(np.shape(thresholds), np.nan)
    return 100 * np.searchsorted(errors, thresholds, side="right") / errors.size
