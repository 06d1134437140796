"""The file of the features: rows of an image stay as long as the image and the network do."""

import contextlib
import errno
import os
import pathlib
import zlib
from typing import NamedTuple

import numpy as np

from partdisc.progress import say
from partdisc.workdir import naming, read_json, write_json

# A map's float16 vectors are unit vectors: the error of a cosine is below 1e-3.
DTYPE = np.float16


class Wanted(NamedTuple):
    """What is to be in the file.

    Attributes:
      key: names how features are made of an image.
      names: of the images, by content, N.
      shape: N, P, C.
    """

    key: str
    names: list[str]
    shape: tuple[int, int, int]


class FeatureFile(NamedTuple):
    """An open file of features.

    Attributes:
      path: of it; which images it has, stands beside it.
      wanted: what is to be in it.
      rows: float16 [N, P, C], memory-mapped.
      have: bool [N], which images are in it.
      sums: int64 [N], checksums of the rows that were marked, -1 of the others.
    """

    path: pathlib.Path
    wanted: Wanted
    rows: np.ndarray
    have: np.ndarray
    sums: np.ndarray

    def mark(self) -> None:
        """Write down which images are in the file, once these are on the disk."""
        self.rows.flush()
        for row in np.flatnonzero(self.have & (self.sums < 0)):
            self.sums[row] = zlib.crc32(self.rows[row])
        write_json(_mark(self.path), self.wanted._asdict() | {"sums": self.sums})


def open_file(path: pathlib.Path, wanted: Wanted) -> FeatureFile:
    """Open the file for writing; what an earlier run put into it of these images stays.

    Raises:
      OSError: the disk is full.
    """
    there = _there(path, wanted)
    if there and there.wanted == wanted:
        return there
    # Where an image of the old file goes in the new one.
    old = {there.wanted.names[row]: row for row in np.flatnonzero(there.have)} if there else {}
    moves = [(old[name], row) for row, name in enumerate(wanted.names) if name in old]
    if not moves:
        return _allocated(path, wanted)
    try:
        new = _allocated(path.with_name(f".{path.name}.draft.npy"), wanted)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        say(f"features: no room to keep those of {len(moves)} images; they are computed again")
        return _allocated(path, wanted)
    cells = min(wanted.shape[1], there.wanted.shape[1])
    for source, target in moves:
        new.rows[target, :cells] = there.rows[source, :cells]
        new.have[target] = True
    new.rows.flush()
    _mark(path).unlink(missing_ok=True)  # It is of the old file.
    os.replace(new.path, path)
    say(f"features: those of {len(moves)} of {len(wanted.names)} images are there")
    new = new._replace(path=path)
    new.mark()
    return new


def _mark(path: pathlib.Path) -> pathlib.Path:
    return path.with_suffix(".json")


def _there(path: pathlib.Path, wanted: Wanted) -> FeatureFile | None:
    """Open the file of an earlier run, if it has features that are made like these."""
    state = read_json(_mark(path))
    if state is None or state.get("key") != wanted.key:
        return None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, OverflowError):
        sums = np.array(state.pop("sums"), np.int64)
        was = Wanted(**state | {"shape": tuple(state["shape"])})
        size = path.stat().st_size
        rows = np.lib.format.open_memmap(path, "r+")
        # A file that was cut short would have been filled up with zeros by opening it.
        whole = size == rows.offset + rows.nbytes
        if whole and (rows.shape, rows.dtype) == (was.shape, DTYPE) and len(sums) == len(rows):
            return _sound(FeatureFile(path, was, rows, sums >= 0, sums))
    say(f"{path} is damaged: it is made again")
    return None


def _sound(file: FeatureFile) -> FeatureFile:
    """Return the file without the images whose rows are not as they were marked."""
    there = np.flatnonzero(file.have)
    damaged = [row for row in there if zlib.crc32(file.rows[row]) != file.sums[row]]
    if damaged:
        say(f"{file.path} is damaged: {len(damaged)} of {len(there)} images are made again")
        file.have[damaged], file.sums[damaged] = False, -1
    return file


def _allocated(path: pathlib.Path, wanted: Wanted) -> FeatureFile:
    """Make an empty file."""
    _mark(path).unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path):
        try:
            rows = np.lib.format.open_memmap(path, "w+", DTYPE, wanted.shape)
            # Claimed at once: a disk that fills up later would kill a mapped write.
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError:
            path.unlink(missing_ok=True)
            raise
    count = len(wanted.names)
    return FeatureFile(path, wanted, rows, np.zeros(count, bool), np.full(count, -1))
