"""Checkpoints of the training state, through orbax."""

import contextlib
import hashlib
import logging
import pathlib
import shutil
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from absl import logging as absl_logging

from partdisc import devices
from partdisc.discovery.step import State
from partdisc.progress import say
from partdisc.workdir import read_json, write_json

KEPT = 2


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence orbax, which writes some thirty lines a save."""
    level, absl_level = logging.root.manager.disable, absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.ERROR)
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(level)
        absl_logging.set_verbosity(absl_level)


class Checkpoints:
    """The checkpoints of one training, in a folder of their own.

    A kill while saving leaves the one before valid.
    """

    def __init__(self, folder: pathlib.Path):
        self._folder = folder.absolute()
        with _quiet():
            self._manager = ocp.CheckpointManager(
                self._folder,
                options=ocp.CheckpointManagerOptions(
                    max_to_keep=KEPT, enable_async_checkpointing=False
                ),
            )

    def latest(self) -> int:
        """Return the step of the last complete checkpoint, -1 where there is none."""
        return max(self._manager.all_steps(), default=-1)

    def save(self, state: State) -> None:
        """Save a state under its step; a step that is there already is kept."""
        step = int(state.step)
        # As arrays of the host: they know of no devices, and any others can go on with them.
        saved = jax.tree.map(np.asarray, state._asdict())
        with _quiet():
            self._manager.save(step, args=ocp.args.StandardSave(saved))
            self._manager.wait_until_finished()
        if not devices.first():
            return
        write_json(self._seal(step), _hashes(self._folder / str(step)))
        for other in self._folder.glob(self._seal("*").name):
            if not other.with_name(other.stem.partition("-")[2]).exists():
                other.unlink()

    def restore(self, like: State) -> State | None:
        """Return the last sound checkpoint, with the shapes and types of `like`; None for none.

        What is damaged is said and put aside, so that its step can be saved again.
        """
        abstract = jax.tree.map(np.asarray, like._asdict())
        for step in sorted(self._manager.all_steps(), reverse=True):
            sealed = read_json(self._seal(step))
            # Without a seal a kill came between, and orbax alone says that it is whole.
            if sealed in (None, _hashes(self._folder / str(step))):
                try:
                    with _quiet():
                        args = ocp.args.StandardRestore(abstract)
                        found = State(**self._manager.restore(step, args=args))
                    return jax.tree.map(jnp.asarray, found)
                except Exception:  # Orbax, and what it stands on, have many ways to say damage.
                    pass
            self._put_aside(step)
        return None

    def _seal(self, step: int | str) -> pathlib.Path:
        """Return the file of the hashes of a checkpoint's files."""
        return self._folder / f"files-{step}.json"

    def _put_aside(self, step: int) -> None:
        devices.agree(lambda: self._move_aside(step))
        with _quiet():
            self._manager.reload()

    def _move_aside(self, step: int) -> None:
        folder = self._folder / str(step)
        aside = folder.with_name(f"damaged-{step}")
        shutil.rmtree(aside, ignore_errors=True)
        folder.replace(aside)
        say(f"the checkpoint {folder} is damaged: it is {aside.name} now, and not used")

    def close(self) -> None:
        """Release the folder."""
        with _quiet():
            self._manager.close()


def _hashes(folder: pathlib.Path) -> dict[str, str]:
    """Return the hash of each file of a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
