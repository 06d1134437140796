"""The kernels as a detector runs them: compiled once for a few sizes of maps."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.method import facing
from partdisc.method.cells import centred
from partdisc.method.detection import detect
from partdisc.method.discriminant import Discriminant, part_maps
from partdisc.method.facing import Facing
from partdisc.method.part_layer import Layer, packed_probabilities, part_centres
from partdisc.method.parts import locate

# In cells: what counts for a part's point around the peak of its map.
AROUND = 2.0
# Sizes that maps are padded to: many take long to compile, few are long to read.
MAP_SIZES = 4


class Ways(NamedTuple):
    """How an image is read from its map.

    Attributes:
      offset: [C], subtracted from every feature.
      discriminant: says which part a cell is of.
      facing: says which way the object faces, or None.
      columns: int [n + 1], the channels whose peaks are wanted, and the background.
    """

    offset: np.ndarray
    discriminant: Discriminant
    facing: Facing | None
    columns: np.ndarray


peaks_of = jax.jit(detect, static_argnames=("box_side", "nms_iou", "per_part"))
probabilities_of = jax.jit(packed_probabilities, static_argnums=0)
centres_of = jax.jit(part_centres, static_argnums=0)
facing_of = jax.jit(facing.facing_of)


@functools.partial(jax.jit, static_argnums=0)
def probabilities(layer: Layer, params: Any, features, grids, offset) -> jax.Array:
    """Return p(part | cell) of several maps, [n, P, K + 1]."""
    one = functools.partial(packed_probabilities, layer, params, offset=offset)
    return jax.lax.map(lambda image: one(*image), (features, grids))


@jax.jit
def parts_of(discriminant: Discriminant, packed, probs, grid, offset):
    """Return the maps of the parts [P, k + 1] of one image, their points [k, 2] and scores [k]."""
    maps = part_maps(discriminant, centred(packed, offset), probs)
    return maps, *locate(maps, grid, width=AROUND)


@functools.partial(jax.jit, static_argnums=0, static_argnames=("box_side", "nms_iou", "per_part"))
def read(layer: Layer, params: Any, ways: Ways, packed, grid, **peaks):
    """Read one image: what `parts_of` says, the peaks of the columns, and the way it faces.

    One program, for many small ones take as long as what they do.
    """
    probs = packed_probabilities(layer, params, packed, grid, ways.offset)
    parts = parts_of(ways.discriminant, packed, probs, grid, ways.offset)
    found = detect(probs[:, ways.columns], grid, **peaks)
    return *parts, found, facing.facing_of(ways.facing, probs) if ways.facing else jnp.float32(0)


@jax.jit
def sets_of(discriminants: list[Discriminant], features, probs, offset) -> jax.Array:
    """Return p(part | cell) of several maps by several discriminants, [n, P, T + 1].

    T parts in all, side by side, and the background last; `probs` is p(channel | cell).
    """

    def one(packed, probs):
        own = centred(packed, offset)
        maps = [part_maps(each, own, probs)[:, :-1] for each in discriminants]
        return jnp.concatenate([*maps, probs[:, -1:]], axis=1)

    return jax.lax.map(lambda image: one(*image), (features, probs))


def padded(packed: np.ndarray, grid: np.ndarray, *, most: int) -> np.ndarray:
    """Pad maps [..., P, C] of a grid to one of a few sizes, of which the largest has `most` cells.

    A grid has always the same size, and each size a program of its own: so an image gets the
    same bits from the run's features and anew.
    """
    cells, step = int(grid.prod()), math.ceil(most / MAP_SIZES)
    size = step * math.ceil(cells / step)
    around = [(0, 0)] * (packed.ndim - 2)
    return np.pad(packed[..., :cells, :], (*around, (0, size - cells), (0, 0)))
