"""A detector in the folder of its run: one file, and a table in which its parts get names."""

import dataclasses
import os
import pathlib

from partdisc.detector import archive
from partdisc.detector.detector import Detector
from partdisc.detector.parts import named, write_parts

NAME, TABLE = "detector.npz", "parts.csv"


def keep(folder: pathlib.Path, detector: Detector) -> Detector:
    """Keep a detector in a run's folder, and its parts in a table that names are given in.

    Returns:
      The detector, its parts with the names that the table has.
    """
    chosen = detector.chosen._replace(parts=named(detector.parts, folder / TABLE))
    detector.save(folder / NAME)
    write_parts(folder / TABLE, chosen.parts)
    return dataclasses.replace(detector, chosen=chosen)


def load(path: str | os.PathLike) -> Detector:
    """Read a detector, and find the weights that it was made with.

    Args:
      path: the file, or the work directory of a run; names in a parts.csv beside it count.

    Raises:
      errors.WorkdirError: there is none, or it is damaged or of another version.
      errors.WeightsError: the weights are not to be found, or are others.
      errors.DataError: the table of names is none.
    """
    path = pathlib.Path(path).expanduser()
    file = path / NAME if path.is_dir() else path
    fields = archive.read(file)
    table = file.with_name(TABLE)
    choices = {
        count: one._replace(parts=named(one.parts, table))
        for count, one in fields["choices"].items()
    }
    chosen = choices.get(len(fields["chosen"].parts), fields["chosen"])
    return Detector(**fields | {"choices": choices, "chosen": chosen})
