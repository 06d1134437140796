"""Configs that go by a name, wherever the package is: `--config=demo`, `--config=folder:PHOTOS`.

Each is a module with a `get_config`, as every file of `configs/` is.
"""

import os
import pathlib

from partdisc.errors import ConfigError, shortened
from partdisc.paths import user_path

_FOLDER = pathlib.Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in _FOLDER.glob("[!_]*.py")))


def config_file(given: str) -> str:
    """Return the file of a config that is given as a file or by a name.

    Args:
      given: `file[:argument]` or `name[:argument]`. A file counts before a name.

    Returns:
      `file[:argument]`.

    Raises:
      errors.ConfigError: there is neither a file nor a name; says which names there are.
    """
    name, colon, argument = given.partition(":")
    if os.path.isfile(file := user_path(name)):  # Also of what cannot be a path.
        return f"{file}{colon}{argument}"
    if name in NAMES:
        return f"{_FOLDER / name}.py{colon}{argument}"
    raise ConfigError(
        f"--config: {shortened(name)} is neither a file nor the name of a config; allowed: a file, "
        f"or {', '.join(NAMES)}"
    )
