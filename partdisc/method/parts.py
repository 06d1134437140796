"""Parts that a person reads: channels that hold the same places, joined by a normalised cut.

The paper stops at the K channels. Here two channels belong together where one holds a cell and
the other the same place of the aligned pool, or of the mirrored image.
"""

import functools

import jax
import jax.numpy as jnp

from partdisc.method.cells import cell_positions, cell_validity, normalise

# Draws of the first centres of k-means, of which the best is kept, and steps from each.
RESTARTS, STEPS = 10, 60
# Steps of the walk along the affinities. Fewer leave the last eigenvectors, which are mostly noise,
# as heavy as the first.
WALK = 4


def joint(own: jax.Array, mean: jax.Array, counted: jax.Array) -> jax.Array:
    """Count how often one channel holds a cell and another the same place elsewhere.

    Args:
      own: [P, K + 1], p(channel | cell) of an image.
      mean: [P, K + 1], the same on the same cells, of what was laid on the image.
      counted: bool [P], the cells that count.

    Returns:
      [K + 1, K + 1], own channels first.
    """
    return jnp.where(counted[:, None], own, 0.0).T @ jnp.where(counted[:, None], mean, 0.0)


def mirror(extent: jax.Array) -> jax.Array:
    """Return the transform [3, 3] from cells of a mirrored image to those of the image.

    Args:
      extent: [], where column 0 of the mirrored image lies, in cells.
    """
    flipped = jnp.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    return flipped.at[1, 2].set(extent)


def affinity(joint: jax.Array) -> jax.Array:
    """Make of a joint [K + 1, K + 1] the symmetric affinity [K, K] of the channels; sum 1.

    The background, the last, belongs to no part. Zero where the joint is.
    """
    channels = joint[:-1, :-1]
    both = 0.5 * (channels + channels.T)
    total = jnp.sum(both)
    return both / jnp.where(total > 0, total, 1.0)


def embed(affinity: jax.Array, *, most: int, walk: int = WALK) -> jax.Array:
    """Embed the channels: those are near between which a walk along the affinities leads.

    Args:
      affinity: [K, K], symmetric, not negative.
      most: parts at most.
      walk: its steps.

    Returns:
      [K, most], K columns if they are fewer: the leading eigenvectors of the normalised affinity,
      strongest first, each times its eigenvalue to the power of the steps.

    References:
      Shi, Malik, "Normalized cuts and image segmentation", PAMI 22(8), 2000.
      Coifman, Lafon, "Diffusion maps", Applied and Computational Harmonic Analysis 21(1), 2006.
    """
    degree = jnp.maximum(jnp.sum(affinity, axis=1), 1e-12)
    scale = 1.0 / jnp.sqrt(degree)
    values, vectors = jnp.linalg.eigh(affinity * scale[:, None] * scale[None])
    walked = vectors * jnp.maximum(values, 0.0)[None] ** walk
    return walked[:, ::-1][:, :most]


@functools.partial(jax.jit, static_argnames="restarts")
def cut(
    key: jax.Array,
    embedding: jax.Array,
    mass: jax.Array,
    parts: jax.Array,
    *,
    restarts: int = RESTARTS,
) -> jax.Array:
    """Cut the channels into parts: k-means of their unit rows, each weighted by its mass.

    Args:
      key: random key.
      embedding: [K, most], from `embed`.
      mass: [K], not negative, of each channel.
      parts: int [], at most `most`.
      restarts: draws of the first centres, of which the best is kept.

    Returns:
      int32 [K], the part of each channel, 0 to parts - 1.

    Reference:
      Ng, Jordan, Weiss, "On spectral clustering", NIPS 2001.
    """
    most = embedding.shape[1]
    rows = normalise(jnp.where(jnp.arange(most)[None] < parts, embedding, 0.0))
    used = jnp.arange(most) < parts

    def squared(centres):
        gap = jnp.sum(rows**2, axis=1)[:, None] + jnp.sum(centres**2, axis=1)[None]
        gap = jnp.maximum(gap - 2.0 * rows @ centres.T, 0.0)
        return jnp.where(used[None], gap, jnp.inf)

    def seeded(key):
        levels = jax.random.uniform(key, (most,))

        def pick(k, state):
            centres, gap = state
            chance = jnp.cumsum(jnp.where(jnp.sum(mass * gap) > 0, mass * gap, mass + 1e-12))
            index = jnp.searchsorted(chance, levels[k] * chance[-1], side="right")
            row = rows[jnp.minimum(index, rows.shape[0] - 1)]
            gap = jnp.minimum(gap, jnp.sum((rows - row[None]) ** 2, axis=1))
            return centres.at[k].set(row), gap

        start = (jnp.zeros((most, most)), jnp.ones(rows.shape[0]))
        return jax.lax.fori_loop(0, most, pick, start)[0]

    def move(_, centres):
        member = mass[:, None] * jax.nn.one_hot(jnp.argmin(squared(centres), axis=1), most)
        weight = jnp.sum(member, axis=0)[:, None]
        return jnp.where(weight > 0, member.T @ rows / jnp.where(weight > 0, weight, 1.0), centres)

    def once(key):
        gap = squared(jax.lax.fori_loop(0, STEPS, move, seeded(key)))
        return jnp.argmin(gap, axis=1).astype(jnp.int32), jnp.sum(mass * jnp.min(gap, axis=1))

    labels, cost = jax.vmap(once)(jax.random.split(key, restarts))
    return labels[jnp.argmin(cost)]


