"""The part templates of interpretable CNNs, the paper's baseline *MaskRegularized*.

Zhang, Wu, Zhu, "Interpretable Convolutional Neural Networks", CVPR 2018 (arXiv 1710.00935).
A part's map should look like one of n^2 positive templates, a peak somewhere, or like the
negative one, nothing anywhere: the loss is minus the mutual information of maps and
templates, for each part by itself.

Their maps are n x n; ours have rows x columns cells that differ between images. The n^2
peaks stand on a lattice over the frame, at the cells themselves where the map is n x n, so
that a template means the same place in all images. Its shape is measured in cells, with
n = sqrt(rows * columns), so that a part is as wide as high in any frame.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from partdisc.method.cells import cell_positions, cell_validity


class TemplateSettings(NamedTuple):
    """The shape of the templates; the fields are arguments of `template_loss`."""

    tau: float
    beta: float


def template_peaks(grid: jax.Array, side: int) -> jax.Array:
    """Return the peaks of the positive templates: [n * n, 2], (y, x) in cells of the map.

    Args:
      grid: int [2].
      side: n, peaks along each axis, evenly spread.
    """
    share = (jnp.arange(side, dtype=jnp.float32) + 0.5) / side
    y, x = (share * size.astype(jnp.float32) - 0.5 for size in grid)
    return jnp.stack(jnp.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)


def part_templates(grid: jax.Array, cells: int, *, tau: float, beta: float) -> jax.Array:
    """Build the templates of a map.

    `t_ij = tau * max(1 - beta * ||(i, j) - mu||_1 / n, -1)` for the peak mu; the negative
    template is -tau everywhere.

    Args:
      grid: int [2].
      cells: P; n is the root of it, rounded down.
      tau: height of a peak.
      beta: how fast it falls: to 0 at n / beta cells.

    Returns:
      [n * n + 1, P], the negative template last; 0 on cells that do not exist.
    """
    peaks = template_peaks(grid, math.isqrt(cells))
    distance = jnp.sum(jnp.abs(peaks[:, None] - cell_positions(grid, cells)[None]), axis=-1)
    size = jnp.sqrt(jnp.maximum(grid[0] * grid[1], 1).astype(jnp.float32))
    positive = tau * jnp.maximum(1.0 - beta * distance / size, -1.0)
    templates = jnp.concatenate([positive, jnp.full((1, cells), -tau)])
    return jnp.where(cell_validity(grid, cells)[None], templates, 0.0)


def log_map_likelihood(traces: jax.Array) -> jax.Array:
    """Return log p(x|T) = tr(x T) - log Z_T, where Z_T sums over the maps of the batch.

    Args:
      traces: [B, n * n + 1], tr(x T) of a part's maps x and the templates T.
    """
    return jax.nn.log_softmax(traces, axis=0)


def mutual_information(traces: jax.Array) -> jax.Array:
    """Return MI(X; T) = sum_T p(T) sum_x p(x|T) log(p(x|T) / p(x)) of one part.

    p(T) is uniform: the paper's alpha = n^2 / (1 + n^2) makes alpha / n^2, a positive
    template's, and 1 - alpha, the negative one's, the same.

    Args:
      traces: [B, n * n + 1], tr(x T) of its maps x and the templates T.

    Returns:
      [] in nats, at least 0 and at most log B.
    """
    likelihood = log_map_likelihood(traces)
    log_prior = -math.log(traces.shape[1])
    evidence = jax.nn.logsumexp(likelihood + log_prior, axis=1, keepdims=True)
    return jnp.sum(jnp.exp(likelihood + log_prior) * (likelihood - evidence))


def template_loss(
    maps: jax.Array, grids: jax.Array, *, tau: float, beta: float
) -> tuple[jax.Array, jax.Array]:
    """Return the loss of a batch, -MI(X; T) averaged over the parts, and who shows a part.

    The gradient is that of the whole expression. The paper holds Z_T constant in it, as a
    sum over all training images; over a batch that would raise all its maps together.

    Args:
      maps: [B, P, K], not negative, 0 on cells that do not exist.
      grids: int [B, 2].
      tau: see `part_templates`.
      beta: likewise.

    Returns:
      [] in nats, and bool [B, K], whether some positive template is likelier than the negative.
    """
    cells = maps.shape[1]
    templates = jax.vmap(lambda grid: part_templates(grid, cells, tau=tau, beta=beta))(grids)
    traces = jnp.einsum("btp,bpk->kbt", templates, maps)
    # p(T|x) is p(x|T) up to a factor of x alone.
    likelihood = jax.vmap(log_map_likelihood)(traces)
    positive = jnp.max(likelihood[..., :-1], axis=2) > likelihood[..., -1]
    return -jnp.mean(jax.vmap(mutual_information)(traces)), positive.T
