"""What a data set is before it is prepared: records to load, and what is wrong with it."""

import io
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from partdisc.data.bad_images import BadImage
from partdisc.data.decoding import decode

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


def may_be_image(unread: str) -> bool:
    """Say whether a name of `Names.unread` may be of an image, or of a folder of images."""
    ending = pathlib.PurePath(unread).suffix.lower()
    return unread.endswith("/") or not ending or ending in ENDINGS


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


def mirrored(one: Record, max_pixels: int) -> Record:
    """Make the mirror image of a record, for training alone: it has no points.

    Args:
        one: the record.
        max_pixels: of an image that is read; loading a larger one raises errors.DataError.
    """

    def load() -> Sample:
        sample = one.load()
        picture = decode(sample.data, max_pixels=max_pixels)
        file = io.BytesIO()
        Image.fromarray(picture[:, ::-1]).save(file, "PNG")
        y0, x0, y1, x1 = sample.box
        width = picture.shape[1]
        box = np.array([y0, width - 1 - x1, y1, width - 1 - x0])
        return Sample(file.getvalue(), np.full_like(sample.points, np.nan), box)

    # What the mirror image of a content is follows from that content.
    return one._replace(key=f"{one.key} mirrored", splits=("train",), load=load, points=None)
