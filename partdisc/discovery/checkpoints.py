"""Checkpoints of the training state, through orbax."""

import contextlib
import logging
import pathlib
from collections.abc import Iterator

import jax
import orbax.checkpoint as ocp
from absl import logging as absl_logging

from partdisc.discovery.step import State

KEPT = 2


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence orbax, which writes some thirty lines a save."""
    level, absl_level = logging.root.manager.disable, absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.ERROR)
    logging.disable(logging.WARNING)
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
        with _quiet():
            self._manager = ocp.CheckpointManager(
                folder.absolute(),
                options=ocp.CheckpointManagerOptions(
                    max_to_keep=KEPT, enable_async_checkpointing=False
                ),
            )

    def latest(self) -> int:
        """Return the step of the last complete checkpoint, -1 where there is none."""
        step = self._manager.latest_step()
        return -1 if step is None else step

    def save(self, state: State) -> None:
        """Save a state under its step; a step that is there already is kept."""
        with _quiet():
            self._manager.save(int(state.step), args=ocp.args.StandardSave(state._asdict()))
            self._manager.wait_until_finished()

    def restore(self, like: State) -> State:
        """Return the last complete checkpoint, with the shapes and types of `like`."""
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like._asdict())
        with _quiet():
            saved = self._manager.restore(self.latest(), args=ocp.args.StandardRestore(abstract))
        return State(**saved)

    def close(self) -> None:
        """Release the folder."""
        with _quiet():
            self._manager.close()
