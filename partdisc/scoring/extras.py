"""What an evaluation can measure beyond the main table, by name: `config.evaluation.extras`."""

from typing import Any

import jax
import numpy as np

from partdisc import evaluation
from partdisc.config import extras_wanted
from partdisc.data import images
from partdisc.discovery import stages
from partdisc.discovery.features import Features
from partdisc.method.part_layer import Layer, packed_probabilities
from partdisc.scoring.equivariance import equivariance_error
from partdisc.scoring.landmarks import Predictions, fit_and_test, points_in_frame

# Images that `equivariance` warps, at most.
WARPED = 50
# Errors at which `cumulative` says how many images have no larger one, %.
THRESHOLDS = (2, 5, 10, 15, 20, 30, 50)


def measure(
    config: Any,
    inputs: stages.Inputs,
    features: Features,
    layer: Layer,
    params: Any,
    offset: np.ndarray,
    fit: Predictions,
    test: Predictions,
) -> dict[str, Any]:
    """Measure what `config.evaluation.extras` names.

    `keypoints`: NMI and ARI of the arg-max part with the keypoint's id at the visible
    keypoints of the test images (protocol C), with the background, and without it inside
    the box of the object (FG).
    `equivariance`: distance of the maps of warped test images from the warped maps, and
    mean detections of a part in an image (E). `fit_sizes`: the error against the number of
    fit images. `cumulative`: share of test images with no larger an error. `backward`: the
    error of points regressed from landmarks. The last three by protocol `default`, from
    the parts' centres.

    Args:
      config: the whole config.
      inputs: data set, backbone, weights and geometry.
      features: the cache.
      layer: the part layer.
      params: its params.
      offset: [C], subtracted from every feature.
      fit: predictions on the fit split.
      test: predictions on the test split.

    Returns:
      The figures by name, %.
    """
    found: dict[str, Any] = {}
    for name in extras_wanted(config):
        if name == "keypoints":
            found[name] = _keypoints(inputs, features, layer, params, offset)
        elif name == "equivariance":
            shown = inputs.dataset.splits["test"][:WARPED]
            error = equivariance_error(config, inputs, layer, params, offset, shown)
            counts = np.isfinite(test.scores).sum(axis=2)
            found[name] = {"map_distance": error, "peaks_per_part": float(counts.mean())}
        else:
            found[name] = _regression(config, inputs, fit, test, name)
    return found


def _keypoints(inputs, features, layer, params, offset) -> dict[str, float]:
    index = inputs.dataset.splits["test"]
    network = inputs.backbone
    stride = network.stride / features.step
    matrix = images.cell_matrix(inputs.geometry.take(index), stride, network.origin)
    rows, inside = [], []
    for n, points in enumerate(inputs.dataset.instances[index]):
        (taken,), (grid,) = features.take_fine(index[n : n + 1])
        probs = np.asarray(_probabilities(layer, params, taken, grid, offset))
        cells = points @ matrix[n, :2, :2].T + matrix[n, :2, 2]
        crop = inputs.geometry.crop[index[n]]
        seen = ((points >= crop[:2] - 0.5) & (points <= crop[2:] - 0.5)).all(axis=-1)
        nearest = np.clip(np.nan_to_num(np.rint(cells)), 0, grid - 1).astype(int)
        there = probs[nearest[..., 0] * grid[1] + nearest[..., 1]]
        rows.append(np.where(seen[..., None], there, np.nan))
        box = inputs.dataset.boxes[index[n]]
        inside.append(np.isnan(box).any() | ((points >= box[:2]) & (points <= box[2:])).all(-1))
    # Instances of a part are further keypoints of the same id.
    probs = np.swapaxes(np.stack(rows), 1, 2).reshape(-1, len(points), rows[0].shape[-1])
    visible = np.isfinite(probs).all(axis=-1)
    boxed = visible & np.swapaxes(np.stack(inside), 1, 2).reshape(visible.shape)
    figures = {}
    for name, foreground, counted in (("full", False, visible), ("fg", True, boxed)):
        agreement = evaluation.keypoint_agreement(probs, counted, foreground=foreground)
        figures |= {f"nmi_{name}": agreement.nmi, f"ari_{name}": agreement.ari}
    return figures | {"keypoints": agreement.items}


_probabilities = jax.jit(packed_probabilities, static_argnums=0)


def _regression(config, inputs, fit, test, name) -> Any:
    fit_split, test_split = fit_and_test(config, inputs)
    points = points_in_frame(config, inputs, fit, test, "mean")
    if name == "backward":
        # A channel's points are the landmarks now; landmarks that are not seen are filled.
        return evaluation.regression_error(
            fit_split.landmarks,
            points[0],
            test_split.landmarks,
            points[1],
            normaliser=test_split.length,
        ).error
    data = (points[0], fit_split.landmarks, points[1], test_split.landmarks)
    if name == "fit_sizes":
        rows = evaluation.error_by_fit_size(*data, seed=config.seed, normaliser=test_split.length)
        return [row._asdict() for row in rows]
    score = evaluation.regression_error(*data, normaliser=test_split.length)
    shares = evaluation.cumulative_errors(score.per_image, np.array(THRESHOLDS, float))
    return {str(limit): share for limit, share in zip(THRESHOLDS, shares.tolist(), strict=True)}
