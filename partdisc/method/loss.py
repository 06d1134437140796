"""The coherence loss (section 3.2.4)."""

import jax
import jax.numpy as jnp

from partdisc.method.warp import Warp


def coherence_loss(own: jax.Array, others: jax.Array, warps: Warp, labels: jax.Array) -> jax.Array:
    """Return the negative log likelihood of the pseudo ground truth under the mean map.

    The mean is that of the image's own probs and its aligned neighbours', as
    `warp.mean_map` with its own one computes it, but for each cell of its label alone.

    Args:
      own: [P, K + 1], probs of the image.
      others: [J, P, K + 1], of its neighbours.
      warps: of each neighbour to the image, [J, P, 4].
      labels: int [P], the pseudo ground truth; -1 where a cell does not count.

    Returns:
      [] in nats per labelled cell; 0 where no cell is labelled.
    """
    labelled = labels >= 0
    label = jnp.maximum(labels, 0)
    neighbour = jnp.arange(others.shape[0])[:, None, None]
    around = others[neighbour, warps.cells, label[None, :, None]] * warps.weights
    total = own[jnp.arange(own.shape[0]), label] + jnp.sum(around, axis=(0, 2))
    picked = total / (1.0 + jnp.sum(warps.weights, axis=(0, 2)))
    # The floor keeps the gradient finite where float32 has run out.
    nll = -jnp.log(jnp.maximum(picked, 1e-20))
    total = jnp.sum(jnp.where(labelled, nll, 0.0))
    return total / jnp.maximum(jnp.sum(labelled), 1).astype(own.dtype)
