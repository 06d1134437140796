"""Train the part layer: the loop around `step.train_step`, and its checkpoints."""

import contextlib
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc import devices
from partdisc.discovery.checkpoints import Checkpoints
from partdisc.discovery.images import Images, gather, room
from partdisc.discovery.log import Log, collapse
from partdisc.discovery.pools import PoolSettings, find_pools
from partdisc.discovery.record import FOLDER, Training, steps_done
from partdisc.discovery.run import Run
from partdisc.discovery.step import State, initial_state, step_members, train_step
from partdisc.discovery.supervision import StepSettings
from partdisc.discovery.training import parent_state, require_finished
from partdisc.errors import Stopped, WorkdirError
from partdisc.progress import Progress, say
from partdisc.stopping import held_back
from partdisc.workdir import Workdir, digest


class Plan(NamedTuple):
    """How long is trained, and in what order.

    Attributes:
      steps: in all.
      batch: targets of a step.
      checkpoint_every: steps.
      seed: of the order of the targets and of the hypotheses.
      pooling: how pools are chosen anew.
      key: of the training.
    """

    steps: int
    batch: int
    checkpoint_every: int
    seed: int
    pooling: PoolSettings
    key: str

    def refresh(self, images: int) -> int:
        """Return after how many steps pools are chosen anew for N images; 0 for never."""
        epochs = self.pooling.refresh_epochs
        return max(1, epochs * images // self.batch) if epochs else 0


class Course(NamedTuple):
    """What is trained on, and how.

    Attributes:
      plan: how long.
      settings: static settings of a step.
      images: the training images on the device.
      members: int32 [N, J], the pools of the start.
      workdir: where pools that are chosen anew are kept.
    """

    plan: Plan
    settings: StepSettings
    images: Images
    members: np.ndarray
    workdir: Workdir


def targets_of_step(step: int, images: int, batch: int, seed: int) -> np.ndarray:
    """Return the targets [B] of a step: one random order of all images after the other."""
    position = step * batch + np.arange(batch)
    orders = {
        epoch: np.random.default_rng([seed, epoch]).permutation(images)
        for epoch in np.unique(position // images).tolist()
    }
    return np.array([orders[p // images][p % images] for p in position.tolist()], np.int32)


def train(config: Any, workdir: Workdir, training: Training, run: Run) -> State:
    """Train, or take up where an earlier run stopped, to the steps of the training.

    The same config gives the same parameters, whether or not it was interrupted.

    Args:
      config: the whole config.
      workdir: of the run.
      training: which one it is, and where it begins.
      run: what the stages before it have made.

    Returns:
      The state after the last step.

    Raises:
      errors.WorkdirError: the training has to be there, and is not, or its last checkpoint is
        damaged.
    """
    if training.only:
        require_finished(workdir, training)
    state = initial_state(run.settings, run.detector.params)
    if training.steps == 0:
        return state
    if training.first and not steps_done(workdir, training.key):
        state = parent_state(workdir, training, state)
    plan = Plan(
        training.steps,
        config.train.batch,
        config.train.checkpoint_every,
        config.seed,
        run.pooling,
        training.key,
    )
    course = Course(plan, run.settings, run.images, run.pools.members, workdir)
    checkpoints = Checkpoints(workdir.path / FOLDER / training.key)
    try:
        state = checkpoints.restore(state) or state
        if int(state.step) > training.first:
            say(f"training goes on from step {int(state.step)}")
        if training.only and int(state.step) < training.steps:
            raise WorkdirError(
                f"{workdir.path} holds no sound checkpoint of step {training.steps} any more; do "
                f"the steps from {int(state.step)} on again with --mode=train"
            )
        if int(state.step) == training.steps:
            return devices.copy(state)  # What only reads leaves the log as it is.
        with contextlib.closing(Log(workdir.path / "metrics.jsonl", int(state.step))) as log:
            return _loop(course, state, checkpoints, log)
    finally:
        checkpoints.close()


def _loop(course: Course, state: State, checkpoints: Checkpoints, log: Log) -> State:
    """Do the steps that are left; stop and save where that is asked."""
    steps, first = course.plan.steps, int(state.step)
    # The first step donates its buffers.
    state = devices.copy(jax.tree.map(jnp.copy, state))
    with Progress("training", total=steps, unit="steps", start=first) as progress:
        while int(state.step) < steps:
            with held_back() as asked:
                state = _steps(course, state, checkpoints, Told(log, progress, asked))
                stopped = int(state.step) < steps
                if stopped or asked():
                    say(
                        f"training is saved at step {int(state.step)} of {steps}; the same "
                        "command goes on from there"
                    )
                if stopped and not asked():
                    raise Stopped(signal.SIGTERM)  # It came to another process of this run.
    return state


class Told(NamedTuple):
    """Who is told of each step, and who says whether to stop after it."""

    log: Log
    progress: Progress
    asked: Callable[[], bool]


def _steps(course: Course, state: State, checkpoints: Checkpoints, told: Told) -> State:
    """Do the steps that are left, or those until it is asked to stop."""
    plan, settings, images, members, _ = course
    (count, most, _), steps, first = images.features.shape, plan.steps, int(state.step)
    sizes = np.asarray(images.grids).prod(axis=1)
    parts, background = settings.layer.parts, settings.labels.background
    base_key = jax.random.key(plan.seed)
    refresh = plan.refresh(count)
    pending, warned, clock = None, False, time.monotonic()

    def record(step: int, metrics: dict[str, jax.Array]) -> None:
        nonlocal warned, clock
        row = {name: float(value) for name, value in metrics.items()}
        seconds, clock = time.monotonic() - clock, time.monotonic()
        told.log.write({"step": step, **row, "seconds": seconds})
        told.progress.advance(1, f"loss {row['loss']:.3f}")
        if not warned and (message := collapse(told.log.records, parts, background)):
            say(f"warning at step {step}: {message}")
            warned = True

    for step in range(first, steps):
        if refresh and (step % refresh == 0 or step == first):
            members = _refreshed(course, state, checkpoints, step // refresh)
        targets = targets_of_step(step, count, plan.batch, plan.seed)
        rows = step_members(settings, members, targets)
        batch = gather(images, rows, room(int(sizes[rows].max()), most))
        state, metrics = train_step(settings, state, batch, base_key)
        # Fetched one step late, so that the host never makes the device wait.
        if pending is not None:
            record(*pending)
        pending = (step + 1, metrics)
        stop = devices.any_of(told.asked())
        if stop or step + 1 == steps or (step + 1) % plan.checkpoint_every == 0:
            record(*pending)
            pending = None
            checkpoints.save(state)
        if stop:
            break
    return state


def _refreshed(course: Course, state: State, checkpoints: Checkpoints, epoch: int) -> np.ndarray:
    """Return the pools [N, J] of an epoch, made by the layer as it was at its start.

    They are kept in a file, and the state they were made from is saved before, so that a
    resumed run finds either the file or that state.
    """
    plan, settings, images, members, workdir = course
    if epoch == 0:
        return members
    name, refresh_key = "pools-refreshed.npz", digest(plan.key, epoch)
    saved = workdir.load(name, refresh_key)
    if saved is None:
        checkpoints.save(state)
        members, distances = find_pools(
            plan.pooling, settings, state.params, images, seed=plan.seed
        )
        saved = {"members": members, "distances": distances}
        workdir.save(name, refresh_key, **saved)
    return saved["members"]
