"""Bilinear sampling of a neighbour's cells on the target's grid (section 3.2.2)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from partdisc.method.cells import cell_positions, cell_validity

# Outside any feature map.
FAR = -1e6


class Warp(NamedTuple):
    """Where points lie on a packed map.

    Attributes:
      cells: int32 [n, 4], those around each point.
      weights: [n, 4], how much each counts; 0 for one that does not exist, whose index is
        then 0.
    """

    cells: jax.Array
    weights: jax.Array


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


def bilinear(points: jax.Array, grid: jax.Array, cells: int) -> Warp:
    """Say how to sample a packed map at points.

    The weights are `tri(y_p - y_q) tri(x_p - x_q)` with `tri(d) = max(0, 1 - |d|)`: exact
    bilinear interpolation.

    Args:
      points: [n, 2], (y, x) in cells of the sampled map.
      grid: int [2], rows and columns of the sampled map.
      cells: Q, its packed length.

    Returns:
      The samples, n of them. A row's weights sum to how much of the map covers the point (1
      inside, 0 outside).
    """
    # Far away all weights are 0, and numbers beyond the range of int32 have no meaning.
    first = jnp.floor(jnp.clip(points, -2.0, cells + 1.0)).astype(jnp.int32)
    corner = first[:, None] + jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]], jnp.int32)[None]
    triangle = jnp.maximum(0.0, 1.0 - jnp.abs(points[:, None] - corner.astype(points.dtype)))
    exists = jnp.all((corner >= 0) & (corner < grid[None, None]), axis=-1)
    y, x = jnp.moveaxis(corner, -1, 0)
    return Warp(
        cells=jnp.where(exists, y * grid[1] + x, 0),
        weights=jnp.where(exists, triangle[..., 0] * triangle[..., 1], 0.0),
    )


def warp_between(
    transform: jax.Array, source_grid: jax.Array, target_grid: jax.Array, cells: int
) -> Warp:
    """Say how to resample a neighbour's map on the target's grid.

    Args:
      transform: [3, 3], neighbour cells to target cells.
      source_grid: int [2], the neighbour's rows and columns.
      target_grid: int [2], the target's.
      cells: P, the packed length of both.

    Returns:
      The warp, P cells: `sample` by it gives O' of the paper, all 0 on invalid cells.
    """
    wanted = transform_points(invert(transform), cell_positions(target_grid, cells))
    warp = bilinear(wanted, source_grid, cells)
    valid = cell_validity(target_grid, cells)[:, None]
    return warp._replace(weights=jnp.where(valid, warp.weights, 0.0))


def sample(maps: jax.Array, warp: Warp) -> jax.Array:
    """Sample a packed map [Q, K]: [n, K]."""
    around = zip(warp.cells.T, warp.weights.T, strict=True)
    return sum(weight[:, None] * maps[cell] for cell, weight in around)


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


def of_all(warps: Warp, cells: int) -> Warp:
    """Return the warps [J, n, 4] of J maps as one [n, 4 J], of a map that holds all of theirs.

    Args:
      warps: of each map.
      cells: of a map; the maps lie one behind the other.
    """
    neighbours, points, corners = warps.cells.shape
    place = jnp.arange(neighbours)[:, None, None] * cells
    return Warp(
        *(
            jnp.moveaxis(part, 1, 0).reshape(points, neighbours * corners)
            for part in (warps.cells + place, warps.weights)
        )
    )


def mean_map(
    own: jax.Array, others: jax.Array, warps: Warp, include_own: bool
) -> tuple[jax.Array, jax.Array]:
    """Average the maps of a warped pool, and of the image itself if wanted.

    Args:
      own: [P, K + 1], the image's map.
      others: [J, P, K + 1], its neighbours'.
      warps: of each neighbour to the image, [J, P, 4].
      include_own: whether the image's map counts as one more.

    Returns:
      The mean [P, K + 1] over what covers each cell, and the coverage [P].
    """
    # A sum of gathers is several times faster than the product with the matrices [P, J, P] of
    # the same warps, in which nearly all is 0.
    several = of_all(warps, others.shape[1])
    total = sample(others.reshape(-1, own.shape[1]), several) + jnp.zeros_like(own)
    coverage = jnp.sum(several.weights, axis=1)
    if include_own:
        total, coverage = total + own, coverage + 1.0
    return total / jnp.maximum(coverage, 1e-6)[:, None], coverage
