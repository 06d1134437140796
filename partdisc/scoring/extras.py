"""What can be measured beyond the main table, by name: `EXTRAS` is the list of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from partdisc import evaluation
from partdisc.detector import Detector, Predictions
from partdisc.discovery.run import Run
from partdisc.scoring.equivariance import equivariance_error
from partdisc.scoring.keypoints import keypoint_probs
from partdisc.scoring.landmarks import fit_and_test, points_in_frame
from partdisc.scoring.readable import measure_parts
from partdisc.scoring.settings import Scoring

# Images that `equivariance` warps, at most.
WARPED = 50
# Errors at which `cumulative` says how many images have no larger one, %.
THRESHOLDS = (2, 5, 10, 15, 20, 30, 50)


class Found(NamedTuple):
    """What a detector found in a labelled run.

    Attributes:
      scoring: what is measured.
      run: data set, cached features and settings.
      detector: what found it.
      fit: its predictions on the fit split.
      test: its predictions on the test split.
    """

    scoring: Scoring
    run: Run
    detector: Detector
    fit: Predictions
    test: Predictions


def measure_extras(found: Found) -> dict[str, Any]:
    """Measure the extras that are wanted; return the figures by name, %."""
    return {name: EXTRAS[name](found) for name in found.scoring.extras}


def _keypoints(found: Found) -> dict[str, float]:
    """Compare the arg-max channel with the keypoint's id: NMI and ARI (protocol C).

    At the visible keypoints of the test images, with the background, and without it inside
    the box of the object (FG).
    """
    seen = keypoint_probs(found.run, found.detector)
    return seen.agreement(seen.probs) | {"keypoints": int(seen.boxed.sum())}


def _parts(found: Found) -> dict[str, Any]:
    """Compare the parts that a person reads with keypoints and boxes; none are untrained."""
    return measure_parts(found.run, found.detector) if found.detector.choices else {}


def _equivariance(found: Found) -> dict[str, float]:
    """Compare the maps of warped test images with the warped maps (E), and count detections."""
    shown = found.run.inputs.dataset.splits["test"][:WARPED]
    error = equivariance_error(found.detector, found.run.inputs, shown, seed=found.run.seed)
    counts = np.isfinite(found.test.scores).sum(axis=2)
    return {"map_distance": error, "peaks_per_part": float(counts.mean())}


def _centres(found: Found) -> tuple[np.ndarray, ...]:
    """Return the parts' centres and the landmarks: of the fit images, then of the test images."""
    inputs = found.run.inputs
    fit, test = fit_and_test(inputs)
    points = points_in_frame(found.scoring, inputs, found.fit, found.test, "mean")
    return points[0], fit.landmarks, points[1], test.landmarks


def _normaliser(found: Found) -> np.ndarray:
    return fit_and_test(found.run.inputs)[1].length


def _fit_sizes(found: Found) -> list[dict[str, Any]]:
    """Measure the error against the number of fit images, by protocol `default`."""
    rows = evaluation.error_by_fit_size(
        *_centres(found), seed=found.scoring.seed, normaliser=_normaliser(found)
    )
    return [row._asdict() for row in rows]


def _cumulative(found: Found) -> dict[str, float]:
    """Return the share of test images with no larger an error, by protocol `default`."""
    score = evaluation.regression_error(*_centres(found), normaliser=_normaliser(found))
    shares = evaluation.cumulative_errors(score.per_image, np.array(THRESHOLDS, float))
    return {str(limit): share for limit, share in zip(THRESHOLDS, shares.tolist(), strict=True)}


def _backward(found: Found) -> float:
    """Return the error of points regressed from landmarks, by protocol `default`."""
    fit_points, fit_marks, test_points, test_marks = _centres(found)
    # A channel's points are the landmarks now; landmarks that are not seen are filled.
    return evaluation.regression_error(
        fit_marks, fit_points, test_marks, test_points, normaliser=_normaliser(found)
    ).error


EXTRAS: dict[str, Callable[[Found], Any]] = {
    "keypoints": _keypoints,
    "parts": _parts,
    "equivariance": _equivariance,
    "fit_sizes": _fit_sizes,
    "cumulative": _cumulative,
    "backward": _backward,
}