def partition_agreement(
    first: jax.Array, second: jax.Array, mass: jax.Array, *, most: int
) -> jax.Array:
    """Return the adjusted Rand index [] of two partitions, each channel counted by its mass.

    Args:
      first: int [K].
      second: int [K].
      mass: [K], not negative.
      most: both have labels below it.

    Returns:
      1 for equal partitions, about 0 for unrelated ones.
    """
    share = mass / jnp.maximum(jnp.sum(mass), 1e-12)
    member = share[:, None] * jax.nn.one_hot(first, most)
    table = member.T @ jax.nn.one_hot(second, most)
    both = jnp.sum(table**2)
    one, other = jnp.sum(jnp.sum(table, axis=1) ** 2), jnp.sum(jnp.sum(table, axis=0) ** 2)
    expected = one * other
    room = 0.5 * (one + other) - expected
    return jnp.where(room > 1e-9, (both - expected) / jnp.where(room > 1e-9, room, 1.0), 1.0)


def blur(maps: jax.Array, grid: jax.Array, *, spacing: int = 1) -> jax.Array:
    """Blur packed maps [P, k] by a Gaussian, within the map.

    Args:
      maps: [P, k].
      grid: int [2], rows and columns.
      spacing: its width in cells; it is sampled that far apart, at three steps each way.
    """
    cells = maps.shape[0]
    position, valid = cell_positions(grid, cells), cell_validity(grid, cells)[:, None]
    both = jnp.concatenate([maps, jnp.ones((cells, 1), maps.dtype)], axis=1)
    both = jnp.where(valid, both, 0.0)
    # Along the columns, then the rows. A step is the same distance for all packed cells; it is
    # an array, for by a plain number a map of symbolic length cannot be rolled.
    for axis, distance in enumerate((grid[1], jnp.ones_like(grid[1]))):
        total = both
        for step in (-3, -2, -1, 1, 2, 3):
            beside = position[:, axis] + step * spacing
            inside = (beside >= 0) & (beside < grid[axis].astype(jnp.float32))
            moved = jnp.roll(both, -step * spacing * distance, axis=0)
            total += jnp.exp(-0.5 * step**2) * jnp.where(inside[:, None], moved, 0.0)
        both = jnp.where(valid, total, 0.0)
    return both[:, :-1] / jnp.maximum(both[:, -1:], 1e-9)


def locate(maps: jax.Array, grid: jax.Array, *, width: float) -> tuple[jax.Array, jax.Array]:
    """Say where each part is in an image, and how sure that is.

    A part's point is the mean of its map around the peak of the blurred map: on the part, also
    where it is seen twice. The blur is as wide as a part, so that a large one, which is equally
    sure everywhere, has its peak in its middle. There is always a point; the score says whether
    to believe it.

    Args:
      maps: [P, k + 1], p(part | cell), the background last.
      grid: int [2], rows and columns.
      width: of the surroundings that count, in cells.

    Returns:
      Points [k, 2], (y, x) in cells, and scores [k], the largest p(part | cell).
    """
    parts = maps[:, :-1]
    position = cell_positions(grid, maps.shape[0])
    valid = cell_validity(grid, maps.shape[0])[:, None]
    smooth = jnp.where(valid, blur(blur(parts, grid), grid, spacing=2), -1.0)
    around = _near(position[jnp.argmax(smooth, axis=0)], position, grid, width) * parts.T
    total = jnp.sum(around, axis=1, keepdims=True)
    points = around @ jnp.where(valid, position, 0.0) / jnp.where(total > 0, total, 1.0)
    centre = (grid.astype(jnp.float32) - 1.0) / 2.0
    scores = jnp.max(jnp.where(valid, parts, 0.0), axis=0)
    return jnp.where(total > 0, points, centre[None]), scores


def _near(points: jax.Array, position: jax.Array, grid: jax.Array, width: float) -> jax.Array:
    """Weight cells [P] at `position` by a Gaussian around points [n, 2]: [n, P]."""
    gap = jnp.sum((points[:, None] - position[None]) ** 2, axis=-1)
    valid = cell_validity(grid, position.shape[0])
    return jnp.where(valid[None], jnp.exp(-0.5 * gap / width**2), 0.0)
