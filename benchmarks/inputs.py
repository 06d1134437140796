"""What the stages are measured on: maps, matches and images with something planted in them."""

import jax
import jax.numpy as jnp
import numpy as np

GRID = (14, 17)
CELLS, PARTS, CHANNELS = GRID[0] * GRID[1], 512, 512
# Share of the cells of an image that show something else than the map says.
STRANGE = 0.4


def positions() -> np.ndarray:
    """Return the cells of a map, (y, x) [P, 2]."""
    return np.stack(np.divmod(np.arange(CELLS), GRID[1]), axis=1).astype(np.float32)


def maps(rng: np.random.Generator, count: int) -> np.ndarray:
    """Make probs [count, P, K + 1] with a common structure, so that some cells match."""
    common = rng.normal(size=(CELLS, PARTS + 1))
    logits = 2.0 * common[None] + rng.normal(size=(count, CELLS, PARTS + 1))
    return np.asarray(jax.nn.softmax(jnp.asarray(2.0 * logits, jnp.float32), axis=-1))


def plant(rng: np.random.Generator) -> np.ndarray:
    """Draw an affine map [2, 3] of cells to cells that turns, scales and shears a little."""
    centre = positions().mean(axis=0)
    angle, scale = np.radians(rng.uniform(-30, 30)), np.exp(rng.uniform(-0.25, 0.25))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn @ (np.eye(2) + rng.uniform(-0.15, 0.15, (2, 2)))
    shift = centre + rng.uniform(-2, 2, 2) - turn @ centre
    return np.concatenate([turn, shift[:, None]], axis=1)


def moved(points: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Map points [n, 2] by an affine map [2, 3]."""
    return points @ affine[:, :2].T + affine[:, 2]


class Lists:
    """Lists of matches of which a share follows a planted map, a third of a cell off.

    Attributes:
      source: [n, P, 2]; target: likewise; weight: [n, P], 1 for a match; planted: [n, 2, 3].
    """

    def __init__(self, rng: np.random.Generator, count: int, outliers: float, matches: int = 100):
        """Plant maps; no cell of a neighbour is matched twice."""
        cells = positions()
        self.source = np.zeros((count, CELLS, 2), np.float32)
        self.target = np.zeros((count, CELLS, 2), np.float32)
        self.weight = np.zeros((count, CELLS), np.float32)
        self.planted = np.stack([plant(rng) for _ in range(count)])
        for n, planted in enumerate(self.planted):
            snapped = np.round(moved(cells, planted) + rng.normal(0, 0.3, cells.shape))
            inside = np.all((snapped >= 0) & (snapped < GRID), axis=1)
            good = rng.permutation(np.flatnonzero(inside))[: round(matches * (1 - outliers))]
            bad = rng.permutation(np.setdiff1d(np.arange(CELLS), good))[: matches - len(good)]
            used = len(good) + len(bad)
            self.source[n, :used] = cells[np.concatenate([good, bad])]
            self.target[n, : len(good)] = snapped[good]
            self.target[n, len(good) : used] = cells[rng.integers(0, CELLS, len(bad))]
            self.weight[n, :used] = 1.0

    def of(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a list's neighbour cells and target cells [m, 2]."""
        used = self.weight[n] > 0
        return self.source[n][used], self.target[n][used]

    def exact(self, transforms: list[np.ndarray | None]) -> float:
        """Return the share of maps found within a cell, on average over the cells of a map."""
        cells, good = positions(), 0
        for planted, found in zip(self.planted, transforms, strict=True):
            if found is not None:
                apart = moved(cells, np.asarray(found)[:2]) - moved(cells, planted)
                good += np.linalg.norm(apart, axis=1).mean() < 1
        return good / len(transforms)


def images(rng: np.random.Generator, count: int) -> np.ndarray:
    """Make unit features float16 [count, P, C] of one scene, each seen through another map.

    Of the mutual matches of two of them some two thirds agree on a transform, as in photos.
    """
    rows, columns = 2 * GRID[0], 2 * GRID[1]
    scene = rng.normal(size=(rows, columns, CHANNELS))
    found = np.zeros((count, CELLS, CHANNELS), np.float32)
    for n in range(count):
        at = np.round(moved(positions(), plant(rng)) + np.array(GRID) / 2).astype(int)
        elsewhere = rng.integers(0, [rows, columns], at.shape)
        at = np.where(rng.random((CELLS, 1)) < STRANGE, elsewhere, at)
        seen = scene[np.clip(at[:, 0], 0, rows - 1), np.clip(at[:, 1], 0, columns - 1)]
        found[n] = seen + 1.2 * rng.normal(size=seen.shape)
    found /= np.linalg.norm(found, axis=-1, keepdims=True)
    return found.astype(np.float16)
