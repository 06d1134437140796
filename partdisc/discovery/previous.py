"""Trainings that were replaced: each kept aside in one folder, with all that it found."""

import pathlib
import shutil

from partdisc.detector.files import NAME, TABLE
from partdisc.discovery.record import (
    FOLDER,
    PREVIOUS,
    RECORD,
    Training,
    read_record,
    steps_in,
    write_record,
)
from partdisc.progress import say
from partdisc.workdir import Workdir, atomic

# Trainings before the last one that are kept; and as many of those that were finished.
KEPT = 2
# What a run leaves of its training beside the checkpoints.
RESULTS = ("metrics.jsonl", "results.json", NAME, TABLE)


def previous(workdir: Workdir) -> dict[int, pathlib.Path]:
    """Return the folders of the trainings that are kept aside, by their number."""
    found = (workdir.path / FOLDER / PREVIOUS).glob("*-*")
    numbered = ((one.name.partition("-")[0], one) for one in found)
    return {int(number): one for number, one in sorted(numbered) if number.isdecimal()}


def places(workdir: Workdir, key: str) -> list[pathlib.Path]:
    """Return the folders in which the checkpoints of a training may lie."""
    return [workdir.path / FOLDER / key, *(workdir.path / FOLDER).glob(f"{PREVIOUS}/*-{key}")]


def others(workdir: Workdir, key: str) -> list[pathlib.Path]:
    """Return the folders of trainings that are not kept aside, but for that of one."""
    folder = workdir.path / FOLDER
    found = sorted(folder.iterdir()) if folder.exists() else []
    return [one for one in found if one.is_dir() and one.name not in (key, PREVIOUS)]


def gather(workdir: Workdir, training: Training) -> None:
    """Put a copy of record and results beside the checkpoints that another training replaces."""
    there, left = read_record(workdir.path / RECORD), others(workdir, training.key)
    key = there.key if there else max(left, key=steps_in).name if left else training.key
    if key == training.key:
        return
    folder = workdir.path / FOLDER / key
    for name in RESULTS:
        if (workdir.path / name).exists():
            with atomic(folder / name) as copy:
                shutil.copyfile(workdir.path / name, copy)
    if there:
        write_record(folder / RECORD, there)


def put_aside(workdir: Workdir, training: Training) -> None:
    """Keep the trainings aside that another one has replaced, the last ones of them."""
    for other in others(workdir, training.key):
        if not steps_in(other) and not (other / TABLE).exists():
            shutil.rmtree(other)
            continue
        # What goes on from its layer has its channels, and so their names; another has not.
        for name in () if training.parent else RESULTS:
            (workdir.path / name).unlink(missing_ok=True)
        number = max(previous(workdir), default=0) + 1
        place = workdir.path / FOLDER / PREVIOUS / f"{number:03d}-{other.name}"
        place.parent.mkdir(exist_ok=True)
        other.replace(place)
        say(f"the training before is kept in {place}, with its {', '.join(RESULTS)}")
    for name in RESULTS:  # It was replaced itself, and the program killed before more was done.
        own = workdir.path / FOLDER / training.key / name
        if own.exists() and not (workdir.path / name).exists():
            own.replace(workdir.path / name)
    _remove_old(workdir)


def _remove_old(workdir: Workdir) -> None:
    """Remove those before the last ones; what was stopped pushes out nothing that was finished."""
    kept = [place for _, place in sorted(previous(workdir).items())]
    finished = [place for place in kept if _finished(place)]
    for old in kept[:-KEPT]:
        if old not in finished[-KEPT:]:
            shutil.rmtree(old)
            was = "finished" if old in finished else "not finished"
            say(f"{old}, a training that was {was}, is removed: the last {KEPT} are kept")


def _finished(place: pathlib.Path) -> bool:
    """Say whether a training was done to its end; one that is not known is taken for it."""
    record = read_record(place / RECORD)
    return steps_in(place) >= (record.steps if record else 1) > 0
