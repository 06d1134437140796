"""Which way the object faces: what mirroring an image changes most in its channels.

Parts are joined across the mirror, so none of them tells the left eye from the right one. The
channels do.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Facing(NamedTuple):
    """How an image's channels say which way the object faces.

    Attributes:
      weights: [K], of the root of each channel's largest p(channel | cell).
      bias: [], added to it.
    """

    weights: jax.Array
    bias: jax.Array


def fit_facing(peaks: jax.Array, mirrored: jax.Array) -> Facing:
    """Find the direction in which images differ most from their mirror images.

    Which of the two ways is positive has no meaning; the largest weight is.

    Args:
      peaks: [n, K], each channel's largest p(channel | cell) in n images.
      mirrored: [n, K], the same in the mirrored images.

    Returns:
      What `facing_of` needs; zero where mirroring changes nothing.
    """
    own, other = jnp.sqrt(peaks), jnp.sqrt(mirrored)
    change = own - other
    _, vectors = jnp.linalg.eigh(change.T @ change)
    weights = vectors[:, -1]
    weights = weights * jnp.sign(weights[jnp.argmax(jnp.abs(weights))])
    values = jnp.concatenate([own, other]) @ weights
    # Without a change every direction is as good as another: none is taken.
    spread = jnp.where(jnp.any(jnp.abs(change) > 1e-6), jnp.std(values), 0.0)
    scale = jnp.where(spread > 1e-6, 1.0 / jnp.where(spread > 1e-6, spread, 1.0), 0.0)
    return Facing(weights * scale, -jnp.mean(values) * scale)


def facing_of(facing: Facing, probs: jax.Array) -> jax.Array:
    """Say which way the object of an image faces.

    Args:
      facing: from `fit_facing`.
      probs: [P, K + 1], p(channel | cell), the background last.

    Returns:
      [], from -1 to 1: the two ways; about 0 where it faces neither.
    """
    return jnp.tanh(jnp.sqrt(jnp.max(probs[:, :-1], axis=0)) @ facing.weights + facing.bias)
