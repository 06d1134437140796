"""Detections written for other programs: a module a format, `FORMATS` the list of them."""

import pathlib
from collections.abc import Callable

from partdisc.export import json_lines
from partdisc.export.detections import Detection, list_detections

__all__ = ["FORMATS", "Detection", "list_detections", "write_detections"]

# Ending of the file -> what writes it.
FORMATS: dict[str, Callable[[pathlib.Path, list[Detection]], None]] = {"jsonl": json_lines.write}


def write_detections(folder: pathlib.Path, detections: list[Detection]) -> list[pathlib.Path]:
    """Write `detections.<ending>` in every format of `FORMATS`; return the files."""
    written = []
    for ending, write in FORMATS.items():
        written.append(folder / f"detections.{ending}")
        write(written[-1], detections)
    return written
