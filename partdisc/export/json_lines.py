"""JSON lines: a line a detection, points and boxes as (y, x) in original pixels."""

import pathlib

from partdisc.export.detections import Detection
from partdisc.workdir import write_lines


def write(path: pathlib.Path, detections: list[Detection]) -> None:
    """Write detections to a file, which appears when it is whole."""
    write_lines(path, [detection._asdict() for detection in detections])
