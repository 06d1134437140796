"""How alike two images are, by the maps of their parts (section 3.2.1)."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.method.cells import normalise
from partdisc.method.warp import resize_weights

# Length of a vector of `sketch`.
SKETCH = 4096
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
    """Sum m log m over the last two axes, in `LANES` parallel sums."""
    terms = distribution * jnp.log(jnp.maximum(distribution, 1e-30))
    return jnp.sum(jnp.sum(terms, axis=-2), axis=-1)


def _lanes(descriptors: jax.Array) -> jax.Array:
    """Return descriptors [n, S, K + 1] as [n, d, LANES], filled up with 0."""
    images, length = len(descriptors), math.prod(descriptors.shape[1:])
    flat = descriptors.reshape(images, length).astype(jnp.float32)
    padded = jnp.pad(flat, ((0, 0), (0, -length % LANES)))
    return padded.reshape(images, -(-length // LANES), LANES)


@jax.jit
def divergences(one: jax.Array, others: jax.Array) -> jax.Array:
    """Compute the Jensen-Shannon divergence of an image and some others.

    Args:
      one: [S, K + 1], its descriptor: a distribution over the channels in each of S cells.
      others: [m, S, K + 1], theirs.

    Returns:
      [m], mean over cells, in nats: at most log 2.
    """
    one, several = _lanes(one[None]), _lanes(others)
    # JS = H((p + q) / 2) - (H(p) + H(q)) / 2.
    mixed = _negative_entropy(0.5 * (one + several))
    found = 0.5 * (_negative_entropy(one) + _negative_entropy(several)) - mixed
    return jnp.clip(found / others.shape[1], 0.0, math.log(2.0))


@functools.partial(jax.jit, static_argnames="size")
def nearest(vectors: jax.Array, rows: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """Find the vectors that lie nearest to some of them, but for themselves.

    Args:
      vectors: [N, d], unit vectors.
      rows: int [n], which of them.
      size: less than N.

    Returns:
      int32 [n, size], the rows of the nearest, the nearest first (ties: the lower row), and
      their cosines [n, size].
    """
    with jax.default_matmul_precision("highest"):
        cosine = vectors[rows] @ vectors.T
    itself = jnp.arange(len(vectors))[None] == rows[:, None]
    cosines, members = jax.lax.top_k(jnp.where(itself, -jnp.inf, cosine), size)
    return members, cosines


def sketch(descriptors: jax.Array) -> jax.Array:
    """Return unit vectors [N, d] whose cosines tell which divergences are small.

    The roots of two distributions have the cosine 1 - H^2, of which H, the distance of
    Hellinger, rises as their divergence does. `SKETCH` random sums of the roots with random
    signs have about the same cosines.

    Args:
      descriptors: [N, S, K + 1], as `divergences` compares.
    """
    images, length = len(descriptors), math.prod(descriptors.shape[1:])
    roots = jnp.sqrt(descriptors.reshape(images, length).astype(jnp.float32))
    rng = np.random.default_rng(0)  # of the method, not of the run: it is no choice of images
    width = -(-length // SKETCH)
    order = rng.permutation(SKETCH * width)
    signs = rng.choice(np.array([-1.0, 1.0], np.float32), SKETCH * width)
    padded = jnp.pad(roots, ((0, 0), (0, SKETCH * width - length)))
    signed = padded[:, order] * signs[None]
    sums = jnp.sum(signed.reshape(images, SKETCH, width), axis=-1)
    return normalise(sums)
