"""Points, frames, lengths and rows on their way from cells to the tables."""

import types

import numpy as np
import pytest

from partdisc import evaluation
from partdisc.backbones import backbone
from partdisc.config import base_config
from partdisc.data import images
from partdisc.detector import Predictions
from partdisc.discovery.inputs import Inputs
from partdisc.method.cells import cells_to_pixels
from partdisc.scoring import landmarks, parts
from partdisc.scoring.settings import scoring_settings


def inputs_of(rng, count=12, landmarks=3, eyes=None):
    """Make inputs of images of many sizes, every other one cropped to its box."""
    sizes = rng.integers(50, 400, (count, 2)).astype(np.int32)
    corner = (sizes * rng.uniform(0, 0.4, (count, 2))).astype(np.int32)
    far = (sizes * rng.uniform(0.6, 1, (count, 2))).astype(np.int32)
    boxes = np.concatenate([corner, far], axis=1)
    crops = np.where(np.arange(count)[:, None] % 2, boxes, np.pad(sizes, ((0, 0), (2, 0))))
    dataset = types.SimpleNamespace(
        keys=[f"{i}.jpg" for i in range(count)],
        sizes=sizes,
        boxes=boxes.astype(np.float32),
        crops=crops.astype(np.int32),
        eyes=eyes,
        points=rng.uniform(0, 1, (count, landmarks, 2)).astype(np.float32) * sizes[:, None],
        landmark_names=tuple("abc"[:landmarks]),
    )
    dataset.instances = dataset.points[:, :, None]
    network = backbone("googlenet", "inception_4b")
    framing = images.Framing(224, 1.5)
    geometry = images.geometry(
        sizes, dataset.crops, framing.short_side, network.stride, framing.max_aspect
    )
    return Inputs(dataset, network, None, framing, geometry, "")


def test_cell_matrix_is_the_way_through_the_working_image(rng):
    inputs = inputs_of(rng)
    network, geometry = inputs.backbone, inputs.geometry
    points = inputs.dataset.points.astype(float)
    matrix = images.cell_matrix(geometry, network.stride, network.origin)
    cells = points @ np.swapaxes(matrix[:, :2, :2], 1, 2) + matrix[:, None, :2, 2]
    working = cells_to_pixels(cells, network.stride, network.origin)
    np.testing.assert_allclose(working, images.to_working(points, geometry), atol=1e-9)
    np.testing.assert_allclose(images.to_original(working, geometry), points, atol=1e-9)


def test_the_frame_keeps_ratios_and_has_one_short_side(rng):
    inputs = inputs_of(rng)
    index = np.array([3, 0, 7, 8])
    crops = inputs.dataset.crops[index].astype(float)
    corners = np.stack([crops[:, :2], crops[:, 2:]], axis=1) - 0.5
    frame, scale = landmarks.to_frame(inputs, index, corners)
    np.testing.assert_allclose(frame[:, 0], -0.5, atol=1e-9)
    sides = frame[:, 1] - frame[:, 0]
    np.testing.assert_allclose(sides.min(axis=1), inputs.framing.short_side)
    np.testing.assert_allclose(sides, (crops[:, 2:] - crops[:, :2]) * scale[:, None])
    repeated = corners[:, :, None].repeat(2, axis=2)
    deep, _ = landmarks.to_frame(inputs, index, repeated)
    np.testing.assert_allclose(deep[:, :, 1], frame)


def test_normalisers(rng):
    inputs = inputs_of(rng, eyes=(0, 2))
    index = np.array([5, 1, 4])
    lengths = landmarks.normalisers(inputs, index)
    for n, i in enumerate(index):
        y0, x0, y1, x1 = inputs.dataset.boxes[i]
        assert lengths["box"][n] == pytest.approx(max(y1 - y0, x1 - x0))
        y0, x0, y1, x1 = inputs.dataset.crops[i]
        assert lengths["short_side"][n] == min(y1 - y0, x1 - x0)
        left, right = inputs.dataset.points[i, [0, 2]]
        assert lengths["regression"][n] == pytest.approx(np.linalg.norm(left - right), rel=1e-5)
    inputs.dataset.eyes = None
    boxed = landmarks.normalisers(inputs, index)
    np.testing.assert_array_equal(boxed["regression"], boxed["box"])


