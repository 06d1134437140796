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
from collections.abc import Mapping
from typing import Any

import numpy as np

from partdisc import errors
from partdisc.data import record
from partdisc.data.bad_images import BadImage
from partdisc.data.files import find_files, locate
from partdisc.data.lists import List, read_lines

_BOX = ("x", "y", "width", "height")
_POINT = ("x", "y", "visible")


def read(root: pathlib.Path, species: str = "") -> record.Listing:
    """Read the lists of CUB: train and fit are the official train, test the official test.

    Args:
        root: the folder of the layout above.
        species: numbers of those to read, by commas; "": all.

    Raises:
        errors.ConfigError: there is no such species.
        errors.DataError: a list or the folder of images is absent or malformed.
    """
    names = List(locate(root, "images.txt"), ("id", "path"))
    root = names.path.parent
    split_list = List(locate(root, "train_test_split.txt"), ("id", "train"))
    box_list = List(locate(root, "bounding_boxes.txt"), ("id", *_BOX))
    parts_path = locate(root, "parts/parts.txt")
    point_list = List(locate(root, "parts/part_locs.txt"), ("id", "part", *_POINT), unique=2)
    folder = locate(root, "images")
    files = find_files(folder)
    split = split_list.choices("train", ("0", "1"))
    boxes = _read_boxes(box_list)
    parts = _read_part_names(parts_path)
    points = _read_points(point_list, list(parts))
    known = [(split_list, split), (box_list, boxes), (point_list, points)]
    wanted = names.rows.keys()
    if words := [word.strip() for word in species.split(",") if word.strip()]:
        label_list = List(locate(root, "image_class_labels.txt"), ("id", "species"))
        labels = label_list.numbers(("species",))
        known.append((label_list, labels))
        wanted = label_list.bad.keys() | _of_species(label_list, labels, words)

    records, listed = [], set()
    problems = [BadImage(one, reason) for one, reason in names.bad.items()]
    for one, row in names.rows.items():
        name = row.words[1]
        key = files.find(name)
        listed.add(key)
        if one not in wanted:
            continue
        fault = next(filter(None, (_lack(one, *table) for table in known)), "")
        if not key:
            problems.append(BadImage(name, files.missing(name)))
        elif fault:
            problems.append(BadImage(key, fault))
        else:
            splits = ("train", "fit") if split[one] == "1" else ("test",)
            records.append(
                record.file_record(folder, key, files[key], splits, points[one], boxes[one])
            )
    problems += [
        BadImage(key, f"{record.UNLISTED}{names.path.name}") for key in files if key not in listed
    ]
    sources = (names.path, split_list.path, box_list.path, parts_path, point_list.path)
    notes = tuple(files.notes())
    return record.Listing(records, problems, tuple(parts.values()), None, sources, notes=notes)


def _lack(one: str, table: List, values: Mapping[str, Any]) -> str:
    """Say why an image has nothing of use in a list; "" where it has."""
    if one in table.bad or one in values:
        return table.bad.get(one, "")
    return f"its id {one} is not in {table.path.name}"


def _of_species(label_list: List, labels: Mapping[str, np.ndarray], wanted: list[str]) -> set[str]:
    """Return the ids of the images of some species."""
    species = {one: int(label) for one, (label,) in labels.items()}
    known = set(species.values())
    if not known:
        raise errors.DataError(next(iter(label_list.bad.values())))
    for word in wanted:
        if not word.isdecimal() or int(word) not in known:
            raise errors.ConfigError(
                f"config.data.category is {errors.shortened(','.join(wanted))}: "
                f"{label_list.path.name} has no species {errors.shortened(word)}; it numbers "
                f"{len(known)} from {min(known)} to {max(known)}"
            )
    return {one for one, label in species.items() if label in {int(word) for word in wanted}}


def _read_part_names(path: pathlib.Path) -> dict[str, str]:
    # Names have blanks ("left eye"), which a row of words would split.
    names: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        words = line.strip().split(maxsplit=1)
        if len(words) == 1:
            raise errors.DataError(f"{path}, line {number}: needs a number and a name")
        if words and (words[0] in names or words[1] in names.values()):
            raise errors.DataError(f"{path}, line {number}: '{line.strip()}' is there twice")
        if words:
            names[words[0]] = words[1]
    return names


def _read_boxes(boxes: List) -> dict[str, np.ndarray]:
    found = {}
    for one, (x, y, width, height) in boxes.numbers(_BOX).items():
        if width > 0 and height > 0:
            # x is the first column of pixels; its outer edge lies half a pixel before its centre.
            found[one] = np.array([y, x, y + height, x + width]) - 0.5
        else:
            boxes.leave_out(one, f"its box is {width:g} wide and {height:g} high, without area")
    return found


def _read_points(locations: List, parts: list[str]) -> dict[str, np.ndarray]:
    """Read the points (y, x) [L, 2] of each image; those of parts that are not seen say nothing."""
    index = {part: i for i, part in enumerate(parts)}
    part_of = locations.choices("part", parts)
    points = {row.words[0]: np.full((len(parts), 2), np.nan) for row in locations.rows.values()}
    visible = [name for name, (seen,) in locations.numbers(("visible",)).items() if seen]
    for name, (x, y) in locations.numbers(("x", "y"), visible).items():
        points[locations.rows[name].words[0]][index[part_of[name]]] = y, x
    return points
