"""Paths as users give them."""

import os
import pathlib

# The file that every work directory has: what lies beside it is the program's own.
MARK = "partdisc.json"


def user_path(given: str | os.PathLike) -> pathlib.Path:
    """Return the path that a user means: `~` is their home, and `$NAME` what it stands for."""
    return pathlib.Path(os.path.expanduser(os.path.expandvars(given)))


def cache_folder() -> pathlib.Path:
    """Return the folder of what can be had again, which runs share."""
    return user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "partdisc"
