"""Points that any program predicted, read from CSV, JSON or JSON lines.

A row is a point: `image` (the name in the data set, or an end of it that no other has, or a path
that ends with it), `part` (any name), `y`, `x` (original pixels, the first pixel's centre is 0)
and, optionally, `score`. JSON may give `point: [y, x]` instead, as detections.jsonl does; what
else a row has is passed over.
"""

import json
import math
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from partdisc.data.lists import Row, fault, read_table, read_text
from partdisc.data.names import Names
from partdisc.errors import DataError, shortened

ENDINGS = (".csv", ".json", ".jsonl")


class Points(NamedTuple):
    """The points of N images.

    Attributes:
      parts: K names, sorted.
      points: [N, K, D, 2], (y, x) original pixels, strongest first; 0 in unused slots.
      scores: [N, K, D], -inf in unused slots.
      rows: how many were read.
      notes: lines on rows of other images, and on names that were found by their end.
    """

    parts: tuple[str, ...]
    points: np.ndarray
    scores: np.ndarray
    rows: int
    notes: tuple[str, ...]


class _Point(NamedTuple):
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
    images = Names((key, i) for i, key in enumerate(keys))
    found: dict[tuple[int, str], list[_Point]] = {}
    others: list[_Point] = []
    for row in _rows(path, ending):
        key = images.find(row.image)
        if key is None:
            others.append(row)
            continue
        several = found.setdefault((images[key], row.part), [])
        if same := next((one for one in several if (one.y, one.x) == (row.y, row.x)), None):
            raise DataError(
                f"{row.where}: the same point of '{row.part}' in '{key}' as {same.where}"
            )
        several.append(row)
    notes = images.notes()
    if others:
        first = f"{others[0].where}: {shortened(others[0].image)}"
        hint = images.hint(others[0].image)
        if not found:
            raise DataError(f"{first} is no image that the data set uses, nor are the others{hint}")
        notes.append(
            f"{len(others)} more are of images that the data set does not use; the first, "
            f"{first}{hint}"
        )
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
    rows = sum(map(len, found.values()))
    return Points(tuple(parts), points, scores, rows, tuple(notes))


def _rows(path: pathlib.Path, ending: str) -> Iterator[_Point]:
    entries = {".csv": _csv, ".json": _json, ".jsonl": _json_lines}[ending]
    for where, entry in entries(path):
        yield _point(where, entry)


def _csv(path: pathlib.Path) -> Iterator[tuple[str, dict]]:
    rows = read_table(path)
    head = next(rows, Row(1, []))
    columns = [name.casefold() for name in head.words]
    absent = [name for name in ("image", "part", "y", "x") if name not in columns]
    if absent:
        raise DataError(
            f"{path}, line {head.line}: no column {', '.join(absent)}; needed: image, part, y, x"
        )
    for line, words in rows:
        where = f"{path}, line {line}"
        if len(words) != len(columns):
            raise DataError(f"{where}: not the {len(columns)} columns of line {head.line}")
        yield where, dict(zip(columns, words, strict=True))


def _json(path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    entries = _parse(f"{path}, line ", read_text(path))
    if not isinstance(entries, list):
        raise DataError(f"{path}: must hold a list of points")
    for i, entry in enumerate(entries):
        yield f"{path}, entry {i}", entry


def _json_lines(path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            yield f"{path}, line {number}", _parse(f"{path}, line ", line, number - 1)


def _parse(where: str, text: str, before: int = 0) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}{before + error.lineno}: {error.msg}") from None
    except ValueError:
        raise DataError(f"{where}{before + 1}: a number has thousands of digits") from None
    except RecursionError:
        raise DataError(f"{where}{before + 1}: lists in lists, far too deep") from None


def _is_name(part: Any) -> bool:
    return isinstance(part, (str, int)) and not isinstance(part, bool) and part != ""


def _point(where: str, entry: Any) -> _Point:
    if not isinstance(entry, dict):
        raise DataError(f"{where}: not an object with image, part, y, x")
    point = entry.get("point")
    point = point if isinstance(point, list) else [entry.get("y"), entry.get("x")]
    if len(point) != 2:
        raise DataError(f"{where}: point is {shortened(point)}, not [y, x]")
    image, part = entry.get("image"), entry.get("part")
    if not isinstance(image, str) or not _is_name(part):
        raise DataError(f"{where}: needs the names of an image and a part")
    score = 1.0 if entry.get("score") in (None, "") else entry["score"]
    numbers = []
    for name, value in zip(("y", "x", "score"), (*point, score), strict=True):
        try:
            numbers.append(math.nan if isinstance(value, bool) else float(value))
        except (TypeError, ValueError, OverflowError):
            numbers.append(math.nan)
        if wrong := fault(numbers[-1]):
            raise DataError(f"{where}: {name} is {shortened(value)}, {wrong}")
    return _Point(where, image, str(part), *numbers)
