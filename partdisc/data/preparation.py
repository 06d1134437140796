"""Prepare a data set once: every image decoded and checked, its bytes and a table kept."""

import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from partdisc import errors
from partdisc.data import images, record
from partdisc.data.bad_images import BadImage

# An image longer than this, over its short side, is a strip and shows no object.
MAX_ASPECT = 20

Progress = Callable[[Iterable, int, str], Iterable]

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
    """

    keys: np.ndarray
    sizes: np.ndarray
    instances: np.ndarray
    boxes: np.ndarray
    members: np.ndarray
    problems: np.ndarray


def prepare(
    records: Sequence[record.Record],
    marks: tuple[int, int],
    folder: pathlib.Path,
    progress: Progress | None,
    label: str,
) -> None:
    """Decode all images once and write those that are sound, and their table, to a folder.

    Args:
        records: what to load.
        marks: L and M, the parts and how often each occurs at most.
        folder: an existing, empty one.
        progress: wraps the records, given their number and the label.
        label: what the progress is called.
    """
    from partdisc.data import builder

    rows: list[tuple] = []
    problems: list[BadImage] = []
    shown = progress(records, len(records), label) if progress else records
    builder.write(folder, _examples(shown, rows, marks, problems), marks)
    np.savez(folder / _TABLE, **make_table(rows, problems, marks)._asdict())


def make_table(
    rows: Sequence[tuple], problems: Sequence[BadImage], marks: tuple[int, int]
) -> Table:
    """Make the table of images.

    Args:
        rows: record, (height, width), points [L, M, 2] and box [4] of each sound one.
        problems: the others.
        marks: L and M.
    """
    records, sizes, instances, boxes = zip(*rows, strict=True) if rows else ((),) * 4
    members = [[split in one.splits for split in record.SPLITS] for one in records]
    return Table(
        keys=np.array([one.key for one in records], np.str_),
        sizes=np.array(sizes, np.int32).reshape(-1, 2),
        instances=np.array(instances, np.float32).reshape(len(rows), *marks, 2),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        members=np.array(members, bool).reshape(-1, len(record.SPLITS)),
        problems=np.array(problems, np.str_).reshape(-1, 2),
    )


def load_table(folder: pathlib.Path) -> Table:
    """Read the table of a prepared folder."""
    with np.load(folder / _TABLE, allow_pickle=False) as arrays:
        return Table(**arrays)


def _examples(
    records: Iterable[record.Record],
    rows: list[tuple],
    marks: tuple[int, int],
    problems: list[BadImage],
) -> Iterator[dict]:
    for one in records:
        try:
            sample = one.load()
            size = images.decode(sample.data).shape[:2]
            check_usable(size, sample.box)
        except OSError as error:
            problems.append(BadImage(one.key, error.strerror or str(error)))
            continue
        except errors.DataError as error:
            problems.append(BadImage(one.key, str(error)))
            continue
        points = sample.points.reshape(*marks, 2).astype(np.float32)
        rows.append((one, size, points, sample.box))
        yield {
            "key": one.key.encode(errors="surrogateescape"),  # A file's name may be any bytes.
            "image": sample.data,
            "points": points,
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
        raise errors.DataError("its box does not meet the image")
