"""The detector against the kernels that it is made of, image by image."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from kernels import jitted

from partdisc.backbones import backbone
from partdisc.data import images
from partdisc.detector import Detector, Predictions
from partdisc.method.detection import DetectSettings, detect
from partdisc.method.facing import Facing
from partdisc.method.part_layer import PartLayer, packed_probabilities

detect, packed_probabilities = jitted(detect, packed_probabilities)

PARTS, CHANNELS = 5, 8
SETTINGS = DetectSettings(
    half_stride=True, box=100.0, nms_iou=0.3, per_part=2, min_score=0.2, parts=3
)


@pytest.fixture
def detector(rng) -> Detector:
    params = {
        "centres": jnp.asarray(rng.normal(size=(PARTS, CHANNELS)), jnp.float32),
        "background": jnp.asarray(rng.normal(size=CHANNELS), jnp.float32),
    }
    offset = rng.normal(size=CHANNELS).astype(np.float32)
    layer = PartLayer(PARTS, 10.0, "mean")
    network = backbone("googlenet", "inception_4b")
    return Detector(network, None, images.Framing(96, 2.0), layer, params, offset, SETTINGS, 2)


@pytest.fixture
def maps(rng, detector):
    """Unit features of three images of different sizes, their grids and geometry."""
    sizes = np.array([[60, 90], [200, 100], [64, 64]])
    crops = np.array([[10, 0, 60, 80], [0, 0, 200, 100], [4, 4, 60, 52]])
    geometry = images.geometry(sizes, crops, 96, detector.backbone.stride, 2.0)
    grids = (2 * (geometry.working // detector.backbone.stride) - 1).astype(np.int32)
    features = np.zeros((3, grids.prod(axis=1).max(), CHANNELS), np.float16)
    for one, cells in zip(features, grids.prod(axis=1), strict=True):
        vectors = rng.normal(size=(cells, CHANNELS))
        one[:cells] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return features, grids, geometry


def test_cells_are_half_a_stride_apart_where_detection_is(detector):
    assert detector.stride == 8
    whole = dataclasses.replace(detector, settings=SETTINGS._replace(half_stride=False))
    assert whole.stride == 16


def test_detections_are_the_peaks_of_the_maps_in_original_pixels(detector, maps):
    features, grids, geometry = maps
    found = detector.detect(features, grids, geometry)
    probs = np.asarray(detector.probabilities(features, grids))
    for n in range(3):
        alone = packed_probabilities(
            detector.layer, detector.params, features[n], grids[n], detector.offset
        )
        np.testing.assert_allclose(probs[n], alone, atol=1e-6)
        peaks = detect(alone, grids[n], box_side=100 / 8, nms_iou=0.3, per_part=2)
        np.testing.assert_allclose(found.scores[n], peaks.scores, rtol=1e-5)
        # Cell -> pixel of the network's input -> pixel of the crop -> of the image.
        y0, x0, y1, x1 = geometry.crop[n]
        scale = geometry.working[n] / [y1 - y0, x1 - x0]
        pixels = (8 * np.asarray(peaks.points) + detector.backbone.origin + 0.5) / scale
        seen = np.isfinite(found.scores[n])
        wanted = (pixels + [y0, x0] - 0.5)[seen]
        np.testing.assert_allclose(found.points[n][seen], wanted, atol=1e-3)


def test_cell_matrix_takes_detections_back_to_their_cells(detector, maps):
    features, grids, geometry = maps
    found = detector.detect(features, grids, geometry)
    matrix = detector.cell_matrix(geometry)
    cells = np.einsum("nij,nkj->nki", matrix[:, :2, :2], found.mean) + matrix[:, None, :2, 2]
    assert np.all(cells >= -1e-6) and np.all(cells <= grids[:, None] - 1 + 1e-6)


def test_the_strongest_peaks_say_which_way_the_object_faces(detector, maps):
    features, grids, _ = maps
    weights = np.arange(PARTS, dtype=np.float32)
    assert float(detector.facing_in(np.ones((3, PARTS + 1)))) == 0.0
    facing = Facing(weights, np.float32(-1.0))
    turned = detector.with_choices({}, np.ones(PARTS), facing)
    probs = np.asarray(detector.probabilities(features, grids))
    for one, cells in zip(probs, grids.prod(axis=1), strict=True):
        wanted = np.tanh(np.sqrt(one[:cells, :-1].max(axis=0)) @ weights - 1.0)
        # Cells that do not exist change nothing.
        for some in (one, one[:cells]):
            assert float(turned.facing_in(some)) == pytest.approx(wanted, rel=1e-5)


def test_maps_that_fill_a_batch_up_are_left_out(detector, maps):
    features, grids, geometry = maps
    all_three = detector.detect(features, grids, geometry)
    first_two = detector.detect(features, grids, geometry.take(slice(0, 2)))
    for whole, part in zip(all_three, first_two, strict=True):
        np.testing.assert_array_equal(part, whole[:2])


def test_boxes_are_square_pixels_of_the_short_side(detector, maps):
    # Crops of 50 x 80, 200 x 100 and 56 x 48 pixels, whose short side becomes 96.
    sides = detector.box_sides(maps[2])
    np.testing.assert_allclose(sides, 100 * np.array([50, 100, 48]) / 96)


def test_other_params_leave_the_first_detector_as_it_was(detector):
    changed = detector.with_params({"centres": 0})
    assert changed.params == {"centres": 0} and changed.layer is detector.layer
    assert detector.params.keys() == {"centres", "background"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        detector.params = {}


def test_peak_is_the_strongest_or_nothing():
    points = np.arange(8.0).reshape(1, 2, 2, 2)
    scores = np.array([[[0.5, 0.1], [-np.inf, -np.inf]]])
    peak = Predictions(points, scores, points[:, :, 0]).peak
    np.testing.assert_array_equal(peak, [[[0, 1], [np.nan, np.nan]]])
