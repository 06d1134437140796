"""Transforms against numpy.linalg, the direct linear transform and numeric Jacobians."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels import jitted

from partdisc.method.transforms import (
    FAMILIES,
    PERSPECTIVE_RIDGE,
    SMALLEST_TRIANGLE,
    is_plausible,
    least_squares,
    solve,
)
from partdisc.method.warp import transform_points

is_plausible, least_squares, solve = jitted(is_plausible, least_squares, solve)

SETS = 2000


@functools.partial(jax.jit, static_argnames="family")
def solve_all(source, target, family):
    return jax.vmap(lambda s, t: solve(s, t, family=family))(source, target)


def homogeneous(points):
    return np.concatenate([points, np.ones(points.shape[:-1] + (1,))], axis=-1)


def mapped(transform, points):
    """Map points [n, 2] in float64."""
    columns = homogeneous(np.asarray(points, float)) @ np.asarray(transform, float).T
    return columns[:, :2] / columns[:, 2:]


def direct_linear_transform(source, target):
    """Solve a homography as the null vector of its 8 x 9 system, scaled to [2, 2] = 1."""
    rows = []
    for (y, x), (v, u) in zip(source, target, strict=True):
        rows.append([y, x, 1, 0, 0, 0, -v * y, -v * x, -v])
        rows.append([0, 0, 0, y, x, 1, -u * y, -u * x, -u])
    matrix = np.linalg.svd(np.array(rows, float))[2][-1].reshape(3, 3)
    return matrix / matrix[2, 2]


def double_area(points):
    """Return twice the area of triangles [..., 3, 2]."""
    (a, b, c) = np.moveaxis(np.asarray(points, float), -2, 0)
    (y, x), (v, u) = np.moveaxis(b - a, -1, 0), np.moveaxis(c - a, -1, 0)
    return np.abs(y * u - x * v)


def random_sets(rng, family):
    shape = (SETS, FAMILIES[family], 2)
    return rng.uniform(0, 18, shape).astype(np.float32), rng.uniform(0, 18, shape).astype(
        np.float32
    )


def test_translation_is_the_difference(rng):
    source, target = random_sets(rng, "translation")
    transforms, determined = solve_all(source, target, family="translation")
    expected = np.tile(np.eye(3), (SETS, 1, 1))
    expected[:, :2, 2] = (target - source)[:, 0]
    np.testing.assert_allclose(transforms, expected, atol=1e-5)
    assert determined.all()


def test_affine_is_numpys(rng):
    source, target = random_sets(rng, "affine")
    transforms, determined = solve_all(source, target, family="affine")
    smallest = np.minimum(double_area(source), double_area(target))
    clear = np.abs(smallest - SMALLEST_TRIANGLE) > 1e-3
    flat = smallest < SMALLEST_TRIANGLE
    assert 10 < flat.sum() < SETS / 2
    np.testing.assert_array_equal(np.asarray(determined)[clear], ~flat[clear])
    solved = np.linalg.solve(homogeneous(source)[~flat], target.astype(float)[~flat])
    transforms = np.asarray(transforms)
    assert np.isfinite(transforms).all()
    # The errors of float32 grow with the thinness of the source triangle.
    tolerance = 2e-3 * (1 + 18 / double_area(source)[~flat])
    error = np.abs(transforms[~flat][:, :2] - solved.transpose(0, 2, 1)).max(axis=(1, 2))
    assert (error < tolerance).all()
    np.testing.assert_array_equal(transforms[:, 2], np.broadcast_to([0, 0, 1], (SETS, 3)))


def share_of_areas(points):
    """Return the smallest of the triangles of four points with the last, over the first three's."""
    base = double_area(points[:, [0, 1, 2]])
    others = [double_area(points[:, list(of)]) for of in ((0, 1, 3), (0, 2, 3), (1, 2, 3))]
    return base, np.min(others, axis=0) / base


