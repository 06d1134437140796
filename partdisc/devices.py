"""Several devices and processes: what is split among them, and what each has for itself.

Programs are written for all of their images at once. XLA splits them as their inputs are
split, so that one device and many run the same code. Several processes, one a host, all do
the same in step; the first one alone writes and speaks.
"""

import contextlib
import math
import os
import pickle
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from partdisc.errors import ConfigError, PartdiscError

_Found = TypeVar("_Found")
# Whoever starts processes by hand says in these who is who.
_BY_HAND = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
_alone = False


def join(wanted: bool | None) -> None:
    """Join the other processes of a run, before JAX does anything.

    Args:
      wanted: whether there are others; None where there are if Slurm started several.

    Raises:
      errors.ConfigError: nothing says how many they are, or they cannot be reached.
    """
    by_slurm = "SLURM_STEP_NODELIST" in os.environ and int(os.environ.get("SLURM_NTASKS", 1)) > 1
    if wanted is False or (wanted is None and not by_slurm):
        return
    given = [os.environ.get(name) for name in _BY_HAND]
    try:
        if all(given):
            address, number, own = given
            jax.distributed.initialize(address, int(number), int(own))
        else:
            jax.distributed.initialize()
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"--distributed: the processes cannot join ({str(error).splitlines()[0]}); start them "
            f"by Slurm, Open MPI or a cloud that JAX knows, or set {', '.join(_BY_HAND)}"
        ) from error


def several() -> bool:
    """Say whether several processes do the run."""
    return not _alone and jax.process_count() > 1


def first() -> bool:
    """Say whether this is the process that writes and speaks."""
    return jax.process_index() == 0


def agree(find: Callable[[], _Found]) -> _Found:
    """Return what the first process finds, or raise what it raises, in each of them."""
    if not several():
        return find()
    from jax.experimental import multihost_utils

    sent = b""
    if first():
        try:
            sent = pickle.dumps((find(), None))
        except PartdiscError as error:
            sent = pickle.dumps((None, error))
    length = multihost_utils.broadcast_one_to_all(np.int32(len(sent)))
    whole = np.frombuffer(sent.ljust(int(length)), np.uint8)
    found, error = pickle.loads(np.asarray(multihost_utils.broadcast_one_to_all(whole)).tobytes())
    if error:
        raise error
    return found


def in_turn(do: Callable[[], _Found]) -> _Found:
    """Do something in the first process, and then, where it has been done, in the others."""
    if not several():
        return do()
    done = []
    agree(lambda: done.append(do()))
    return done[0] if first() else do()


def any_of(one: bool) -> bool:
    """Say whether something is so in any process."""
    if not several():
        return one
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.array(one))))


def count() -> int:
    """Return the number of devices."""
    return len(_devices())


def here() -> int:
    """Return the number of devices of this process."""
    return len(jax.local_devices())


def turn(number: int) -> contextlib.AbstractContextManager[Any]:
    """Let one device do what is computed within: each of this process's has its turn.

    What is of single images, which are to have the same bits alone, is not split but dealt out.
    """
    if here() == 1:
        return contextlib.nullcontext()
    return jax.default_device(jax.local_devices()[number % here()])


def split(tree: Any) -> Any:
    """Give each device its share of the leading axis of each array of a tree.

    Where the devices are more than can have equal shares, several have the same one.

    Args:
      tree: arrays [n, ...] of one n. Of those on the host no more is looked at than `own`.
    """
    return _put(tree, _shares(len(jax.tree.leaves(tree)[0])))


def own(length: int) -> np.ndarray:
    """Return which of n rows, split, are on the devices of this process."""
    sharding = NamedSharding(_mesh(), _shares(length))
    held = sharding.addressable_devices_indices_map((length,)).values()
    return np.unique(np.concatenate([np.arange(length)[rows] for (rows,) in held]))


def share(length: int) -> int:
    """Return how many of n rows a device has when they are split."""
    return length // math.prod(_mesh().shape[axis] for axis in _axes(length))


