"""What a vision transformer is made of: kernels on tokens (Dosovitskiy et al., 2021).

Tokens are `[B, T, C]`, float32, matrices `[in, out]`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from partdisc.backbones.layers import PRECISION

# Of `layer_norm`, as DINOv2 was trained.
_EPSILON = 1e-6
# Cubic convolution (Keys, 1981): PyTorch's coefficient without and with antialiasing.
_PLAIN, _SMOOTH = -0.75, -0.5


def linear(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """Map tokens [B, T, C] by a matrix [C, D] and a bias [D] to [B, T, D]."""
    return jnp.matmul(x, kernel, precision=PRECISION) + bias[None, None, :]


def layer_norm(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """Give each token mean 0 and variance 1, then scale and shift its channels (Ba et al., 2016).

    Args:
      x: tokens [B, T, C].
      scale: [C].
      bias: [C].

    Returns:
      [B, T, C]; `bias` where all channels of a token are equal.
    """
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(centred * centred, axis=-1, keepdims=True)
    normed = centred * lax.rsqrt(variance + _EPSILON)
    return normed * scale[None, None, :] + bias[None, None, :]


def attention(queries: jax.Array, keys: jax.Array, values: jax.Array, *, heads: int) -> jax.Array:
    """Average the values, each token by how well its query fits the keys (Vaswani et al., 2017).

    Args:
      queries: [B, T, C].
      keys: [B, T, C].
      values: [B, T, C].
      heads: of which each has its own C / heads channels.

    Returns:
      softmax(q k^T / sqrt(C / heads)) v of each head, side by side [B, T, C].
    """
    shape = (*queries.shape[:2], heads, queries.shape[2] // heads)
    q, k, v = (x.reshape(shape) for x in (queries, keys, values))
    fit = jnp.einsum("bthc,bshc->bhts", q, k, precision=PRECISION)
    weights = jax.nn.softmax(fit * np.float32(q.shape[-1] ** -0.5), axis=-1)
    return jnp.einsum("bhts,bshc->bthc", weights, v, precision=PRECISION).reshape(queries.shape)


def resampling(old: int, new: int, *, antialias: bool) -> jax.Array:
    """Give the matrix that resamples `old` values of an axis to `new`, by cubic convolution.

    As PyTorch's bicubic `interpolate` does, which the position embeddings of DINOv2 were meant
    for: samples stand for equal parts of the axis, and beyond its ends the last one goes on
    (with `antialias` nothing does: the weights within are scaled up).

    Args:
      old: number of samples.
      new: number wanted; it may be symbolic, in a program that is exported.
      antialias: whether a shrunk axis is smoothed first.

    Returns:
      float32 [new, old]; each row adds up to 1.
    """
    ratio = jnp.float32(old) / jnp.asarray(new, jnp.float32)
    centre = ((jnp.arange(new, dtype=jnp.float32) + 0.5) * ratio - 0.5)[:, None]
    sample = jnp.arange(old, dtype=jnp.float32)[None]
    if antialias:
        weights = _cubic(jnp.abs(sample - centre) / jnp.maximum(ratio, 1.0), _SMOOTH)
        return weights / jnp.sum(weights, axis=1, keepdims=True)
    matrix = jnp.zeros((new, old), jnp.float32)
    for step in range(-1, 3):
        near = jnp.floor(centre) + step
        inside = jnp.clip(near, 0, old - 1)
        matrix += jnp.where(sample == inside, _cubic(jnp.abs(near - centre), _PLAIN), 0.0)
    return matrix


def _cubic(distance: jax.Array, a: float) -> jax.Array:
    """Return the weight of a sample at a distance, in samples."""
    inner = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    outer = a * (((distance - 5) * distance + 8) * distance - 4)
    return jnp.where(distance <= 1, inner, jnp.where(distance < 2, outer, 0.0))
