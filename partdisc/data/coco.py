"""Images annotated in the COCO format: keypoints of objects, or parts as boxes or polygons.

A file is {"images": [{id, file_name, width?, height?}], "categories": [{id, name, keypoints?}],
"annotations": [{id?, image_id, category_id, bbox?, segmentation?, keypoints?, iscrowd?}]}.
Where categories or annotations have keypoints, an annotation is an object, and its keypoints
are the parts. Otherwise the categories are the parts of the one object that an image shows: the
centre of an annotation's box is where the part is, and the object's box is what holds
all of them. Boxes and polygons are measured from the image's upper left corner, keypoints
in pixels from 0.
"""

import collections
import pathlib
from typing import Any, NamedTuple

import numpy as np

from partdisc import errors
from partdisc.data import record
from partdisc.data.bad_images import BadImage
from partdisc.data.coco_file import CocoFile
from partdisc.data.coco_objects import (
    HIDDEN,
    NOT_LABELLED,
    VISIBILITIES,
    VISIBLE,
    Found,
    Object,
    Parts,
    find_objects,
    keypoint_counts,
)
from partdisc.data.files import Place
from partdisc.data.settings import DataSettings


def read(root: pathlib.Path, wanted: DataSettings) -> record.Listing:
    """Read one or two COCO files: train and fit are the images of the first, test of the second.

    Args:
        root: the folder that the others are relative to.
        wanted: of these
            `coco_train`, `coco_test`: file, or file:folder of its images; without, they lie
            beside the file. There may be no test.
            `category`: of the objects whose keypoints are the parts; may be "" where only one
            has keypoints.
            `split_polygons`: names of parts, by commas, each of whose polygons is an instance
            (two wheels in one annotation); the polygons of others are one instance, seen
            in pieces.
            `visibility`: which keypoints count.
            `crop_margin`: from 0 on images are cropped to objects, so that an image of several
            objects becomes as many.

    Raises:
        errors.DataError: a file is absent or malformed, or lacks what is asked for.
    """
    if not wanted.coco_train:
        raise errors.DataError("data.coco_train is empty: it must name the COCO file")
    files = [CocoFile(root, given) for given in (wanted.coco_train, wanted.coco_test) if given]
    category = _keypoint_category(files, wanted.category)
    names = _part_names(files, category)
    split = _names_of(wanted.split_polygons, names)
    parts = Parts(names, category, split, wanted.visibility)
    found = [find_objects(file, parts) for file in files]
    used, notes = _used_parts(files, found, parts)
    records: list[record.Record] = []
    problems: list[BadImage] = []
    for file, one, splits in zip(files, found, (("train", "fit"), ("test",)), strict=False):
        images = _Images(root, file, splits, wanted.crop_margin >= 0)
        sound, bad, said = images.records(one.objects, used)
        records += sound
        problems += bad
        notes += said
    _check_apart(files, records)
    return record.Listing(
        records,
        problems,
        tuple(used.names),
        None,
        tuple(file.path for file in files),
        instances=used.instances,
        notes=tuple(notes),
        odd=[
            BadImage(f"{file.path.name}: {one.name}", one.reason)
            for file, several in zip(files, found, strict=True)
            for one in several.odd
        ],
        annotations=sum(len(file.annotations) + len(file.odd) for file in files),
    )


class _Used(NamedTuple):
    """The parts that are annotated at all: names, indices, and M, the most instances."""

    names: list[str]
    indices: list[int]
    instances: int


def _keypoint_category(files: list[CocoFile], wanted: str) -> str:
    """Return the category whose keypoints are the parts; "" where the categories are parts."""
    known: dict[str, None] = {}
    for file in files:
        counts = keypoint_counts(file)
        for one in file.categories.values():
            if one.get("keypoints") or counts.get(one["name"]):
                known[one["name"]] = None
    if wanted and wanted not in known:
        raise errors.DataError(
            f"{files[0].path}: data.category is {errors.shortened(wanted)}; with keypoints are: "
            f"{', '.join(known) or 'none'}"
        )
    if len(known) > 1 and not wanted:
        raise errors.DataError(
            f"{files[0].path}: several categories have keypoints, data.category must name "
            f"one of {', '.join(known)}"
        )
    return wanted or next(iter(known), "")


def _part_names(files: list[CocoFile], category: str) -> list[str]:
    """Return the names of the parts; files must agree on keypoints."""
    categories = [one for file in files for one in file.categories.values()]
    if not category:
        return list(dict.fromkeys(one["name"] for one in categories))
    lists = [one.get("keypoints") or [] for one in categories if one["name"] == category]
    if not any(lists):  # Keypoints that nobody named are numbered.
        counts = [keypoint_counts(file).get(category, 0) for file in files]
        lists = [[f"keypoint {i + 1}" for i in range(count)] for count in counts]
    if len(lists) < len(files) or any(names != lists[0] for names in lists):
        raise errors.DataError(
            f"{files[-1].path}: the keypoints of '{category}' are not those of {files[0].path}"
        )
    return lists[0]