def test_homography_is_the_direct_linear_transform(rng):
    source, target = random_sets(rng, "homography")
    transforms, determined = map(np.asarray, solve_all(source, target, family="homography"))
    assert np.isfinite(transforms).all()
    general, clear = np.ones(SETS, bool), np.ones(SETS, bool)
    for points in (source, target):
        base, share = share_of_areas(points)
        general &= (base >= SMALLEST_TRIANGLE) & (share > 0.05)
        clear &= (np.abs(base - SMALLEST_TRIANGLE) > 1e-3) & (np.abs(share - 0.05) > 1e-3)
    assert SETS / 4 < general.sum() < SETS * 0.9
    np.testing.assert_array_equal(determined[clear], general[clear])
    np.testing.assert_array_equal(
        transforms[~determined], np.broadcast_to(np.eye(3), ((~determined).sum(), 3, 3))
    )
    for index in np.flatnonzero(determined):
        expected = direct_linear_transform(source[index], target[index])
        if np.linalg.norm(expected) < 100:
            found = transforms[index] / np.linalg.norm(transforms[index])
            np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=5e-3)


CELLS = np.stack(np.meshgrid([0, 7, 14], [0, 9, 18], indexing="ij"), -1).reshape(-1, 2)


def mild_homographies(rng, number):
    return np.eye(3) + rng.uniform(-1, 1, (number, 3, 3)) * [
        [0.2, 0.2, 3],
        [0.2, 0.2, 3],
        [0.01, 0.01, 0],
    ]


def test_planted_homographies_come_back(rng):
    base = np.array([[1, 2], [2, 15], [13, 3], [14, 16]])
    source = base + rng.uniform(-1.5, 1.5, (SETS, 4, 2))
    planted = mild_homographies(rng, SETS)
    target = np.array([mapped(h, s) for h, s in zip(planted, source, strict=True)])
    transforms, determined = solve_all(
        source.astype(np.float32), target.astype(np.float32), family="homography"
    )
    assert determined.all()
    for found, expected in zip(transforms, planted, strict=True):
        np.testing.assert_allclose(mapped(found, CELLS), mapped(expected, CELLS), atol=0.01)


@pytest.mark.parametrize("family", ["affine", "homography"])
@pytest.mark.parametrize("side", ["source", "target"])
def test_degenerate_sets_are_flagged(family, side):
    n = FAMILIES[family]
    good = np.array([[0, 0], [0, 9], [8, 1], [7, 10]], np.float32)[:n]
    line = np.array([[0, 0], [2, 1], [4, 2], [10, 5]], np.float32)[:n]
    twice = good.copy()
    twice[n - 1] = twice[0]
    bad = [line, twice, np.zeros_like(good), good * 1e-3]
    if family == "homography":
        three_on_a_line = good.copy()
        three_on_a_line[3] = [0, 5]
        bad.append(three_on_a_line)
    bad = np.array(bad)
    fine = np.broadcast_to(good, bad.shape)
    pair = (bad, fine) if side == "source" else (fine, bad)
    transforms, determined = solve_all(*pair, family=family)
    assert not determined.any()
    assert np.isfinite(transforms).all()
    assert solve_all(good[None], good[None], family=family)[1].all()


@pytest.mark.parametrize("family", ["translation", "affine", "homography"])
def test_moving_the_targets_moves_the_transform(rng, family):
    source = rng.uniform(0, 18, (300, FAMILIES[family], 2)).astype(np.float32)
    target = (source * 0.9 + rng.uniform(-1, 1, source.shape)).astype(np.float32)
    shift = np.array([[1, 0, 3], [0, 1, -2], [0, 0, 1]], np.float32)
    first, determined = solve_all(source, target, family=family)
    second, _ = solve_all(source, target + shift[:2, 2], family=family)
    probe = np.array([[5.0, 5], [9, 12]])
    plausible = jax.vmap(
        lambda t: is_plausible(t, jnp.array([18, 18]), max_area_change=3.0, **ANY_SHAPE)
    )
    kept = np.asarray(determined & plausible(first))
    assert kept.sum() > 30
    for a, b in zip(first[kept], second[kept], strict=True):
        np.testing.assert_allclose(mapped(shift @ a, probe), mapped(b, probe), atol=0.05)


