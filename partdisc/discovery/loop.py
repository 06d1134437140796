"""Train the part layer: the loop around `step.train_step`, its log and its checkpoints."""

import json
import pathlib
import shutil
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.discovery import stages
from partdisc.discovery.checkpoints import Checkpoints
from partdisc.discovery.pools import find_pools
from partdisc.discovery.step import Images, State, initial_state, settings_of, train_step
from partdisc.errors import WorkdirError
from partdisc.progress import Progress, say
from partdisc.workdir import Workdir, digest, write_lines

# The layer has collapsed where the background wins more than this share of the cells, or
# where fewer than this share of the parts win any cell of a batch that could hold them.
COLLAPSE_BACKGROUND = 0.9
COLLAPSE_CHANNELS = 0.05
# By so much the background may win more cells than saliency names.
COLLAPSE_MARGIN = 0.05
# Steps over which a collapse is judged.
COLLAPSE_WINDOW = 20


def targets_of_step(step: int, images: int, batch: int, seed: int) -> np.ndarray:
    """Return the targets [B] of a step: one random order of all images after the other."""
    position = step * batch + np.arange(batch)
    orders = {
        epoch: np.random.default_rng([seed, epoch]).permutation(images)
        for epoch in np.unique(position // images).tolist()
    }
    return np.array([orders[p // images][p % images] for p in position.tolist()], np.int32)


def collapse(records: list[dict[str, float]], parts: int, background: str) -> str:
    """Name the collapse that the last steps show; '' where there is none.

    Args:
      records: rows of metrics.jsonl.
      parts: K.
      background: `config.pseudo_gt.background`; what is taught by saliency may well be most
        of an image.
    """
    last = records[-COLLAPSE_WINDOW:]
    if len(last) < COLLAPSE_WINDOW:
        return ""
    mean = {name: np.mean([row[name] for row in last]) for name in last[0]}
    # The part templates have no labels.
    taught = mean.get("background_share", 0.0)
    if background == "salient":
        share = mean["background_argmax"]
        limit = max(COLLAPSE_BACKGROUND, taught + COLLAPSE_MARGIN)
    else:
        share, limit = max(taught, mean["background_argmax"]), COLLAPSE_BACKGROUND
    if share > limit:
        by_itself = "background_share" in mean and background != "salient"
        cure = (
            "config.pseudo_gt.background = 'salient' avoids it"
            if by_itself
            else "a lower config.train.learning_rate may avoid it"
        )
        return (
            f"background collapse: {100 * share:.0f} % of the cells are background, so "
            f"the parts learn little; {cure}"
        )
    possible = min(parts, mean.get("labels_in_use", parts))
    if mean["channels_in_use"] < COLLAPSE_CHANNELS * possible:
        return (
            f"channel collapse: only {mean['channels_in_use']:.0f} of {parts} parts win any "
            "cell; a lower config.train.learning_rate may avoid it"
        )
    return ""


class _Log:
    """metrics.jsonl: one row a step, appended; rows after the restored step are cut."""

    def __init__(self, path: pathlib.Path, step: int):
        self.records = [row for row in read_metrics(path) if row["step"] <= step]
        write_lines(path, self.records)
        self._file = open(path, "a")  # noqa: SIM115

    def write(self, row: dict[str, float]) -> None:
        self.records.append(row)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_metrics(path: pathlib.Path) -> list[dict[str, float]]:
    """Read the whole rows of a metrics.jsonl, null as NaN; none where it is absent."""
    rows = []
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:  # the row that a kill cut short
                break
            rows.append({name: np.nan if value is None else value for name, value in row.items()})
    return rows


def train(
    config: Any,
    workdir: Workdir,
    start: stages.Start,
    images: Images,
    pools: np.ndarray,
    pools_key: str,
    *,
    trained_only: bool = False,
) -> State:
    """Train, or take up where an earlier run stopped, to `config.train.steps` steps.

    The same config gives the same parameters, whether or not it was interrupted.

    Args:
      config: the whole config.
      workdir: of the run.
      start: the untrained part layer.
      images: the training images on the device.
      pools: int32 [N, J], the pools of the start.
      pools_key: names all that the pools depend on.
      trained_only: refuse to do any step: the training must have ended.

    Returns:
      The state after the last step.

    Raises:
      errors.WorkdirError: with `trained_only`, where this config has not been trained.
    """
    settings = settings_of(config)
    state = initial_state(settings, start.params)
    options = {k: v for k, v in config.train.items() if k not in ("steps", "checkpoint_every")}
    if config.train.objective == "alignment":
        taught = (pools_key, config.matching, config.alignment, config.pseudo_gt)
    else:
        taught = (start.key, config.part_templates)
    key = digest(*taught, options, config.seed)
    if trained_only and config.train.steps == 0:
        return state
    if trained_only and _steps_done(workdir.path / "checkpoints" / key) != config.train.steps:
        raise WorkdirError(
            f"{workdir.path} holds no layer trained with this config to "
            f"{config.train.steps} steps; run it with --mode=train"
        )
    checkpoints = _open_checkpoints(workdir, key, config.train.steps)
    if checkpoints.latest() > 0:
        state = checkpoints.restore(state)
        say(f"training goes on from step {int(state.step)}")
    log = _Log(workdir.path / "metrics.jsonl", int(state.step))
    try:
        return _loop(config, workdir, settings, state, images, pools, key, checkpoints, log)
    finally:
        log.close()
        checkpoints.close()


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


def _loop(config, workdir, settings, state, images, pools, key, checkpoints, log):
    count, steps = images.features.shape[0], config.train.steps
    first = int(state.step)
    base_key = jax.random.key(config.seed)
    refresh = config.pools.refresh_epochs and max(
        1, config.pools.refresh_epochs * count // config.train.batch
    )
    members = jnp.asarray(pools)
    state = jax.tree.map(jnp.copy, state)  # the first step donates its buffers
    pending, warned, clock = None, False, time.monotonic()
    with Progress("training", total=steps, unit="steps", start=first) as progress:

        def record(step: int, metrics: dict[str, jax.Array]) -> None:
            nonlocal warned, clock
            row = {name: float(value) for name, value in metrics.items()}
            seconds, clock = time.monotonic() - clock, time.monotonic()
            log.write({"step": step, **row, "seconds": seconds})
            progress.advance(1, f"loss {row['loss']:.3f}")
            if not warned and (
                message := collapse(log.records, config.parts.count, config.pseudo_gt.background)
            ):
                say(f"warning at step {step}: {message}")
                warned = True

        for step in range(first, steps):
            if refresh and (step % refresh == 0 or step == first):
                members = _refreshed(
                    config,
                    workdir,
                    settings,
                    state,
                    images,
                    pools,
                    key,
                    checkpoints,
                    step // refresh,
                )
            targets = targets_of_step(step, count, config.train.batch, config.seed)
            state, metrics = train_step(settings, state, images, members, targets, base_key)
            # Fetched one step late, so that the host never makes the device wait.
            if pending is not None:
                record(*pending)
            pending = (step + 1, metrics)
            if step + 1 == steps or (step + 1) % config.train.checkpoint_every == 0:
                record(*pending)
                pending = None
                checkpoints.save(state)
    return state


def _refreshed(config, workdir, settings, state, images, pools, key, checkpoints, number):
    """Return the pools of the current epoch, made by the layer as it was at its start.

    They are kept in a file, and the state they were made from is saved before, so that a
    resumed run finds either the file or that state.
    """
    if number == 0:
        return jnp.asarray(pools)
    name, refresh_key = "pools-refreshed.npz", digest(key, number)
    saved = workdir.load(name, refresh_key)
    if saved is None:
        checkpoints.save(state)
        members, distances = find_pools(config, settings, state.params, images)
        saved = {"members": members, "distances": distances}
        workdir.save(name, refresh_key, **saved)
    return jnp.asarray(saved["members"])
