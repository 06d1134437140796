"""A detector in the folder of its run: one file, and a table in which its parts get names."""

import dataclasses
import os
import pathlib

from partdisc.detector import archive
from partdisc.detector.detector import Detector
from partdisc.detector.parts import read_names, write_parts
from partdisc.paths import user_path
from partdisc.progress import say

NAME, TABLE = "detector.npz", "parts.csv"


def keep(folder: pathlib.Path, detector: Detector) -> Detector:
    """Keep a detector in a run's folder, and its parts in a table that names are given in.

    Names that were given to another number of parts are kept too, in the file; those that leave
    the table are said. So are those of parts that are not made of the same channels any more:
    they are of no part now.

    Returns:
      The detector, its parts with the names that were given.
    """
    listed = read_names(folder / TABLE)
    names = archive.names(folder / NAME) | listed
    detector = _renamed(detector, names)
    made = {part.channels for one in detector.choices.values() for part in one.parts}
    lost = [
        f"{name} (channels {' '.join(map(str, channels))})"
        for channels, name in names.items()
        if name and channels not in made
    ]
    if lost:
        say(
            f"{folder / TABLE}: the parts are made of other channels now, and these names are of "
            f"none of them any more: {', '.join(lost)}"
        )
    there = {part.channels for part in detector.parts}
    hidden = {
        channels: name for channels, name in listed.items() if name and channels in made - there
    }
    if hidden:
        had = {
            count: sum(part.channels in hidden for part in one.parts)
            for count, one in detector.choices.items()
        }
        most = max(had, key=had.get)
        say(
            f"{folder / TABLE}: of {len(there)} parts, none bears these names any more: "
            f"{', '.join(hidden.values())}. They are kept; config.parts.wanted={most} has "
            f"{had[most]} of them"
        )
    detector.save(folder / NAME)
    write_parts(folder / TABLE, detector.parts)
    return detector


def load(path: str | os.PathLike) -> Detector:
    """Read a detector, and find the weights that it was made with.

    Args:
      path: the file, or the work directory of a run; names in a parts.csv beside it count.

    Raises:
      errors.WorkdirError: there is none, or it is damaged or of another version.
      errors.WeightsError: the weights are not to be found, or are others.
      errors.DataError: the table of names is none.
    """
    path = user_path(path)
    file = path / NAME if path.is_dir() else path
    fields = archive.read(file)
    return _renamed(Detector(**fields), read_names(file.with_name(TABLE)))


def _renamed(detector: Detector, names: dict[tuple[int, ...], str]) -> Detector:
    """Return the same detector with names of parts, by their channels."""
    choices = {count: one.renamed(names) for count, one in detector.choices.items()}
    return dataclasses.replace(detector, choices=choices, chosen=detector.chosen.renamed(names))