@pytest.mark.parametrize("family", ["translation", "affine", "homography"])
def test_vmap_of_sets_is_the_loop(rng, family):
    source, target = random_sets(rng, family)
    batched = solve_all(source[:5], target[:5], family=family)
    for index in range(5):
        one = solve(jnp.asarray(source[index]), jnp.asarray(target[index]), family=family)
        assert bool(one[1]) == bool(batched[1][index])
        scale = np.abs(one[0]).max()
        np.testing.assert_allclose(batched[0][index] / scale, one[0] / scale, atol=1e-4)


ANY_SHAPE = {"family": "homography", "max_stretch": 1e4, "max_rotation": 180.0}


def numeric_plausibility(transform, grid, change, stretch, rotation):
    """Judge by finite differences of the map at the corners; also the margin of the verdict."""
    rows, columns = grid
    margin, verdict = np.inf, True
    for corner in ([0, 0], [0, columns - 1], [rows - 1, 0], [rows - 1, columns - 1]):
        depth = transform[2] @ [*corner, 1]
        margin = min(margin, abs(depth - 0.05))
        if depth <= 0.05:
            verdict = False
            continue
        step = 1e-5
        steps = np.array([[step, 0], [-step, 0], [0, step], [0, -step]])
        at = mapped(transform, corner + steps)
        jacobian = np.stack([at[0] - at[1], at[2] - at[3]], axis=1) / (2 * step)
        area = np.linalg.det(jacobian)
        verdict &= 1 / change <= area <= change
        margin = min(margin, abs(area - change), abs(area - 1 / change))
        # The polar decomposition gives the rotation, the singular values the stretch.
        left, sizes, right = np.linalg.svd(jacobian)
        turn = left @ right
        angle = np.degrees(abs(np.arctan2(turn[1, 0], turn[0, 0])))
        ratio = sizes[0] / max(sizes[1], 1e-9)
        if area > 0:
            verdict &= ratio <= stretch and angle <= rotation
            margin = min(margin, abs(ratio - stretch) / 10, abs(angle - rotation))
    return verdict, margin


@pytest.mark.parametrize("family", ["affine", "homography"])
@pytest.mark.parametrize("grid", [(14, 18), (18, 14), (1, 9), (1, 1)])
@pytest.mark.parametrize("stretch, rotation", [(1e4, 180.0), (2.5, 180.0), (1e4, 30.0)])
def test_plausibility_by_numeric_jacobians(rng, family, grid, stretch, rotation):
    transforms = np.eye(3) + rng.normal(size=(200, 3, 3)) * [
        [0.5, 0.5, 3],
        [0.5, 0.5, 3],
        [0.03, 0.03, 0],
    ]
    if family == "affine":
        transforms[:, 2] = [0, 0, 1]
    judge = jax.jit(
        jax.vmap(
            lambda t: is_plausible(
                t,
                jnp.array(grid),
                family=family,
                max_area_change=3.0,
                max_stretch=stretch,
                max_rotation=rotation,
            )
        )
    )
    result = np.asarray(judge(jnp.asarray(transforms, jnp.float32)))
    compared = []
    for transform, found in zip(transforms, result, strict=True):
        verdict, margin = numeric_plausibility(transform, grid, 3.0, stretch, rotation)
        if margin > 1e-3:
            assert found == verdict, transform
            compared.append(verdict)
    assert 4 < sum(compared) < len(compared) - 8
    assert len(compared) > 160


@pytest.mark.parametrize(
    "matrix, allowed",
    [
        (np.eye(3), True),
        (np.diag([-1, 1, 1]), False),
        (np.diag([-1, -1, 1]), True),
        (np.diag([2, 1.49, 1]), True),
        (np.diag([2, 1.51, 1]), False),
        (np.diag([0.5, 0.67, 1]), True),
        (np.diag([0.5, 0.66, 1]), False),
        (np.diag([0, 1, 1]), False),
        (np.zeros((3, 3)), False),
        ([[1, 0, 0], [0, 1, 0], [-0.1, 0, 1]], False),
        ([[1, 0, 0], [0, 1, 0], [0.01, 0, 1]], True),
    ],
)
def test_plausibility_of_plain_cases(matrix, allowed):
    transform = jnp.asarray(matrix, jnp.float32)
    found = is_plausible(transform, jnp.array([14, 18]), max_area_change=3.0, **ANY_SHAPE)
    assert bool(found) is allowed


