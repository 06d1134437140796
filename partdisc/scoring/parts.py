"""Score detections of parts: mAP by distances and by boxes, PCK (protocol B), then landmarks."""

from typing import Any

import numpy as np

from partdisc import evaluation
from partdisc.detector import Predictions
from partdisc.discovery.inputs import Inputs
from partdisc.scoring.landmarks import normalisers, regress, to_frame
from partdisc.scoring.settings import Scoring


def score(
    scoring: Scoring, inputs: Inputs, fit: Predictions, test: Predictions
) -> tuple[dict[str, Any], np.ndarray]:
    """Score predictions by the protocols wanted, A and B.

    Args:
      scoring: what is measured.
      inputs: data set and geometry.
      fit: predictions on the fit split.
      test: predictions on the test split.

    Returns:
      Figures in %, and the channel [L] that answers for each part by the first detection
      protocol (of `l2`, by the box normaliser, or by the short side where the set has no
      boxes).
    """
    figures: dict[str, Any] = {
        f"{measure}_{name}": float("nan")
        for name in ("box", "short_side")
        for measure in ("map_l2", "pck")
    }
    first = None
    for protocol in scoring.detection:
        measured, precision = PROTOCOLS[protocol](scoring, inputs, fit, test, protocol)
        figures |= measured
        first = first or precision
    figures["ap_per_part"] = dict(
        zip(inputs.dataset.landmark_names, first.per_part.tolist(), strict=True)
    )
    figures |= regress(scoring, inputs, fit, test)
    return figures, first.channels


def _score_distances(scoring, inputs, fit, test, protocol):
    """Score by `l2`: figures by each normaliser, and the precision by the first one known."""
    dataset, threshold = inputs.dataset, scoring.threshold
    fit_index, test_index = dataset.splits["fit"], dataset.splits["test"]
    fit_length, test_length = normalisers(inputs, fit_index), normalisers(inputs, test_index)
    figures, first = {}, None
    for name in ("box", "short_side"):
        if not np.isfinite(test_length[name]).any():
            continue
        ap = [
            evaluation.part_average_precision(
                one.scores,
                one.points,
                dataset.instances[index],
                lengths[name],
                threshold=threshold,
            )
            for one, index, lengths in (
                (fit, fit_index, fit_length),
                (test, test_index, test_length),
            )
        ]
        precision = evaluation.mean_average_precision(
            *ap, channel_selection=scoring.channel_selection
        )
        figures[f"map_{protocol}_{name}"] = precision.mean
        figures[f"pck_{name}"] = evaluation.pck(
            test.peak[:, precision.channels],
            dataset.points[test_index],
            test_length[name],
            threshold=threshold,
        )
        first = first or precision
    return figures, first


def _score_boxes(scoring, inputs, fit, test, protocol):
    """Score boxes by `iou`, or by `vsp` with the authors' inclusive pixels (VehiclePart)."""
    dataset = inputs.dataset
    ap = []
    for one, split in ((fit, "fit"), (test, "test")):
        index = dataset.splits[split]
        ap.append(
            evaluation.box_average_precision(
                one.scores,
                part_boxes(scoring.box, inputs, index, one.points),
                part_boxes(scoring.box, inputs, index, dataset.instances[index]),
                iou=scoring.iou,
                inclusive=protocol == "vsp",
            )
        )
    precision = evaluation.mean_average_precision(*ap, channel_selection=scoring.channel_selection)
    return {f"map_{protocol}": precision.mean}, precision


# Name of a detection protocol -> what scores by it.
PROTOCOLS = {"l2": _score_distances, "iou": _score_boxes, "vsp": _score_boxes}


def part_boxes(side: float, inputs: Inputs, indices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Put boxes on points, clipped to the part of the image used.

    They are square in the frame of `to_frame`, at the true aspect of the image: long images
    are squeezed for the network, but part boxes are not (protocol B).

    Args:
      side: of a box, pixels of the frame.
      inputs: data set and geometry.
      indices: int [n], the images.
      points: [n, ..., 2], (y, x) original pixels.

    Returns:
      [n, ..., 4], (y0, x0, y1, x1) pixels of the frame.
    """
    centres, scale = to_frame(inputs, indices, points)
    crop = inputs.dataset.crops[indices]
    inner = (1,) * (points.ndim - 2)
    stop = ((crop[:, 2:] - crop[:, :2]) * scale[:, None] - 0.5).reshape(-1, *inner, 2)
    half = 0.5 * side
    return np.concatenate(
        [np.clip(centres + shift, -0.5, stop) for shift in (-half, half)], axis=-1
    )
