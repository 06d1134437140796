"""Images annotated in the COCO format: keypoints of objects, or parts as boxes or polygons.

A file is {"images": [{id, file_name}], "categories": [{id, name, keypoints?}],
"annotations": [{image_id, category_id, bbox?, segmentation?, keypoints?, iscrowd?}]}.
Where categories have keypoints, an annotation is an object, and its keypoints are the
parts. Otherwise the categories are the parts of the one object that an image shows: the
centre of an annotation's box is where the part is, and the object's box is what holds
all of them. Boxes and polygons are measured from the image's upper left corner, keypoints
in pixels from 0.
"""

import pathlib
import posixpath
from typing import NamedTuple

import numpy as np

from partdisc import errors
from partdisc.data import record
from partdisc.data.bad_images import BadImage
from partdisc.data.coco_file import CocoFile, Object


def read(
    root: pathlib.Path,
    train: str,
    test: str,
    *,
    category: str = "",
    split_polygons: str = "",
    cropped: bool = False,
) -> record.Listing:
    """Read one or two COCO files: train and fit are the images of the first, test of the second.

    Args:
        root: the folder that the others are relative to.
        train: file, or file:folder of its images; without, they lie beside the file.
        test: likewise; "" for none.
        category: of the objects whose keypoints are the parts; may be "" where only one
            has keypoints.
        split_polygons: names of parts, by commas, each of whose polygons is an instance
            (two wheels in one annotation); the polygons of others are one instance, seen
            in pieces.
        cropped: whether images are cropped to objects, so that an image of several
            objects becomes as many.

    Raises:
        errors.DataError: a file is absent or malformed, or lacks what is asked for.
    """
    if not train:
        raise errors.DataError("data.coco_train is empty: it must name the COCO file")
    files = [CocoFile(root, given) for given in (train, test) if given]
    category = _keypoint_category(files, category)
    names = _part_names(files, category)
    split = _names_of(split_polygons, names)
    found = [file.objects(names, category, split) for file in files]
    parts, notes = _used_parts(files, found, names)
    records: list[record.Record] = []
    problems: list[BadImage] = []
    for file, objects, splits in zip(files, found, (("train", "fit"), ("test",)), strict=False):
        sound, bad = _records(root, file, objects, splits, parts, cropped)
        records += sound
        problems += bad
    _check_apart(files, records)
    return record.Listing(
        records,
        problems,
        tuple(parts.names),
        None,
        tuple(file.path for file in files),
        instances=parts.instances,
        notes=tuple(notes),
    )


class _Parts(NamedTuple):
    """The parts that are annotated at all: names, indices, and M, the most instances."""

    names: list[str]
    indices: list[int]
    instances: int


def _keypoint_category(files: list[CocoFile], wanted: str) -> str:
    """Return the category whose keypoints are the parts; "" where the categories are parts."""
    known = {
        one["name"]: None
        for file in files
        for one in file.categories.values()
        if one.get("keypoints")
    }
    if wanted and wanted not in known:
        raise errors.DataError(
            f"{files[0].path}: data.category is '{wanted}'; with keypoints are: "
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
    if len(lists) < len(files) or any(names != lists[0] for names in lists):
        raise errors.DataError(
            f"{files[-1].path}: the keypoints of '{category}' are not those of {files[0].path}"
        )
    return lists[0]


def _names_of(given: str, known: list[str]) -> set[str]:
    names = {name.strip() for name in given.split(",") if name.strip()}
    for name in sorted(names - set(known)):
        raise errors.DataError(
            f"data.split_polygons names '{name}'; the parts are {', '.join(known)}"
        )
    return names


def _used_parts(
    files: list[CocoFile], found: list[dict], names: list[str]
) -> tuple[_Parts, list[str]]:
    """Return the parts that are annotated, and notes on what is left out."""
    objects = [one for by_image in found for several in by_image.values() for one in several]
    most = [max((len(one.points[i]) for one in objects), default=0) for i in range(len(names))]
    if not any(most):
        raise errors.DataError(f"{files[0].path}: no part is annotated in any image")
    notes = [f"{file.path}: {file.crowds} crowd regions left out" for file in files if file.crowds]
    empty = [name for name, count in zip(names, most, strict=True) if not count]
    if empty:
        notes.append(f"parts without any annotation left out: {', '.join(empty)}")
    indices = [i for i, count in enumerate(most) if count]
    return _Parts([names[i] for i in indices], indices, max(most)), notes


def _records(
    root: pathlib.Path,
    file: CocoFile,
    found: dict,
    splits: tuple[str, ...],
    parts: _Parts,
    cropped: bool,
) -> tuple[list[record.Record], list[BadImage]]:
    """Return the records and the problems of what one file lists."""
    records: list[record.Record] = []
    problems: list[BadImage] = []
    stats = record.find_files(root / file.folder)
    for image, one in file.images.items():
        name = posixpath.normpath(one["file_name"].replace("\\", "/"))
        key = (file.folder / name).as_posix()
        objects = found[image]
        if name not in stats:
            problems.append(BadImage(key, f"in {file.path.name}, but no such file"))
        elif len(objects) > 1 and not cropped:
            problems.append(
                BadImage(
                    key,
                    f"shows {len(objects)} objects; data.crop_margin of 0 or more crops to each",
                )
            )
        else:
            made = [
                record.file_record(root, key, stats[name], splits, *_arrays(single, parts))
                for single in objects or [None]
            ]
            if len(made) > 1:
                made = [one._replace(key=f"{key}#{i}") for i, one in enumerate(made)]
            records += made
    return records, problems


def _arrays(single: Object | None, parts: _Parts) -> tuple[np.ndarray, np.ndarray | None]:
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
