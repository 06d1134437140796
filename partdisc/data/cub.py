"""CUB-200-2011 birds (Wah et al. 2011) in their official layout.

    images/001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg ...
    images.txt              id, path
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


def read(root: pathlib.Path) -> record.Listing:
    """Read the lists of CUB: train and fit are the official train, test the official test.

    Args:
        root: the folder of the layout above.

    Raises:
        errors.DataError: a list or the folder of images is absent or malformed.
    """
    names_path = root / "images.txt"
    split_path = root / "train_test_split.txt"
    boxes_path = root / "bounding_boxes.txt"
    parts_path = root / "parts" / "parts.txt"
    points_path = root / "parts" / "part_locs.txt"
    folder = root / "images"
    files = record.find_files(folder)
    names = record.read_rows(names_path, 2)
    split = dict(record.read_rows(split_path, 2))
    boxes = _read_boxes(boxes_path)
    parts = _read_part_names(parts_path)
    points = _read_points(points_path, list(parts))
    known = {split_path.name: split, boxes_path.name: boxes, points_path.name: points}

    records, problems = [], []
    for one, key in names:
        absent = [name for name, table in known.items() if one not in table]
        if key not in files:
            problems.append(record.Problem(key, "no such file"))
        elif absent:
            problems.append(record.Problem(key, f"its id {one} is not in {absent[0]}"))
        else:
            splits = ("train", "fit") if split[one] == "1" else ("test",)
            records.append(
                record.file_record(folder, key, files[key], splits, points[one], boxes[one])
            )
    listed = {key for _, key in names}
    problems += [
        record.Problem(key, f"not in {names_path.name}") for key in files if key not in listed
    ]
    sources = (names_path, split_path, boxes_path, parts_path, points_path)
    return record.Listing(records, problems, tuple(parts.values()), None, sources)


def _read_part_names(path: pathlib.Path) -> dict[str, str]:
    # Names have blanks ("left eye"), which a row of words would split.
    try:
        lines = path.read_text().splitlines()
        return dict(line.strip().split(" ", 1) for line in lines if line.strip())
    except (OSError, ValueError) as error:
        raise errors.DataError(f"{path}: {error}") from None


def _read_boxes(path: pathlib.Path) -> dict[str, np.ndarray]:
    rows = record.read_rows(path, 5)
    x, y, width, height = record.to_numbers(path, [row[1:] for row in rows]).reshape(-1, 4).T
    # x is the first column of pixels; its outer edge lies half a pixel before its centre.
    boxes = np.stack([y, x, y + height, x + width], axis=1) - 0.5
    return {row[0]: box for row, box in zip(rows, boxes, strict=True)}


def _read_points(path: pathlib.Path, parts: list[str]) -> dict[str, np.ndarray]:
    rows = record.read_rows(path, 5)
    values = record.to_numbers(path, [row[2:] for row in rows]).reshape(-1, 3)
    index = {part: i for i, part in enumerate(parts)}
    points = {row[0]: np.full((len(parts), 2), np.nan) for row in rows}
    for (one, part, *_), (x, y, visible) in zip(rows, values, strict=True):
        if part not in index:
            raise errors.DataError(f"{path}: part {part} of image {one} is not in parts.txt")
        if visible:
            points[one][index[part]] = y, x
    return points
