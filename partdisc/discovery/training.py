"""Which training a work directory holds, and what becomes of it where another one is wanted."""

from typing import Any

import numpy as np

from partdisc.discovery.checkpoints import Checkpoints
from partdisc.discovery.clusters import CLUSTERS, Start
from partdisc.discovery.identity import LAYER, Identity, differences
from partdisc.discovery.previous import gather, others, places, previous, put_aside
from partdisc.discovery.record import (
    FOLDER,
    PREVIOUS,
    RECORD,
    Training,
    read_record,
    steps_done,
    steps_in,
    write_record,
)
from partdisc.discovery.settings import step_settings
from partdisc.discovery.step import State, initial_state
from partdisc.errors import WorkdirError
from partdisc.progress import say
from partdisc.workdir import Workdir, digest

# What to do where another training is there than the one that is wanted: stop; keep it aside and
# train anew; go on from its layer. Where nothing is to be trained, it cannot be there (`same`),
# and by `trained` the wanted one has to be.
POLICIES = ("stop", "overwrite", "continue", "same", "trained")


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
    there = read_record(workdir.path / RECORD) or _recognised(workdir, wanted)
    # A training that goes on from another has that one's steps before it does its own.
    done = max(steps_done(workdir, there.key), there.first) if there else _unknown(workdir)
    if not done:
        if wanted.only:
            require_finished(workdir, wanted)
        if policy == "continue":
            say(f"there is no training in {workdir.path} to go on from: a new one begins")
        return wanted
    if not there:
        return _instead(workdir, wanted, policy)
    if policy == "overwrite" and there.parent:  # However like it, it began from another layer.
        return wanted
    there = there._replace(steps=there.first + steps, only=wanted.only)
    lines = differences(there.identity, identity)
    if there.steps < done:
        lines.append(f"config.train.steps: was {done - there.first}, is {steps}")
    if not lines:
        if wanted.only:
            require_finished(workdir, there)
        if policy == "continue" and done == there.steps:
            say(
                "nothing differs from the training that is there, so no steps are added to its "
                f"{done}; a larger config.train.steps adds some"
            )
        if policy == "overwrite":
            say(
                "nothing differs from the training that is there, which would be the same again: "
                "it is kept"
            )
        return there
    said = f"{workdir.path} holds another training: {'; '.join(lines)}"
    if policy == "overwrite":
        return wanted
    if policy == "continue":
        return _continued(there, wanted, done, said)
    if policy != "stop":
        raise WorkdirError(f"{said}. Give the config and the data that it was trained with")
    raise WorkdirError(
        f"{said}. Give another --workdir, or --overwrite to train anew (what is there is kept in "
        f"{FOLDER}/{PREVIOUS}), or --continue to go on from its layer"
    )


def _instead(workdir: Workdir, wanted: Training, policy: str) -> Training:
    """Return the wanted training in place of one whose record is lost, or refuse it."""
    if policy == "overwrite":
        return wanted
    raise WorkdirError(
        f"{workdir.path} holds a training that is not known: {RECORD} is gone, damaged or of "
        "another version of partdisc, and no checkpoints are of this config and these data. Give "
        "those that it was trained with, or another --workdir, or --overwrite to train anew "
        f"(what is there is kept in {FOLDER}/{PREVIOUS})"
    )


def _continued(there: Training, wanted: Training, done: int, said: str) -> Training:
    """Return the training that goes on from the layer of another one after `done` steps."""
    was, now = there.identity, wanted.identity
    if was.weights != now.weights or any(
        was.settings.get(key) != now.settings.get(key) for key in LAYER
    ):
        raise WorkdirError(
            f"{said}. --continue needs the same network and the same {', '.join(LAYER)}"
        )
    return _after(wanted, there.key if done > there.first else there.parent, done)


def _after(wanted: Training, parent: str, done: int) -> Training:
    """Return the wanted training as it goes on from the layer of another one."""
    key = digest(wanted.identity.key, parent, done)
    return wanted._replace(key=key, steps=done + wanted.steps, parent=parent, first=done)


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


def kept_clusters(workdir: Workdir, training: Training) -> dict[str, str]:
    """Name the files that may hold the clusters that a training's layer started from.

    Returns:
      From the name of each file to its key, the training's own first; none where the layer
      starts from the clusters of its own images.
    """
    if not training.parent:
        return {}
    return {
        (place / CLUSTERS).relative_to(workdir.path).as_posix(): key
        for key in (training.key, training.parent)
        for place in places(workdir, key)
    }


def parent_state(workdir: Workdir, training: Training, like: State) -> State:
    """Return the state that a training goes on from.

    Raises:
      errors.WorkdirError: it is gone.
    """
    for place in places(workdir, training.parent):
        if steps_in(place):
            checkpoints = Checkpoints(place)
            try:
                if (state := checkpoints.restore(like)) is not None:
                    return state
            finally:
                checkpoints.close()
    raise WorkdirError(
        f"{workdir.path / FOLDER / PREVIOUS} does not hold the training {training.parent} any "
        "more, which this one goes on from; give --overwrite to train anew"
    )


def _recognised(workdir: Workdir, wanted: Training) -> Training | None:
    """Return the wanted training if its checkpoints are there, whose folder bears its key."""
    before = [
        _after(wanted, place.name.partition("-")[2], steps_in(place))
        for place in previous(workdir).values()
    ]
    for one in (wanted, *before):
        if steps_done(workdir, one.key):
            say(
                f"{workdir.path / RECORD} is gone or damaged: {FOLDER}/{one.key} is of this "
                "config and these data, and is taken up"
            )
            return one
    return None


def begin(workdir: Workdir, training: Training, clusters: dict[str, np.ndarray]) -> None:
    """Write down which training this is, and keep what another left aside.

    Args:
      workdir: of the run.
      training: the one that begins or goes on.
      clusters: what its layer started from, or that of the first training that it goes on from.
    """
    gather(workdir, training)
    # Before the others move: whoever goes on after a kill must know what the layer goes on from.
    write_record(workdir.path / RECORD, training)
    workdir.save(f"{FOLDER}/{training.key}/{CLUSTERS}", training.key, **clusters)
    put_aside(workdir, training)


def _unknown(workdir: Workdir) -> int:
    """Return the most steps of trainings that no record tells of."""
    return max(map(steps_in, others(workdir, "")), default=0)