def test_nothing_but_the_same_area_is_plausible_at_a_change_of_one():
    grid = jnp.array([14, 18])
    limits = {"max_area_change": 1.0, **ANY_SHAPE}
    assert is_plausible(jnp.eye(3), grid, **limits)
    assert not is_plausible(jnp.diag(jnp.array([1.01, 1, 1])), grid, **limits)


@pytest.mark.parametrize(
    "matrix, allowed",
    [
        ([[1.2, 0, 0], [0, 1, 0], [0, 0, 1]], True),
        ([[1.6, 0, 0], [0, 1, 0], [0, 0, 1]], False),
        ([[1, 0.3, 0], [0, 1, 0], [0, 0, 1]], True),
        ([[1, 1, 0], [0, 1, 0], [0, 0, 1]], False),
        ([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]], True),  # 37 degrees
        ([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]], False),  # 53 degrees
        ([[-1, 0, 0], [0, -1, 0], [0, 0, 1]], False),
    ],
)
def test_stretch_and_rotation_of_plain_cases(matrix, allowed):
    transform = jnp.asarray(matrix, jnp.float32)
    limits = {"max_area_change": 3.0, "max_stretch": 1.5, "max_rotation": 45.0}
    for family in ("affine", "homography"):
        found = is_plausible(transform, jnp.array([14, 18]), family=family, **limits)
        assert bool(found) is allowed


fit = jax.jit(least_squares, static_argnames="family")


@pytest.mark.parametrize("matches", [4, 50, 1000])
def test_least_squares_is_numpys(rng, matches):
    source, target = rng.uniform(0, 18, (2, matches, 2)).astype(np.float32)
    weight = rng.random(matches).astype(np.float32)
    root = np.sqrt(weight.astype(float))[:, None]
    expected = np.linalg.lstsq(homogeneous(source) * root, target * root, rcond=None)[0].T
    transform, determined = fit(source, target, weight, family="affine")
    assert determined
    np.testing.assert_allclose(transform[:2], expected, atol=2e-3)
    transform, determined = fit(source, target, weight, family="translation")
    mean = np.average(target.astype(float) - source, axis=0, weights=weight)
    assert determined
    np.testing.assert_allclose(transform, [[1, 0, mean[0]], [0, 1, mean[1]], [0, 0, 1]], atol=1e-4)


def direct_linear_fit(source, target, weight):
    """Fit a homography in float64: normalised points, last entry 1, ordinary least squares.

    Also return the condition number.
    """
    weight = weight / weight.sum()

    def unit(points):
        mean = weight @ points
        scale = 1 / np.sqrt(weight @ ((points - mean) ** 2).sum(1) / 2)
        return np.array([[scale, 0, -scale * mean[0]], [0, scale, -scale * mean[1]], [0, 0, 1]])

    first, last = unit(source), unit(target)
    rows, aims = [], []
    for point, aim, share in zip(mapped(first, source), mapped(last, target), weight, strict=True):
        for axis in (0, 1):
            row = np.zeros(8)
            row[3 * axis : 3 * axis + 3] = [*point, 1]
            row[6:] = -aim[axis] * point
            rows.append(row * np.sqrt(share))
            aims.append(aim[axis] * np.sqrt(share))
    for entry in (6, 7):
        rows.append(np.sqrt(PERSPECTIVE_RIDGE) * np.eye(8)[entry])
        aims.append(0.0)
    entries, _, _, sizes = np.linalg.lstsq(np.array(rows), np.array(aims), rcond=None)
    matrix = np.linalg.inv(last) @ np.append(entries, 1).reshape(3, 3) @ first
    return matrix, sizes[0] / sizes[-1]


