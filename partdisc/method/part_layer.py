"""The part layer: a 1x1 convolution of cosines, with a background channel (section 3.1)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from partdisc.method.cells import cell_positions, cell_validity, centred, normalise
from partdisc.method.factors import FactorLayer

BACKGROUNDS = ("mean", "constant")
# The constant background starts where the worst-explained fifth of the cells begins.
BACKGROUND_QUANTILE = 0.2


class PartLayer(nn.Module):
    """Score every cell against the part directions and the background.

    `logits = kappa * cos(feature - offset, centre)`. The background is one more
    direction (`mean`) or one trained number (`constant`).

    Attributes:
      parts: K.
      kappa: concentration of the clusters, the inverse temperature of the softmax.
      background: one of `BACKGROUNDS`.
    """

    parts: int
    kappa: float
    background: str

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Return the logits [..., K + 1] of features [..., C]."""
        channels = features.shape[-1]
        init = nn.initializers.normal()
        centres = self.param("centres", init, (self.parts, channels))
        # Kappa scales the directions: to scale all logits would be one more look at them.
        if self.background == "mean":
            background = self.param("background", init, (channels,))
            directions = jnp.concatenate([centres, background[None]])
            return features @ (self.kappa * normalise(directions)).T
        level = self.kappa * self.param("background", nn.initializers.zeros, ())
        background = jnp.broadcast_to(level, features.shape[:-1] + (1,))
        parts = features @ (self.kappa * normalise(centres)).T
        return jnp.concatenate([parts, background], axis=-1)

    def probs(self, features: jax.Array) -> jax.Array:
        """Return p(part | cell) [..., K + 1] of features [..., C]."""
        return jax.nn.softmax(self(features), axis=-1)

    def evidence(self, features: jax.Array) -> jax.Array:
        """Return the log of p(feature | part) p(object | cell) [..., K], but for a constant."""
        logits = self(features)
        parts, whole = logits[..., :-1], jax.nn.logsumexp(logits, axis=-1, keepdims=True)
        return parts + jax.nn.logsumexp(parts, axis=-1, keepdims=True) - whole


# What has `parts`, `probs` and `evidence`: all that the stages behind ask of a layer.
Layer = PartLayer | FactorLayer


def make_layer(kind: str, *, parts: int, kappa: float, background: str) -> Layer:
    """Return the layer for a kind of clusters, one of `clusters.KINDS`."""
    if kind == "nmf":
        return FactorLayer(parts)
    return PartLayer(parts, kappa, background)


def initial_params(centres: np.ndarray, features: np.ndarray, *, background: str) -> dict[str, Any]:
    """Build the untrained part layer, the paper's *Clustering* baseline.

    Args:
      centres: [K, C] unit cluster centres.
      features: [n, C] unit feature vectors of the training images, a sample.
      background: `mean` starts the background at the features' mean direction;
        `constant` at the 20 % quantile of the best cluster's cosine.

    Returns:
      Params of `PartLayer`.
    """
    if background == "mean":
        mean = features.mean(axis=0)
        start = mean / max(float(np.linalg.norm(mean)), 1e-12)
    else:
        start = np.quantile((features @ centres.T).max(axis=1), BACKGROUND_QUANTILE)
    return {
        "centres": jnp.asarray(centres, jnp.float32),
        "background": jnp.asarray(start, jnp.float32),
    }


def part_probabilities(
    layer: Layer, params: dict[str, Any], features: jax.Array, valid: jax.Array
) -> jax.Array:
    """Return p(part | cell), zero on cells that do not exist.

    Args:
      layer: the module.
      params: its params.
      features: [P, C] unit features.
      valid: bool [P].

    Returns:
      probs [P, K + 1], rows summing to 1 where valid.
    """
    probs = layer.apply({"params": params}, features, method="probs")
    return jnp.where(valid[:, None], probs, 0.0)


def packed_probabilities(
    layer: Layer, params: dict[str, Any], packed: jax.Array, grid: jax.Array, offset: jax.Array
) -> jax.Array:
    """Return p(part | cell) of one cached map.

    Args:
      layer: the module.
      params: its params.
      packed: float16 [P, C], a map of the feature cache.
      grid: int [2], its rows and columns.
      offset: [C], subtracted from every feature.

    Returns:
      probs [P, K + 1], zero on cells that do not exist.
    """
    valid = cell_validity(grid, packed.shape[0])
    return part_probabilities(layer, params, centred(packed, offset), valid)


def part_centres(
    layer: Layer, params: dict[str, Any], packed: jax.Array, grid: jax.Array, offset: jax.Array
) -> jax.Array:
    """Say where each part should be, whether it is seen or not: the mean of its posterior.

    By Bayes, `p(cell | part)` is in proportion to how likely the cell's feature is of the
    part, of which kappa is the concentration, and to how likely the cell is not background.
    What the other parts make of the cell does not count, unlike in `probs`.

    Arguments are those of `packed_probabilities`.

    Returns:
      [K, 2], (y, x) in cells; the map's centre where nothing is likely.
    """
    features = centred(packed, offset)
    evidence = layer.apply({"params": params}, features, method="evidence")
    valid = cell_validity(grid, packed.shape[0])
    evidence = jnp.where(valid[:, None], evidence, -jnp.inf)
    most = jnp.max(evidence, axis=0, keepdims=True)
    weight = jnp.exp(evidence - jnp.where(most > -jnp.inf, most, 0.0))
    total = jnp.sum(weight, axis=0)[:, None]
    position = jnp.where(valid[:, None], cell_positions(grid, packed.shape[0]), 0.0)
    centre = (grid.astype(jnp.float32) - 1.0) / 2.0
    mean = weight.T @ position / jnp.where(total > 0, total, 1.0)
    return jnp.where(total > 0, mean, centre[None])
