"""The detector: images in, parts out; all that prediction needs, and nothing else.

`detector` is it, `parts` what a person reads of its channels, `sources` the images it is given,
`stream` how they go through it, `prediction` what it says of one, `pixels` labels of it,
`archive` what is kept of it, `files` where a run keeps it, `artifact` what programs without
partdisc find its parts with.
"""

from partdisc.detector.archive import discriminant_arrays, part_sets
from partdisc.detector.detector import Detector
from partdisc.detector.files import keep, load
from partdisc.detector.parts import MOST, Part, PartSet, make_parts, part_rows, rgb, write_parts
from partdisc.detector.pixels import indexed, largest_piece, on_pixels
from partdisc.detector.prediction import (
    FoundObject,
    FoundPart,
    Prediction,
    Predictions,
    find_object,
)
from partdisc.detector.reading import AROUND, padded
from partdisc.detector.sources import Source, find_sources
from partdisc.detector.sources import load as load_picture

__all__ = [
    "AROUND",
    "MOST",
    "Detector",
    "FoundObject",
    "FoundPart",
    "Part",
    "PartSet",
    "Prediction",
    "Predictions",
    "Source",
    "discriminant_arrays",
    "find_object",
    "find_sources",
    "indexed",
    "keep",
    "largest_piece",
    "load",
    "load_picture",
    "make_parts",
    "on_pixels",
    "padded",
    "part_rows",
    "part_sets",
    "rgb",
    "write_parts",
]