def _names_of(given: str, known: list[str]) -> set[str]:
    names = {name.strip() for name in given.split(",") if name.strip()}
    for name in sorted(names - set(known)):
        raise errors.DataError(
            f"data.split_polygons names {errors.shortened(name)}; the parts are {', '.join(known)}"
        )
    return names


def _used_parts(files: list[CocoFile], found: list[Found], parts: Parts) -> tuple[_Used, list[str]]:
    """Return the parts that are annotated, and notes on what is left out."""
    objects = [one for by in found for several in by.objects.values() for one in several]
    count = len(parts.names)
    most = [max((len(one.points[i]) for one in objects), default=0) for i in range(count)]
    seen = sum((one.visibilities for one in found), collections.Counter())
    if not any(most):
        hidden = f" visible, but {seen[HIDDEN]:,} are labelled and hidden" if seen[HIDDEN] else ""
        cure = "; set config.data.visibility to labelled" if hidden else ""
        raise errors.DataError(
            f"{files[0].path}: no part is annotated{hidden} in any image{cure}{_first_odd(found)}"
        )
    notes = [f"{file.path}: {file.crowds} crowd regions left out" for file in files if file.crowds]
    if seen:
        notes.append(
            f"keypoints: {seen[VISIBLE]:,} visible (2), {seen[HIDDEN]:,} hidden (1), "
            f"{seen[NOT_LABELLED]:,} not labelled (0); config.data.visibility is "
            f"{parts.visibility}: those of {' and '.join(map(str, VISIBILITIES[parts.visibility]))}"
            " count"
        )
    without = sum((one.without for one in found), collections.Counter())
    notes += [f"objects without {name} of use: {n:,}" for name, n in without.items() if n]
    empty = [name for name, count in zip(parts.names, most, strict=True) if not count]
    if empty:
        notes.append(f"parts without any annotation left out: {', '.join(empty)}")
    indices = [i for i, count in enumerate(most) if count]
    return _Used([parts.names[i] for i in indices], indices, max(most)), notes


def _first_odd(found: list[Found]) -> str:
    odd = [one for several in found for one in several.odd]
    return f"; {len(odd)} say nothing, such as {odd[0].name}: {odd[0].reason}" if odd else ""


class _Images(NamedTuple):
    """The images of one file: where they lie, their splits, and whether they are cropped."""

    root: pathlib.Path
    file: CocoFile
    splits: tuple[str, ...]
    cropped: bool

    def records(
        self, found: dict[Any, list[Object]], parts: _Used
    ) -> tuple[list[record.Record], list[BadImage], list[str]]:
        """Return the records and the problems of what the file lists, and notes on its names."""
        records: list[record.Record] = []
        problems: list[BadImage] = []
        place = Place(self.root, pathlib.Path(self.file.folder))
        for image, one in self.file.images.items():
            key, objects = place.key(one["file_name"]), found[image]
            if not key:
                reason = f"in {self.file.path.name}, but {place.missing(one['file_name'])}"
                problems.append(BadImage(place.named(one["file_name"]), reason))
            elif len(objects) > 1 and not self.cropped:
                said = "data.crop_margin of 0 or more crops to each"
                problems.append(BadImage(key, f"shows {len(objects)} objects; {said}"))
            else:
                made = [
                    record.file_record(
                        place.base, key, place.stat(key), self.splits, *_arrays(single, parts)
                    )._replace(declared=_declared(one))
                    for single in objects or [None]
                ]
                if len(made) > 1:
                    made = [one._replace(key=f"{key}#{i}") for i, one in enumerate(made)]
                records += made
        return records, problems, place.notes()


def _declared(one: dict) -> tuple[int, int] | None:
    """Return the height and width that an image is said to have."""
    size = (one.get("height"), one.get("width"))
    whole = all(isinstance(side, int) and side > 0 for side in size)
    return size if whole else None


def _arrays(single: Object | None, parts: _Used) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the points [L, M, 2] and the box of an object, or of an image without one."""
    points = np.full((len(parts.indices), parts.instances, 2), np.nan)
    if single is None:
        return points, None
    for row, part in zip(points, parts.indices, strict=True):
        here = single.points[part]
        row[: len(here)] = np.reshape(here, (-1, 2))
    return points, single.box


def _check_apart(files: list[CocoFile], records: list[record.Record]) -> None:
    split_of: dict[str, str] = {}
    for one in records:
        # Several objects of one image are numbered after its name.
        name = one.key.rpartition("#")[0] or one.key
        if split_of.setdefault(name, one.splits[0]) != one.splits[0]:
            raise errors.DataError(f"{files[-1].path}: {name} is in {files[0].path} too")
