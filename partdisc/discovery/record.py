"""A training of a work directory, and the file that says which one it is."""

import pathlib
from typing import NamedTuple

from partdisc.discovery.identity import Identity
from partdisc.workdir import Workdir, digest, read_json, write_json

RECORD, FOLDER, PREVIOUS = "training.json", "checkpoints", "previous"


class Training(NamedTuple):
    """One training in a work directory.

    Attributes:
      identity: what it depends on.
      key: names it, and the folder of its checkpoints.
      steps: of its layer, in all.
      parent: the training whose layer it goes on from, and "" where it starts from clusters.
      first: the step at which it begins.
      only: whether it has to be there and finished.
    """

    identity: Identity
    key: str
    steps: int
    parent: str = ""
    first: int = 0
    only: bool = False


def write_record(path: pathlib.Path, training: Training) -> None:
    """Write down which training it is, sealed."""
    record = training._asdict() | {"identity": training.identity._asdict()}
    del record["only"]
    write_json(path, record | {"seal": digest(record)})


def read_record(path: pathlib.Path) -> Training | None:
    """Return the training of a record; None where there is none, or not as it was written."""
    try:
        record = dict(read_json(path) or {})
        if record.pop("seal", "") != digest(record):
            return None
        return Training(**record | {"identity": Identity(**record["identity"])})
    except (TypeError, ValueError, KeyError):
        return None


def steps_done(workdir: Workdir, key: str) -> int:
    """Return the step of the last checkpoint of a training, 0 where there is none."""
    return steps_in(workdir.path / FOLDER / key)


def steps_in(folder: pathlib.Path) -> int:
    """Return the largest step that has a folder among the checkpoints of a folder."""
    found = [int(one.name) for one in folder.glob("*") if one.name.isdecimal()]
    return max(found, default=0)
