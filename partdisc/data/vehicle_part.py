"""VehiclePart (Wang et al. 2017): semantic parts of PASCAL3D+ vehicles, in its authors' layout.

    file_list/train_list/car_train.txt, file_list/test_list/car_test.txt
                                            name, number of the object in the image, from 1
    Images/car_imagenet/<name>.JPEG         PASCAL3D+
    Annotations/car_imagenet/<name>.mat     PASCAL3D+, record.objects(i).bbox: x0 y0 x1 y1
    car_imagenet/transfered/<name>.mat      anno{i, 2}{part}: a row an instance of the part:
                                            its box in the resized crop (4 numbers), in the
                                            image (4) and the number of the part (1)

Everything counts from 1, and boxes end with their last pixel. The folders of the three
sources may lie together or each in one of its own below the root. Objects have as many parts
as most of them have; another one is bad.
"""

import collections
import pathlib
from typing import NamedTuple

import numpy as np

from partdisc import errors
from partdisc.data import record
from partdisc.data.bad_images import BadImage
from partdisc.data.files import find_files, locate
from partdisc.data.lists import List

CATEGORIES = ("aeroplane", "bicycle", "bus", "car", "motorbike", "train")
_ROW = 9


class _Object(NamedTuple):
    key: str
    file: str
    splits: tuple[str, ...]
    points: list[np.ndarray]
    box: np.ndarray
    path: pathlib.Path


def read(root: pathlib.Path, category: str) -> record.Listing:
    """Read a category of VehiclePart: train and fit are its train list, test its test list.

    A record is an object, named name#number; its crop is for `data.crop_margin`.

    Args:
        root: the folder of the layout above.
        category: one of `CATEGORIES`.

    Raises:
        errors.ConfigError: the category is unknown.
        errors.DataError: a list or folder is absent or malformed.
    """
    if category not in CATEGORIES:
        raise errors.ConfigError(
            f"config.data.category is {errors.shortened(category)}; allowed: "
            f"{', '.join(CATEGORIES)}"
        )
    lists = locate(root, "file_list")
    folder = locate(root, f"Images/{category}_imagenet")
    boxes = locate(root, f"Annotations/{category}_imagenet")
    parts = locate(root, f"{category}_imagenet/transfered")
    files = find_files(folder)
    found: list[_Object] = []
    problems: list[BadImage] = []
    sources = tuple(lists / f"{one}_list" / f"{category}_{one}.txt" for one in ("train", "test"))
    for path, splits in zip(sources, (("train", "fit"), ("test",)), strict=True):
        objects = List(path, ("name", "number"), unique=2)
        problems += [BadImage(name, reason) for name, reason in objects.bad.items()]
        for line, (name, number) in objects.rows.values():
            key, file = f"{name}#{number}", files.find(f"{name}.JPEG")
            if not file:
                reason = f"in {path.name}, but {name}.JPEG: {files.missing(f'{name}.JPEG')}"
                problems.append(BadImage(key, reason))
                continue
            try:
                if not number.isdecimal() or int(number) < 1:
                    raise errors.DataError(
                        f"{path}, line {line}: {errors.shortened(number)} is no number of an object"
                    )
                box = _object_box(boxes / f"{name}.mat", number)
                points = _part_points(parts / f"{name}.mat", number)
            except errors.DataError as error:
                problems.append(BadImage(key, str(error)))
            else:
                found.append(_Object(key, file, splits, points, box, parts / f"{name}.mat"))
    counts = collections.Counter(len(one.points) for one in found)
    count = counts.most_common(1)[0][0] if found else 0
    problems += [
        BadImage(one.key, f"{one.path}: {len(one.points)} parts, where most objects have {count}")
        for one in found
        if len(one.points) != count
    ]
    found = [one for one in found if len(one.points) == count]
    most = max([1, *(len(part) for one in found for part in one.points)])
    records = []
    for key, file, splits, points, box, _ in found:
        one = record.file_record(folder, file, files[file], splits, _padded(points, most), box)
        records.append(one._replace(key=key))
    names = tuple(f"part {i}" for i in range(1, count + 1))
    notes = tuple(files.notes())
    return record.Listing(records, problems, names, None, sources, instances=most, notes=notes)


def _load(path: pathlib.Path, variable: str) -> np.ndarray:
    from scipy import io

    if not path.is_file():
        raise errors.DataError(f"{path}: no such file")
    try:
        content = io.loadmat(path)
    except Exception as error:  # SciPy's reader raises nearly anything on damaged bytes.
        raise errors.DataError(f"{path}: not a MATLAB file: {error}") from None
    if variable not in content:
        raise errors.DataError(f"{path}: has no variable '{variable}'")
    return content[variable]


def _object_box(path: pathlib.Path, number: str) -> np.ndarray:
    """Return the box (y0, x0, y1, x1) [4] of an object of a PASCAL3D+ annotation."""
    try:
        box = _load(path, "record")["objects"][0, 0]["bbox"][0, int(number) - 1]
        x0, y0, x1, y1 = box = np.asarray(box, np.float64).ravel()
        if not np.isfinite(box).all():
            raise ValueError
    except (IndexError, ValueError, TypeError, KeyError):
        raise errors.DataError(f"{path}: no record.objects({number}).bbox") from None
    # From the outer edge of the first pixel to that of the last.
    return np.array([y0 - 1.5, x0 - 1.5, y1 - 0.5, x1 - 0.5])


def _part_points(path: pathlib.Path, number: str) -> list[np.ndarray]:
    """Return the centres (y, x) [M, 2] of the instances of each part of an object."""
    try:
        cells = _load(path, "anno")[int(number) - 1, 1].ravel()
        rows = [np.asarray(cell, np.float64) for cell in cells]
    except (AttributeError, IndexError, ValueError, TypeError):
        raise errors.DataError(f"{path}: no anno{{{number}, 2}} of parts") from None
    points = []
    for part, one in enumerate(rows, 1):
        if one.size and (one.ndim != 2 or one.shape[1] != _ROW or not np.isfinite(one).all()):
            raise errors.DataError(
                f"{path}: part {part} of object {number} is {one.shape}, not rows of {_ROW} numbers"
            )
        one = one.reshape(-1, _ROW)
        points.append((one[:, [5, 4]] + one[:, [7, 6]]) / 2 - 1)
    return points


def _padded(points: list[np.ndarray], most: int) -> np.ndarray:
    """Return the points [L, M, 2], NaN where a part has fewer than M instances."""
    padded = np.full((len(points), most, 2), np.nan)
    for row, here in zip(padded, points, strict=True):
        row[: len(here)] = here
    return padded
