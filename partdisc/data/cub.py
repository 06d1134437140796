"""CUB-200-2011 birds (Wah et al. 2011) in their official layout.

    images/001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg ...
    images.txt              id, path
    image_class_labels.txt  id, species, from 1
    train_test_split.txt    id, 1 train | 0 test
    bounding_boxes.txt      id, x, y, width, height
    parts/parts.txt         part, name
    parts/part_locs.txt     id, part, x, y, visible

Coordinates are taken to count from 0, as boxes begin at 0 and none ends more
than a pixel or two past its image; the publishers do not say.
"""

import pathlib

import numpy as np

from partdisc import errors
from partdisc.data import record
from partdisc.data.bad_images import BadImage
from partdisc.data.files import find_files, inner


def read(root: pathlib.Path, species: str = "") -> record.Listing:
    """Read the lists of CUB: train and fit are the official train, test the official test.

    Args:
        root: the folder of the layout above.
        species: numbers of those to read, by commas; "": all.

    Raises:
        errors.ConfigError: there is no such species.
        errors.DataError: a list or the folder of images is absent or malformed.
    """
    root = inner(root, "images.txt")
    names_path = root / "images.txt"
    split_path = root / "train_test_split.txt"
    boxes_path = root / "bounding_boxes.txt"
    parts_path = root / "parts" / "parts.txt"
    points_path = root / "parts" / "part_locs.txt"
    folder = root / "images"
    files = find_files(folder)
    names = [row.words for row in record.read_rows(names_path, 2)]
    split_rows = record.read_rows(split_path, 2)
    record.check_words(split_path, split_rows, 1, ("0", "1"))
    split = dict(row.words for row in split_rows)
    boxes = _read_boxes(boxes_path)
    parts = _read_part_names(parts_path)
    points = _read_points(points_path, list(parts))
    wanted = _wanted(root / "image_class_labels.txt", species)
    known = {split_path.name: split, boxes_path.name: boxes, points_path.name: points}

    records, problems = [], []
    listed = set()
    for one, name in names:
        key = files.find(name)
        listed.add(key)
        if wanted is not None and one not in wanted:
            continue
        lacking = [name for name, table in known.items() if one not in table]
        if not key:
            problems.append(BadImage(name, files.missing(name)))
        elif lacking:
            problems.append(BadImage(key, f"its id {one} is not in {lacking[0]}"))
        else:
            splits = ("train", "fit") if split[one] == "1" else ("test",)
            records.append(
                record.file_record(folder, key, files[key], splits, points[one], boxes[one])
            )
    problems += [
        BadImage(key, f"{record.UNLISTED}{names_path.name}") for key in files if key not in listed
    ]
    sources = (names_path, split_path, boxes_path, parts_path, points_path)
    return record.Listing(records, problems, tuple(parts.values()), None, sources)


def _wanted(path: pathlib.Path, species: str) -> set[str] | None:
    """Return the ids of the images of some species; None: of all."""
    words = [word.strip() for word in species.split(",") if word.strip()]
    if not words:
        return None
    rows = record.read_rows(path, 2)
    labels = record.to_numbers(path, rows, slice(1, 2)).ravel().astype(int).tolist()
    if not labels:
        raise errors.DataError(f"{path}: no species in it")
    for word in words:
        if not word.isdecimal() or int(word) not in labels:
            raise errors.ConfigError(
                f"config.data.category is {errors.shortened(species)}: {path.name} has no species "
                f"{errors.shortened(word)}; it numbers {len(set(labels))} from {min(labels)} to "
                f"{max(labels)}"
            )
    numbers = {int(word) for word in words}
    return {row.words[0] for row, label in zip(rows, labels, strict=True) if label in numbers}


def _read_part_names(path: pathlib.Path) -> dict[str, str]:
    # Names have blanks ("left eye"), which a row of words would split.
    names: dict[str, str] = {}
    for number, line in enumerate(record.read_lines(path), 1):
        words = line.strip().split(maxsplit=1)
        if len(words) == 1:
            raise errors.DataError(f"{path}, line {number}: needs a number and a name")
        if words and (words[0] in names or words[1] in names.values()):
            raise errors.DataError(f"{path}, line {number}: '{line.strip()}' is there twice")
        if words:
            names[words[0]] = words[1]
    return names


def _read_boxes(path: pathlib.Path) -> dict[str, np.ndarray]:
    rows = record.read_rows(path, 5)
    x, y, width, height = record.to_numbers(path, rows, slice(1, 5)).reshape(-1, 4).T
    # x is the first column of pixels; its outer edge lies half a pixel before its centre.
    boxes = np.stack([y, x, y + height, x + width], axis=1) - 0.5
    return {row.words[0]: box for row, box in zip(rows, boxes, strict=True)}


def _read_points(path: pathlib.Path, parts: list[str]) -> dict[str, np.ndarray]:
    rows = record.read_rows(path, 5, unique=2)
    values = record.to_numbers(path, rows, slice(2, 5)).reshape(-1, 3)
    index = {part: i for i, part in enumerate(parts)}
    points = {row.words[0]: np.full((len(parts), 2), np.nan) for row in rows}
    for (line, (one, part, *_)), (x, y, visible) in zip(rows, values, strict=True):
        if part not in index:
            raise errors.DataError(f"{path}, line {line}: part {part} is not in parts.txt")
        if visible:
            points[one][index[part]] = y, x
    return points
