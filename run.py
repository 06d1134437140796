"""Discover the parts of an object class: `python run.py --config=configs/demo.py`.

Any key of the config can be set: `--config.train.steps=300`.
"""

import os
import pathlib
import re
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from partdisc.errors import ConfigError, PartdiscError
from partdisc.validation import check_key, validate

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "File that describes the experiment, as configs/demo.py[:argument]."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of all that the run makes; by default runs/<name of the config>."
)
_MODE = flags.DEFINE_enum(
    "mode",
    "train",
    ["train", "evaluate", "align", "check", "score", "table"],
    "train: all stages, then evaluate; evaluate: what was trained; align: measure how similar "
    "images align, with pictures; check: examine the data; "
    "score: score the predictions of another program; table: make a table of the paper.",
)
_PREDICTIONS = flags.DEFINE_string(
    "predictions", "", "For --mode=score: CSV, JSON or JSON lines of image, part, y, x, score."
)


def _parse(argv: list[str]) -> list[str]:
    """Parse the flags; what is wrong with them is the user's to mend, in one line."""
    for argument in argv[1:]:
        if match := re.match(r"--?config\.([\w.]+)", argument):
            check_key(match[1])
    try:
        rest = flags.FLAGS(argv)
        if _CONFIG.value is None:
            raise ConfigError("--config=FILE is required, for a start --config=configs/demo.py")
        _CONFIG.value.items()  # a file that could not be loaded says so at its first use
    except flags.Error as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    except OSError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ConfigError(f"--config: the file cannot be read: {reason}") from error
    return rest


def _name(argv: list[str]) -> str:
    """Name the config given on the command line: its file, and its argument."""
    given = next(i for i, arg in enumerate(argv) if re.match("--?config(=|$)", arg))
    file = argv[given].partition("=")[2] or argv[given + 1]
    path, _, argument = file.partition(":")
    return "-".join([pathlib.Path(path).stem, *re.findall(r"\w+", argument)])


def main(argv: list[str]) -> int:
    """Run what the flags ask for; return the exit status."""
    if len(argv) > 1:
        raise ConfigError(f"'{argv[1]}' is not a flag; options begin with --")
    logging.set_verbosity(logging.WARNING)  # the libraries' own chatter
    validate(_CONFIG.value)  # before the libraries are imported, which takes seconds
    from partdisc import experiment

    workdir = _WORKDIR.value or os.path.join("runs", _name(sys.argv))
    given = config_flags.get_override_values(flags.FLAGS["config"])
    return experiment.run(
        _CONFIG.value, workdir, _MODE.value, predictions=_PREDICTIONS.value, given=given
    )


if __name__ == "__main__":
    try:
        app.run(main, flags_parser=_parse)
    except PartdiscError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        from partdisc.workdir import disk_message

        sys.exit(f"error: {disk_message(error)}")
