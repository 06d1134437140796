"""Which training a work directory holds, and what becomes of it where another one is wanted."""

import pathlib
import shutil
from typing import Any, NamedTuple

from partdisc.discovery.checkpoints import Checkpoints
from partdisc.discovery.clusters import Start
from partdisc.discovery.identity import LAYER, Identity, differences
from partdisc.discovery.settings import step_settings
from partdisc.discovery.step import State, initial_state
from partdisc.errors import WorkdirError
from partdisc.progress import say
from partdisc.workdir import Workdir, digest, read_json, write_json

RECORD, FOLDER, PREVIOUS = "training.json", "checkpoints", "previous"
# Trainings before the last one that are kept.
KEPT = 2
# What to do where another training is there than the one that is wanted: stop; keep it aside and
# train anew; go on from its layer. Where nothing is to be trained, it cannot be there (`same`),
# and by `trained` the wanted one has to be.
POLICIES = ("stop", "overwrite", "continue", "same", "trained")


class Training(NamedTuple):
    """One training in a work directory.

    Attributes:
      identity: what it depends on.
      key: names it, and the folder of its checkpoints.
      steps: of its layer, in all.
      parent: the training whose layer it goes on from, and "" where it starts from clusters.
      first: the step at which it begins.
      clusters: the key of the clusters that the parent started from.
      only: whether it has to be there and finished.
    """

    identity: Identity
    key: str
    steps: int
    parent: str = ""
    first: int = 0
    clusters: str = ""
    only: bool = False


def open_training(workdir: Workdir, identity: Identity, steps: int, policy: str) -> Training:
    """Find the training that is wanted, or say why it cannot be; nothing is written.

    Args:
      workdir: of the run.
      identity: of the training that is wanted.
      steps: that are wanted, beyond those of the training that it goes on from.
      policy: one of `POLICIES`.

    Raises:
      errors.WorkdirError: another training is there, and is not to be put aside; or its layer
        cannot go on; or by `trained`, the one that is wanted is not there, or not finished.
    """
    wanted = Training(identity, identity.key, steps, only=policy == "trained")
    there = _recorded(workdir)
    # A training that goes on from another has that one's steps before it does its own.
    done = max(steps_done(workdir, there.key), there.first) if there else _unrecorded(workdir)
    if not done:
        if wanted.only:
            require_finished(workdir, wanted)
        return wanted
    lines = ["it is of another version of partdisc"]
    if there:
        there = there._replace(steps=there.first + steps, only=wanted.only)
        lines = differences(there.identity, identity)
        if there.steps < done:
            lines.append(f"config.train.steps: was {done - there.first}, is {steps}")
    if not lines:
        if wanted.only:
            require_finished(workdir, there)
        return there
    said = f"{workdir.path} holds another training: {'; '.join(lines)}"
    if policy == "overwrite":
        return wanted
    if policy == "continue":
        return _continued(there, wanted, done, said)
    if policy != "stop":
        raise WorkdirError(f"{said}. Give the config and the data that it was trained with")
    raise WorkdirError(
        f"{said}. Give another --workdir, or --overwrite to train anew (the last {KEPT} trainings "
        f"are kept in {FOLDER}/{PREVIOUS}), or --continue to go on from its layer"
    )


def _continued(there: Training | None, wanted: Training, done: int, said: str) -> Training:
    """Return the training that goes on from the layer of another one after `done` steps."""
    was, now = there and there.identity, wanted.identity
    if (
        not was
        or was.weights != now.weights
        or any(was.settings.get(key) != now.settings.get(key) for key in LAYER)
    ):
        raise WorkdirError(
            f"{said}. --continue needs the same network and the same {', '.join(LAYER)}"
        )
    parent = there.key if done > there.first else there.parent
    return wanted._replace(
        key=digest(now.key, parent, done),
        steps=done + wanted.steps,
        parent=parent,
        first=done,
        clusters=there.clusters,
    )


