"""Clusters of feature vectors: a von Mises-Fisher mixture (section 3.1, initialisation).

`kmeans` and `factors` are the other kinds; they take their first vectors from here.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.method.cells import normalise

_State = TypeVar("_State")

KINDS = ("vmf", "kmeans", "nmf")
# A cluster that holds less than this share of an even part is dead and starts afresh.
DEAD_SHARE = 0.01


class Mixture(NamedTuple):
    """A mixture of von Mises-Fisher distributions of one fixed concentration.

    Attributes:
      centres: [K, C], unit mean directions.
      shares: [K], mixing proportions.
    """

    centres: jax.Array
    shares: jax.Array


def sample_cells(
    grids: np.ndarray, *, per_image: int, border: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Choose random cells of each image, away from the border where the map is large enough.

    Args:
      grids: int [N, 2], rows and columns.
      per_image: cells of an image, at most.
      border: cells dropped at each side; kept where fewer than `per_image` would remain.
      seed: of the choice.

    Returns:
      int [n] image indices and int [n] packed cell indices.
    """
    images, cells = [], []
    for image, (rows, columns) in enumerate(grids):
        index = np.arange(rows * columns)
        y, x = index // columns, index % columns
        inner = np.minimum.reduce([y, rows - 1 - y, x, columns - 1 - x]) >= border
        if inner.sum() >= per_image:
            index = index[inner]
        rng = np.random.default_rng([seed, image])
        chosen = rng.choice(index, min(per_image, index.size), replace=False)
        images.append(np.full(chosen.size, image))
        cells.append(np.sort(chosen))
    return np.concatenate(images), np.concatenate(cells)


@functools.partial(jax.jit, static_argnames="parts")
def seed_centres(key: jax.Array, vectors: jax.Array, *, parts: int) -> jax.Array:
    """Choose K of the vectors [n, C] as first centres by k-means++.

    Each next centre is drawn with probability proportional to the squared cosine
    distance to the nearest centre so far.

    Returns:
      [K, C].
    """
    first, rest = jax.random.split(key)
    start = jax.random.randint(first, (), 0, vectors.shape[0])
    levels = jax.random.uniform(rest, (parts,))

    def pick(k, state):
        chosen, distance = state
        distance = jnp.minimum(distance, 1.0 - vectors @ vectors[chosen[k - 1]])
        cumulative = jnp.cumsum(jnp.maximum(distance, 0.0) ** 2)
        index = jnp.searchsorted(cumulative, levels[k] * cumulative[-1], side="right")
        return chosen.at[k].set(jnp.minimum(index, vectors.shape[0] - 1)), distance

    chosen = jnp.zeros(parts, jnp.int32).at[0].set(start)
    state = (chosen, jnp.full(vectors.shape[0], 2.0))
    chosen, _ = jax.lax.fori_loop(1, parts, pick, state)
    return vectors[chosen]


def first_centres(vectors: jax.Array, *, parts: int, seeding_vectors: int, seed: int) -> jax.Array:
    """Choose first centres [K, C] among at most `seeding_vectors` random ones of the vectors.

    Every kind of clusters starts from the same ones.
    """
    chosen = np.random.default_rng(seed).permutation(len(vectors))[:seeding_vectors]
    return seed_centres(jax.random.key(seed), vectors[np.sort(chosen)], parts=parts)


def repeat(
    step: Callable[[_State], tuple[_State, jax.Array]],
    state: _State,
    *,
    iterations: int,
    tolerance: float,
    after_step: Callable[[int, float], None],
) -> _State:
    """Repeat a step until its value stands still.

    Args:
      step: returns the next state, and the value [] of the current one.
      state: the first one.
      iterations: steps at most.
      tolerance: stop where the value changes by less.
      after_step: called with the number of steps done and the value.

    Returns:
      The last state.
    """
    before = np.inf
    for number in range(iterations):
        state, value = step(state)
        value = float(value)
        after_step(number + 1, value)
        # A turn for the worse is no convergence: it is what re-seeding a dead cluster
        # costs at first.
        if abs(value - before) < tolerance:
            break
        before = value
    return state


@jax.jit
def em_step(mixture: Mixture, vectors: jax.Array, kappa: float) -> tuple[Mixture, jax.Array]:
    """Do one step of expectation maximisation at a fixed concentration.

    A cluster that has died starts again at one of the vectors that the mixture explains
    worst.

    Args:
      mixture: the current one.
      vectors: [n, C] unit vectors.
      kappa: concentration of every cluster.

    Returns:
      The next mixture, and the mean log likelihood [] of the current one in nats, up to
      the constant of the vMF distribution.
    """
    parts = mixture.shares.shape[0]
    joint = kappa * (vectors @ mixture.centres.T) + jnp.log(mixture.shares)[None]
    likelihood = jax.nn.logsumexp(joint, axis=1)
    responsibility = jnp.exp(joint - likelihood[:, None])
    shares = jnp.mean(responsibility, axis=0)
    centres = normalise(responsibility.T @ vectors)
    dead = shares * parts < DEAD_SHARE
    _, worst = jax.lax.top_k(-likelihood, min(parts, vectors.shape[0]))
    fresh = vectors[worst[(jnp.cumsum(dead) - 1) % worst.shape[0]]]
    centres = jnp.where(dead[:, None], fresh, centres)
    shares = jnp.where(dead, 1.0 / parts, shares)
    return Mixture(centres, shares / jnp.sum(shares)), jnp.mean(likelihood)


def fit_mixture(
    vectors: np.ndarray,
    *,
    parts: int,
    kappa: float,
    iterations: int,
    tolerance: float,
    seeding_vectors: int,
    seed: int,
    after_step: Callable[[int, float], None] = lambda step, likelihood: None,
) -> Mixture:
    """Fit a von Mises-Fisher mixture to unit vectors.

    Args:
      vectors: [n, C], n >= K.
      parts: K.
      kappa: fixed concentration.
      iterations: EM steps at most.
      tolerance: stop where the mean log likelihood changes by less, in nats.
      seeding_vectors: vectors used at most by the k-means++ seeding.
      seed: of the seeding.
      after_step: called with the number of steps done and the mean log likelihood.

    Returns:
      The mixture.
    """
    vectors = jnp.asarray(vectors)
    centres = first_centres(vectors, parts=parts, seeding_vectors=seeding_vectors, seed=seed)
    return repeat(
        lambda mixture: em_step(mixture, vectors, kappa),
        Mixture(centres, jnp.full(parts, 1.0 / parts)),
        iterations=iterations,
        tolerance=tolerance,
        after_step=after_step,
    )
