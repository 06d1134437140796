"""Packed cells: where each sits on its map, which pixel that is, and which cells are real."""

import jax
import jax.numpy as jnp
import numpy as np


def cell_positions(grid: jax.Array, cells: int) -> jax.Array:
    """Return the position of every packed cell.

    Args:
      grid: int [2], rows and columns of the map.
      cells: P, the packed length, at least rows * columns.

    Returns:
      float32 [P, 2], (y, x) in cells; of no meaning where the cell is not valid.
    """
    index = jnp.arange(cells, dtype=grid.dtype)
    columns = jnp.maximum(grid[1], 1)
    return jnp.stack([index // columns, index % columns], axis=-1).astype(jnp.float32)


def cells_to_pixels(points: np.ndarray, stride: float, origin: float) -> np.ndarray:
    """Return the pixels of the network's input at which points [..., 2] in cells lie.

    `data.images.to_original` takes them on to the photo.

    Args:
      points: (y, x), in cells.
      stride: pixels from one cell to the next.
      origin: pixel of the first cell's centre.
    """
    return stride * points + origin


def cell_validity(grid: jax.Array, cells: int) -> jax.Array:
    """Return which packed cells exist: bool [P], for a map of `grid` (rows, columns)."""
    return jnp.arange(cells, dtype=grid.dtype) < grid[0] * grid[1]


def corner_cells(grid: jax.Array, cells: int, *, percent: int) -> jax.Array:
    """Return which packed cells lie in the four corners of the map: bool [P].

    A corner is a triangle, whose sides along the rim are that percentage of the map's: at
    least one cell.
    """
    position = cell_positions(grid, cells).astype(grid.dtype)
    inset = jnp.minimum(position, grid[None] - 1 - position)
    # In whole numbers: the edge of the triangle is the same wherever it is computed.
    depth = 100 * jnp.sum(inset * grid[None, ::-1], axis=-1)
    return (depth < percent * grid[0] * grid[1]) & cell_validity(grid, cells)


def largest(values: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """Return the largest values along an axis, and int32 where they are: the first of equals.

    Where a value is NaN, so is the largest, and where it is has no meaning, but is on the axis.
    """
    # Two plain reductions of floats, which a processor does several times faster than an
    # arg-max; floats count places exactly up to 2^24.
    most = jnp.max(values, axis=axis, keepdims=True)
    place = jax.lax.broadcasted_iota(jnp.float32, values.shape, axis % values.ndim)
    size = values.shape[axis]
    first = jnp.min(jnp.where(values == most, place, float(size)), axis=axis)
    return jnp.squeeze(most, axis), jnp.minimum(first, size - 1.0).astype(jnp.int32)


def normalise(vectors: jax.Array) -> jax.Array:
    """Scale vectors [..., C] to unit L2 norm; a zero vector stays zero, with zero gradient."""
    square = jnp.sum(vectors * vectors, axis=-1, keepdims=True)
    # Two `where`s: the first keeps the gradient of sqrt away from zero.
    norm = jnp.sqrt(jnp.where(square > 0, square, 1.0))
    return jnp.where(square > 0, vectors / norm, 0.0)


def centred(features: jax.Array, offset: jax.Array) -> jax.Array:
    """Return float32 unit features [..., C] after subtracting an offset [C]; zeros stay zero."""
    features = features.astype(jnp.float32)
    exists = jnp.any(features != 0, axis=-1, keepdims=True)
    offset = jnp.expand_dims(offset, tuple(range(features.ndim - 1)))
    return jnp.where(exists, normalise(features - offset), 0.0)
