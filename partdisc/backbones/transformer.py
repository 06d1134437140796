"""What a vision transformer is made of: kernels on tokens (Dosovitskiy et al., 2021).

Tokens are `[B, T, C]`, float32, matrices `[in, out]`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Accelerators would otherwise round to TF32 or bfloat16; a CPU is exact either way.
PRECISION = lax.Precision.HIGHEST
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
    shape = (*queries.shape[:2], heads, -1)
    q, k, v = (x.reshape(shape) for x in (queries, keys, values))
    fit = jnp.einsum("bthc,bshc->bhts", q, k, precision=PRECISION)
    weights = jax.nn.softmax(fit * np.float32(q.shape[-1] ** -0.5), axis=-1)
    return jnp.einsum("bhts,bshc->bthc", weights, v, precision=PRECISION).reshape(queries.shape)


def resampling(old: int, new: int, *, antialias: bool) -> np.ndarray:
    """Give the matrix that resamples `old` values of an axis to `new`, by cubic convolution.

    As PyTorch's bicubic `interpolate` does, which the position embeddings of DINOv2 were meant
    for: samples stand for equal parts of the axis, and beyond its ends the last one goes on
    (with `antialias` nothing does: the weights within are scaled up).

    Args:
      old: number of samples.
      new: number wanted.
      antialias: whether a shrunk axis is smoothed first.

    Returns:
      float32 [new, old]; each row adds up to 1.
    """
    ratio = old / new
    wide = max(ratio, 1.0) if antialias else 1.0
    centres = (np.arange(new) + 0.5) * ratio - 0.5
    near = np.floor(centres).astype(int)[:, None] + np.arange(
        -int(np.ceil(2 * wide)), int(np.ceil(2 * wide)) + 2
    )
    weights = _cubic(np.abs(near - centres[:, None]) / wide, _SMOOTH if antialias else _PLAIN)
    if antialias:
        weights = np.where((near >= 0) & (near < old), weights, 0.0)
        weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((new, old))
    rows = np.broadcast_to(np.arange(new)[:, None], near.shape)
    np.add.at(matrix, (rows, np.clip(near, 0, old - 1)), weights)
    return matrix.astype(np.float32)


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Return the weight of a sample at a distance, in samples."""
    inner = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    outer = a * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, inner, np.where(distance < 2, outer, 0.0))