def held(array: Any) -> int:
    """Return how many rows of an array [n, ...] a device has: all, where it is not split."""
    if isinstance(array, jax.Array):
        return array.sharding.shard_shape(array.shape)[0]
    return len(array)


def rounds(rows: int) -> int:
    """Return in how many rounds a program does best the rows that a device has: a divisor.

    A processor does one row a device at a time. What a row needs then stays in its caches, and
    in memory that the system need not clear anew each time. An accelerator does all at once.
    """
    return max(rows, 1) if _devices()[0].platform == "cpu" else 1


def of_round(tree: Any, number: jax.Array, rounds: int) -> Any:
    """Return of arrays [n, ...], split, the rows [n / rounds, ...] of a round, split likewise."""

    def one(array):
        shares = array.reshape(len(array) // rounds, rounds, *array.shape[1:])
        return jax.lax.dynamic_index_in_dim(shares, number, axis=1, keepdims=False)

    return jax.tree.map(one, tree)


def of_all_rounds(tree: Any) -> Any:
    """Return arrays [n, ...] whose rows `of_round` are those of [rounds, n / rounds, ...]."""

    def one(array):
        rounds, rows, *rest = array.shape
        return array.swapaxes(0, 1).reshape(rows * rounds, *rest)

    return jax.tree.map(one, tree)


def copy(tree: Any) -> Any:
    """Give each device all arrays of a tree."""
    return _put(tree, PartitionSpec())


def copied(tree: Any) -> Any:
    """Say within a program that each device is to have all of these arrays."""
    if count() == 1:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(_mesh(), PartitionSpec()))


def fetch(tree: Any) -> Any:
    """Return the arrays of a tree, however they are split, on the host."""
    return jax.tree.map(np.asarray, copy(tree) if several() else tree)


def leave(tree: Any) -> Any:
    """Go on alone, with this process's devices; return the arrays of a tree as they are there.

    Args:
      tree: arrays that each device has.
    """
    global _alone
    if not several():
        return tree
    agree(lambda: None)
    _alone = True
    # Else the others, which end first, would wait for this one, and give it up after some time.
    jax.distributed.shutdown()

    def here(leaf: Any) -> Any:
        return copy(leaf.addressable_data(0)) if isinstance(leaf, jax.Array) else leaf

    return jax.tree.map(here, tree)


def _put(tree: Any, spec: PartitionSpec) -> Any:
    if count() == 1:
        # Without a word of where: a program is compiled once more for arrays that have to stay.
        return jax.device_put(tree)
    sharding = NamedSharding(_mesh(), spec)
    if not several():
        return jax.device_put(tree, sharding)

    def one(array):
        if isinstance(array, jax.Array) and not array.is_fully_addressable:
            return jax.jit(lambda same: same, out_shardings=sharding)(array)
        host = np.asarray(array)
        return jax.make_array_from_callback(host.shape, sharding, lambda share: host[share])

    return jax.tree.map(one, tree)


def _shares(length: int) -> PartitionSpec:
    return PartitionSpec(_axes(length))


def _axes(length: int) -> tuple[str, ...]:
    """Return the axes of the mesh among which n rows are split."""
    axes = []
    for axis, size in _mesh().shape.items():
        if length % size == 0:
            length //= size
            axes.append(axis)
    return tuple(axes)


def _devices() -> list[jax.Device]:
    if not _alone:
        return jax.devices()
    # Processors, even of one process, find each other by what all processes had in common.
    return jax.local_devices()[: 1 if jax.default_backend() == "cpu" else None]


def _mesh() -> Mesh:
    """Return all devices, an axis for each prime factor of their number.

    Whatever is split, and among however many of them, is so on the same mesh: programs take
    arrays that are split in several ways.
    """
    devices = _devices()
    sizes, left = [], len(devices)
    for factor in range(2, left + 1):
        while left % factor == 0:
            sizes.append(factor)
            left //= factor
    names = [f"axis{number}" for number in range(len(sizes))]
    return Mesh(np.array(devices).reshape(sizes), names)