@pytest.mark.parametrize("matches, noise", [(5, 0.1), (12, 0.5), (200, 1.0)])
def test_least_squares_homography_is_the_normalised_direct_linear_transform(rng, matches, noise):
    planted = mild_homographies(rng, 210)
    source = rng.uniform(0, 18, (210, matches, 2))
    target = np.array([mapped(h, s) for h, s in zip(planted, source, strict=True)])
    target += noise * rng.normal(size=target.shape)
    weight = rng.uniform(0.2, 1, (210, matches))
    found, determined = jax.jit(jax.vmap(functools.partial(least_squares, family="homography")))(
        *(array.astype(np.float32) for array in (source, target, weight))
    )
    assert np.isfinite(found).all()
    compared = 0
    for index in np.flatnonzero(determined):
        expected, condition = direct_linear_fit(source[index], target[index], weight[index])
        # Near its horizon, and where few matches leave it open, a map has no meaning.
        if (homogeneous(CELLS) @ expected[2] / expected[2, 2] > 0.3).all() and condition < 50:
            np.testing.assert_allclose(
                mapped(found[index], CELLS), mapped(expected, CELLS), atol=0.05
            )
            compared += 1
    assert compared > 150


@pytest.mark.parametrize("matches", [4, 30])
def test_least_squares_returns_exact_homographies(rng, matches):
    planted, source = mild_homographies(rng, 300), rng.uniform(0, 18, (300, matches, 2))
    source[:, :4] = [[1, 2], [2, 15], [13, 3], [14, 16]]
    for h, s in zip(planted, source, strict=True):
        found, determined = fit(
            s.astype(np.float32),
            mapped(h, s).astype(np.float32),
            np.ones(matches, np.float32),
            family="homography",
        )
        assert determined and found[2, 2] == pytest.approx(1)
        np.testing.assert_allclose(mapped(found, CELLS), mapped(h, CELLS), atol=0.02)


@pytest.mark.parametrize("family", ["translation", "affine", "homography"])
def test_least_squares_ignores_weight_zero_and_the_scale_of_weights(rng, family):
    source, target = rng.uniform(0, 18, (2, 30, 2)).astype(np.float32)
    weight = rng.random(30).astype(np.float32)
    weight[10:] = 0
    full = fit(source, target, weight, family=family)[0]
    part = fit(source[:10], target[:10], weight[:10], family=family)[0]
    np.testing.assert_allclose(full, part, atol=1e-3)
    np.testing.assert_allclose(
        fit(source, target, 1024 * weight, family=family)[0], full, atol=1e-3
    )


@pytest.mark.parametrize("family", ["translation", "affine"])
def test_least_squares_of_exact_matches_is_exact(rng, family):
    planted = np.array([[0.9, 0.2, -1], [-0.1, 1.1, 2], [0, 0, 1]], np.float32)
    if family == "translation":
        planted[:, :2] = np.eye(3)[:, :2]
    source = jnp.asarray(rng.uniform(0, 18, (40, 2)), jnp.float32)
    target = transform_points(jnp.asarray(planted), source)
    transform, determined = fit(source, target, jnp.ones(40), family=family)
    assert determined
    np.testing.assert_allclose(transform, planted, atol=1e-4)


def test_perspective_is_left_out_where_the_matches_leave_it_open():
    # A line and a point beside it: an affine map fits, and so do many homographies.
    source = np.array([[0, 0], [2, 4], [4, 8], [6, 12], [9, 3]], np.float32)
    for matches in (source, source[[0, 3, 4]]):
        target = matches * 0.9 + [1, -2]
        transform, determined = fit(
            matches, target.astype(np.float32), jnp.ones(len(matches)), family="homography"
        )
        assert determined
        np.testing.assert_allclose(mapped(transform, matches), target, atol=0.01)
        assert np.abs(np.asarray(transform)[2, :2]).max() < 0.01


def test_degenerate_least_squares_are_flagged():
    line = np.stack([np.arange(20), 2 * np.arange(20)], axis=1).astype(np.float32)
    for family in ("affine", "homography"):
        for source in (line, np.zeros_like(line), np.full_like(line, 7.3)):
            transform, determined = fit(source, source + 1, jnp.ones(20), family=family)
            assert not determined
            # Still the best translation.
            np.testing.assert_allclose(transform, [[1, 0, 1], [0, 1, 1], [0, 0, 1]], atol=1e-4)
    for family in ("translation", "affine", "homography"):
        transform, determined = fit(line, line + 1, jnp.zeros(20), family=family)
        assert not determined
        np.testing.assert_array_equal(transform, np.eye(3))
    transform, determined = fit(line[:1], line[:1] + 3, jnp.ones(1), family="translation")
    assert determined
    assert np.asarray(transform)[:2, 2].tolist() == [3, 3]
