"""The training images: features on the device, or read as needed where they are too many."""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc import devices
from partdisc.discovery.features import Features
from partdisc.method import matching
from partdisc.method.cells import cell_validity, centred
from partdisc.progress import say

# Images of one pass of a program over all.
CHUNK = 64
# The sizes that maps of a batch are filled up to differ by this factor at least.
ROOMS = 1.25
GIB = 1 << 30


class OnDisk(NamedTuple):
    """Features [N, P, C] of some images of the cache that are read as they are needed.

    Attributes:
      cache: the features of all images.
      index: int [N], those that are meant.
      shape: N, P, C.
    """

    cache: Features
    index: np.ndarray
    shape: tuple[int, int, int]


class Images(NamedTuple):
    """The training images; each device has all of them, or takes its share of those it needs.

    Attributes:
      features: float16 [N, P, C], unit features: an array on the device, or `OnDisk`.
      grids: int32 [N, 2].
      saliency: [N, P], of each cell: a factor in matching, and what names the background.
      offset: [C], subtracted from every feature.
      budget: bytes that may be held of the features, and of what is made of each of them.
    """

    features: jax.Array | OnDisk
    grids: jax.Array
    saliency: jax.Array
    offset: jax.Array
    budget: int = 4 * GIB

    def take(self, rows: np.ndarray, cells: int = 0) -> jax.Array:
        """Return features float16 [..., cells, C] of images, `rows` [...]; 0 is for all cells."""
        cells = cells or self.features.shape[1]
        if not isinstance(self.features, OnDisk):
            return _taken(self.features, devices.split(np.asarray(rows, np.int32)), cells)
        cache, index, (_, _, channels) = self.features
        rows = np.asarray(rows)
        read = np.zeros((*rows.shape, cells, channels), cache.features.dtype)
        mine = devices.own(len(rows))
        taken = cache.take(index[rows[mine].ravel()], cells)
        read[mine] = taken.reshape(len(mine), *read.shape[1:])
        return devices.split(read)

    def fits(self, floats: int) -> bool:
        """Say whether so many numbers of each image may be held in float32."""
        return 4 * floats * len(self.grids) <= self.budget


class Batch(NamedTuple):
    """Targets and their pools: features float32 [B, 1 + J, P, C] and what goes with them."""

    features: jax.Array
    grids: jax.Array
    saliency: jax.Array
    valid: jax.Array


def open_images(cache: Features, index: np.ndarray, offset: np.ndarray, budget: int) -> Images:
    """Put images on the device where they fit, and find the saliency of each cell.

    Args:
      cache: the features of all images.
      index: int [N], those that are meant.
      offset: [C], subtracted from every feature.
      budget: bytes that may be held of their features.
    """
    grids = cache.coarse_grids(index)
    cells = int(np.max(grids.prod(axis=1), initial=1))
    shape = (len(index), cells, cache.features.shape[-1])
    size = math.prod(shape) * cache.features.dtype.itemsize
    features: jax.Array | OnDisk = OnDisk(cache, index, shape)
    if size <= budget:
        chunks = (
            (start, devices.split(cache.take(index[start : start + CHUNK], cells)))
            for start in _starts(len(index))
        )
        features = collect(len(index), chunks)
    else:
        say(
            f"features of {len(index)} images take {size / GIB:.1f} GiB, config.memory is "
            f"{budget / GIB:g}: each is read or made again when it is needed"
        )
    grids, offset = devices.copy((grids, offset))
    images = Images(features, grids, jnp.zeros(()), offset, budget)
    found = collect(len(index), each(images, _saliency, offset))
    return images._replace(saliency=found)


def each(
    images: Images, program: Callable[..., jax.Array], *arguments: Any
) -> Iterator[tuple[int, jax.Array]]:
    """Apply a program to all images, `CHUNK` at a time, split among the devices.

    Args:
      images: N of them.
      program: of packed features float16 [n, P, C], grids [n, 2] and the arguments; of one
        array [n, ...].
      arguments: its others.

    Yields:
      The first of some images, and what the program returns for these. The last ones may
      have been among those before: n is always the same.
    """
    count = len(images.grids)
    for start in _starts(count):
        rows = np.arange(start, start + min(CHUNK, count))
        grids = rows_of(images.grids, devices.split(rows.astype(np.int32)))
        yield start, program(images.take(rows), grids, *arguments)


def collect(count: int, parts: Iterable[tuple[int, jax.Array]]) -> jax.Array:
    """Put what `each` yields of N images into one array, which each device has.

    No more than the array and a part is held at a time, where joining them holds twice as much.
    """
    whole = None
    for start, part in parts:
        if whole is None:
            whole = devices.copy(jnp.zeros((count, *part.shape[1:]), part.dtype))
        whole = _put(whole, part, start)
    return whole


def _starts(count: int) -> list[int]:
    return [min(start, max(count - CHUNK, 0)) for start in range(0, count, CHUNK)]


@functools.partial(jax.jit, donate_argnums=0)
def _put(whole: jax.Array, part: jax.Array, start: jax.Array) -> jax.Array:
    found = jax.lax.dynamic_update_slice_in_dim(whole, part, start, axis=0)
    return devices.copied(found)


@jax.jit
def _saliency(packed: jax.Array, grids: jax.Array, offset: jax.Array) -> jax.Array:
    one = lambda packed, grid: matching.saliency(centred(packed, offset), grid)  # noqa: E731
    return jax.vmap(one)(packed, grids)


def with_pools(targets: np.ndarray, pools: np.ndarray) -> np.ndarray:
    """Return rows [B, 1 + J] of targets [B], each followed by its pool (`pools` [N, J])."""
    return np.concatenate([targets[:, None], pools[targets]], axis=1)


def room(needed: int, most: int) -> int:
    """Return how many cells the maps of a batch have room for, whose largest needs so many.

    One of a few numbers up to `most`, that of the largest image: a program is compiled for each.
    One long image among thousands would else make every step as slow as its own.
    """
    cells = most
    while (fewer := math.ceil(cells / ROOMS)) >= needed and fewer < cells:
        cells = fewer
    return cells


def gather(images: Images, members: np.ndarray, cells: int = 0) -> Batch:
    """Collect the maps of images: rows [B, 1 + J] of targets, each followed by its pool.

    What works on a batch need not be compiled anew for another number of images.

    Args:
      images: all of them.
      members: int [B, 1 + J].
      cells: P of the batch, which none of its maps may exceed; 0 for that of all images.
    """
    packed = images.take(members, cells)
    rows = devices.split(np.asarray(members, np.int32))
    return _batch(packed, images.grids, images.saliency, images.offset, rows)


@jax.jit
def rows_of(array: jax.Array, rows: jax.Array) -> jax.Array:
    """Return rows [...] of an array [N, ...], split as they are."""
    return array[rows]


@functools.partial(jax.jit, static_argnames="cells")
def _taken(features: jax.Array, rows: jax.Array, cells: int) -> jax.Array:
    return features[rows, :cells]


@jax.jit
def _batch(
    packed: jax.Array, grids: jax.Array, saliency: jax.Array, offset: jax.Array, members: jax.Array
) -> Batch:
    cells = packed.shape[-2]
    grids = grids[members]
    valid = jax.vmap(jax.vmap(lambda grid: cell_validity(grid, cells)))(grids)
    return Batch(centred(packed, offset), grids, saliency[members, :cells], valid)
