"""From images to unit features, by a frozen network (section 3.1)."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from partdisc import devices
from partdisc.backbones.network import Backbone
from partdisc.backbones.preprocessing import Preprocessing, preprocess
from partdisc.backbones.weights import Weights
from partdisc.method.cells import normalise


def encode(
    params: Any,
    pixels: jax.Array,
    *,
    backbone: Backbone,
    preprocessing: Preprocessing,
    half_stride: bool,
) -> jax.Array:
    """Compute the unit features of images of one size, all at once.

    Args:
      params: the parameters of the network.
      pixels: uint8 [B, h, w, 3], RGB, h and w multiples of the stride. In a program that is
        traced for images of any number and size, B, h and w may be symbolic.
      backbone: the network.
      preprocessing: what belongs to the parameters.
      half_stride: whether to compute the cells halfway between as well.

    Returns:
      float16 [B, rows * columns, C], as features are kept; a cell without any feature is zero.
    """
    maps = backbone.apply(params, preprocess(pixels, preprocessing), half_stride=half_stride)
    images, rows, columns, channels = maps.shape
    return normalise(maps.reshape(images, rows * columns, channels)).astype(jnp.float16)


def unit_features(
    backbone: Backbone, weights: Weights, pixels: np.ndarray, *, half_stride: bool
) -> jax.Array:
    """Compute the unit features of images of one size as this machine does it best.

    Args:
      backbone: the network.
      weights: its weights, with the preprocessing that belongs to them.
      pixels: uint8 [B, h, w, 3], RGB, h and w multiples of the stride.
      half_stride: whether to compute the cells halfway between as well.

    Returns:
      float16 [B, rows * columns, C], what `encode` returns.
    """
    return _unit_features(
        weights.params,
        pixels,
        rounds=devices.rounds(devices.held(pixels)),
        backbone=backbone,
        preprocessing=weights.preprocessing,
        half_stride=half_stride,
    )


@functools.partial(jax.jit, static_argnames=("rounds", "backbone", "preprocessing", "half_stride"))
def _unit_features(params: Any, batch: jax.Array, *, rounds: int, **given: Any) -> jax.Array:
    def of_round(number):
        return encode(params, devices.of_round(batch, number, rounds), **given)

    return devices.of_all_rounds(jax.lax.map(of_round, jnp.arange(rounds)))
