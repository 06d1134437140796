"""The coherence loss (section 3.2.4)."""

import jax
import jax.numpy as jnp

from partdisc.method.warp import Warp, of_all


def coherence_loss(
    logits: jax.Array, probs: jax.Array, warps: Warp, labels: jax.Array
) -> jax.Array:
    """Return the negative log likelihood of the pseudo ground truth under the mean map.

    The mean is that of the image's own probs and its aligned neighbours', as
    `warp.mean_map` with its own one computes it, but for each cell of its label alone.

    Args:
      logits: [1 + J, P, K + 1], of the image and of its neighbours.
      probs: their softmax, through which no gradient flows by itself; of cells that do not
        exist it has no meaning.
      warps: of each neighbour to the image, [J, P, 4].
      labels: int [P], the pseudo ground truth; -1 where a cell does not count.

    Returns:
      [] in nats per labelled cell; 0 where no cell is labelled.
    """
    images, cells, channels = logits.shape
    labelled = labels >= 0
    label = jnp.maximum(labels, 0)
    others = of_all(warps, cells)
    # Its own map counts as a neighbour's of which every cell lies where it is.
    looked_at = jnp.concatenate([jnp.arange(cells)[:, None], cells + others.cells], axis=1)
    weights = jnp.concatenate([jnp.ones((cells, 1)), others.weights], axis=1)
    rows = (images * cells, channels)
    found = softmax_at(logits.reshape(rows), probs.reshape(rows), looked_at, label[:, None])
    mean = jnp.sum(found * weights, axis=1) / jnp.sum(weights, axis=1)
    # The floor keeps the gradient finite where float32 has run out.
    nll = -jnp.log(jnp.maximum(mean, 1e-20))
    total = jnp.sum(jnp.where(labelled, nll, 0.0))
    return total / jnp.maximum(jnp.sum(labelled), 1).astype(logits.dtype)


@jax.custom_vjp
def softmax_at(
    logits: jax.Array, probs: jax.Array, row: jax.Array, channel: jax.Array
) -> jax.Array:
    """Return some entries of the softmax of logits, which is at hand.

    Its gradient is that of `jax.nn.softmax(logits)[row, channel]`, computed with fewer looks
    at all of the array: what flows back into a softmax is nearly everywhere 0 here.

    Args:
      logits: [n, K + 1].
      probs: [n, K + 1], their softmax.
      row: int, of each entry; an entry may be asked for several times.
      channel: int, of each entry; broadcasts with `row`.
    """
    return probs[row, channel]


def _softmax_at(logits, probs, row, channel):
    found = probs[row, channel]
    return found, (probs, found, row, channel)


def _gradient_of_logits(residuals, gradient):
    probs, found, row, channel = residuals
    flow = gradient * found
    flow, row, channel = jnp.broadcast_arrays(flow, row, channel)
    leaving = jnp.zeros(probs.shape[0], probs.dtype).at[row].add(flow)
    return (-leaving[:, None] * probs).at[row, channel].add(flow), None, None, None


softmax_at.defvjp(_softmax_at, _gradient_of_logits)