def test_a_point_that_never_moves_tells_the_mean_shape(rng):
    """Whatever the sizes of the images, which it must not give away."""
    config, inputs = base_config(), inputs_of(rng, count=40)
    inputs.dataset.splits = {"fit": np.arange(25), "test": np.arange(25, 40)}
    found = landmarks.baselines(scoring_settings(config), inputs)
    fit, test = (
        landmarks.to_frame(inputs, index, inputs.dataset.points[index])
        for index in inputs.dataset.splits.values()
    )
    length = landmarks.normalisers(inputs, np.arange(25, 40))["regression"] * test[1]
    expected = evaluation.mean_shape_error(fit[0], test[0], normaliser=length).error
    assert found["mean_shape"]["nme"] == pytest.approx(expected)
    assert found["mean_shape"]["regression"]["default"] == found["mean_shape"]["nme"]
    # The centre of the image has no figure in the units of another first protocol.
    config.evaluation.protocols = "cub_image,default"
    again = landmarks.baselines(scoring_settings(config), inputs)
    assert "image_centre" in found and "image_centre" not in again
    assert again["mean_shape"]["nme"] == again["mean_shape"]["regression"]["cub_image"]


def test_part_boxes_are_square_at_the_true_aspect_and_clipped(rng):
    """An image of 300 x 900 pixels, squeezed to 1.5 : 1 for the network, and 100 pixel boxes."""
    inputs = inputs_of(rng)
    index = np.array([4, 0, 1])
    inputs.dataset.crops[4] = 20, 10, 320, 910
    scale = 224 / 300
    points = np.array([[170, 460], [19.5, 9.5], [np.nan, np.nan]])[None].repeat(3, axis=0)
    boxes = parts.part_boxes(100.0, inputs, index, points)
    middle = np.array([112, 336]) - 0.5
    np.testing.assert_allclose(
        boxes[0, 0], [*(middle + 0.5 * scale - 50), *(middle + 0.5 * scale + 50)]
    )
    np.testing.assert_allclose(boxes[0, 1], [-0.5, -0.5, 49.5, 49.5])  # A quarter at the corner.
    assert np.isnan(boxes[:, 2]).all()
    sizes = inputs.dataset.crops[index, 2:] - inputs.dataset.crops[index, :2]
    frame = sizes * (224 / sizes.min(axis=1, keepdims=True))
    assert (boxes[:, :2, 2:] <= frame[:, None] - 0.5 + 1e-9).all()


def test_detections_on_all_instances_score_100(rng):
    config, inputs = base_config(), inputs_of(rng, count=12, landmarks=2)
    config.evaluation.detection = "iou,vsp,l2"
    dataset = inputs.dataset
    crops = inputs.geometry.crop[:, None, None].astype(float)
    place = rng.uniform(0, 1, (12, 2, 2, 2))
    dataset.instances = crops[..., :2] + place * (crops[..., 2:] - crops[..., :2] - 1)
    dataset.instances[::3, 0, 1] = np.nan
    dataset.points = np.where(np.arange(12)[:, None, None] % 3, np.nan, dataset.instances[:, :, 0])
    dataset.splits = {"fit": np.arange(6), "test": np.arange(6, 12)}
    scores = np.where(np.isfinite(dataset.instances[..., 0]), 0.5, -np.inf)
    order = [1, 0]  # Channel 1 answers for part 0.
    found = Predictions(
        np.nan_to_num(dataset.instances)[:, order],
        scores[:, order],
        np.nan_to_num(dataset.instances)[:, order, 0],
    )
    fit, test = (Predictions(*(part[dataset.splits[name]] for part in found))
                 for name in ("fit", "test"))  # fmt: skip
    config.evaluation.protocols = "default"
    figures, channels = parts.score(scoring_settings(config), inputs, fit, test)
    assert channels.tolist() == order
    for key in ("map_iou", "map_vsp", "map_l2_box", "map_l2_short_side"):
        assert figures[key] == pytest.approx(100)
    assert list(figures["ap_per_part"]) == list(dataset.landmark_names)
