"""Packed cells against loops over rows and columns."""

import functools
import itertools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels import jitted

from partdisc.method.cells import (
    cell_positions,
    cell_validity,
    cells_to_pixels,
    centred,
    corner_cells,
    largest,
    normalise,
)

cell_positions, cell_validity, centred, corner_cells, normalise = jitted(
    cell_positions, cell_validity, centred, corner_cells, normalise
)

GRIDS = [(4, 6), (6, 4), (5, 5), (1, 7), (7, 1), (2, 2), (1, 1), (0, 0), (0, 3), (3, 0)]
CELLS = 30
PERCENT = 35


def loop_cells(grid):
    """List the cells of a map in raster order: (y, x, in a corner)."""
    rows, columns = grid
    corners = list(itertools.product((0, rows - 1), (0, columns - 1)))
    return [
        (
            y,
            x,
            any(
                Fraction(abs(y - v), rows) + Fraction(abs(x - u), columns) < Fraction(PERCENT, 100)
                for v, u in corners
            ),
        )
        for y in range(rows)
        for x in range(columns)
    ]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("cells", [CELLS, 41])
def test_cells_sit_in_raster_order(grid, cells):
    listed = loop_cells(grid)
    array = jnp.array(grid, jnp.int32)
    positions = np.asarray(cell_positions(array, cells))
    assert positions.shape == (cells, 2) and positions.dtype == np.float32
    assert positions[: len(listed)].tolist() == [[y, x] for y, x, _ in listed]
    rest = [False] * (cells - len(listed))
    assert np.asarray(cell_validity(array, cells)).tolist() == [True] * len(listed) + rest
    corners = np.asarray(corner_cells(array, cells, percent=PERCENT))
    assert corners.tolist() == [corner for *_, corner in listed] + rest


def test_cells_fill_a_map_without_padding():
    grid = jnp.array([5, 6], jnp.int32)
    assert bool(jnp.all(cell_validity(grid, 30)))
    assert np.asarray(cell_positions(grid, 30))[-1].tolist() == [4, 5]


def test_vmap_of_grids_is_the_loop():
    grids = jnp.array(GRIDS, jnp.int32)
    corners = functools.partial(corner_cells, percent=PERCENT)
    for kernel in (cell_positions, cell_validity, corners):
        batched = jax.vmap(lambda grid, kernel=kernel: kernel(grid, CELLS))(grids)
        for one, grid in zip(batched, grids, strict=True):
            np.testing.assert_array_equal(one, kernel(grid, CELLS))


@pytest.mark.parametrize("shape", [(3,), (7, 3), (2, 4, 3), (0, 3)])
def test_normalise_divides_by_the_norm(rng, shape):
    vectors = rng.normal(size=shape).astype(np.float32)
    expected = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    np.testing.assert_allclose(normalise(jnp.asarray(vectors)), expected, atol=1e-6)


def test_normalise_ignores_scale_and_keeps_zero(rng):
    vectors = jnp.asarray(rng.normal(size=(5, 4)), jnp.float32)
    for scale in (1e-12, 1e-3, 1e12):
        np.testing.assert_allclose(normalise(vectors * scale), normalise(vectors), rtol=1e-5)
    mixed = vectors.at[2].set(0.0)
    assert np.asarray(normalise(mixed))[2].tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(normalise(mixed)[3], normalise(vectors)[3])


def test_gradient_of_normalise(rng):
    vectors = jnp.asarray(rng.normal(size=(4, 3)), jnp.float32).at[1].set(0.0)
    pull = jnp.asarray(rng.normal(size=(4, 3)), jnp.float32)
    gradient = np.asarray(jax.jit(jax.grad(lambda v: jnp.sum(normalise(v) * pull)))(vectors))
    assert gradient[1].tolist() == [0, 0, 0]
    for row in (0, 2, 3):
        vector, onto = np.asarray(vectors[row], float), np.asarray(pull[row], float)
        norm = np.linalg.norm(vector)
        expected = (onto - vector * (vector @ onto) / norm**2) / norm
        np.testing.assert_allclose(gradient[row], expected, atol=1e-5)


@pytest.mark.parametrize("lead", [(6,), (2, 3)])
def test_centred_subtracts_then_normalises(rng, lead):
    features = rng.normal(size=lead + (4,)).astype(np.float16)
    features.reshape(-1, 4)[1] = 0
    offset = rng.normal(size=4).astype(np.float32)
    result = np.asarray(centred(jnp.asarray(features), jnp.asarray(offset)))
    assert result.dtype == np.float32
    for one, vector in zip(result.reshape(-1, 4), features.reshape(-1, 4), strict=True):
        moved = vector.astype(np.float32) - offset
        expected = moved / np.linalg.norm(moved) if vector.any() else np.zeros(4)
        np.testing.assert_allclose(one, expected, atol=1e-6)


def test_centred_gives_zero_for_the_offset_itself(rng):
    offset = jnp.asarray(rng.normal(size=4), jnp.float32)
    assert np.asarray(centred(offset[None], offset)).tolist() == [[0, 0, 0, 0]]


def test_cells_to_pixels_places_the_first_cell_at_the_origin():
    points = np.array([(0.0, 0.0), (1.0, 2.5)])
    expected = [(7.5, 7.5), (23.5, 47.5)]
    np.testing.assert_array_equal(cells_to_pixels(points, 16, 7.5), expected)


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (5, 3), (2, 3, 4)])
@pytest.mark.parametrize("kind", ["distinct", "ties", "equal", "infinite"])
def test_largest_is_the_first_as_numpy_finds_it(shape, kind):
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape).astype(np.float32)
    if kind == "ties":
        values = np.round(values)
    elif kind == "equal":
        values = np.zeros_like(values)
    elif kind == "infinite":
        values = np.where(values > 0, np.float32(-np.inf), values)
    for axis in range(-len(shape), len(shape)):
        value, place = jax.jit(functools.partial(largest, axis=axis))(values)
        np.testing.assert_array_equal(value, values.max(axis=axis))
        np.testing.assert_array_equal(place, values.argmax(axis=axis))


def test_largest_of_what_is_no_number_stays_on_the_axis():
    with jax.debug_nans(False):
        value, place = largest(jnp.array([[np.nan, 1.0], [2.0, 3.0]]), axis=1)
    np.testing.assert_array_equal(value, [np.nan, 3.0])
    assert place[1] == 1 and 0 <= place[0] < 2
