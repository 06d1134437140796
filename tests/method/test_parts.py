"""Parts made of channels, against loops, scikit-learn, and planted partitions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels import jitted
from sklearn.metrics import adjusted_rand_score

from partdisc.method.parts import (
    WALK,
    affinity,
    blur,
    cut,
    embed,
    joint,
    locate,
    mirror,
    partition_agreement,
)
from partdisc.method.warp import sample, transform_points, warp_between

affinity, blur, embed, joint, locate = jitted(affinity, blur, embed, joint, locate)
mirror, partition_agreement = jitted(mirror, partition_agreement)


def cut_of(matrix, parts, most=8):
    return np.asarray(
        cut(jax.random.key(3), embed(matrix, most=most), matrix.sum(axis=1), jnp.int32(parts))
    )


def planted(rng, sizes, noise=0.02):
    """An affinity whose channels are of blocks of these sizes, and the block of each."""
    blocks = np.repeat(np.arange(len(sizes)), sizes)
    matrix = (blocks[:, None] == blocks) + noise * rng.random((len(blocks),) * 2)
    weight = rng.uniform(0.2, 1.0, len(blocks))
    matrix = matrix * weight[:, None] * weight
    matrix = 0.5 * (matrix + matrix.T)
    return (matrix / matrix.sum()).astype(np.float32), blocks


def test_joint_is_the_loop(rng):
    own, mean = rng.random((2, 7, 4)).astype(np.float32)
    counted = np.array([True, False, True, True, False, True, True])
    expected = np.zeros((4, 4))
    for p in np.flatnonzero(counted):
        for i, j in np.ndindex(4, 4):
            expected[i, j] += own[p, i] * mean[p, j]
    np.testing.assert_allclose(joint(own, mean, counted), expected, rtol=1e-5)
    assert not joint(own, mean, np.zeros(7, bool)).any()


def test_what_does_not_count_may_be_anything(rng):
    own = rng.random((3, 4)).astype(np.float32)
    odd = own.copy()
    odd[1] = np.inf
    counted = np.array([True, False, True])
    np.testing.assert_array_equal(joint(own, odd, counted), joint(own, own, counted))


@pytest.mark.parametrize(("grid", "origin", "stride"), [((3, 5), 7.5, 16), ((4, 9), 14.0, 8)])
def test_the_mirror_maps_cells_to_the_same_pixels(grid, origin, stride):
    """The mirror image of pixel x is W - 1 - x."""
    width = 16 * 5
    transform = mirror(np.float32((width - 1 - 2 * origin) / stride))
    cells = np.array([(y, x) for y in range(grid[0]) for x in range(grid[1])], np.float32)
    pixels = stride * cells + origin
    pixels[:, 1] = width - 1 - pixels[:, 1]
    np.testing.assert_allclose(
        transform_points(transform, cells), (pixels - origin) / stride, atol=1e-4
    )


def test_a_mirrored_map_lies_on_the_map(rng):
    """Where cells are symmetric in the image, the mirror reverses the columns exactly."""
    rows, columns, stride = 3, 4, 16
    maps = rng.random((rows, columns, 2)).astype(np.float32)
    extent = np.float32((columns * stride - 1 - 2 * 7.5) / stride)
    grid = jnp.array([rows, columns])
    warp = warp_between(mirror(extent), grid, grid, rows * columns)
    flipped = maps[:, ::-1].reshape(-1, 2)
    np.testing.assert_allclose(sample(flipped, warp), maps.reshape(-1, 2), atol=1e-6)


def test_affinity_is_symmetric_without_background_and_sums_to_one(rng):
    counts = rng.random((5, 5)).astype(np.float32)
    found = np.asarray(affinity(counts))
    expected = counts[:4, :4] + counts[:4, :4].T
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-5)
    assert not np.any(affinity(np.zeros((5, 5), np.float32)))


@pytest.mark.parametrize("sizes", [[3, 3], [5, 2, 4], [4, 4, 4, 4], [2, 9, 3, 5, 6]])
def test_planted_parts_are_found(rng, sizes):
    matrix, blocks = planted(rng, sizes)
    order = rng.permutation(len(blocks))
    labels = cut_of(matrix[np.ix_(order, order)], len(sizes))
    assert adjusted_rand_score(blocks[order], labels) == 1.0
    assert labels.min() >= 0 and labels.max() < len(sizes)


def test_embedding_has_the_eigenvectors_of_numpy_damped_by_the_walk(rng):
    matrix, _ = planted(rng, [4, 3, 3])
    degree = matrix.sum(axis=1)
    values, vectors = np.linalg.eigh(matrix / np.sqrt(np.outer(degree, degree)))
    found = np.asarray(embed(matrix, most=3))
    for column, expected, value in zip(found.T, vectors[:, ::-1].T, values[::-1], strict=False):
        assert abs(column @ expected) == pytest.approx(value**WALK, abs=1e-4)
    # Two channels are as near as two walks from them meet, but for the eigenvectors left out.
    step = matrix / np.sqrt(np.outer(degree, degree))
    met = np.linalg.matrix_power(step, 2 * WALK)
    lost = np.abs(values[:-3]).max() ** (2 * WALK)
    np.testing.assert_allclose(found @ found.T, met, atol=lost + 1e-5)


def test_no_eigenvector_counts_that_has_no_affinity():
    """Channels that are least at home together: a negative eigenvalue is not a part."""
    swapped = np.array([[0.0, 0.5], [0.5, 0.0]], np.float32)
    found = np.asarray(embed(swapped, most=2))
    np.testing.assert_allclose(np.abs(found[:, 0]), np.sqrt(0.5), atol=1e-5)
    np.testing.assert_array_equal(found[:, 1], 0.0)


def test_the_cut_costs_no_more_than_that_of_scikit_learn(rng):
    from sklearn.cluster import KMeans

    matrix, _ = planted(rng, [6, 5, 4, 7], noise=0.8)
    rows = np.array(embed(matrix, most=8))[:, :4]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    mass = matrix.sum(axis=1)

    def cost(labels):
        total = 0.0
        for k in set(labels.tolist()):
            centre = np.average(rows[labels == k], axis=0, weights=mass[labels == k])
            total += np.sum(mass[labels == k] * np.sum((rows[labels == k] - centre) ** 2, axis=1))
        return total

    peer = KMeans(4, n_init=20, random_state=0).fit(rows, sample_weight=mass)
    assert cost(cut_of(matrix, 4)) <= cost(peer.labels_) * 1.02


def test_the_cut_follows_its_key_and_nothing_else(rng):
    matrix, _ = planted(rng, [6, 5, 4, 7], noise=1.0)
    np.testing.assert_array_equal(cut_of(matrix, 5), cut_of(matrix, 5))
    # A larger space changes nothing but the draws: the partition of clear parts stays.
    clear, blocks = planted(rng, [4, 4, 4])
    assert adjusted_rand_score(cut_of(clear, 3, most=3), cut_of(clear, 3, most=9)) == 1.0


def test_channels_that_hold_nothing_do_no_harm(rng):
    matrix, blocks = planted(rng, [4, 5])
    wide = np.zeros((12, 12), np.float32)
    wide[:9, :9] = matrix
    labels = cut_of(wide, 2)
    assert adjusted_rand_score(blocks, labels[:9]) == 1.0
    nothing = cut_of(np.zeros((6, 6), np.float32), 3, most=4)
    assert np.all((nothing >= 0) & (nothing < 3))


def test_equal_channels_and_one_part(rng):
    matrix = np.full((6, 6), 1 / 36, np.float32)
    assert np.all((cut_of(matrix, 3, most=4) >= 0) & (cut_of(matrix, 3, most=4) < 3))
    np.testing.assert_array_equal(cut_of(matrix, 1, most=4), 0)


def test_agreement_is_the_adjusted_rand_index(rng):
    mass = np.ones(40, np.float32)
    for _ in range(20):
        first, second = rng.integers(0, 5, (2, 40))
        found = float(partition_agreement(first, second, mass, most=6))
        # With shares in place of counts a pair may be a channel with itself.
        table = np.array(
            [[np.sum((first == a) & (second == b)) for b in range(5)] for a in range(5)]
        )
        table = table / 40
        one, other = (table.sum(1) ** 2).sum(), (table.sum(0) ** 2).sum()
        expected = ((table**2).sum() - one * other) / (0.5 * (one + other) - one * other)
        assert found == pytest.approx(expected, abs=1e-5)
        assert found == pytest.approx(adjusted_rand_score(first, second), abs=0.1)


def test_agreement_ignores_names_and_channels_without_mass(rng):
    first = rng.integers(0, 4, 30)
    mass = rng.random(30).astype(np.float32)
    agreement = functools.partial(partition_agreement, most=6)
    assert float(agreement(first, (first + 2) % 4, mass)) == pytest.approx(1.0, abs=1e-5)
    other = first.copy()
    other[:5], mass[:5] = 5, 0.0
    assert float(agreement(first, other, mass)) == pytest.approx(1.0, abs=1e-5)
    # One part throughout tells nothing apart, and nothing wrong.
    assert float(agreement(first * 0, first * 0, mass)) == 1.0
    assert float(agreement(first, first, mass * 0)) == 1.0


def loop_blur(maps, spacing):
    """Blur a map [rows, columns] by plain loops."""
    blurred = np.zeros(maps.shape)
    for y, x in np.ndindex(maps.shape):
        total = weight = 0.0
        for i, j in np.ndindex(7, 7):
            row, column = y + spacing * (i - 3), x + spacing * (j - 3)
            if 0 <= row < maps.shape[0] and 0 <= column < maps.shape[1]:
                near = np.exp(-0.5 * ((i - 3) ** 2 + (j - 3) ** 2))
                total, weight = total + near * maps[row, column], weight + near
        blurred[y, x] = total / weight
    return blurred


def loop_point(maps, width):
    """Find a part's point in a map [rows, columns] by plain loops."""
    blurred = loop_blur(loop_blur(maps, 1), 2)
    peak = max(np.ndindex(maps.shape), key=lambda cell: blurred[cell])
    point, weight = np.zeros(2), 0.0
    for cell in np.ndindex(maps.shape):
        gap = np.sum((np.array(cell) - peak) ** 2)
        near = np.exp(-0.5 * gap / width**2) * maps[cell]
        point, weight = point + near * np.array(cell), weight + near
    return point / weight


