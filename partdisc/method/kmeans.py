"""Clusters of feature vectors: Euclidean k-means, in place of the von Mises-Fisher mixture."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.method.clusters import first_centres, repeat


@jax.jit
def lloyd_step(centres: jax.Array, vectors: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Give each vector to its nearest centre, and move each centre to the mean of its vectors.

    A cluster without any vector starts again at one of the vectors farthest from their
    centres, so the distance still never grows.

    Args:
      centres: [K, C], the current ones.
      vectors: [n, C].

    Returns:
      The next centres [K, C], and the mean over the vectors of the squared distance to the
      nearest of the current centres [].

    Reference:
      Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory
      28(2), 1982.
    """
    parts = centres.shape[0]
    # |v - c|^2 less the |v|^2 that all centres share.
    relative = jnp.sum(centres**2, axis=1)[None] - 2.0 * (vectors @ centres.T)
    owner = jnp.argmin(relative, axis=1)
    distance = jnp.sum((vectors - centres[owner]) ** 2, axis=1)
    # A matrix product, not a scatter: its sums have one order on every device.
    member = jax.nn.one_hot(owner, parts, dtype=vectors.dtype)
    counts = jnp.sum(member, axis=0)
    means = (member.T @ vectors) / jnp.maximum(counts, 1.0)[:, None]
    dead = counts == 0
    _, farthest = jax.lax.top_k(distance, min(parts, vectors.shape[0]))
    fresh = vectors[farthest[(jnp.cumsum(dead) - 1) % farthest.shape[0]]]
    return jnp.where(dead[:, None], fresh, means), jnp.mean(distance)


def fit_centres(
    vectors: np.ndarray,
    *,
    parts: int,
    iterations: int,
    tolerance: float,
    seeding_vectors: int,
    seed: int,
    after_step: Callable[[int, float], None] = lambda step, distance: None,
) -> jax.Array:
    """Fit k-means to vectors.

    Args:
      vectors: [n, C], n >= K.
      parts: K.
      iterations: Lloyd steps at most.
      tolerance: stop where the mean squared distance changes by less; a unit vector's
        squared length is 1.
      seeding_vectors: vectors used at most by the k-means++ seeding.
      seed: of the seeding.
      after_step: called with the number of steps done and the mean squared distance.

    Returns:
      The centres [K, C], means of their vectors and so no unit vectors.
    """
    vectors = jnp.asarray(vectors)
    return repeat(
        lambda centres: lloyd_step(centres, vectors),
        first_centres(vectors, parts=parts, seeding_vectors=seeding_vectors, seed=seed),
        iterations=iterations,
        tolerance=tolerance,
        after_step=after_step,
    )
