"""Align whole pools outside of training: to choose neighbours, and to measure alignment."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc import devices
from partdisc.discovery.images import Images, collect, each, rows_of
from partdisc.discovery.supervision import StepSettings
from partdisc.method import matching
from partdisc.method.alignment import align_pool
from partdisc.method.cells import normalise
from partdisc.method.part_layer import Layer, packed_probabilities
from partdisc.progress import Progress


class PoolAlignment(NamedTuple):
    """How the pools of n targets lie on them.

    Attributes:
      transforms: [n, J, 3, 3], neighbour cells to target cells.
      scores: [n, J], of the transforms, as shares of the weight of all matches.
      support: [n, J], the weight of the matches that the transforms explain: unlike its
        share it is small where there are few matches.
      inliers: [n, J], matches within the radius.
      matches: [n, J].
    """

    transforms: np.ndarray
    scores: np.ndarray
    support: np.ndarray
    inliers: np.ndarray
    matches: np.ndarray


class Aligner(NamedTuple):
    """Images as a part layer sees them, and how they are aligned.

    Attributes:
      settings: static settings of training.
      images: N images on the device.
      params: of the part layer.
      maps: [N, P, K + 1], `unit_maps` of the images; None where these are made anew for each
        pool, since there is no room for them.
      seed: of the hypotheses.
    """

    settings: StepSettings
    images: Images
    params: Any
    maps: jax.Array | None
    seed: int

    @property
    def family(self) -> str:
        """Of the transforms, one of `transforms.FAMILIES`."""
        return self.settings.alignment.transform

    def with_family(self, family: str) -> "Aligner":
        """Return the same aligner with another family of transforms."""
        alignment = self.settings.alignment._replace(transform=family)
        return self._replace(settings=self.settings._replace(alignment=alignment))


def aligner_of(settings: StepSettings, params: Any, images: Images, *, seed: int) -> Aligner:
    """Return what aligns images by a part layer with these params."""
    maps = None
    if images.fits(images.features.shape[1] * (settings.layer.parts + 1)):
        program = functools.partial(unit_maps, settings.layer)
        maps = collect(len(images.grids), each(images, program, params, images.offset))
    return Aligner(settings, images, params, maps, seed)


@functools.partial(jax.jit, static_argnums=0)
def unit_maps(
    layer: Layer, packed: jax.Array, grids: jax.Array, params: Any, offset: jax.Array
) -> jax.Array:
    """Return the normalised maps [n, P, K + 1] of images that matching compares.

    Not in halves: which cells are each other's nearest hangs on their last digits.

    Args:
      layer: the module.
      packed: float16 [n, P, C], maps of the feature cache.
      grids: int [n, 2], their rows and columns.
      params: of the layer.
      offset: [C], subtracted from every feature.
    """

    def one(packed, grid):
        probs = packed_probabilities(layer, params, packed, grid, offset)
        return normalise(matching.peak_normalise(probs))

    return jax.vmap(one)(packed, grids)


def align_pools(
    aligner: Aligner, targets: np.ndarray, members: np.ndarray, *, label: str
) -> PoolAlignment:
    """Align the pools of some images as training does.

    Args:
      aligner: the images, and how they are aligned.
      targets: int [n], rows of the images.
      members: int [n, J], the pool of each target.
      label: of the progress shown.

    Returns:
      The alignment of each pool; it depends on the target and its pool alone.
    """
    settings, images, _, _, seed = aligner
    key = jax.random.key(seed)
    number = devices.count()
    found = []
    with Progress(label, total=len(targets), unit="images") as progress:
        for start in range(0, len(targets), number):
            # A target a device; where fewer are left, some are done twice.
            some = np.resize(np.arange(start, min(start + number, len(targets))), number)
            rows = np.concatenate([targets[some, None], members[some]], axis=1).astype(np.int32)
            pools = _gather(images.saliency, images.grids, devices.split(rows))
            one = devices.fetch(_align(settings, key, pools, _maps(aligner, rows, pools)))
            left = len(targets) - start
            found.append(jax.tree.map(lambda array: array[:left], one))  # noqa: B023
            progress.advance(min(number, left))
    return PoolAlignment(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))


class _Pools(NamedTuple):
    """The images of n pools, each of a target and its J neighbours.

    Attributes:
      rows: int32 [n, 1 + J].
      saliency: [n, 1 + J, P].
      grids: int32 [n, 1 + J, 2].
    """

    rows: jax.Array
    saliency: jax.Array
    grids: jax.Array


@jax.jit
def _gather(saliency: jax.Array, grids: jax.Array, rows: jax.Array) -> _Pools:
    return _Pools(rows, saliency[rows], grids[rows])


def _maps(aligner: Aligner, rows: np.ndarray, pools: _Pools) -> jax.Array:
    """Take the maps [n, 1 + J, P, K + 1] of pools, or make them."""
    settings, images, params, maps, _ = aligner
    if maps is not None:
        return rows_of(maps, pools.rows)
    return _made(settings.layer, images.take(rows), pools.grids, params, images.offset)


@functools.partial(jax.jit, static_argnums=0)
def _made(layer, packed, grids, params, offset):
    return jax.vmap(lambda *pool: unit_maps(layer, *pool, params, offset))(packed, grids)


@functools.partial(jax.jit, static_argnums=0)
def _align(settings, key, pools, maps):
    """Align the images of rows 1 and on of each pool with that of its row 0."""

    def one(rows, saliency, grids, maps):
        alignment, matches = align_pool(
            jax.random.fold_in(key, rows[0]),
            maps,
            saliency,
            grids,
            matching=settings.matching,
            alignment=settings.alignment,
        )
        support = alignment.score * jnp.sum(matches.weight, axis=-1)
        return PoolAlignment(
            alignment.transform, alignment.score, support, alignment.inliers, matches.count
        )

    return jax.vmap(one)(*pools, maps)
