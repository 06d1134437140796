"""Several devices: what is split among them, and what each has for itself.

Programs are written for all of their images at once. XLA splits them as their inputs are
split, so that one device and many run the same code.
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def split(tree: Any) -> Any:
    """Give each device its share of the leading axis of each array of a tree.

    Where the devices are more than can have equal shares, several have the same one.

    Args:
      tree: arrays [n, ...] of one n; those on the host are read by the shares alone.
    """
    left, axes, mesh = len(jax.tree.leaves(tree)[0]), [], _mesh()
    for axis, size in mesh.shape.items():
        if left % size == 0:
            left //= size
            axes.append(axis)
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(tuple(axes))))


def copy(tree: Any) -> Any:
    """Give each device all arrays of a tree."""
    return jax.device_put(tree, NamedSharding(_mesh(), PartitionSpec()))


def copied(tree: Any) -> Any:
    """Say within a program that each device is to have all of these arrays."""
    return jax.lax.with_sharding_constraint(tree, NamedSharding(_mesh(), PartitionSpec()))


def _mesh() -> Mesh:
    """Return all devices, an axis for each prime factor of their number.

    Whatever is split, and among however many of them, is so on the same mesh: programs take
    arrays that are split in several ways.
    """
    sizes, left = [], jax.device_count()
    for factor in range(2, left + 1):
        while left % factor == 0:
            sizes.append(factor)
            left //= factor
    names = [f"axis{number}" for number in range(len(sizes))]
    return Mesh(np.array(jax.devices()).reshape(sizes), names)
