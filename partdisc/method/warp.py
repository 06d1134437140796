"""Bilinear sampling of a neighbour's cells on the target's grid, as a matrix (section 3.2.2)."""

import jax
import jax.numpy as jnp

from partdisc.method.cells import cell_positions, cell_validity

# Outside any feature map.
FAR = -1e6


def transform_points(transform: jax.Array, points: jax.Array) -> jax.Array:
    """Map points [n, 2] (y, x) by a transform [3, 3]; far away where they fall behind it."""
    mapped = points @ transform[:, :2].T + transform[:, 2][None]
    depth = mapped[:, 2:]
    return jnp.where(depth > 1e-6, mapped[:, :2] / jnp.maximum(depth, 1e-6), FAR)


def invert(transform: jax.Array) -> jax.Array:
    """Invert a transform [3, 3] in closed form (its adjugate, rescaled); identity if singular."""
    a, b, c = transform
    adjugate = jnp.stack([jnp.cross(b, c), jnp.cross(c, a), jnp.cross(a, b)], axis=1)
    determinant = jnp.dot(a, adjugate[:, 0])
    regular = jnp.abs(determinant) > 1e-9
    inverse = adjugate / jnp.where(regular, determinant, 1.0)
    return jnp.where(regular, inverse, jnp.eye(3, dtype=transform.dtype))


def bilinear_weights(points: jax.Array, grid: jax.Array, cells: int) -> jax.Array:
    """Return the matrix that samples a packed map at points.

    `w[p, q] = tri(y_p - y_q) tri(x_p - x_q)` with `tri(d) = max(0, 1 - |d|)`: exact
    bilinear interpolation whose gradient is a matrix product instead of a scatter.

    Args:
      points: [n, 2], (y, x) in cells of the sampled map.
      grid: int [2], rows and columns of the sampled map.
      cells: Q, its packed length.

    Returns:
      [n, Q]. A row's sum says how much of the map covers the point (1 inside, 0 outside).
    """
    offset = jnp.abs(points[:, None] - cell_positions(grid, cells)[None])
    triangle = jnp.maximum(0.0, 1.0 - offset)
    weights = triangle[..., 0] * triangle[..., 1]
    return jnp.where(cell_validity(grid, cells)[None], weights, 0.0)


def warp_weights(
    transform: jax.Array, source_grid: jax.Array, target_grid: jax.Array, cells: int
) -> jax.Array:
    """Return the matrix that resamples a neighbour's map on the target's grid.

    Args:
      transform: [3, 3], neighbour cells to target cells.
      source_grid: int [2], the neighbour's rows and columns.
      target_grid: int [2], the target's.
      cells: P, the packed length of both.

    Returns:
      w [P, P]: `w @ probs` is the warped map (O' of the paper), zero on invalid cells.
    """
    wanted = transform_points(invert(transform), cell_positions(target_grid, cells))
    weights = bilinear_weights(wanted, source_grid, cells)
    return jnp.where(cell_validity(target_grid, cells)[:, None], weights, 0.0)


def resize_weights(grid: jax.Array, cells: int, size: int) -> jax.Array:
    """Return the matrix [size * size, P] that resizes a packed map to size x size.

    Shrinking averages: every old cell spreads a triangle as wide as one new cell, and
    rows sum to 1, so that a distribution stays one.
    """
    scale = grid.astype(jnp.float32) / size
    index = jnp.arange(size, dtype=jnp.float32)
    wanted = (index[:, None] + 0.5) * scale[None] - 0.5
    width = jnp.maximum(scale, 1.0)
    position = cell_positions(grid, cells)
    offset = jnp.abs(wanted[:, None] - position[None])
    triangle = jnp.maximum(0.0, 1.0 - offset / width[None, None])
    weights = (triangle[:, None, :, 0] * triangle[None, :, :, 1]).reshape(size * size, cells)
    weights = jnp.where(cell_validity(grid, cells)[None], weights, 0.0)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    return weights / jnp.where(total > 0, total, 1.0)


def mean_map(
    own: jax.Array, others: jax.Array, weights: jax.Array, include_own: bool
) -> tuple[jax.Array, jax.Array]:
    """Average the maps of a warped pool, and of the image itself if wanted.

    Args:
      own: [P, K + 1], the image's map.
      others: [J, P, K + 1], its neighbours'.
      weights: [P, J, P], the warps; this order makes one matrix product of the sum.
      include_own: whether the image's map counts as one more.

    Returns:
      The mean [P, K + 1] over what covers each cell, and the coverage [P].
    """
    warped = jnp.einsum("pjq,jqk->pk", weights, others)
    coverage = jnp.sum(weights, axis=(1, 2))
    if include_own:
        warped, coverage = warped + own, coverage + 1.0
    return warped / jnp.maximum(coverage, 1e-6)[:, None], coverage
