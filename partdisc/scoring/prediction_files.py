"""Points that any program predicted, read from CSV, JSON or JSON lines.

A row is a point: `image` (the name in the data set), `part` (any name), `y`, `x` (original
pixels, the first pixel's centre is 0) and, optionally, `score`. JSON may give `point: [y, x]`
instead, as detections.jsonl does; what else a row has is passed over.
"""

import csv
import io
import json
import math
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from partdisc.errors import DataError, shortened

ENDINGS = (".csv", ".json", ".jsonl")


class Points(NamedTuple):
    """The points of N images.

    Attributes:
      parts: K names, sorted.
      points: [N, K, D, 2], (y, x) original pixels, strongest first; 0 in unused slots.
      scores: [N, K, D], -inf in unused slots.
      rows: how many were read.
      others: how many more are of images that the data set does not use.
      first_other: where the first of those stands and its image; "" for none.
    """

    parts: tuple[str, ...]
    points: np.ndarray
    scores: np.ndarray
    rows: int
    others: int
    first_other: str


class _Row(NamedTuple):
    where: str
    image: str
    part: str
    y: float
    x: float
    score: float


def read_points(path: pathlib.Path, keys: list[str]) -> Points:
    """Read the points that a program predicted for the images of a data set.

    Args:
      path: of the file; its ending says which format.
      keys: N names of the images.

    Raises:
      DataError: the file is absent or malformed, names no image of the set, or gives the
        same point twice; says which line or entry.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise DataError(f"{path}: predictions end with {', '.join(ENDINGS)}")
    index = {key: i for i, key in enumerate(keys)}
    found: dict[tuple[int, str], list[_Row]] = {}
    total, others, first_other = 0, 0, ""
    for row in _rows(path, ending):
        if row.image not in index:
            others += 1
            first_other = first_other or f"{row.where}: '{row.image}'"
            continue
        several = found.setdefault((index[row.image], row.part), [])
        if any((one.y, one.x) == (row.y, row.x) for one in several):
            raise DataError(
                f"{row.where}: the same point of '{row.part}' in '{row.image}' as "
                f"{next(o.where for o in several if (o.y, o.x) == (row.y, row.x))}"
            )
        several.append(row)
        total += 1
    if not found and others:
        raise DataError(f"{first_other} is no image that the data set uses, nor are the others")
    if not found:
        raise DataError(f"{path}: no predictions in it")
    parts = sorted({part for _, part in found})
    place = {part: k for k, part in enumerate(parts)}
    shape = (len(keys), len(parts), max(map(len, found.values())))
    points, scores = np.zeros((*shape, 2)), np.full(shape, -np.inf)
    for (image, part), several in found.items():
        several.sort(key=lambda row: -row.score)
        slot = image, place[part], slice(0, len(several))
        points[slot] = [(row.y, row.x) for row in several]
        scores[slot] = [row.score for row in several]
    return Points(tuple(parts), points, scores, total, others, first_other)


def _rows(path: pathlib.Path, ending: str) -> Iterator[_Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text file") from None
    entries = {".csv": _csv, ".json": _json, ".jsonl": _json_lines}[ending]
    try:
        for where, entry in entries(path, text):
            yield _row(where, entry)
    except (csv.Error, RecursionError) as error:
        raise DataError(f"{path}: {error}") from None


def _csv(path: pathlib.Path, text: str) -> Iterator[tuple[str, dict]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = reader.fieldnames or []
    absent = [name for name in ("image", "part", "y", "x") if name not in columns]
    if absent:
        raise DataError(f"{path}, line 1: no column {', '.join(absent)}; needed: image, part, y, x")
    for entry in reader:
        where = f"{path}, line {reader.line_num}"
        if None in entry or None in entry.values():
            raise DataError(f"{where}: not the {len(columns)} columns of line 1")
        yield where, entry


def _json(path: pathlib.Path, text: str) -> Iterator[tuple[str, Any]]:
    entries = _parse(f"{path}, line ", text)
    if not isinstance(entries, list):
        raise DataError(f"{path}: must hold a list of points")
    for i, entry in enumerate(entries):
        yield f"{path}, entry {i}", entry


def _json_lines(path: pathlib.Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{path}, line {number}", _parse(f"{path}, line ", line, number - 1)


def _parse(where: str, text: str, before: int = 0) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}{before + error.lineno}: {error.msg}") from None
    except ValueError as error:  # A number of thousands of digits.
        raise DataError(f"{where}{before + 1}: {error}") from None


def _is_name(part: Any) -> bool:
    return isinstance(part, (str, int)) and not isinstance(part, bool) and part != ""


def _row(where: str, entry: Any) -> _Row:
    if not isinstance(entry, dict):
        raise DataError(f"{where}: not an object with image, part, y, x")
    y, x = entry.get("y"), entry.get("x")
    if isinstance(entry.get("point"), list) and len(entry["point"]) == 2:
        y, x = entry["point"]
    image, part = entry.get("image"), entry.get("part")
    if not isinstance(image, str) or not _is_name(part):
        raise DataError(f"{where}: needs the names of an image and a part")
    score = entry.get("score")
    numbers = []
    for name, value in (("y", y), ("x", x), ("score", 1.0 if score in (None, "") else score)):
        try:
            numbers.append(math.nan if isinstance(value, bool) else float(value))
        except (TypeError, ValueError, OverflowError):
            numbers.append(math.nan)
        if not math.isfinite(numbers[-1]):
            raise DataError(f"{where}: {name} is {shortened(value)}, not a finite number")
    return _Row(where, image, str(part), *numbers)
