"""Paths as users give them."""

import os
import pathlib


def user_path(given: str | os.PathLike) -> pathlib.Path:
    """Return the path that a user means: `~` is their home, and `$NAME` what it stands for."""
    return pathlib.Path(os.path.expanduser(os.path.expandvars(given)))
