"""Choose the pool of similar images of every training image (section 3.2.1)."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from partdisc.discovery.clusters import Start
from partdisc.discovery.pool_alignment import align_pools, aligner_of
from partdisc.discovery.supervision import CHUNK, Images, StepSettings
from partdisc.method import similarity
from partdisc.method.part_layer import Layer, packed_probabilities
from partdisc.progress import Progress
from partdisc.workdir import Workdir, digest

SIMILARITIES = ("spatial_js", "position_free")


class PoolSettings(NamedTuple):
    """How pools are chosen.

    Attributes:
      similarity: one of `SIMILARITIES`.
      size: J.
      candidates: of the most similar images so many are aligned, and the best aligned ones
        taken; 0 takes the most similar ones.
      grid: cells a side of the resized map, of `spatial_js`.
      refresh_epochs: epochs after which pools are chosen anew; 0 keeps those of the start.
    """

    similarity: str
    size: int
    candidates: int
    grid: int
    refresh_epochs: int


@functools.partial(jax.jit, static_argnames=("layer", "kind", "grid_size"))
def _descriptors(
    params: Any, images: Images, *, layer: Layer, kind: str, grid_size: int
) -> jax.Array:
    """Describe each of N images by what its maps hold."""

    def one(image):
        packed, grid = image
        probs = packed_probabilities(layer, params, packed, grid, images.offset)
        if kind == "spatial_js":
            return similarity.spatial_descriptor(probs, grid, size=grid_size)
        return similarity.peak_descriptor(probs)

    return jax.lax.map(one, (images.features, images.grids), batch_size=CHUNK)


class Pools(NamedTuple):
    """The pool of each of N training images.

    Attributes:
      members: int32 [N, J], rows of the training images, best first.
      distances: float32 [N, J], in nats for `spatial_js`, 1 - cosine for `position_free`.
      key: names all that they depend on.
    """

    members: np.ndarray
    distances: np.ndarray
    key: str


def nearest(distance: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Take the pool of every image: its `size` nearest others.

    Args:
      distance: [N, N], smaller is more similar (the paper's ArgTopK means the nearest).
      size: J, less than N.

    Returns:
      int32 [N, J] image indices, nearest first (ties: lower index), and their distances
      float32 [N, J].
    """
    others = distance.astype(np.float32, copy=True)
    np.fill_diagonal(others, np.inf)
    order = np.argsort(others, axis=1, kind="stable")[:, :size]
    return order.astype(np.int32), np.take_along_axis(others, order, axis=1)


def best_aligned(support: np.ndarray, size: int) -> np.ndarray:
    """Take of each image's candidates those that align best.

    Args:
      support: [N, candidates], of their alignment; NaN counts as worst.
      size: J, at most as many as the candidates.

    Returns:
      int [N, J] columns of `support`, best first; of ties the earlier, more similar one.
    """
    worst_last = np.where(np.isnan(support), np.inf, -support)
    return np.argsort(worst_last, axis=1, kind="stable")[:, :size]


def find_pools(
    pooling: PoolSettings,
    settings: StepSettings,
    params: Any,
    images: Images,
    *,
    seed: int,
    label: str = "pools",
) -> tuple[np.ndarray, np.ndarray]:
    """Find the pool of every image.

    With candidates, so many of the most similar images are aligned with it first, and those
    whose alignment explains most become its pool: looking alike is not enough.

    Args:
      pooling: how pools are chosen.
      settings: static settings of training.
      params: of the part layer.
      images: N images on the device.
      seed: of the hypotheses.
      label: of the progress shown.

    Returns:
      Members and distances, as of `Pools`.
    """
    descriptors = np.asarray(
        _descriptors(
            params,
            images,
            layer=settings.layer,
            kind=pooling.similarity,
            grid_size=pooling.grid,
        )
    )
    if pooling.similarity == "position_free":
        distance = 1.0 - descriptors @ descriptors.T
    else:
        blocks = similarity.block_count(len(descriptors))
        with Progress(label, total=blocks, unit="blocks") as progress:
            distance = similarity.js_divergence(descriptors, progress.advance)
    if pooling.candidates == 0:
        return nearest(distance, pooling.size)
    members, distances = nearest(distance, min(pooling.candidates, len(distance) - 1))
    aligned = align_pools(
        aligner_of(settings, params, images, seed=seed),
        np.arange(len(members)),
        members,
        label=f"{label}, aligned",
    )
    best = best_aligned(aligned.support, pooling.size)
    return tuple(np.take_along_axis(array, best, axis=1) for array in (members, distances))


def pools_stage(
    config: Any, workdir: Workdir, start: Start, settings: StepSettings, images: Images
) -> Pools:
    """Find the pools by the layer that training starts from, or reuse them."""
    ranked = (config.matching, config.alignment, config.seed) if config.pools.candidates else ()
    key = digest(start.key, config.pools, *ranked)
    saved = workdir.load("pools.npz", key)
    if saved is None:
        pooling = PoolSettings(**config.pools)
        members, distances = find_pools(
            pooling, settings, start.detector.params, images, seed=config.seed
        )
        saved = {"members": members, "distances": distances}
        workdir.save("pools.npz", key, **saved)
    return Pools(saved["members"], saved["distances"], key)
