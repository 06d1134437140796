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


def unit_features(
    backbone: Backbone, weights: Weights, pixels: np.ndarray, *, half_stride: bool
) -> jax.Array:
    """Compute the unit features of images of one size.

    Args:
      backbone: the network.
      weights: its weights, with the preprocessing that belongs to them.
      pixels: uint8 [B, h, w, 3], RGB, h and w multiples of the stride.
      half_stride: whether to compute the cells halfway between as well.

    Returns:
      float16 [B, rows * columns, C], as features are kept; a cell without any feature is zero.
    """
    return _unit_features(
        weights.params,
        pixels,
        backbone=backbone,
        preprocessing=weights.preprocessing,
        half_stride=half_stride,
    )


@functools.partial(jax.jit, static_argnames=("backbone", "preprocessing", "half_stride"))
def _unit_features(
    params: Any,
    batch: jax.Array,
    *,
    backbone: Backbone,
    preprocessing: Preprocessing,
    half_stride: bool,
) -> jax.Array:
    rounds = devices.rounds(len(batch))

    def encode(number):
        images = preprocess(devices.of_round(batch, number, rounds), preprocessing)
        maps = backbone.apply(params, images, half_stride=half_stride)
        return normalise(maps.reshape(maps.shape[0], -1, maps.shape[-1])).astype(jnp.float16)

    return devices.of_all_rounds(jax.lax.map(encode, jnp.arange(rounds)))