def require_finished(workdir: Workdir, training: Training) -> None:
    """Refuse a training that is not there, or not to its end; raises errors.WorkdirError."""
    done = steps_done(workdir, training.key)
    if not done and training.steps:
        raise WorkdirError(f"{workdir.path} holds no trained layer; run it with --mode=train")
    if done != training.steps:
        raise WorkdirError(
            f"{workdir.path} is trained to step {done} of {training.steps}; finish it with "
            "--mode=train"
        )


def beginning(config: Any, workdir: Workdir, training: Training, start: Start) -> Start:
    """Return what a training starts from: the clusters, or the layer that it goes on from.

    Raises:
      errors.WorkdirError: that layer is gone.
    """
    if not training.first:
        return start
    untrained = initial_state(step_settings(config), start.detector.params)
    params = parent_state(workdir, training, untrained).params
    return Start(start.detector.with_params(params), digest(start.key, training.key))


def begin(workdir: Workdir, training: Training, clusters: str) -> None:
    """Write down which training this is, and keep what another left aside.

    Args:
      workdir: of the run.
      training: the one that begins or goes on.
      clusters: the key of the clusters that its layer started from.
    """
    # First: whoever goes on after a kill must know what the layer goes on from.
    record: dict[str, Any] = training._asdict() | {"clusters": clusters}
    del record["only"]
    write_json(workdir.path / RECORD, record | {"identity": training.identity._asdict()})
    previous = workdir.path / FOLDER / PREVIOUS
    kept = sorted(previous.glob("*-*")) if previous.exists() else []
    for other in _others(workdir, training.key):
        if not _steps(other):
            shutil.rmtree(other)
            continue
        number = int(kept[-1].name.partition("-")[0]) + 1 if kept else 1
        kept.append(previous / f"{number:03d}-{other.name}")
        previous.mkdir(exist_ok=True)
        other.replace(kept[-1])
        log = workdir.path / "metrics.jsonl"
        if log.exists() and not training.parent:
            log.replace(kept[-1] / log.name)
        say(f"the training before is kept in {kept[-1]}")
    for old in kept[:-KEPT]:
        shutil.rmtree(old)


def parent_state(workdir: Workdir, training: Training, like: State) -> State:
    """Return the state that a training goes on from.

    Raises:
      errors.WorkdirError: it is gone.
    """
    folder = workdir.path / FOLDER
    for place in (folder / training.parent, *folder.glob(f"{PREVIOUS}/*-{training.parent}")):
        if _steps(place):
            checkpoints = Checkpoints(place)
            try:
                if (state := checkpoints.restore(like)) is not None:
                    return state
            finally:
                checkpoints.close()
    raise WorkdirError(
        f"{folder / PREVIOUS} does not hold the training {training.parent} any more, which this "
        "one goes on from; give --overwrite to train anew"
    )


def steps_done(workdir: Workdir, key: str) -> int:
    """Return the step of the last checkpoint of a training, 0 where there is none."""
    return _steps(workdir.path / FOLDER / key)


def _recorded(workdir: Workdir) -> Training | None:
    """Return the training that the work directory says it holds."""
    record = read_json(workdir.path / RECORD)
    try:
        return Training(**record | {"identity": Identity(**record["identity"])})
    except (TypeError, KeyError):
        return None


def _others(workdir: Workdir, key: str) -> list[pathlib.Path]:
    """Return the folders of checkpoints of other trainings, those before left out."""
    folder = workdir.path / FOLDER
    found = sorted(folder.iterdir()) if folder.exists() else []
    return [one for one in found if one.is_dir() and one.name not in (key, PREVIOUS)]


def _unrecorded(workdir: Workdir) -> int:
    return max(map(_steps, _others(workdir, "")), default=0)


def _steps(folder: pathlib.Path) -> int:
    """Return the largest step that has a folder among checkpoints."""
    found = [int(one.name) for one in folder.glob("*") if one.name.isdecimal()]
    return max(found, default=0)
