"""Factors of the features: Deep Feature Factorization, a baseline that is not trained.

The features V [n, C] of a set, none of them negative, are taken for products H W of
coefficients H [n, K] and a basis W [K, C] without negative entries. A part is a factor, and
a cell's response to it is its coefficient. Unlike the publication, which factorises the
network's outputs, the vectors are of unit length, as in everything else here.

Reference:
  Collins, Achanta, Suesstrunk, "Deep Feature Factorization for Concept Discovery",
  ECCV 2018.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from partdisc.method.cells import normalise
from partdisc.method.clusters import first_centres, repeat

# Gradient steps that a cell's coefficients take.
STEPS = 300
# Vectors of one pass of `coefficients` over a sample.
CHUNK = 1024
# Below every denominator that matters: the squares of unit vectors are 1.
SMALL = 1e-12


@jax.jit
def multiplicative_step(
    factors: tuple[jax.Array, jax.Array], vectors: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Improve the coefficients, then the basis, by one multiplicative update each.

    The squared error never grows, and what is zero stays zero.

    Args:
      factors: coefficients [n, K] and basis [K, C].
      vectors: [n, C], not negative.

    Returns:
      The next coefficients and basis, and the mean over the vectors of the squared error
      of the current ones [].

    Reference:
      Lee, Seung, "Algorithms for non-negative matrix factorization", NIPS 2000.
    """
    amounts, basis = factors
    error = jnp.sum((vectors - amounts @ basis) ** 2, axis=1)
    amounts = amounts * (vectors @ basis.T) / jnp.maximum(amounts @ (basis @ basis.T), SMALL)
    basis = basis * (amounts.T @ vectors) / jnp.maximum((amounts.T @ amounts) @ basis, SMALL)
    return (amounts, basis), jnp.mean(error)


def fit_basis(
    vectors: np.ndarray,
    *,
    parts: int,
    iterations: int,
    tolerance: float,
    seeding_vectors: int,
    seed: int,
    after_step: Callable[[int, float], None] = lambda step, error: None,
) -> jax.Array:
    """Learn a basis of non-negative unit vectors.

    It starts from the k-means++ seeds, each mixed with the mean vector, for an entry that is
    zero could never grow.

    Args:
      vectors: [n, C], not negative, n >= K.
      parts: K.
      iterations: updates at most.
      tolerance: stop where the mean squared error changes by less; a unit vector's squared
        length is 1.
      seeding_vectors: vectors used at most by the k-means++ seeding.
      seed: of the seeding.
      after_step: called with the number of updates done and the mean squared error.

    Returns:
      The basis [K, C], rows of unit length (zero where a factor has died).
    """
    vectors = jnp.asarray(vectors)
    seeds = first_centres(vectors, parts=parts, seeding_vectors=seeding_vectors, seed=seed)
    basis = normalise(seeds + jnp.mean(vectors, axis=0)[None])
    _, basis = repeat(
        lambda factors: multiplicative_step(factors, vectors),
        (vectors @ basis.T / parts, basis),
        iterations=iterations,
        tolerance=tolerance,
        after_step=after_step,
    )
    return normalise(basis)


def coefficients(vectors: jax.Array, basis: jax.Array) -> jax.Array:
    """Express vectors in a fixed basis: non-negative least squares.

    Accelerated projected gradient descent that starts afresh where the momentum points
    uphill, a fixed number of steps. Each vector is solved for itself.

    Args:
      vectors: [..., C].
      basis: [K, C], not negative, rows of unit length or zero.

    Returns:
      [..., K], not negative.

    Reference:
      O'Donoghue, Candes, "Adaptive restart for accelerated gradient schemes", Foundations
      of Computational Mathematics 15, 2015.
    """
    gram, target = basis @ basis.T, vectors @ basis.T
    # No eigenvalue of a non-negative matrix is above its largest row sum.
    rate = 1.0 / jnp.maximum(jnp.max(jnp.sum(gram, axis=1)), SMALL)

    def step(_, state):
        amounts, ahead, momentum = state
        new = jnp.maximum(ahead + rate * (target - ahead @ gram), 0.0)
        uphill = jnp.sum((ahead - new) * (new - amounts), axis=-1, keepdims=True) > 0
        grown = 0.5 * (1.0 + jnp.sqrt(1.0 + 4.0 * momentum**2))
        share = jnp.where(uphill, 0.0, (momentum - 1.0) / grown)
        return new, new + share * (new - amounts), jnp.where(uphill, 1.0, grown)

    start = jnp.zeros_like(target)
    momentum = jnp.ones(target.shape[:-1] + (1,), target.dtype)
    amounts, _, _ = jax.lax.fori_loop(0, STEPS, step, (start, start, momentum))
    return amounts


class FactorLayer(nn.Module):
    """Share every cell out among the factors and the background.

    A part's share is the cell's coefficient over one scale that all cells have in common, so
    that shares rank cells of all images as coefficients do. The background has what no
    factor takes. Nothing here is to be trained.

    Attributes:
      parts: K.
    """

    parts: int

    @nn.compact
    def probs(self, features: jax.Array) -> jax.Array:
        """Return the shares [..., K + 1] of features [..., C]; they sum to 1."""
        init = nn.initializers.uniform()
        basis = self.param("basis", init, (self.parts, features.shape[-1]))
        scale = self.param("scale", nn.initializers.ones, ())
        shares = coefficients(features, basis) / scale
        total = jnp.sum(shares, axis=-1, keepdims=True)
        background = jnp.maximum(1.0 - total, 0.0)
        return jnp.concatenate([shares / jnp.maximum(total, 1.0), background], axis=-1)

    def evidence(self, features: jax.Array) -> jax.Array:
        """Return the log of a part's share times that of all parts [..., K]."""
        shares = self.probs(features)
        return jnp.log(shares[..., :-1]) + jnp.log(1.0 - shares[..., -1:])


def initial_params(basis: np.ndarray, features: np.ndarray) -> dict[str, Any]:
    """Build the layer of a basis.

    Args:
      basis: [K, C], not negative, rows of unit length or zero.
      features: [n, C] unit feature vectors of the training images, a sample: the scale is
        the largest sum of a vector's coefficients.

    Returns:
      Params of `FactorLayer`.
    """
    basis = jnp.asarray(basis, jnp.float32)
    sums = jax.lax.map(
        lambda vector: jnp.sum(coefficients(vector, basis)),
        jnp.asarray(features),
        batch_size=CHUNK,
    )
    largest = jnp.max(sums)
    # Vectors that are all zero take nothing of any factor.
    return {"basis": basis, "scale": jnp.where(largest > 0, largest, 1.0)}
