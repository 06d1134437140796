"""Choose the pool of similar images of every training image (section 3.2.1)."""

import functools
import tempfile
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc import devices
from partdisc.discovery.clusters import Start
from partdisc.discovery.images import CHUNK, Images, collect, each
from partdisc.discovery.pool_alignment import align_pools, aligner_of
from partdisc.discovery.supervision import StepSettings
from partdisc.method.part_layer import Layer, packed_probabilities
from partdisc.method.similarity import (
    divergences,
    nearest,
    peak_descriptor,
    sketch,
    spatial_descriptor,
)
from partdisc.progress import Progress
from partdisc.workdir import Workdir, digest

SIMILARITIES = ("spatial_js", "position_free")
# Of as many pairs of images the cosines are held at a time: 64 MiB.
PAIRS = 1 << 24
# So many times the images that are wanted are compared by their divergence.
SHORTLIST = 10


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


@functools.partial(jax.jit, static_argnums=(0, 1))
def _descriptors(
    layer: Layer,
    grid_size: int,
    packed: jax.Array,
    grids: jax.Array,
    params: Any,
    offset: jax.Array,
) -> jax.Array:
    """Describe images by what their maps hold; a `grid_size` of 0 is for wherever they hold it."""

    def one(packed, grid):
        probs = packed_probabilities(layer, params, packed, grid, offset)
        return (
            spatial_descriptor(probs, grid, size=grid_size) if grid_size else peak_descriptor(probs)
        )

    return jax.vmap(one)(packed, grids)


def _described(
    pooling: PoolSettings, layer: Layer, params: Any, images: Images
) -> jax.Array | np.ndarray:
    """Describe all images: on the device, or where they are too many in a file without a name."""
    grid_size = pooling.grid if pooling.similarity == "spatial_js" else 0
    program = functools.partial(_descriptors, layer, grid_size)
    parts = each(images, program, params, images.offset)
    if not grid_size or images.fits(grid_size**2 * (layer.parts + 1)):
        return collect(len(images.grids), parts)
    shape = (len(images.grids), grid_size**2, layer.parts + 1)
    with tempfile.TemporaryFile() as file:
        descriptors = np.memmap(file, np.float32, "w+", shape=shape)
    for start, part in parts:
        descriptors[start : start + len(part)] = devices.fetch(part)
    return descriptors


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


def similar(
    descriptors: jax.Array | np.ndarray, kind: str, size: int, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """Find the most similar other images of every image (the paper's ArgTopK: the nearest).

    By their divergence they are sought among those `SHORTLIST` times as many whose
    sketches lie nearest; all others are looked at where there are no more.

    Args:
      descriptors: of N images, see `_descriptors`; on the device or the disk.
      kind: one of `SIMILARITIES`.
      size: J, less than N.
      progress: told of each image.

    Returns:
      Members and distances [N, J], as of `Pools`; of ties the lower index first.
    """
    images = len(descriptors)
    divergent = kind == "spatial_js"
    vectors = devices.copy(_sketches(descriptors) if divergent else descriptors)
    wanted = min(SHORTLIST * size, images - 1) if divergent else size
    members = np.zeros((images, size), np.int32)
    distances = np.zeros((images, size), np.float32)
    block = max(1, min(images, PAIRS // images))
    for start in range(0, images, block):
        rows = np.arange(start, min(start + block, images))
        # The last block is as long as the others: one program does for all.
        padded = np.resize(rows, block).astype(np.int32)
        found = devices.fetch(nearest(vectors, devices.split(padded), wanted))
        near, cosines = (one[: len(rows)] for one in found)
        if not divergent:
            members[rows], distances[rows] = near, 1.0 - cosines
            progress.advance(len(rows))
            continue
        for row, others in zip(rows, near, strict=True):
            others = np.sort(others)
            several = devices.split(descriptors[others])
            apart = devices.fetch(divergences(descriptors[row], several))
            order = np.argsort(apart, kind="stable")[:size]
            members[row], distances[row] = others[order], apart[order]
            progress.advance(1)
    return members, distances


def _sketches(descriptors: jax.Array | np.ndarray) -> jax.Array:
    chunks = range(0, len(descriptors), CHUNK)
    return jnp.concatenate([sketch(descriptors[start : start + CHUNK]) for start in chunks])


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
    descriptors = _described(pooling, settings.layer, params, images)
    most = min(pooling.candidates or pooling.size, len(descriptors) - 1)
    with Progress(label, total=len(descriptors), unit="images") as progress:
        members, distances = similar(descriptors, pooling.similarity, most, progress)
    if pooling.candidates == 0:
        return members, distances
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
