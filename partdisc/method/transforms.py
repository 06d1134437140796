"""Families of spatial transforms, solved in closed form from a minimal set of matches."""

import math

import jax
import jax.numpy as jnp

from partdisc.method.warp import invert

# Family -> matches in a minimal set.
FAMILIES = {"none": 0, "translation": 1, "affine": 3, "homography": 4}
# Twice the smallest area, in square cells, of a triangle of matches that fixes a transform.
SMALLEST_TRIANGLE = 1.0
# Of the perspective of a least-squares homography, in units of the spread of its matches.
PERSPECTIVE_RIDGE = 1e-5


def _homogeneous(points: jax.Array) -> jax.Array:
    """Return points [n, 2] as the columns of a matrix [3, n]."""
    return jnp.concatenate([points.T, jnp.ones((1, points.shape[0]), points.dtype)])


def _triangle_matrix(points: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return three points [3, 2] as columns [3, 3], and whether they span a triangle."""
    matrix = _homogeneous(points)
    area = jnp.abs(jnp.linalg.det(matrix))
    return matrix, area >= SMALLEST_TRIANGLE


def _between_triangles(source: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Solve an affine transform [3, 3] from three matches [3, 2]; see `solve`."""
    # By its sides and no matrix: thousands of them are then solved along one axis.
    first, second = source[1] - source[0], source[2] - source[0]
    to_first, to_second = target[1] - target[0], target[2] - target[0]
    area = first[0] * second[1] - first[1] * second[0]
    to_area = to_first[0] * to_second[1] - to_first[1] * to_second[0]
    spans = (jnp.abs(area) >= SMALLEST_TRIANGLE) & (jnp.abs(to_area) >= SMALLEST_TRIANGLE)
    scale = 1.0 / jnp.where(spans, area, 1.0)
    along_y = (to_first * second[1] - to_second * first[1]) * scale
    along_x = (to_second * first[0] - to_first * second[0]) * scale
    shift = target[0] - along_y * source[0, 0] - along_x * source[0, 1]
    last = jnp.array([0, 0, 1], source.dtype)
    return jnp.concatenate([jnp.stack([along_y, along_x, shift], axis=1), last[None]]), spans


def _basis(points: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the homography [3, 3] that takes the projective basis to four points [4, 2]."""
    matrix, spans = _triangle_matrix(points[:3])
    coefficient = invert(matrix) @ jnp.concatenate([points[3], jnp.ones(1, points.dtype)])
    general = spans & jnp.all(jnp.abs(coefficient) > 0.05)
    return matrix * coefficient[None], general


def _scaled(transform: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Scale a homography [3, 3] to a last entry of 1; return it and whether that is finite."""
    scale = transform[2, 2]
    # Relative, so that the entries stay small enough for a determinant in float32.
    finite = jnp.abs(scale) > 1e-6 * jnp.max(jnp.abs(transform))
    return transform / jnp.where(finite, scale, 1.0), finite


def solve(source: jax.Array, target: jax.Array, *, family: str) -> tuple[jax.Array, jax.Array]:
    """Solve the transform that maps a minimal set of neighbour cells to target cells.

    Args:
      source: [n, 2], (y, x) cells of the neighbour; n as in `FAMILIES`.
      target: [n, 2], (y, x) cells of the target.
      family: `translation`, `affine` or `homography`.

    Returns:
      transform [3, 3] and bool [], whether the set determines one (no three of its
      points nearly on a line).
    """
    identity = jnp.eye(3, dtype=source.dtype)
    if family == "translation":
        return identity.at[:2, 2].set(target[0] - source[0]), jnp.array(True)
    if family == "affine":
        return _between_triangles(source, target)
    from_basis, from_general = _basis(source)
    to_basis, to_general = _basis(target)
    transform, finite = _scaled(to_basis @ invert(from_basis))
    general = from_general & to_general & finite
    return jnp.where(general, transform, identity), general


def is_plausible(
    transform: jax.Array,
    grid: jax.Array,
    *,
    family: str,
    max_area_change: float,
    max_stretch: float,
    max_rotation: float,
) -> jax.Array:
    """Return whether a transform keeps orientation and roughly the shape of things: bool [].

    It is judged by its Jacobian at the corners of the neighbour's map, which is the same at
    all of them but for a homography.

    Args:
      transform: [3, 3], neighbour cells to target cells.
      grid: int [2], the neighbour's rows and columns.
      family: of the transform, one of `FAMILIES`.
      max_area_change: an area may grow or shrink by at most this factor.
      max_stretch: a length may change against the length across it by at most this factor.
      max_rotation: in degrees.
    """
    last = (grid - 1).astype(transform.dtype)
    corners = 4 if family == "homography" else 1
    y, x = last[:, None] * jnp.array([[0, 0, 1, 1], [0, 1, 0, 1]], last.dtype)[:, :corners]
    to_y, to_x, depth = (row[0] * y + row[1] * x + row[2] for row in transform)
    ahead = depth > 0.05
    depth = jnp.where(ahead, depth, 1.0)
    (a, b), (c, d) = (
        [(row[i] - to / depth * transform[2, i]) / depth for i in range(2)]
        for row, to in zip(transform[:2], (to_y, to_x), strict=True)
    )
    area = a * d - b * c
    # With singular values s and t: a^2 + b^2 + c^2 + d^2 = s^2 + t^2, and area = s t.
    stretch = (a**2 + b**2 + c**2 + d**2) <= (max_stretch + 1.0 / max_stretch) * area * 1.0001
    cosine = (a + d) / jnp.sqrt(jnp.maximum((a + d) ** 2 + (c - b) ** 2, 1e-12))
    upright = cosine >= math.cos(math.radians(max_rotation)) - 1e-6
    kept = (area >= 1.0 / max_area_change) & (area <= max_area_change)
    return jnp.all(ahead & kept & stretch & upright)


def least_squares(
    source: jax.Array, target: jax.Array, weight: jax.Array, *, family: str
) -> tuple[jax.Array, jax.Array]:
    """Fit a transform to weighted matches.

    A homography minimises the algebraic error of the normalised direct linear transform
    (Hartley 1997), in which a match counts by its depth.

    Args:
      source: [M, 2], (y, x) cells of the neighbour.
      target: [M, 2], (y, x) cells of the target.
      weight: [M], zero leaves a match out.
      family: `translation`, `affine` or `homography`.

    Returns:
      transform [3, 3], the best translation where the matches determine no more, and
      bool [], whether they determine one of the family.
    """
    total = jnp.sum(weight)
    share = weight / jnp.where(total > 0, total, 1.0)
    source_mean, target_mean = share @ source, share @ target
    linear = jnp.eye(2, dtype=source.dtype)
    determined = total > 0
    if family != "translation":
        centred = source - source_mean[None]
        scatter = (centred * share[:, None]).T @ centred
        determinant = scatter[0, 0] * scatter[1, 1] - scatter[0, 1] * scatter[1, 0]
        determined = determined & (determinant > 0.01)
    if family == "affine":
        cross = (centred * share[:, None]).T @ (target - target_mean[None])
        adjugate = jnp.stack(
            [
                jnp.stack([scatter[1, 1], -scatter[0, 1]]),
                jnp.stack([-scatter[1, 0], scatter[0, 0]]),
            ]
        )
        solved = (adjugate @ cross / jnp.where(determined, determinant, 1.0)).T
        linear = jnp.where(determined, solved, linear)
    shift = target_mean - linear @ source_mean
    top = jnp.concatenate([linear, shift[:, None]], axis=1)
    transform = jnp.concatenate([top, jnp.array([[0, 0, 1]], top.dtype)])
    if family == "homography":
        fitted, finite = _scaled(_direct_linear(source, target, share))
        determined = determined & finite
        transform = jnp.where(determined, fitted, transform)
    return transform, determined


def _unit(points: jax.Array, share: jax.Array) -> jax.Array:
    """Return the similarity [3, 3] that gives points [M, 2] the mean 0 and the spread 1."""
    mean = share @ points
    variance = share @ jnp.sum((points - mean[None]) ** 2, axis=-1) / 2.0
    scale = 1.0 / jnp.sqrt(jnp.maximum(variance, 1e-6))
    return jnp.eye(3, dtype=points.dtype).at[:2].multiply(scale).at[:2, 2].set(-scale * mean)


def _direct_linear(source: jax.Array, target: jax.Array, share: jax.Array) -> jax.Array:
    """Fit a homography [3, 3] to matches [M, 2]; its depth at the neighbour's mean is 1."""
    from_cells, to_unit = _unit(source, share), _unit(target, share)
    columns = (from_cells @ _homogeneous(source)).T
    aim = (to_unit @ _homogeneous(target))[:2]
    nothing = jnp.zeros_like(columns)
    rows = jnp.concatenate(
        [
            jnp.concatenate([columns, nothing, -aim[0][:, None] * columns[:, :2]], axis=1),
            jnp.concatenate([nothing, columns, -aim[1][:, None] * columns[:, :2]], axis=1),
        ]
    )
    weighted = rows * jnp.tile(share, 2)[:, None]
    # Where all matches but one lie on a line the perspective is open: a ridge makes it none.
    normal = (rows.T @ weighted).at[[6, 7], [6, 7]].add(PERSPECTIVE_RIDGE)
    entries = jnp.linalg.solve(normal, weighted.T @ aim.reshape(-1))
    return invert(to_unit) @ jnp.append(entries, 1.0).reshape(3, 3) @ from_cells
