"""Paths as users give them."""

import os
import pathlib

# The file that every work directory has: what lies beside it is the program's own.
MARK = "partdisc.json"
# What every folder of predictions has; and its folders of pictures that are made of photos.
LINES, ABOUT = "predictions.jsonl", "predictions.json"
OVERLAYS, MASKS = "overlays", "masks"


def user_path(given: str | os.PathLike) -> pathlib.Path:
    """Return the path that a user means: `~` is their home, and `$NAME` what it stands for."""
    return pathlib.Path(os.path.expanduser(os.path.expandvars(given)))


def is_made(folder: pathlib.Path) -> bool:
    """Say whether a folder is the program's own: a work directory, or pictures of predictions."""
    if os.path.lexists(folder / MARK):
        return True
    beside = (folder.with_name(name) for name in (LINES, ABOUT))
    return folder.name in (OVERLAYS, MASKS) and all(map(os.path.lexists, beside))


def cache_folder() -> pathlib.Path:
    """Return the folder of what can be had again, which runs share."""
    return user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "partdisc"
