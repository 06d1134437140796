"""The images of a COCO file: where they lie, and the records made of them and their objects."""

import pathlib
import urllib.parse
from typing import Any, NamedTuple

import numpy as np

from partdisc.data import record
from partdisc.data.bad_images import BadImage
from partdisc.data.coco_file import CocoFile, declared_size
from partdisc.data.coco_objects import Object
from partdisc.data.files import Place
from partdisc.errors import one_line


class Used(NamedTuple):
    """The parts that are annotated at all: names, indices, and M, the most instances."""

    names: list[str]
    indices: list[int]
    instances: int


class Images:
    """The images of one file.

    Args:
        root: that keys are relative to.
        file: that lists them.
        splits: that they belong to.
        cropped: whether each object becomes an image of its own.
    """

    def __init__(self, root: pathlib.Path, file: CocoFile, splits: tuple[str, ...], cropped: bool):
        self._root, self._file, self._splits, self._cropped = root, file, splits, cropped
        self._place = Place(root, pathlib.Path(file.folder))

    def records(
        self, found: dict[Any, list[Object]], parts: Used
    ) -> tuple[list[record.Record], list[BadImage], list[str]]:
        """Return the records and the problems of what the file lists, and notes on its names."""
        records: list[record.Record] = []
        problems = list(self._file.problems)
        first: dict[str, Any] = {}
        for image, one in self._file.images.items():
            key, objects = self._key(one["file_name"]), found[image]
            if not key:
                problems.append(BadImage(self._named(one), self._missing(one["file_name"])))
            elif first.setdefault(key, image) != image:
                reason = f"has id {first[key]!r} and {image!r} in {self._file.path.name}"
                problems.append(BadImage(self._named(one), f"{reason}; the first one is used"))
            elif len(objects) > 1 and not self._cropped:
                said = "data.crop_margin of 0 or more crops to each"
                problems.append(BadImage(key, f"shows {len(objects)} objects; {said}"))
            elif len(objects) > 1 and any(np.isnan(single.box).any() for single in objects):
                said = f"shows {len(objects)} objects, and not all have a box to crop to"
                problems.append(BadImage(key, said))
            else:
                made = [
                    record.file_record(
                        self._place.base, key, self._place.stat(key), self._splits,
                        *_arrays(single, parts),
                    )._replace(declared=declared_size(one))
                    for single in objects or [None]
                ]  # fmt: skip
                if len(made) > 1:
                    made = [one._replace(key=f"{key}#{i}") for i, one in enumerate(made)]
                records += made
        return records, problems, self._place.notes()

    def _key(self, name: str) -> str | None:
        """Return the key of the file that a name means; it may be written as in a URL."""
        return self._place.key(name) or self._place.key(urllib.parse.unquote(name))

    def _named(self, one: dict) -> str:
        return one_line(self._place.named(one["file_name"]))

    def _missing(self, name: str) -> str:
        reason = f"in {self._file.path.name}, but {self._place.missing(name)}"
        there = self._place.elsewhere(name)
        if not there:
            return reason
        return (
            f"{reason}; there is {there}: give the COCO file as FILE:FOLDER, with the folder of "
            "its images"
        )


def _arrays(single: Object | None, parts: Used) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the points [L, M, 2] and the box of an object, or of an image without one."""
    points = np.full((len(parts.indices), parts.instances, 2), np.nan)
    if single is None:
        return points, None
    for row, part in zip(points, parts.indices, strict=True):
        here = single.points[part]
        row[: len(here)] = np.reshape(here, (-1, 2))
    return points, single.box
