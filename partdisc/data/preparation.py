"""Prepare a data set once: every image decoded and checked, its bytes and a table kept."""

import concurrent.futures
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from partdisc import errors
from partdisc.data import decoding, record
from partdisc.data.bad_images import BadImage
from partdisc.data.contents import READERS, Content, digest

# An image longer than this, over its short side, is a strip and shows no object.
MAX_ASPECT = 20

_TABLE = "table.npz"


class Table(NamedTuple):
    """All of a prepared data set but its pixels.

    Attributes:
        keys: names [N].
        sizes: height, width, pixels, int32 [N, 2].
        instances: (y, x), pixels, NaN where unknown, float32 [N, L, M, 2].
        boxes: (y0, x0, y1, x1), pixels, NaN where there is none, float32 [N, 4].
        members: whether an image belongs to each of `record.SPLITS`, bool [N, 3].
        problems: name and reason of images that could not be used [Q, 2].
        oddities: name of images that were read in a way of their own, and which [R, 2].
    """

    keys: np.ndarray
    sizes: np.ndarray
    instances: np.ndarray
    boxes: np.ndarray
    members: np.ndarray
    problems: np.ndarray
    oddities: np.ndarray


class Seen(NamedTuple):
    """One sound image: its record, height and width, points [L, M, 2] and box [4]."""

    one: record.Record
    size: tuple[int, int]
    points: np.ndarray
    box: np.ndarray


class _Look(NamedTuple):
    """What was found of an image: itself, its size and how it was read, or what is wrong."""

    sample: record.Sample | None = None
    size: tuple[int, int] = (0, 0)
    note: str = ""
    problem: str = ""


class Gathered(NamedTuple):
    """What was found of images, one after the other.

    Attributes:
        marks: L and M, the parts and how often each occurs at most.
        max_pixels: of an image that is read.
        contents: what images hold, by their keys: what was decoded need not be again.
        seen: the sound ones.
        problems: the others.
        oddities: of the sound ones those that were read in a way of their own, and in which.
    """

    marks: tuple[int, int]
    max_pixels: int
    contents: Mapping[str, Content]
    seen: list[Seen]
    problems: list[BadImage]
    oddities: list[BadImage]

    def look(self, one: record.Record) -> record.Sample | None:
        """Look at an image; return it if it is sound."""
        return self._add(one, self._examine(one))

    def look_at_all(self, records: Sequence[record.Record]) -> Iterator[record.Record]:
        """Look at images, several at a time; yield each when it has been looked at."""

        def without_pixels(one: record.Record) -> _Look:
            found = self._examine(one)
            return found._replace(sample=found.sample and found.sample._replace(data=b""))

        with concurrent.futures.ThreadPoolExecutor(READERS) as readers:
            for one, found in zip(records, readers.map(without_pixels, records), strict=True):
                self._add(one, found)
                yield one

    def _examine(self, one: record.Record) -> _Look:
        try:
            sample = one.load()
            size, note = self._checked(one, sample.data)
            check_usable(size, sample.box)
        except OSError as error:
            return _Look(problem=error.strerror or str(error))
        except errors.DataError as error:
            return _Look(problem=str(error))
        return _Look(sample, size, note)

    def _checked(self, one: record.Record, data: bytes) -> decoding.Checked:
        known = self.contents[one.key]
        # A file may have changed since.
        if known.checked and known.hash == digest(data):
            return known.checked
        return decoding.check(data, max_pixels=self.max_pixels)

    def _add(self, one: record.Record, found: _Look) -> record.Sample | None:
        if found.sample is None:
            self.problems.append(BadImage(one.key, found.problem))
            return None
        if found.note:
            self.oddities.append(BadImage(one.key, found.note))
        points = found.sample.points.reshape(*self.marks, 2)
        self.seen.append(Seen(one, found.size, points, found.sample.box))
        return found.sample

    def table(self) -> Table:
        """Return the table of the sound images."""
        members = [[split in each.one.splits for split in record.SPLITS] for each in self.seen]
        points = [each.points for each in self.seen]
        return Table(
            keys=np.array([each.one.key for each in self.seen], np.str_),
            sizes=np.array([each.size for each in self.seen], np.int32).reshape(-1, 2),
            instances=np.array(points, np.float32).reshape(len(points), *self.marks, 2),
            boxes=np.array([each.box for each in self.seen], np.float32).reshape(-1, 4),
            members=np.array(members, bool).reshape(-1, len(record.SPLITS)),
            problems=np.array(self.problems, np.str_).reshape(-1, 2),
            oddities=np.array(self.oddities, np.str_).reshape(-1, 2),
        )


def gather(marks: tuple[int, int], max_pixels: int, contents: Mapping[str, Content]) -> Gathered:
    """Begin to gather, with nothing found yet."""
    return Gathered(marks, max_pixels, contents, [], [], [])


def prepare(records: Iterable[record.Record], gathered: Gathered, folder: pathlib.Path) -> None:
    """Decode all images once and write those that are sound, and their table, to a folder.

    Args:
        records: what to load.
        gathered: what is found of them goes there.
        folder: an existing, empty one.
    """
    from partdisc.data import builder

    builder.write(folder, _examples(records, gathered), gathered.marks)
    np.savez(folder / _TABLE, **gathered.table()._asdict())


def load_table(folder: pathlib.Path) -> Table:
    """Read the table of a prepared folder, whose images have to be there.

    Raises:
        errors.DataError: the folder is damaged.
    """
    from partdisc.data import builder

    images = len(builder.Source(folder))
    with builder.undamaged(folder):
        with np.load(folder / _TABLE, allow_pickle=False) as arrays:
            table = Table(**arrays)
        if len(table.keys) != images:
            raise ValueError(f"it has {images} of {len(table.keys)} images")
    return table


def _examples(records: Iterable[record.Record], gathered: Gathered) -> Iterator[dict]:
    for one in records:
        if sample := gathered.look(one):
            yield {
                "key": one.key.encode(errors="surrogateescape"),  # A name may be any bytes.
                "image": sample.data,
                "points": gathered.seen[-1].points.astype(np.float32),
                "box": sample.box.astype(np.float32),
            }


def check_usable(size: tuple[int, int], box: np.ndarray) -> None:
    """Refuse an image that shows no object.

    Args:
        size: height and width, pixels.
        box: of the object, (y0, x0, y1, x1), pixels, or NaN [4].

    Raises:
        errors.DataError: it is a strip, or the box does not meet it.
    """
    if max(size) > MAX_ASPECT * min(size):
        raise errors.DataError(f"{size[0]} x {size[1]}: longer than {MAX_ASPECT} to 1")
    seen = np.minimum(box[2:], np.array(size) - 0.5) - np.maximum(box[:2], -0.5)
    if np.any(seen <= 0):
        y0, x0, y1, x1 = box
        raise errors.DataError(
            f"its box, x {x0:g} to {x1:g} and y {y0:g} to {y1:g}, does not meet the image of "
            f"{size[0]} x {size[1]}"
        )
