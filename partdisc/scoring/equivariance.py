"""Equivariance of a part layer, without labels: protocol E.

The part maps of a warped image should be the warped part maps of the image.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from partdisc.backbones import unit_features
from partdisc.detector import Detector
from partdisc.discovery.inputs import Inputs
from partdisc.method.cells import centred
from partdisc.method.part_layer import Layer, part_probabilities
from partdisc.method.warp import sample, warp_between

# The warps: at most so many degrees, such a change of scale, such a share of a side.
ROTATION, SCALE, SHIFT = 15.0, 1.15, 0.08
# Cells that the warped image covers by less than this are left out.
COVERED = 0.99


def random_warp(rng: np.random.Generator, size: np.ndarray) -> np.ndarray:
    """Draw a similarity about the centre of an image.

    Args:
      rng: source of the draw.
      size: height and width, pixels [2].

    Returns:
      float64 [3, 3], from pixels (y, x, 1) of the image to those of the warped one.
    """
    angle = np.radians(rng.uniform(-ROTATION, ROTATION))
    scale = np.exp(rng.uniform(-1, 1) * np.log(SCALE))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = (np.asarray(size) - 1) / 2
    shift = rng.uniform(-SHIFT, SHIFT, 2) * size
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = turn, centre + shift - turn @ centre
    return matrix


def warp_image(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Warp an image, its rim continued outside.

    Args:
      pixels: uint8 [h, w, 3].
      matrix: [3, 3], as of `random_warp`.

    Returns:
      uint8 [h, w, 3], bilinear.
    """
    height, width = pixels.shape[:2]
    margin = int(np.ceil(np.hypot(height, width)))
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), "edge")
    inverse = np.linalg.inv(matrix)
    # Pillow wants (x, y) of the source for the corners of the target's pixels.
    (a, b, c), (d, e, f) = inverse[:2]
    x_row = (e, d, f + margin + 0.5 - 0.5 * (d + e))
    y_row = (b, a, c + margin + 0.5 - 0.5 * (a + b))
    warped = Image.fromarray(padded).transform(
        (width, height), Image.Transform.AFFINE, (*x_row, *y_row), Image.Resampling.BILINEAR
    )
    return np.asarray(warped)


def to_cells(matrix: np.ndarray, stride: int, origin: float) -> np.ndarray:
    """Return a warp [3, 3] of pixels as one of cells, whose centres are stride * i + origin."""
    cells = np.eye(3)
    cells[:2, :2] = matrix[:2, :2]
    cells[:2, 2] = (matrix[:2, :2] @ np.full(2, origin) + matrix[:2, 2] - origin) / stride
    return cells


@functools.partial(jax.jit, static_argnames="layer")
def map_distance(
    layer: Layer,
    params: Any,
    original: jax.Array,
    warped: jax.Array,
    grid: jax.Array,
    transform: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Compare the maps of a warped image with the warped maps of the image.

    Args:
      layer: the part layer.
      params: its params.
      original: [P, C] unit features of the image.
      warped: [P, C] of the warped image.
      grid: int [2], rows and columns of both.
      transform: [3, 3], cells of the image to cells of the warped one.

    Returns:
      Mean total variation distance [] of p(part | cell) over the cells covered, and their
      number [].
    """
    valid = jnp.ones(original.shape[0], bool)
    maps, found = (
        part_probabilities(layer, params, features, valid) for features in (original, warped)
    )
    warp = warp_between(transform, grid, grid, original.shape[0])
    coverage = jnp.sum(warp.weights, axis=1)
    expected = sample(maps, warp) / jnp.maximum(coverage, 1e-6)[:, None]
    covered = coverage >= COVERED
    distance = 0.5 * jnp.sum(jnp.abs(expected - found), axis=1)
    cells = jnp.sum(covered, dtype=distance.dtype)
    return jnp.sum(jnp.where(covered, distance, 0.0)) / jnp.maximum(cells, 1.0), cells


def equivariance_error(
    detector: Detector, inputs: Inputs, indices: np.ndarray, *, seed: int
) -> float:
    """Measure how far the maps of warped images are from the warped maps.

    Args:
      detector: with the part layer to measure.
      inputs: data set and geometry.
      indices: int [n], the images.
      seed: of the warps.

    Returns:
      Mean total variation distance, %, over the cells of all images; NaN without any.
    """
    network = detector.backbone
    total = cells = 0.0
    for index in indices.tolist():
        pixels = inputs.dataset.working_image(index, inputs.geometry.take(index))
        matrix = random_warp(np.random.default_rng([seed, index]), pixels.shape[:2])
        pair = np.stack([pixels, warp_image(pixels, matrix)])
        features = unit_features(network, detector.weights, pair, half_stride=False)
        original, warped = centred(features, jnp.asarray(detector.offset))
        grid = np.array(pixels.shape[:2], np.int32) // network.stride
        transform = to_cells(matrix, network.stride, network.origin).astype(np.float32)
        distance, count = map_distance(
            detector.layer, detector.params, original, warped, grid, transform
        )
        total += float(distance) * float(count)
        cells += float(count)
    return 100 * total / cells if cells else float("nan")
