"""Train the part layer: the loop around `step.train_step`, and its checkpoints."""

import pathlib
import shutil
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.discovery.checkpoints import Checkpoints
from partdisc.discovery.clusters import Start
from partdisc.discovery.log import Log, collapse
from partdisc.discovery.pools import Pools, PoolSettings, find_pools
from partdisc.discovery.settings import step_settings
from partdisc.discovery.step import State, initial_state, train_step
from partdisc.discovery.supervision import Images, StepSettings
from partdisc.errors import WorkdirError
from partdisc.progress import Progress, say
from partdisc.workdir import Workdir, digest


class Plan(NamedTuple):
    """How long is trained, and in what order.

    Attributes:
      steps: in all.
      batch: targets of a step.
      checkpoint_every: steps.
      seed: of the order of the targets and of the hypotheses.
      pooling: how pools are chosen anew.
      key: names all that the params depend on but for the number of steps.
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


def train(
    config: Any,
    workdir: Workdir,
    start: Start,
    images: Images,
    pools: Pools,
    *,
    trained_only: bool = False,
) -> State:
    """Train, or take up where an earlier run stopped, to `config.train.steps` steps.

    The same config gives the same parameters, whether or not it was interrupted.

    Args:
      config: the whole config.
      workdir: of the run.
      start: the untrained detector.
      images: the training images on the device.
      pools: those of the start.
      trained_only: refuse to do any step: the training must have ended.

    Returns:
      The state after the last step.

    Raises:
      errors.WorkdirError: with `trained_only`, where this config has not been trained.
    """
    settings, steps = step_settings(config), config.train.steps
    state = initial_state(settings, start.detector.params)
    key = _key(config, start, pools)
    if trained_only and steps == 0:
        return state
    if trained_only and _steps_done(workdir.path / "checkpoints" / key) != steps:
        raise WorkdirError(
            f"{workdir.path} holds no layer trained with this config to "
            f"{steps} steps; run it with --mode=train"
        )
    plan = Plan(
        steps,
        config.train.batch,
        config.train.checkpoint_every,
        config.seed,
        PoolSettings(**config.pools),
        key,
    )
    course = Course(plan, settings, images, pools.members, workdir)
    checkpoints = _open_checkpoints(workdir, key, steps)
    if checkpoints.latest() > 0:
        state = checkpoints.restore(state)
        say(f"training goes on from step {int(state.step)}")
    log = Log(workdir.path / "metrics.jsonl", int(state.step))
    try:
        return _loop(course, state, checkpoints, log)
    finally:
        log.close()
        checkpoints.close()


def _key(config: Any, start: Start, pools: Pools) -> str:
    """Name all that the params depend on but for the number of steps."""
    options = {k: v for k, v in config.train.items() if k not in ("steps", "checkpoint_every")}
    if config.train.objective == "alignment":
        taught = (pools.key, config.matching, config.alignment, config.pseudo_gt)
    else:
        taught = (start.key, config.part_templates)
    return digest(*taught, options, config.seed)


def _steps_done(folder: pathlib.Path) -> int:
    """Return the step of the last checkpoint in a folder, 0 where there is none."""
    if not folder.exists():
        return 0
    checkpoints = Checkpoints(folder)
    try:
        return max(checkpoints.latest(), 0)
    finally:
        checkpoints.close()


def _open_checkpoints(workdir: Workdir, key: str, steps: int) -> Checkpoints:
    """Open the folder of checkpoints of this training; what another config left goes."""
    folder = workdir.path / "checkpoints"
    if folder.exists():
        for other in folder.iterdir():
            if other.name != key:
                shutil.rmtree(other, ignore_errors=True)
    checkpoints = Checkpoints(folder / key)
    if checkpoints.latest() > steps:
        checkpoints.close()
        shutil.rmtree(folder / key)
        checkpoints = Checkpoints(folder / key)
    if checkpoints.latest() < 0:
        (workdir.path / "metrics.jsonl").unlink(missing_ok=True)
    return checkpoints


def _loop(course: Course, state: State, checkpoints: Checkpoints, log: Log) -> State:
    """Do the steps that are left."""
    plan, settings, images, members, _ = course
    count, steps, first = images.features.shape[0], plan.steps, int(state.step)
    parts, background = settings.layer.parts, settings.labels.background
    base_key = jax.random.key(plan.seed)
    refresh = plan.refresh(count)
    members = jnp.asarray(members)
    state = jax.tree.map(jnp.copy, state)  # the first step donates its buffers
    pending, warned, clock = None, False, time.monotonic()
    with Progress("training", total=steps, unit="steps", start=first) as progress:

        def record(step: int, metrics: dict[str, jax.Array]) -> None:
            nonlocal warned, clock
            row = {name: float(value) for name, value in metrics.items()}
            seconds, clock = time.monotonic() - clock, time.monotonic()
            log.write({"step": step, **row, "seconds": seconds})
            progress.advance(1, f"loss {row['loss']:.3f}")
            if not warned and (message := collapse(log.records, parts, background)):
                say(f"warning at step {step}: {message}")
                warned = True

        for step in range(first, steps):
            if refresh and (step % refresh == 0 or step == first):
                members = _refreshed(course, state, checkpoints, step // refresh)
            targets = targets_of_step(step, count, plan.batch, plan.seed)
            state, metrics = train_step(settings, state, images, members, targets, base_key)
            # Fetched one step late, so that the host never makes the device wait.
            if pending is not None:
                record(*pending)
            pending = (step + 1, metrics)
            if step + 1 == steps or (step + 1) % plan.checkpoint_every == 0:
                record(*pending)
                pending = None
                checkpoints.save(state)
    return state


def _refreshed(course: Course, state: State, checkpoints: Checkpoints, epoch: int) -> jax.Array:
    """Return the pools [N, J] of an epoch, made by the layer as it was at its start.

    They are kept in a file, and the state they were made from is saved before, so that a
    resumed run finds either the file or that state.
    """
    plan, settings, images, members, workdir = course
    if epoch == 0:
        return jnp.asarray(members)
    name, refresh_key = "pools-refreshed.npz", digest(plan.key, epoch)
    saved = workdir.load(name, refresh_key)
    if saved is None:
        checkpoints.save(state)
        members, distances = find_pools(
            plan.pooling, settings, state.params, images, seed=plan.seed
        )
        saved = {"members": members, "distances": distances}
        workdir.save(name, refresh_key, **saved)
    return jnp.asarray(saved["members"])
