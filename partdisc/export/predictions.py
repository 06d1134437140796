"""Predictions on any images, written as they come: a line an image, and tables made of the lines.

A run that was stopped goes on after its last whole line.
"""

import csv
import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from partdisc.data.bad_images import BadImage
from partdisc.detector import Detector, Part, Prediction, Source, indexed, load_picture
from partdisc.errors import WorkdirError
from partdisc.export import coco
from partdisc.export.overlays import draw_overlay
from partdisc.page import Album, Page, write_page
from partdisc.workdir import atomic, digest, read_json, write_json

LINES, ABOUT, REPORT = "predictions.jsonl", "predictions.json", "report/index.html"


class Extras(NamedTuple):
    """What is written besides the lines.

    Attributes:
      formats: of `FORMATS`.
      overlays: whether to draw the parts on the images.
      masks: whether to write the part of each pixel.
      report: whether to write a page of the photos.
    """

    formats: tuple[str, ...] = ()
    overlays: bool = False
    masks: bool = False
    report: bool = False


class Count(NamedTuple):
    """How many images there were, and those that could not be used."""

    images: int
    bad: list[BadImage]


def write_predictions(
    folder: pathlib.Path,
    detector: Detector,
    sources: list[Source],
    extras: Extras,
    advance: Callable[[int], None] = lambda images: None,
) -> Count:
    """Predict images and write what was found.

    Args:
      folder: where; made where absent.
      detector: what looks.
      sources: the images.
      extras: what is written besides the lines.
      advance: told how many images are done, those of an earlier run first.

    Returns:
      How many images there were, and which were bad.

    Raises:
      errors.WorkdirError: the folder holds predictions of other images or another detector.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = _take_up(folder, _key(detector, sources))
    advance(done)
    album = Album(detector.parts, len(sources))
    with open(folder / LINES, "a", encoding="utf-8") as file:
        rows = _rows(detector, sources[done:])
        for place, (source, row, prediction) in enumerate(rows, done):
            if prediction is not None:
                _draw(folder, detector, source, prediction, extras)
                if extras.report:
                    album.add(place, _reader_of(source), prediction)
            file.write(json.dumps(row) + "\n")
            file.flush()
            advance(1)
    for name in extras.formats:
        ending, write = FORMATS[name]
        with atomic(folder / f"predictions.{ending}") as temporary:
            write(temporary, lambda: read_lines(folder / LINES), detector.parts)
    bad = [
        BadImage(row["image"], row["problem"])
        for row in read_lines(folder / LINES)
        if "problem" in row
    ]
    if extras.report:
        _write_report(folder / REPORT, detector, sources, album, bad)
    return Count(len(sources), bad)


def _reader_of(source: Source) -> Callable[[], np.ndarray]:
    return functools.partial(load_picture, source.picture)


def _write_report(
    path: pathlib.Path,
    detector: Detector,
    sources: list[Source],
    album: Album,
    bad: list[BadImage],
) -> None:
    """Write the page; images that an earlier run has done are looked at once more for it."""
    names = {one.name for one in bad}
    missing = {str(n): n for n in album.missing if sources[n].name not in names}
    again = [sources[n]._replace(name=place) for place, n in missing.items()]
    for prediction in detector.predict(again, lambda one: None):
        place = missing[prediction.image]
        prediction = dataclasses.replace(prediction, image=sources[place].name)
        album.add(place, _reader_of(sources[place]), prediction)
    facts = [
        f"{len(detector.parts)} parts, looked for by a detector on {detector.backbone.name} "
        f"{detector.backbone.layer}. {len(album.photos)} of {len(sources)} photos are shown."
    ]
    lines = [f"{one.name}: {one.reason}" for one in bad]
    write_page(path, Page("Parts in photos", facts, detector.parts, album.photos, lines))


def _key(detector: Detector, sources: list[Source]) -> str:
    params = {name: np.asarray(value) for name, value in detector.params.items()}
    parts = [part._asdict() for part in detector.parts]
    return digest(params, detector.weights.digest, parts, [str(one.picture) for one in sources])


def _take_up(folder: pathlib.Path, key: str) -> int:
    """Return how many images an earlier run has done, and cut off a line that it left half."""
    lines, about = folder / LINES, read_json(folder / ABOUT)
    if lines.exists() and (about or {}).get("key") != key:
        raise WorkdirError(
            f"{folder} holds predictions of other images, or of another detector; give --out "
            "another folder"
        )
    write_json(folder / ABOUT, {"key": key})
    if not lines.exists():
        return 0
    count = whole = 0
    with open(lines, "rb+") as file:
        for line in file:
            if line.endswith(b"\n"):
                count, whole = count + 1, whole + len(line)
        file.truncate(whole)
    return count


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
    with open(path, encoding="utf-8") as file:
        yield from map(json.loads, file)


def write_csv(path: pathlib.Path, rows: coco.Rows, parts: tuple[Part, ...]) -> None:
    """Write a row for each part of each image; `--mode=score` reads it."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "part", "y", "x", "score", "present", "id", "area"])
        for row in rows():
            for part in row.get("parts", ()):
                figures = (part["score"], int(part["present"]), part["id"], part["area"])
                writer.writerow([row["image"], part["name"], *part["point"], *figures])


def _draw(
    folder: pathlib.Path,
    detector: Detector,
    source: Source,
    prediction: Prediction,
    extras: Extras,
) -> None:
    name = pathlib.PurePath(source.name).with_suffix(".png")
    name = name.relative_to(name.anchor)
    if extras.overlays:
        _save(draw_overlay(detector.parts, source, prediction), folder / "overlays" / name)
    if extras.masks:
        _save(indexed(prediction.mask, detector.parts), folder / "masks" / name)


def _save(image: Image.Image, path: pathlib.Path) -> None:
    with atomic(path) as temporary:
        image.save(temporary)


# Name of a format -> ending of its file, and what writes it of the rows of the lines.
FORMATS: dict[str, tuple[str, Callable[[pathlib.Path, coco.Rows, tuple[Part, ...]], None]]] = {
    "csv": ("csv", write_csv),
    "coco": ("coco.json", coco.write),
}
