"""The coherence loss (section 3.2.4)."""

import jax
import jax.numpy as jnp


def coherence_loss(mean: jax.Array, labels: jax.Array) -> jax.Array:
    """Return the negative log likelihood of the pseudo ground truth under the mean map.

    Args:
      mean: [P, K + 1], mean of the image's own probs and its aligned neighbours'.
      labels: int [P], the pseudo ground truth; -1 where a cell does not count.

    Returns:
      [] in nats per labelled cell; 0 where no cell is labelled.
    """
    labelled = labels >= 0
    picked = jnp.take_along_axis(mean, jnp.maximum(labels, 0)[:, None], axis=1)[:, 0]
    # The floor keeps the gradient finite where float32 has run out.
    nll = -jnp.log(jnp.maximum(picked, 1e-20))
    total = jnp.sum(jnp.where(labelled, nll, 0.0))
    return total / jnp.maximum(jnp.sum(labelled), 1).astype(mean.dtype)
