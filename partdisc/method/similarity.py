"""How alike two images are, by the maps of their parts (section 3.2.1)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.method.warp import resize_weights

# Images in a block of pairs: 2 x 16 descriptors of 100 kB each stay in a core's cache.
BLOCK = 16
# Products summed side by side, so that the compiler can vectorise the sum.
LANES = 64


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
