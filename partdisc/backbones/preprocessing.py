"""What is done to an image before the first layer: it belongs to the weights, not the network."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Preprocessing(NamedTuple):
    """How the images were prepared that a network was trained on.

    Attributes:
      order: of the channels that the network expects, "RGB" or "BGR".
      scale: factor for the pixels, before the mean is subtracted.
      mean: of each channel, in that order, after scaling.
      std: what each channel is divided by, in that order.
    """

    order: str
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


KERAS = Preprocessing("BGR", 1.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
BVLC = Preprocessing("BGR", 1.0, (104.0, 117.0, 123.0), (1.0, 1.0, 1.0))
IMAGENET = Preprocessing("RGB", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def preprocess(images: jax.Array, preprocessing: Preprocessing) -> jax.Array:
    """Turn images into a network's input.

    Args:
      images: RGB [B, H, W, 3] uint8.
      preprocessing: of the weights; a Python constant when jitted.

    Returns:
      (channels in the order asked for * scale - mean) / std, [B, H, W, 3] float32.
    """
    if preprocessing.order == "BGR":
        images = images[..., ::-1]
    mean = jnp.asarray(preprocessing.mean, jnp.float32)[None, None, None, :]
    std = jnp.asarray(preprocessing.std, jnp.float32)[None, None, None, :]
    return (images.astype(jnp.float32) * preprocessing.scale - mean) / std
