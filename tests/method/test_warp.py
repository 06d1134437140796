"""Warping and resizing against scipy's interpolation and plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels import jitted
from scipy.ndimage import map_coordinates

from partdisc.method.cells import cell_positions
from partdisc.method.warp import (
    FAR,
    Warp,
    bilinear,
    invert,
    mean_map,
    resize_weights,
    sample,
    transform_points,
    warp_between,
)

bilinear, invert, mean_map, resize_weights, sample, transform_points, warp_between = jitted(
    bilinear, invert, mean_map, resize_weights, sample, transform_points, warp_between
)

CELLS = 70
GRIDS = [(6, 9), (9, 6), (5, 5), (1, 7), (7, 1), (1, 1), (7, 10)]
AFFINE = [[0.9, 0.2, -0.7], [-0.15, 1.1, 1.3], [0, 0, 1]]
TRANSFORMS = {
    "identity": np.eye(3),
    "whole shift": [[1, 0, 2], [0, 1, -1], [0, 0, 1]],
    "shift": [[1, 0, 0.3], [0, 1, -1.6], [0, 0, 1]],
    "affine": AFFINE,
    "homography": [[1.1, 0.1, 0.4], [-0.1, 0.9, 0.2], [0.02, -0.015, 1]],
    # The same map: a homography has no scale.
    "scaled homography": 3.0 * np.array([[1.1, 0.1, 0.4], [-0.1, 0.9, 0.2], [0.02, -0.015, 1]]),
    "away": [[1, 0, 100], [0, 1, 0], [0, 0, 1]],
}


def matrix(warp):
    """Return the matrix [n, CELLS] that samples as the warp does."""
    found = np.zeros((len(warp.cells), CELLS), np.float32)
    assert warp.cells.shape == warp.weights.shape == (len(found), 4)
    np.add.at(found, (np.arange(len(found))[:, None], np.asarray(warp.cells)), warp.weights)
    return found


def weights_of(transform, source, target):
    return matrix(warp_between(transform, source, target, CELLS))


def packed(rng, grid, channels=3):
    """Draw a map [rows, columns, channels] and pack it, with rubbish in the padding."""
    rows, columns = grid
    dense = rng.normal(size=(rows, columns, channels))
    cells = np.full((CELLS, channels), 1e3)
    cells[: rows * columns] = dense.reshape(-1, channels)
    return dense, cells


def sampled(dense, points):
    """Sample a map [rows, columns, C] at points [n, 2] by scipy, zero outside."""
    return np.stack(
        [
            map_coordinates(channel, points.T, order=1, mode="grid-constant", cval=0.0)
            for channel in np.moveaxis(dense, -1, 0)
        ],
        axis=-1,
    )


def loop_bilinear(points, grid, cells):
    weights = np.zeros((len(points), cells))
    for row, (y, x) in enumerate(points):
        for i in range(grid[0]):
            for j in range(grid[1]):
                weights[row, i * grid[1] + j] = max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j))
    return weights


@pytest.mark.parametrize("grid", GRIDS)
def test_sampling_is_scipys(rng, grid):
    dense, cells = packed(rng, grid)
    points = rng.uniform(-2, 11, size=(300, 2)).astype(np.float32)
    points[:4] = [[0, 0], [grid[0] - 1, grid[1] - 1], [-1, 0], [0, grid[1]]]
    warp = bilinear(jnp.asarray(points), jnp.array(grid), CELLS)
    np.testing.assert_allclose(matrix(warp), loop_bilinear(points, grid, CELLS), atol=1e-5)
    np.testing.assert_allclose(sample(cells, warp), sampled(dense, points), atol=1e-4)


@pytest.mark.parametrize("grid", GRIDS)
def test_row_sums_are_the_coverage(rng, grid):
    points = rng.uniform(-3, 12, size=(400, 2)).astype(np.float32)
    sums = matrix(bilinear(jnp.asarray(points), jnp.array(grid), CELLS)).sum(axis=1)
    last = np.array(grid) - 1
    inside = np.all((points >= 0) & (points <= last), axis=1)
    outside = np.any((points <= -1) | (points >= last + 1), axis=1)
    assert (~inside & ~outside).any() and outside.any()
    np.testing.assert_allclose(sums[inside], 1, atol=1e-5)
    assert not sums[outside].any()
    assert ((sums >= 0) & (sums <= 1 + 1e-5)).all()


def test_no_points_and_no_cells():
    none = bilinear(jnp.zeros((0, 2)), jnp.array([3, 3]), CELLS)
    assert none.cells.shape == none.weights.shape == (0, 4)
    assert not bilinear(jnp.zeros((2, 2)), jnp.array([0, 0]), CELLS).weights.any()


@pytest.mark.parametrize("far", [FAR, -FAR, 1e12, -1e30, np.inf])
def test_points_far_away_are_not_covered_and_name_cells_that_exist(far):
    points = jnp.array([[far, 1.0], [1.0, far], [far, far]])
    warp = bilinear(points, jnp.array([6, 9]), CELLS)
    assert not np.any(warp.weights)
    assert np.all((warp.cells >= 0) & (warp.cells < 54))


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("source", GRIDS)
@pytest.mark.parametrize("target", [(6, 9), (9, 6), (1, 1)])
def test_warp_is_scipys(rng, name, source, target):
    transform = np.array(TRANSFORMS[name], np.float32)
    dense, cells = packed(rng, source)
    weights = weights_of(jnp.asarray(transform), jnp.array(source), jnp.array(target))
    rows, columns = target
    y, x = np.mgrid[:rows, :columns].reshape(2, -1)
    wanted = np.linalg.inv(transform.astype(float)) @ np.stack([y, x, np.ones_like(y)])
    assert (wanted[2] > 0).all()
    expected = sampled(dense, (wanted[:2] / wanted[2]).T)
    np.testing.assert_allclose((weights @ cells)[: rows * columns], expected, atol=2e-4)
    assert not weights[rows * columns :].any()
    assert not weights[:, source[0] * source[1] :].any()


@pytest.mark.parametrize("grid", GRIDS)
def test_identity_warp_is_the_identity_matrix(grid):
    count = grid[0] * grid[1]
    weights = weights_of(jnp.eye(3), jnp.array(grid), jnp.array(grid))
    expected = np.diag(np.arange(CELLS) < count).astype(np.float32)
    np.testing.assert_array_equal(weights, expected)


def test_cells_behind_a_homography_are_not_covered():
    # The depth of the inverse, 1 - x / 4, ends at column 4.
    inverse = np.array([[1, 0, 0], [0, 1, 0], [0, -0.25, 1]])
    transform = jnp.asarray(np.linalg.inv(inverse), jnp.float32)
    grid = jnp.array([6, 9])
    coverage = weights_of(transform, grid, grid).sum(axis=1)
    assert coverage[0] == pytest.approx(1)
    columns = np.arange(54) % 9
    assert not coverage[:54][columns >= 4].any()
    assert not coverage[54:].any()


def test_whole_shifts_compose(rng):
    # Exact only where no border is crossed, so the second undoes the first inside.
    grid, (_, cells) = jnp.array([6, 9]), packed(rng, (6, 9))
    there = weights_of(jnp.array([[1.0, 0, 2], [0, 1, 3], [0, 0, 1]]), grid, grid)
    back = weights_of(jnp.array([[1.0, 0, -2], [0, 1, -3], [0, 0, 1]]), grid, grid)
    dense = cells[:54].reshape(6, 9, 3)
    result = np.asarray(back @ (there @ cells))[:54].reshape(6, 9, 3)
    np.testing.assert_allclose(result[:4, :6], dense[:4, :6], rtol=1e-5)
    assert not result[4:].any() and not result[:, 6:].any()


def test_gradients_are_finite_and_right(rng):
    source, target = jnp.array([6, 9]), jnp.array([9, 6])
    probs, pull = jnp.asarray(rng.random((2, CELLS, 3)), jnp.float32)

    @jax.jit
    @jax.grad
    def gradient(probs, transform):
        return jnp.sum(sample(probs, warp_between(transform, source, target, CELLS)) * pull)

    transform = jnp.array(AFFINE, jnp.float32)
    expected = weights_of(transform, source, target).T @ pull
    np.testing.assert_allclose(gradient(probs, transform), expected, atol=1e-5)
    # Kinks (whole cells), singular, and behind the horizon.
    for odd in (np.eye(3), np.zeros((3, 3)), [[1, 0, 0], [0, 1, 0], [0.5, -0.5, 1]]):
        assert np.isfinite(gradient(probs, jnp.asarray(odd, jnp.float32))).all()


def test_vmap_of_warps_is_the_loop():
    transforms = jnp.asarray(np.array([TRANSFORMS[name] for name in TRANSFORMS]), jnp.float32)
    sources = jnp.array(GRIDS)
    target = jnp.array([6, 9])
    batched = jax.vmap(lambda t, s: warp_between(t, s, target, CELLS))(transforms, sources)
    for place, (transform, source) in enumerate(zip(transforms, sources, strict=True)):
        one = matrix(jax.tree.map(lambda part, place=place: part[place], batched))
        np.testing.assert_allclose(one, weights_of(transform, source, target), atol=1e-5)


def test_transform_points_divides_by_the_depth(rng):
    for name, transform in TRANSFORMS.items():
        transform = np.array(transform, float)
        points = rng.uniform(0, 9, size=(20, 2))
        expected = []
        for y, x in points:
            v, u, depth = transform @ [y, x, 1]
            expected.append([v / depth, u / depth])
        result = transform_points(
            jnp.asarray(transform, jnp.float32), jnp.asarray(points, jnp.float32)
        )
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4, err_msg=name)


def test_transform_points_sends_what_is_behind_far_away():
    transform = jnp.array([[1.0, 0, 0], [0, 1, 0], [0, -1, 2]])
    result = transform_points(transform, jnp.array([[1.0, 1], [1, 2], [1, 3]]))
    assert np.asarray(result).tolist() == [[1, 1], [FAR, FAR], [FAR, FAR]]


def test_invert_is_numpys(rng):
    matrices = rng.normal(size=(200, 3, 3)).astype(np.float32)
    matrices = matrices[np.abs(np.linalg.det(matrices)) > 0.1]
    assert len(matrices) > 100
    result = jax.vmap(invert)(jnp.asarray(matrices))
    expected = np.linalg.inv(matrices.astype(float))
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("matrix", [np.zeros((3, 3)), np.ones((3, 3)), np.diag([1, 1, 0])])
def test_invert_gives_the_identity_for_a_singular_matrix(matrix):
    np.testing.assert_array_equal(invert(jnp.asarray(matrix, jnp.float32)), np.eye(3))


def loop_resize(dense, size):
    """Resize a map [rows, columns, C] by triangles as wide as the coarser of the cells."""
    rows, columns, channels = dense.shape
    result = np.zeros((size, size, channels))
    for i in range(size):
        for j in range(size):
            y, x = (i + 0.5) * rows / size - 0.5, (j + 0.5) * columns / size - 0.5
            total = 0.0
            for r in range(rows):
                for c in range(columns):
                    weight = max(0, 1 - abs(y - r) / max(1, rows / size)) * max(
                        0, 1 - abs(x - c) / max(1, columns / size)
                    )
                    result[i, j] += weight * dense[r, c]
                    total += weight
            result[i, j] /= total
    return result.reshape(size * size, channels)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("size", [1, 3, 7, 12])
def test_resize_is_the_loop(rng, grid, size):
    dense, cells = packed(rng, grid)
    weights = np.asarray(resize_weights(jnp.array(grid), CELLS, size))
    assert weights.shape == (size * size, CELLS)
    np.testing.assert_allclose(weights @ cells, loop_resize(dense, size), atol=1e-3)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(weights @ np.full((CELLS, 1), 0.25), 0.25, atol=1e-6)
    assert not weights[:, grid[0] * grid[1] :].any()


def test_resize_to_the_same_size_is_the_identity():
    weights = resize_weights(jnp.array([7, 7]), CELLS, 7)
    np.testing.assert_allclose(weights, np.eye(49, CELLS), atol=1e-6)


def test_resize_loses_no_cell_and_keeps_the_centre():
    for grid in GRIDS:
        weights = np.asarray(resize_weights(jnp.array(grid), CELLS, 3))
        count = grid[0] * grid[1]
        assert (weights[:, :count].sum(axis=0) > 0).all()
        position = np.asarray(cell_positions(jnp.array(grid), CELLS))
        # The map is symmetric, so its middle stays in the middle.
        np.testing.assert_allclose(weights[4] @ position, (np.array(grid) - 1) / 2, atol=1e-4)


def test_resize_of_no_map_is_zero():
    assert not resize_weights(jnp.array([0, 0]), CELLS, 3).any()


def test_vmap_of_resizes_is_the_loop():
    grids = jnp.array(GRIDS)
    batched = jax.vmap(lambda grid: resize_weights(grid, CELLS, 4))(grids)
    for one, grid in zip(batched, grids, strict=True):
        np.testing.assert_allclose(one, resize_weights(grid, CELLS, 4), atol=1e-6)


@pytest.mark.parametrize("include_own", [False, True])
def test_mean_map_is_the_loop(rng, include_own):
    """Cells that no neighbour covers, too, and those that some cover in part."""
    cells, neighbours, channels = 6, 3, 4
    own = rng.random((cells, channels)).astype(np.float32)
    others = rng.random((neighbours, cells, channels)).astype(np.float32)
    weights = rng.random((neighbours, cells, 4)).astype(np.float32)
    weights[1] *= rng.random((cells, 1)) < 0.5
    weights[:, 2] = 0.0
    around = rng.integers(0, cells, (neighbours, cells, 4)).astype(np.int32)
    total, covered = np.zeros((cells, channels)), np.zeros(cells)
    for p in range(cells):
        if include_own:
            total[p] += own[p]
            covered[p] += 1
        for j, q in np.ndindex(neighbours, 4):
            total[p] += weights[j, p, q] * others[j, around[j, p, q]]
            covered[p] += weights[j, p, q]
    mean, coverage = mean_map(own, others, Warp(around, weights), include_own)
    np.testing.assert_allclose(coverage, covered, rtol=1e-5)
    expected = np.divide(total, covered[:, None], out=np.zeros_like(total), where=total > 0)
    np.testing.assert_allclose(mean, expected, rtol=1e-5)


def test_mean_map_of_no_neighbours():
    own = np.full((2, 3), 0.25, np.float32)
    nobody = np.zeros((0, 2, 3), np.float32)
    nothing = Warp(np.zeros((0, 2, 4), np.int32), np.zeros((0, 2, 4), np.float32))
    for include_own in (False, True):
        mean, coverage = mean_map(own, nobody, nothing, include_own)
        np.testing.assert_array_equal(mean, own * include_own)
        np.testing.assert_array_equal(coverage, np.full(2, float(include_own)))
