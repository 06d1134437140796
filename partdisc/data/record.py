"""What a data set is before it is prepared: records to load, and what is wrong with it."""

import io
import math
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from partdisc import errors
from partdisc.data.bad_images import BadImage
from partdisc.data.decoding import decode
from partdisc.data.files import absent

SPLITS = ("train", "fit", "test")

# Files that are images; the ending is compared in lower case.
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic",
           ".heif")  # fmt: skip


# How the reason of a problem begins where a file is in no list.
UNLISTED = "not in "


class Sample(NamedTuple):
    """One loaded image with its annotation.

    Attributes:
        data: the bytes of an image file.
        points: (y, x), pixels; NaN where invisible or not annotated; all instances of
            each part [L, M, 2], or [L, 2] where a part occurs once.
        box: of the object, (y0, x0, y1, x1), pixels; NaN where there is none [4].
    """

    data: bytes
    points: np.ndarray
    box: np.ndarray


class Record(NamedTuple):
    """One image of a data set, not loaded yet.

    Attributes:
        key: its name, relative to the data set, unique.
        splits: those of `SPLITS` that it belongs to.
        stamp: of a file, its bytes and its time of modification, ns: while they stay, so
            does its content.
        load: gives the sample; raises OSError.
        content: names the bytes of the image, where they are known without reading them.
        points: as of the sample; None where only drawing it tells.
        box: likewise.
        declared: height and width that the annotation was made for, where it says.
    """

    key: str
    splits: tuple[str, ...]
    stamp: tuple[int, ...]
    load: Callable[[], Sample]
    content: str = ""
    points: np.ndarray | None = None
    box: np.ndarray | None = None
    declared: tuple[int, int] | None = None


class Listing(NamedTuple):
    """What the official files of a data set say.

    Attributes:
        records: the images that exist, in the order of the data set.
        problems: images that are listed but absent, or present but not listed.
        landmark_names: L names.
        eyes: the two landmarks whose distance normalises errors, or None.
        sources: the list files that were read.
        instances: M, how often a part occurs in an image at most.
        notes: lines on what was left out on purpose.
        odd: annotations with a fault, each by its name: of no use, or not all of it.
        annotations: how many there are in all, where they can be odd.
    """

    records: Sequence[Record]
    problems: list[BadImage]
    landmark_names: tuple[str, ...] = ()
    eyes: tuple[int, int] | None = None
    sources: tuple[pathlib.Path, ...] = ()
    instances: int = 1
    notes: tuple[str, ...] = ()
    odd: Sequence[BadImage] = ()
    annotations: int = 0


def file_record(
    folder: pathlib.Path,
    key: str,
    stat: os.stat_result,
    splits: tuple[str, ...],
    points: np.ndarray,
    box: np.ndarray | None = None,
) -> Record:
    """Make the record of an image file.

    Args:
        folder: that the key is relative to.
        key: path of the file below it.
        stat: of the file.
        splits: it belongs to.
        points: (y, x), pixels [L, 2] or [L, M, 2].
        box: (y0, x0, y1, x1), pixels [4], or None.
    """
    box = np.full(4, np.nan) if box is None else box

    def load() -> Sample:
        return Sample((folder / key).read_bytes(), points, box)

    stamp = (stat.st_size, stat.st_mtime_ns)
    return Record(key, splits, stamp, load, points=points, box=box)


def mirrored(one: Record) -> Record:
    """Make the mirror image of a record, for training alone: it has no points."""

    def load() -> Sample:
        sample = one.load()
        picture = decode(sample.data)
        file = io.BytesIO()
        Image.fromarray(picture[:, ::-1]).save(file, "PNG")
        y0, x0, y1, x1 = sample.box
        width = picture.shape[1]
        box = np.array([y0, width - 1 - x1, y1, width - 1 - x0])
        return Sample(file.getvalue(), np.full_like(sample.points, np.nan), box)

    # What the mirror image of a content is follows from that content.
    return one._replace(key=f"{one.key} mirrored", splits=("train",), load=load, points=None)


class Row(NamedTuple):
    """One row of a list file: where it stands, from 1, and its words."""

    line: int
    words: list[str]


def read_rows(path: pathlib.Path, columns: int, *, skip: int = 0, unique: int = 1) -> list[Row]:
    """Read the rows of a list file: words separated by blanks, or by commas in a .csv.

    Empty lines are left out.

    Args:
        path: of the file.
        columns: that every row must have.
        skip: lines at the head that are no rows.
        unique: how many of its first words name a row.

    Raises:
        errors.DataError: the file is absent, a row has another number of columns, or
            two rows have the same name; says which line.
    """
    rows, seen = [], {}
    comma = "," if path.suffix.lower() == ".csv" else None
    for number, line in enumerate(read_lines(path)[skip:], skip + 1):
        words = [word.strip() for word in line.split(comma)] if line.strip() else []
        if len(words) not in (0, columns):
            raise errors.DataError(
                f"{path}, line {number}: {len(words)} columns instead of {columns}"
            )
        if words:
            first = seen.setdefault(tuple(words[:unique]), number)
            if first != number:
                raise errors.DataError(
                    f"{path}, line {number}: '{' '.join(words[:unique])}' is in line {first} too"
                )
            rows.append(Row(number, words))
    return rows


def read_header(path: pathlib.Path) -> str:
    """Read the first line of a list file ("" where it is empty)."""
    return next(iter(read_lines(path)), "").strip()


def read_lines(path: pathlib.Path) -> list[str]:
    """Read the lines of a text file; a mark of byte order is no part of the first.

    Raises:
        errors.DataError: the file is absent or no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise errors.DataError(absent(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise errors.DataError(f"{path}: {reason}") from None


def check_words(path: pathlib.Path, rows: list[Row], column: int, allowed: tuple[str, ...]) -> None:
    """Check a column of words.

    Raises:
        errors.DataError: a word is not allowed; says which line and word.
    """
    for row in rows:
        if row.words[column] not in allowed:
            raise errors.DataError(
                f"{path}, line {row.line}: {errors.shortened(row.words[column])} is none of "
                f"{', '.join(allowed)}"
            )


def to_numbers(path: pathlib.Path, rows: list[Row], columns: slice) -> np.ndarray:
    """Turn words of rows into numbers, float64 [rows, columns].

    Args:
        path: of the file.
        rows: of it.
        columns: of the words.

    Raises:
        errors.DataError: a word is no finite number; says which line and word.
    """
    try:
        values = np.array([row.words[columns] for row in rows], np.float64)
    except ValueError:
        values = np.array([np.nan])
    if not np.isfinite(values).all():
        for row in rows:
            for word in row.words[columns]:
                if not _is_number(word):
                    raise errors.DataError(
                        f"{path}, line {row.line}: {errors.shortened(word)} is no finite number"
                    )
    return values


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
