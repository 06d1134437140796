"""Predictions on any images, written as they come: a line an image, and tables made of the lines.

A run that was stopped goes on after its last whole line.
"""

import contextlib
import csv
import dataclasses
import fcntl
import json
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from partdisc.data.bad_images import BadImage
from partdisc.detector import Detector, Part, Prediction, Source
from partdisc.errors import WorkdirError
from partdisc.export import coco
from partdisc.export.pictures import Extras, Pictures, picture_names
from partdisc.page import Album
from partdisc.paths import ABOUT, LINES
from partdisc.progress import Progress, say
from partdisc.workdir import atomic, digest, json_object, read_json, write_json


class Count(NamedTuple):
    """How many images there were, and those that could not be used."""

    images: int
    bad: list[BadImage]


def write_predictions(
    folder: pathlib.Path,
    detector: Detector,
    sources: list[Source],
    extras: Extras,
) -> Count:
    """Predict images and write what was found.

    Args:
      folder: where; made where absent.
      detector: what looks.
      sources: the images.
      extras: what is written besides the lines.

    Returns:
      How many images there were, and which were bad.

    Raises:
      errors.WorkdirError: the folder holds predictions of other images or another detector, or
        another process writes there.
    """
    files = picture_names(sources)
    with _held(folder) as file:
        done = _take_up(folder, file, detector, sources)
        pictures = Pictures(folder, detector, extras, Album(detector.parts, len(sources)))
        rows = enumerate(_rows(detector, sources[done:]), done)
        with Progress("predicting", total=len(sources), unit="images", start=done) as progress:
            for place, (source, row, prediction) in rows:
                if prediction is not None:
                    pictures.show(place, source, files[place], prediction)
                file.write(json.dumps(row).encode() + b"\n")
                file.flush()
                progress.advance(1)
        bad = {
            place: BadImage(row["image"], row["problem"])
            for place, row in enumerate(read_lines(folder / LINES))
            if "problem" in row
        }
        pictures.complete(sources[:done], files[:done], bad)
        for name in extras.formats:
            ending, write = FORMATS[name]
            with atomic(folder / f"predictions.{ending}") as temporary:
                write(temporary, lambda: read_lines(folder / LINES), detector.parts)
        if extras.report:
            pictures.write_report(len(sources), list(bad.values()))
    return Count(len(sources), list(bad.values()))


@contextlib.contextmanager
def _held(folder: pathlib.Path) -> Iterator[BinaryIO]:
    """Open the lines, for one process at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LINES, "ab+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkdirError(
                f"{folder}: another process writes predictions there; wait for it, or give --out "
                "another folder"
            ) from None
        yield file


def _key(detector: Detector, sources: list[Source]) -> str:
    params = {name: np.asarray(value) for name, value in detector.params.items()}
    parts = [part._asdict() for part in detector.parts]
    read = (detector.chosen.discriminant, detector.facing, detector.listed, detector.settings)
    return digest(params, detector.weights.digest, parts, read, [_stamp(one) for one in sources])


def _stamp(source: Source) -> list[Any]:
    """Return what tells a file from one that takes its place."""
    try:
        found = os.stat(source.picture)
    except OSError:
        return [str(source.picture)]
    return [str(source.picture), found.st_size, found.st_mtime_ns]


def _take_up(
    folder: pathlib.Path, file: BinaryIO, detector: Detector, sources: list[Source]
) -> int:
    """Return how many images an earlier run has done, and cut off what it left half or damaged."""
    key = _key(detector, sources)
    if file.tell():
        about = read_json(folder / ABOUT) or {}
        if "key" not in about:
            raise WorkdirError(
                f"{folder / ABOUT} is absent or damaged, which says what the lines beside it are "
                f"of; give --out another folder, or remove {folder / LINES}"
            )
        if about["key"] != key:
            raise WorkdirError(
                f"{folder} holds predictions of other images, or of another detector; give --out "
                "another folder"
            )
    write_json(folder / ABOUT, {"key": key})
    count = whole = 0
    file.seek(0)
    for source, line in zip(sources, file, strict=False):
        if not line.endswith(b"\n"):
            break
        if not _is_of(source, line, detector.parts):
            say(f"{folder / LINES}: line {count + 1} is damaged: it and what follows is made again")
            break
        count, whole = count + 1, whole + len(line)
    file.truncate(whole)
    return count


def _is_of(source: Source, line: bytes, parts: tuple[Part, ...]) -> bool:
    """Return whether a line is of an image, and all that is made of lines can be made of it."""
    try:
        row = json_object(line)
        for _, write in FORMATS.values():
            write(pathlib.Path(os.devnull), lambda: iter([row]), parts)
        return row["image"] == source.name
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _rows(
    detector: Detector, sources: list[Source]
) -> Iterator[tuple[Source, dict[str, Any], Prediction | None]]:
    """Yield each image with its row: what was found, or why it cannot be used."""
    bad: dict[str, BadImage] = {}
    names = [one._replace(name=str(place)) for place, one in enumerate(sources)]
    found = detector.predict(names, lambda one: bad.__setitem__(one.name, one))
    prediction = next(found, None)
    for place, source in enumerate(sources):
        if prediction is not None and prediction.image == str(place):
            # By its own name from here on: several may have one, so places told them apart.
            prediction = dataclasses.replace(prediction, image=source.name)
            yield source, row_of(prediction), prediction
            prediction = next(found, None)
        else:
            yield source, {"image": source.name, "problem": bad[str(place)].reason}, None


def row_of(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as JSON writes it: points (y, x), boxes (y0, x0, y1, x1), pixels.

    The object's mask is in COCO's run lengths, down the columns.
    """
    whole = prediction.object
    return {
        "image": prediction.image,
        "size": list(prediction.size),
        "object": _rounded(whole._asdict()) | {"mask": coco.run_lengths(prediction.object_mask)}
        if whole
        else None,
        "parts": [_rounded(part._asdict()) for part in prediction.parts],
        "detections": [_rounded(one._asdict()) for one in prediction.detections],
    }


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _round(value, name) for name, value in fields.items()}


def _round(value: Any, name: str) -> Any:
    if isinstance(value, tuple):
        return [_round(one, name) for one in value]
    places = 2 if name in ("point", "box") else 4
    return round(value, places) if isinstance(value, float) else value


def read_lines(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file of JSON lines."""
    with open(path, "rb") as file:
        yield from map(json_object, file)


def write_csv(path: pathlib.Path, rows: coco.Rows, parts: tuple[Part, ...]) -> None:
    """Write a row for each part of each image; `--mode=score` reads it."""
    # Names of files that are no text are written as they are.
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "part", "y", "x", "score", "present", "id", "area"])
        for row in rows():
            for part in row.get("parts", ()):
                figures = (part["score"], int(part["present"]), part["id"], part["area"])
                writer.writerow([row["image"], part["name"], *part["point"], *figures])


# Name of a format -> ending of its file, and what writes it of the rows of the lines.
FORMATS: dict[str, tuple[str, Callable[[pathlib.Path, coco.Rows, tuple[Part, ...]], None]]] = {
    "csv": ("csv", write_csv),
    "coco": ("coco.json", coco.write),
}
