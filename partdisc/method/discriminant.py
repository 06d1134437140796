"""Which part a cell of the object is, by its feature: Fisher's discriminant of joined channels.

Channels are joined by the company they keep. The discriminant reads their parts from the feature
itself, along directions in which parts differ and cells of one part do not.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

# Share of the mean variance that is added to every direction: those that hardly vary mean nothing.
SHRINKAGE = 0.1


class Discriminant(NamedTuple):
    """How features say which of k parts a cell of the object is.

    Attributes:
      weights: [C, k].
      bias: [k].
    """

    weights: jax.Array
    bias: jax.Array


class Moments(NamedTuple):
    """What the channels' cells have for features, each cell counted by p(channel | cell).

    Attributes:
      mass: [K], cells of each channel.
      sums: [K, C], of their features.
      second: [C, C], sum of the features' outer products, counted by p(object | cell).
    """

    mass: jax.Array
    sums: jax.Array
    second: jax.Array


def moments(features: jax.Array, probs: jax.Array) -> Moments:
    """Return the moments of one image.

    Args:
      features: [P, C], unit features less their offset, as the part layer sees them.
      probs: [P, K + 1], p(channel | cell), the background last, zero where there is no cell.
    """
    channels = probs[:, :-1]
    of_object = jnp.sum(channels, axis=1, keepdims=True)
    second = (of_object * features).T @ features
    return Moments(jnp.sum(channels, axis=0), channels.T @ features, second)


def fit_discriminant(moments: Moments, member: jax.Array) -> Discriminant:
    """Fit the discriminant of parts that are joined of channels.

    All parts have one covariance, that of features within them.

    Args:
      moments: of the channels.
      member: [K, k], 1 where a channel belongs to a part.

    Reference:
      Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7(2),
      1936.
    """
    mass, sums = moments.mass @ member, member.T @ moments.sums
    total = jnp.maximum(jnp.sum(mass), 1e-6)
    means = sums / jnp.maximum(mass, 1e-6)[:, None]
    within = (moments.second - means.T @ (mass[:, None] * means)) / total
    size = within.shape[0]
    level = jnp.maximum(jnp.trace(within) / size, 1e-6)
    within = within + SHRINKAGE * level * jnp.eye(size)
    weights = jnp.linalg.solve(within, means.T)
    share = jnp.maximum(mass / total, 1e-6)
    return Discriminant(weights, jnp.log(share) - 0.5 * jnp.sum(means.T * weights, axis=0))


def part_maps(discriminant: Discriminant, features: jax.Array, probs: jax.Array) -> jax.Array:
    """Return p(part | cell) [P, k + 1], the background last.

    What is object and what background the channels say; the discriminant shares the object out.

    Args:
      discriminant: of k parts, which may be none.
      features: [P, C], unit features less their offset, as the part layer sees them.
      probs: [P, K + 1], p(channel | cell), the background last.
    """
    background = probs[:, -1:]
    if discriminant.bias.shape[0] == 0:
        return background
    of_object = jnp.sum(probs[:, :-1], axis=1, keepdims=True)
    shares = jax.nn.softmax(features @ discriminant.weights + discriminant.bias[None], axis=1)
    return jnp.concatenate([of_object * shares, background], axis=1)
