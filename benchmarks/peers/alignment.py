"""Matching and alignment beside PyTorch and OpenCV."""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.inputs import CELLS, GRID, Lists, images, positions
from benchmarks.race import Race, Way
from partdisc.config import base_config
from partdisc.discovery.settings import step_settings
from partdisc.method.alignment import align, align_pool
from partdisc.method.matching import Matches

RADIUS, PAIRS, LISTS = 1.5, 60, 150
NEVER = 1 - 1e-12  # confidence that stops a search early
SEARCHES = {
    "cv2 RANSAC, 256 iterations": (cv2.RANSAC, 256, NEVER),
    "cv2 RANSAC, as it comes": (cv2.RANSAC, 2000, 0.99),
    "cv2 USAC_DEFAULT, 256": (cv2.USAC_DEFAULT, 256, 0.99),
    "cv2 USAC_MAGSAC, 256": (cv2.USAC_MAGSAC, 256, 0.99),
}


def estimate(source: np.ndarray, target: np.ndarray, search: tuple) -> np.ndarray | None:
    """Estimate an affine map [2, 3] with OpenCV; None where it finds none."""
    if len(source) < 3:
        return None
    method, iterations, confidence = search
    return cv2.estimateAffine2D(
        source, target, method=method, ransacReprojThreshold=RADIUS,
        maxIters=iterations, confidence=confidence, refineIters=10,
    )[0]  # fmt: skip


def mutual(target: torch.Tensor, source: torch.Tensor, threshold: float):
    """Match two maps [P, D] by mutual nearest cells: neighbour cells and target cells [m, 2]."""
    cosine = target @ source.T
    best, index = cosine.max(dim=0)
    kept = (cosine.argmax(dim=1)[index] == torch.arange(len(source))) & (best > threshold)
    kept, index = kept.numpy(), index.numpy()
    return positions()[kept], positions()[index[kept]]


def ransac(outliers: float) -> Race:
    """Align lists of 100 matches of which a share follows no map."""
    lists = Lists(np.random.default_rng(0), LISTS, outliers)
    options = step_settings(base_config()).alignment._asdict()
    family, grid = options.pop("transform"), jnp.array(GRID, jnp.int32)

    def one(key, source, target, weight):
        matches = Matches(source, target, weight, jnp.sum(weight > 0))
        return align(key, matches, grid, family=family, **options).transform

    many = jax.jit(jax.vmap(one))
    given = [jnp.asarray(a) for a in (lists.source, lists.target, lists.weight)]

    def ours():
        return many(jax.random.split(jax.random.key(0), LISTS), *given)

    def theirs(search):
        return [estimate(*lists.of(n), search) for n in range(LISTS)]

    ways = [Way("partdisc", ours, LISTS)]
    ways += [Way(n, functools.partial(theirs, s), LISTS) for n, s in SEARCHES.items()]
    seen = [
        f"maps found within a cell: {100 * lists.exact(way.work()):5.1f} % {way.name}"
        for way in ways
    ]
    return Race(f"align, {outliers:.0%} outliers", "pairs", ways, seen)


def match_and_align() -> Race:
    """From the maps of 60 pairs to their transforms."""
    unit = images(np.random.default_rng(0), PAIRS + 1).astype(np.float32)
    settings, grid = step_settings(base_config()), jnp.array(GRID, jnp.int32)
    run = jax.jit(
        functools.partial(align_pool, matching=settings.matching, alignment=settings.alignment)
    )
    given = {
        "maps": jnp.asarray(unit),
        "saliency": jnp.ones((PAIRS + 1, CELLS)),
        "grids": jnp.tile(grid, (PAIRS + 1, 1)),
    }
    tensors = torch.from_numpy(unit)

    def theirs(search):
        pairs = [mutual(tensors[0], one, settings.matching.threshold) for one in tensors[1:]]
        return [estimate(*pair, search) for pair in pairs]

    alignment, matches = run(jax.random.key(0), **given)
    counted = [len(mutual(tensors[0], one, settings.matching.threshold)[0]) for one in tensors[1:]]
    seen = [
        f"matches a pair: {np.mean(counted):.1f}, the same number in "
        f"{np.sum(np.array(counted) == np.asarray(matches.count))} of {PAIRS} pairs",
        f"of them inliers: {100 * np.mean(alignment.inliers / matches.count):.0f} %",
    ]
    ways = [Way("partdisc", lambda: run(jax.random.key(0), **given), PAIRS)]
    ways += [Way(f"torch + {n}", functools.partial(theirs, s), PAIRS) for n, s in SEARCHES.items()]
    return Race("match and align", "pairs", ways, seen)
