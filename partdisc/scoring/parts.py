"""Score the part layer, untrained and trained, against landmarks and trivial baselines."""

import functools
from typing import Any

import jax
import numpy as np

from partdisc import evaluation
from partdisc.config import detection_protocols, regression_protocols
from partdisc.data import images
from partdisc.discovery import stages
from partdisc.discovery.features import Features
from partdisc.method.detection import cells_to_pixels, detect
from partdisc.method.part_layer import Layer, packed_probabilities, part_centres
from partdisc.scoring.landmarks import (
    Predictions,
    frame_scale,
    normalisers,
    regress,
    to_frame,
)


@functools.partial(jax.jit, static_argnames=("layer", "box_side", "nms_iou", "per_part", "batch"))
def _detect_all(params, features, grids, offset, *, layer, batch, **options):
    def one(image):
        packed, grid = image
        probs = packed_probabilities(layer, params, packed, grid, offset)
        centres = part_centres(layer, params, packed, grid, offset)
        return detect(probs, grid, **options), centres

    return jax.lax.map(one, (features, grids), batch_size=batch)


def predict(
    config: Any,
    inputs: stages.Inputs,
    features: Features,
    indices: np.ndarray,
    layer: Layer,
    params: Any,
    offset: np.ndarray,
) -> Predictions:
    """Detect all parts in images of the data set (section 3.3).

    Args:
      config: the whole config.
      inputs: data set and geometry.
      features: the cache.
      indices: int [n], the images.
      layer: the part layer.
      params: its params.
      offset: [C], subtracted from every feature.

    Returns:
      The predictions, in the order of `indices`.
    """
    network = inputs.backbone
    stride = network.stride / features.step
    found = []
    for start in range(0, len(indices), stages.CHUNK):
        chunk = indices[start : start + stages.CHUNK]
        taken, grids = features.take_fine(chunk)
        fill = min(stages.CHUNK, len(indices)) - len(chunk)
        arrays = _detect_all(
            params,
            np.pad(taken, ((0, fill), (0, 0), (0, 0))),
            np.pad(grids, ((0, fill), (0, 0)), constant_values=1),
            offset,
            layer=layer,
            box_side=config.detection.box / stride,
            nms_iou=config.detection.nms_iou,
            per_part=config.detection.per_part,
            batch=8,
        )
        detections, centres = jax.tree.map(np.asarray, arrays)
        geometry = inputs.geometry.take(chunk)
        points, mean = (
            images.to_original(cells_to_pixels(cells, stride, network.origin), geometry)
            for cells in (detections.points[: len(chunk)], centres[: len(chunk)])
        )
        found.append(Predictions(points, detections.scores[: len(chunk)], mean))
    return Predictions(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))


def protocol(config: Any) -> dict[str, Any]:
    """Return what figures were measured by, for results.json."""
    options = config.evaluation
    return {
        "regression": regression_protocols(config)[0],
        "detection": options.detection,
        "channel_selection": options.channel_selection,
        "threshold": options.threshold,
        "iou": options.iou,
        "alignment": "D",
    }


def score(
    config: Any, inputs: stages.Inputs, fit: Predictions, test: Predictions
) -> tuple[dict[str, Any], np.ndarray]:
    """Score predictions by the protocols of `config.evaluation`, A and B.

    Args:
      config: the whole config.
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
    for protocol in detection_protocols(config):
        measure = _score_distances if protocol == "l2" else _score_boxes
        measured, precision = measure(config, inputs, fit, test, protocol)
        figures |= measured
        first = first or precision
    figures["ap_per_part"] = dict(
        zip(inputs.dataset.landmark_names, first.per_part.tolist(), strict=True)
    )
    figures |= regress(config, inputs, fit, test)
    return figures, first.channels


def _score_distances(config, inputs, fit, test, protocol):
    """Score by `l2`: figures by each normaliser, and the precision by the first one known."""
    dataset, threshold = inputs.dataset, config.evaluation.threshold
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
            *ap, channel_selection=config.evaluation.channel_selection
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


def _score_boxes(config, inputs, fit, test, protocol):
    """Score boxes by `iou`, or by `vsp` with the authors' inclusive pixels (VehiclePart)."""
    dataset = inputs.dataset
    ap = []
    for one, split in ((fit, "fit"), (test, "test")):
        index = dataset.splits[split]
        ap.append(
            evaluation.box_average_precision(
                one.scores,
                part_boxes(config, inputs, index, one.points),
                part_boxes(config, inputs, index, dataset.instances[index]),
                iou=config.evaluation.iou,
                inclusive=protocol == "vsp",
            )
        )
    precision = evaluation.mean_average_precision(
        *ap, channel_selection=config.evaluation.channel_selection
    )
    return {f"map_{protocol}": precision.mean}, precision


def part_boxes(
    config: Any, inputs: stages.Inputs, indices: np.ndarray, points: np.ndarray
) -> np.ndarray:
    """Put boxes of `config.detection.box` pixels on points, clipped to the part used.

    They are square in the frame of `to_frame`, at the true aspect of the image: long images
    are squeezed for the network, but part boxes are not (protocol B).

    Args:
      config: the whole config.
      inputs: data set and geometry.
      indices: int [n], the images.
      points: [n, ..., 2], (y, x) original pixels.

    Returns:
      [n, ..., 4], (y0, x0, y1, x1) pixels of the frame.
    """
    centres, scale = to_frame(config, inputs, indices, points)
    crop = inputs.dataset.crops[indices]
    inner = (1,) * (points.ndim - 2)
    stop = ((crop[:, 2:] - crop[:, :2]) * scale[:, None] - 0.5).reshape(-1, *inner, 2)
    half = 0.5 * config.detection.box
    return np.concatenate([np.clip(centres + side, -0.5, stop) for side in (-half, half)], axis=-1)


def detection_rows(
    config: Any,
    inputs: stages.Inputs,
    indices: np.ndarray,
    found: Predictions,
    parts: dict[str, int],
) -> list[dict[str, Any]]:
    """List the detections of the parts for detections.jsonl.

    Args:
      config: the whole config.
      inputs: data set and geometry.
      indices: int [n], the images.
      found: their predictions.
      parts: name -> channel that answers for it.

    Returns:
      A row a detection whose score is at least `config.detection.min_score` of the channel's
      best on these images: image, part, channel, score, point (y, x) and box
      (y0, x0, y1, x1), original pixels; by part, then image, strongest first.
    """
    half = 0.5 * config.detection.box / frame_scale(config, inputs, indices)
    rows = []
    for name, channel in parts.items():
        scores = found.scores[:, channel]
        enough = scores >= config.detection.min_score * scores.max(initial=0.0)
        for n, d in np.argwhere(enough & np.isfinite(scores)):
            point = found.points[n, channel, d]
            rows.append(
                {
                    "image": inputs.dataset.keys[indices[n]],
                    "part": name,
                    "channel": int(channel),
                    "score": round(float(scores[n, d]), 4),
                    "point": [round(value, 2) for value in point.tolist()],
                    "box": [round(v, 2) for v in (*(point - half[n]), *(point + half[n]))],
                }
            )
    return rows
