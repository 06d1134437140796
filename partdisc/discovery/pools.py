"""Find the pool of similar images of every training image (section 3.2.1)."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from partdisc.discovery.clusters import Start
from partdisc.discovery.pool_alignment import align_pools, aligner_of
from partdisc.discovery.supervision import CHUNK, Images, StepSettings
from partdisc.method import pools
from partdisc.method.part_layer import Layer, packed_probabilities
from partdisc.method.pools import PoolSettings
from partdisc.progress import Progress
from partdisc.workdir import Workdir, digest


@functools.partial(jax.jit, static_argnames=("layer", "similarity", "grid_size"))
def _descriptors(
    params: Any, images: Images, *, layer: Layer, similarity: str, grid_size: int
) -> jax.Array:
    """Describe each of N images by what its maps hold."""

    def one(image):
        packed, grid = image
        probs = packed_probabilities(layer, params, packed, grid, images.offset)
        if similarity == "spatial_js":
            return pools.spatial_descriptor(probs, grid, size=grid_size)
        return pools.peak_descriptor(probs)

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
            similarity=pooling.similarity,
            grid_size=pooling.grid,
        )
    )
    if pooling.similarity == "position_free":
        distance = 1.0 - descriptors @ descriptors.T
    else:
        blocks = pools.block_count(len(descriptors))
        with Progress(label, total=blocks, unit="blocks") as progress:
            distance = pools.js_divergence(descriptors, progress.advance)
    if pooling.candidates == 0:
        return pools.nearest(distance, pooling.size)
    members, distances = pools.nearest(distance, min(pooling.candidates, len(distance) - 1))
    aligned = align_pools(
        aligner_of(settings, params, images, seed=seed),
        np.arange(len(members)),
        members,
        label=f"{label}, aligned",
    )
    best = pools.best_aligned(aligned.support, pooling.size)
    return tuple(np.take_along_axis(array, best, axis=1) for array in (members, distances))


def pools_stage(
    config: Any, workdir: Workdir, start: Start, settings: StepSettings, images: Images
) -> Pools:
    """Find the pools of the untrained layer, or reuse them."""
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
