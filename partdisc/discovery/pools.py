"""Find the pool of similar images of every training image (section 3.2.1)."""

import functools
from typing import Any

import jax
import numpy as np

from partdisc.discovery import stages
from partdisc.discovery.pool_alignment import align_pools, unit_maps
from partdisc.discovery.step import Images, Settings
from partdisc.method import pools
from partdisc.method.part_layer import Layer, packed_probabilities
from partdisc.progress import Progress
from partdisc.workdir import Workdir, digest


@functools.partial(jax.jit, static_argnames=("layer", "similarity", "grid_size"))
def _descriptors(
    params: Any, features, grids, offset, *, layer: Layer, similarity: str, grid_size: int
) -> jax.Array:
    def one(image):
        packed, grid = image
        probs = packed_probabilities(layer, params, packed, grid, offset)
        if similarity == "spatial_js":
            return pools.spatial_descriptor(probs, grid, size=grid_size)
        return pools.peak_descriptor(probs)

    return jax.lax.map(one, (features, grids), batch_size=stages.CHUNK)


def find_pools(
    config: Any, settings: Settings, params: Any, images: Images, *, label: str = "pools"
) -> tuple[np.ndarray, np.ndarray]:
    """Find the pool of every image.

    With `config.pools.candidates` so many of the most similar images are aligned with it
    first, and those whose alignment explains most become its pool: looking alike is not
    enough.

    Args:
      config: the whole config.
      settings: static settings of training.
      params: of the part layer.
      images: N images on the device.
      label: of the progress shown.

    Returns:
      int32 [N, J] rows of `images`, best first, and float32 [N, J] their distances: in
      nats for `spatial_js`, 1 - cosine for `position_free`.
    """
    options = config.pools
    descriptors = np.asarray(
        _descriptors(
            params,
            images.features,
            images.grids,
            images.offset,
            layer=settings.layer,
            similarity=options.similarity,
            grid_size=options.grid,
        )
    )
    if options.similarity == "position_free":
        distance = 1.0 - descriptors @ descriptors.T
    else:
        blocks = pools.block_count(len(descriptors))
        with Progress(label, total=blocks, unit="blocks") as progress:
            distance = pools.js_divergence(descriptors, progress.advance)
    if options.candidates == 0:
        return pools.nearest(distance, options.size)
    members, distances = pools.nearest(distance, min(options.candidates, len(distance) - 1))
    aligned = align_pools(
        settings,
        unit_maps(settings.layer, params, images),
        images,
        np.arange(len(members)),
        members,
        seed=config.seed,
        label=f"{label}, aligned",
    )
    best = pools.best_aligned(aligned.support, options.size)
    return tuple(np.take_along_axis(array, best, axis=1) for array in (members, distances))


def pools_stage(
    config: Any, workdir: Workdir, start: stages.Start, settings: Settings, train: Images
) -> tuple[np.ndarray, np.ndarray, str]:
    """Find the pools of the untrained layer, or reuse them; with their key."""
    ranked = (config.matching, config.alignment, config.seed) if config.pools.candidates else ()
    key = digest(start.key, config.pools, *ranked)
    saved = workdir.load("pools.npz", key)
    if saved is None:
        members, distances = find_pools(config, settings, start.params, train)
        workdir.save("pools.npz", key, members=members, distances=distances)
        return members, distances, key
    return saved["members"], saved["distances"], key
