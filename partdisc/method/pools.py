"""Pools of similar images (section 3.2.1)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.method.warp import resize_weights

SIMILARITIES = ("spatial_js", "position_free")
# Images in a block of pairs: 2 x 16 descriptors of 100 kB each stay in a core's cache.
BLOCK = 16
# Products summed side by side, so that the compiler can vectorise the sum.
LANES = 64


class PoolSettings(NamedTuple):
    """How pools are chosen.

    Attributes:
      similarity: one of `SIMILARITIES`.
      size: J.
      candidates: of the most similar images so many are aligned, and the best aligned ones
        taken; 0 takes the most similar ones.
      grid: cells a side of the resized map, of `spatial_js`.
      refresh_epochs: epochs after which pools are chosen anew; 0 keeps those of the start.
    """

    similarity: str
    size: int
    candidates: int
    grid: int
    refresh_epochs: int


def spatial_descriptor(probs: jax.Array, grid: jax.Array, *, size: int) -> jax.Array:
    """Resize a map of probs [P, K + 1] to [size * size, K + 1]; rows stay distributions."""
    return resize_weights(grid, probs.shape[0], size) @ probs


def peak_descriptor(probs: jax.Array) -> jax.Array:
    """Describe an image by the spatial maximum of each part, wherever it is: unit [K]."""
    peak = jnp.max(probs[:, :-1], axis=0)
    return peak / jnp.maximum(jnp.linalg.norm(peak), 1e-12)


def _negative_entropy(distribution: jax.Array) -> jax.Array:
    """Sum m log m over the last axis, in `LANES` parallel sums."""
    terms = distribution * jnp.log(jnp.maximum(distribution, 1e-30))
    lanes = jnp.sum(terms.reshape(terms.shape[:-1] + (-1, LANES)), axis=-2)
    return jnp.sum(lanes, axis=-1)


@jax.jit
def _block_divergence(first: jax.Array, second: jax.Array) -> jax.Array:
    """Return sums of JS = H((p + q) / 2) - (H(p) + H(q)) / 2 over cells: [n, m].

    Args:
      first: [n, d].
      second: [m, d].
    """
    first_sum, second_sum = _negative_entropy(first), _negative_entropy(second)
    mixed = jax.lax.map(lambda p: _negative_entropy(0.5 * (p[None] + second)), first)
    return 0.5 * (first_sum[:, None] + second_sum[None]) - mixed


def block_count(images: int) -> int:
    """Return how many blocks of pairs `js_divergence` goes through for N images."""
    rows = -(-images // BLOCK)
    return rows * (rows + 1) // 2


def js_divergence(
    descriptors: np.ndarray, after_block: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Compute the Jensen-Shannon divergence of all pairs of images.

    Args:
      descriptors: [N, S, K + 1], a distribution over the channels in each of S cells.
      after_block: called after each of the `block_count` blocks.

    Returns:
      float32 [N, N], mean over cells, in nats: symmetric, 0 on the diagonal, at most log 2.
    """
    images, cells, channels = descriptors.shape
    flat = descriptors.reshape(images, cells * channels).astype(np.float32)
    flat = np.pad(flat, ((0, -images % BLOCK), (0, -cells * channels % LANES)))
    blocks = flat.reshape(len(flat) // BLOCK, BLOCK, flat.shape[1])
    result = np.zeros((len(flat), len(flat)), np.float32)
    for i, first in enumerate(blocks):
        rows = slice(i * BLOCK, (i + 1) * BLOCK)
        for j in range(i, len(blocks)):
            columns = slice(j * BLOCK, (j + 1) * BLOCK)
            part = np.asarray(_block_divergence(first, blocks[j])) / cells
            result[rows, columns] = part
            result[columns, rows] = part.T
            after_block()
    result = np.clip(result[:images, :images], 0.0, np.float32(np.log(2.0)))
    np.fill_diagonal(result, 0.0)
    return result


def nearest(distance: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Take the pool of every image: its `size` nearest others.

    Args:
      distance: [N, N], smaller is more similar (the paper's ArgTopK means the nearest).
      size: J, less than N.

    Returns:
      int32 [N, J] image indices, nearest first (ties: lower index), and their distances
      float32 [N, J].
    """
    others = distance.astype(np.float32, copy=True)
    np.fill_diagonal(others, np.inf)
    order = np.argsort(others, axis=1, kind="stable")[:, :size]
    return order.astype(np.int32), np.take_along_axis(others, order, axis=1)


def best_aligned(support: np.ndarray, size: int) -> np.ndarray:
    """Take of each image's candidates those that align best.

    Args:
      support: [N, candidates], of their alignment; NaN counts as worst.
      size: J, at most as many as the candidates.

    Returns:
      int [N, J] columns of `support`, best first; of ties the earlier, more similar one.
    """
    worst_last = np.where(np.isnan(support), np.inf, -support)
    return np.argsort(worst_last, axis=1, kind="stable")[:, :size]