@pytest.mark.parametrize("grid", [(5, 7), (7, 5), (1, 1), (1, 6)])
def test_points_are_those_of_the_loop(rng, grid):
    cells = grid[0] * grid[1]
    probs = np.zeros((40, 4), np.float32)
    probs[:cells] = rng.dirichlet(np.full(4, 0.3), cells)
    probs[cells:, 0] = 5.0  # What lies beyond the map is of no meaning.
    points, scores = locate(probs, jnp.array(grid), width=2.0)
    for k in range(3):
        maps = probs[:cells, k].reshape(grid).astype(np.float64)
        np.testing.assert_allclose(points[k], loop_point(maps, 2.0), atol=1e-3)
        assert scores[k] == maps.astype(np.float32).max()


def test_a_part_seen_twice_is_where_it_is_stronger():
    maps = np.zeros((60, 2), np.float32)
    maps[[1 * 20 + 3, 1 * 20 + 4], 0] = 0.9
    maps[1 * 20 + 17, 0] = 0.8
    (point,), (score,) = locate(maps, jnp.array([3, 20]), width=2.0)
    np.testing.assert_allclose(point, [1.0, 3.5], atol=0.05)
    assert float(score) == pytest.approx(0.9)


@pytest.mark.parametrize("radius", [2, 5, 8])
def test_a_large_part_that_is_sure_everywhere_is_in_its_middle(radius):
    rows, columns = np.mgrid[:27, :36]
    disc = (rows - 12) ** 2 + (columns - 20) ** 2 <= radius**2
    maps = np.stack([disc, ~disc], axis=-1).reshape(-1, 2).astype(np.float32)
    (point,), _ = locate(maps, jnp.array([27, 36]), width=2.0)
    np.testing.assert_allclose(point, [12, 20], atol=0.1)


def test_a_part_that_is_nowhere_lies_in_the_middle():
    points, scores = locate(np.zeros((15, 3), np.float32), jnp.array([3, 5]), width=2.0)
    np.testing.assert_array_equal(points, [[1.0, 2.0]] * 2)
    np.testing.assert_array_equal(scores, 0.0)


@pytest.mark.parametrize("spacing", [1, 2])
@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (1, 9), (9, 1), (8, 6)])
def test_blur_is_the_loop_and_keeps_what_is_even(rng, shape, spacing):
    count = shape[0] * shape[1]
    maps = rng.random((80, 2)).astype(np.float32)
    found = np.asarray(blur(maps, jnp.array(shape), spacing=spacing))[:count]
    for k in range(2):
        expected = loop_blur(maps[:count, k].reshape(shape), spacing).ravel()
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-4)
    even = np.full((80, 2), 0.3, np.float32)
    even[count:] = 9.0
    same = blur(even, jnp.array(shape), spacing=spacing)[:count]
    np.testing.assert_allclose(same, 0.3, rtol=1e-5)
