"""Pools by Jensen-Shannon divergence beside NumPy, PyTorch and SciPy, which compare all pairs."""

import jax.numpy as jnp
import numpy as np
import torch
from scipy.spatial.distance import jensenshannon

from benchmarks.inputs import PARTS
from benchmarks.race import Race, Way
from partdisc.discovery import pools
from partdisc.progress import Progress

IMAGES, CELLS, POOL = 600, 49, 15
# So many rows of all pairs are enough to see how long a row takes.
ROWS = {"NumPy, a row at a time": 8, "torch, a row at a time": 8, "SciPy, pair by pair": 1}


def similar() -> Race:
    """Pools of 15 of 600 images, which lie in groups of 30."""
    rng = np.random.default_rng(0)
    groups = rng.dirichlet(np.full(PARTS + 1, 0.05), (IMAGES // 30, CELLS))
    own = rng.dirichlet(np.full(PARTS + 1, 0.05), (IMAGES, CELLS))
    descriptors = (0.5 * groups[np.arange(IMAGES) % len(groups)] + 0.5 * own).astype(np.float32)
    device, tensor = jnp.asarray(descriptors), torch.from_numpy(descriptors)

    def ours():
        with Progress("pools", total=IMAGES, unit="images") as progress:
            return pools.similar(device, "spatial_js", POOL, progress)[0]

    def entropy(p):
        return (p * np.log(np.maximum(p, 1e-30))).sum(axis=-1)

    negative = entropy(descriptors)

    def by_numpy(row: int) -> np.ndarray:
        mixed = entropy(0.5 * (descriptors[row] + descriptors))
        return (0.5 * (negative[row] + negative) - mixed).mean(axis=1)

    entropies = torch.xlogy(tensor, tensor).sum(-1)

    @torch.inference_mode()
    def by_torch(row: int) -> np.ndarray:
        mixed = 0.5 * (tensor[row] + tensor)
        mixed = torch.xlogy(mixed, mixed).sum(-1)
        return (0.5 * (entropies[row] + entropies) - mixed).mean(1).numpy()

    def by_scipy(row: int) -> np.ndarray:
        one = descriptors[row]
        return np.array([(jensenshannon(one, other, axis=1) ** 2).mean() for other in descriptors])

    members = ours()
    recalled = []
    for row in range(0, IMAGES, 10):
        apart = by_numpy(row)
        apart[row] = np.inf
        recalled.append(len(np.intersect1d(members[row], np.argsort(apart)[:POOL])) / POOL)
    agree = np.abs(by_scipy(0) - by_numpy(0)).max(), np.abs(by_torch(0) - by_numpy(0)).max()
    seen = [
        f"members that all pairs give too: {100 * np.mean(recalled):.1f} %",
        f"largest difference of a divergence, of SciPy and torch from NumPy: {max(agree):.0e}",
    ]
    ways = [Way("partdisc", ours, IMAGES)]
    for (name, rows), work in zip(ROWS.items(), (by_numpy, by_torch, by_scipy), strict=True):

        def some(work=work, rows=rows):
            return [np.argsort(work(row))[:POOL] for row in range(rows)]

        ways.append(Way(name, some, rows))
    return Race("JS pools", "images", ways, seen)
