"""Regress the landmarks of a data set from the points of a part layer (protocol A)."""

from typing import Any, NamedTuple

import numpy as np

from partdisc import evaluation
from partdisc.detector import Predictions
from partdisc.discovery.inputs import Inputs
from partdisc.scoring.settings import Scoring


def normalisers(inputs: Inputs, indices: np.ndarray) -> dict[str, np.ndarray]:
    """Return the lengths [n], original pixels, by which errors of images are divided.

    `box`: longer side of the object's box; `short_side`: of the part of the image used;
    `regression`: inter-ocular distance where the set has eyes, the box otherwise. A length
    that is not known is NaN.
    """
    dataset = inputs.dataset
    crops = dataset.crops[indices]
    lengths = {
        "box": evaluation.longer_side(dataset.boxes[indices]),
        "short_side": evaluation.short_side(crops[:, 2:] - crops[:, :2]),
    }
    if dataset.eyes is None:
        lengths["regression"] = lengths["box"]
    else:
        lengths["regression"] = evaluation.inter_ocular(dataset.points[indices], *dataset.eyes)
    return lengths


def to_frame(
    inputs: Inputs, indices: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Map points of images into the frame in which landmarks are regressed.

    That is the part of the image that is used, at its true aspect, its short side scaled to
    that of the network's input: images of all sizes share one scale.

    Args:
      inputs: data set and geometry.
      indices: int [n], the images.
      points: [n, ..., 2], (y, x) original pixels.

    Returns:
      The points in pixels of the frame, and the scale [n] from original pixels.
    """
    crop = inputs.dataset.crops[indices].astype(np.float64)
    scale = inputs.framing.scale(crop)
    inner = (1,) * (points.ndim - 2)
    start = crop[:, :2].reshape(-1, *inner, 2)
    return (points + 0.5 - start) * scale.reshape(-1, *inner, 1) - 0.5, scale


class Split(NamedTuple):
    """Images in the frame of `to_frame`.

    Attributes:
      landmarks: [n, L, 2].
      sizes: [n, 2] of the frame.
      boxes: [n, 4] of the objects.
      length: [n], normaliser of protocol `default`.
    """

    landmarks: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    length: np.ndarray


def _split(inputs: Inputs, indices: np.ndarray) -> Split:
    dataset = inputs.dataset
    landmarks, scale = to_frame(inputs, indices, dataset.points[indices])
    corners, _ = to_frame(inputs, indices, dataset.boxes[indices].reshape(-1, 2, 2))
    crops = dataset.crops[indices]
    return Split(
        landmarks,
        (crops[:, 2:] - crops[:, :2]) * scale[:, None],
        corners.reshape(-1, 4),
        normalisers(inputs, indices)["regression"] * scale,
    )


def fit_and_test(inputs: Inputs) -> tuple[Split, Split]:
    """Return the fit and the test images in the frame of `to_frame`."""
    splits = inputs.dataset.splits
    return tuple(_split(inputs, splits[name]) for name in ("fit", "test"))


def _errors(
    scoring: Scoring, inputs: Inputs, points: tuple[np.ndarray, np.ndarray]
) -> dict[str, evaluation.LandmarkScore]:
    """Return by protocol the errors of points of the fit and the test images."""
    fit, test = fit_and_test(inputs)
    scores = {}
    for name in scoring.protocols:
        scores[name] = evaluation.regression_error(
            points[0],
            fit.landmarks,
            points[1],
            test.landmarks,
            protocol=name,
            normaliser=test.length if name == "default" else None,
            image_size=(fit.sizes, test.sizes),
            boxes=(fit.boxes, test.boxes),
            eyes=inputs.dataset.eyes,
        )
    return scores


def regress(
    scoring: Scoring, inputs: Inputs, fit: Predictions, test: Predictions
) -> dict[str, Any]:
    """Score predictions by every protocol of regression.

    Args:
      scoring: what is measured.
      inputs: data set and geometry.
      fit: predictions on the fit split.
      test: predictions on the test split.

    Returns:
      `nme_peak` and `nme_mean`, %, of the first protocol with `n_fit` and `n_test`, and
      those of each under `regression`; `channels_regressed`.
    """
    found: dict[str, dict[str, float]] = {name: {} for name in scoring.protocols}
    for kind in ("peak", "mean"):
        points = points_in_frame(scoring, inputs, fit, test, kind)
        for name, error in _errors(scoring, inputs, points).items():
            found[name] |= {
                f"nme_{kind}": error.error,
                "n_fit": error.n_fit,
                "n_test": error.n_test,
            }
    first = found[scoring.protocols[0]]
    return first | {"channels_regressed": points[0].shape[1], "regression": found}


def points_in_frame(
    scoring: Scoring, inputs: Inputs, fit: Predictions, test: Predictions, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of the channels that fire often enough, in the frame of `to_frame`.

    Args:
      scoring: what is measured.
      inputs: data set and geometry.
      fit: predictions on the fit split, which say how often a channel fires.
      test: predictions on the test split.
      kind: `peak` or `mean`.

    Returns:
      [Nf, K', 2] and [Nt, K', 2].
    """
    firing = evaluation.firing_channels(fit.scores[:, :, 0], min_firing=scoring.min_firing)
    return tuple(
        to_frame(inputs, inputs.dataset.splits[name], getattr(one, kind)[:, firing])[0]
        for name, one in (("fit", fit), ("test", test))
    )


def baselines(scoring: Scoring, inputs: Inputs) -> dict[str, dict[str, Any]]:
    """Score what reads no image, by the protocols as `regress` does.

    `mean_shape` is what a point at the same pixel of every image tells, by `default` the
    mean of the fit landmarks. `image_centre` is given where the first protocol is `default`.
    """
    fit, test = fit_and_test(inputs)
    # Off the centre, where `lmdis` has its origin and a point cannot act as an intercept.
    pixel = inputs.framing.short_side / 4
    still = tuple(np.full((len(one.sizes), 1, 2), pixel) for one in (fit, test))
    errors = {name: error.error for name, error in _errors(scoring, inputs, still).items()}
    first = scoring.protocols[0]
    found = {"mean_shape": {"nme": errors[first], "regression": errors}}
    if first == "default":
        centre = evaluation.constant_point_error(test.landmarks, test.sizes, normaliser=test.length)
        found["image_centre"] = {"nme": centre.error}
    return found
