"""Discover the parts of an object class: `python -m partdisc --config=demo`.

Any key of the config can be set: `--config.train.steps=300`.
"""

from partdisc import stopping

if __name__ == "__main__":
    stopping.heard(stopping.end)  # First: what follows takes a while.

import contextlib
import functools
import hashlib
import itertools
import os
import pathlib
import platform
import re
import signal
import sys
import threading
import types
import warnings
from typing import Any

from absl import app, flags, logging
from ml_collections import config_flags

from partdisc.errors import ConfigError, PartdiscError, Stopped, disk_message, shortened
from partdisc.paths import cache_folder
from partdisc.presets import config_file
from partdisc.validation import check_key, check_text, is_switch, validate

_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "What describes the experiment: a file, as configs/cub.py[:argument], or a name, as demo or "
    "folder:/path/to/photos.",
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of all that the run makes; by default runs/<name of the config>."
)
_MODE = flags.DEFINE_enum(
    "mode",
    "train",
    ["train", "evaluate", "predict", "align", "check", "score", "table"],
    "train: all stages, then evaluate; evaluate: what was trained; predict: find the "
    "parts in other images, by the run in --workdir; align: measure how similar "
    "images align, with pictures; check: examine the data; "
    "score: score the predictions of another program; table: make a table of the paper.",
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite",
    False,
    "Train anew where --workdir holds another training, which is kept aside.",
)
_CONTINUE = flags.DEFINE_bool(
    "continue", False, "Go on from the layer of the training that --workdir holds."
)
_DETERMINISTIC = flags.DEFINE_bool(
    "deterministic",
    False,
    "On a GPU: the same command gives the same bits, at some cost. On a CPU it always does, on the "
    "same machine with the same number of cores.",
)
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    None,
    "Several processes, one a host, do the run together: docs/distributed.md. By default they do "
    "where Slurm started several.",
)
_PREDICTIONS = flags.DEFINE_string(
    "predictions", "", "For --mode=score: CSV, JSON or JSON lines of image, part, y, x, score."
)
_IMAGES = flags.DEFINE_string(
    "images", "", "For --mode=predict: a folder, a pattern in quotes, a .txt list, or an image."
)
_OUT = flags.DEFINE_string("out", "", "For --mode=predict: the folder that it writes to.")
_FORMAT = flags.DEFINE_string("format", "jsonl", "For --mode=predict: jsonl, csv, coco, by commas.")
_OVERLAYS = flags.DEFINE_bool("overlays", False, "For --mode=predict: draw parts on the images.")
_MASKS = flags.DEFINE_bool("masks", False, "For --mode=predict: write the part of each pixel.")
_REPORT = flags.DEFINE_bool("report", False, "For --mode=predict: write a page to look at.")
_SHARD = flags.DEFINE_string("shard", "", "For --mode=predict: i/n, a share of the images.")

_ASKED = _IMAGES, _OUT, _FORMAT, _OVERLAYS, _MASKS, _REPORT, _SHARD
_OF_MODES = {
    "train": (_OVERWRITE, _CONTINUE, _DISTRIBUTED),
    "predict": _ASKED,
    "score": (_PREDICTIONS,),
}
# No flag but those of the config has a longer name; what is longer is not echoed whole.
_LONGEST = 80
_SAME_BITS = "--xla_gpu_deterministic_ops=true"


def _parse(argv: list[str]) -> list[str]:
    """Parse the flags; what is wrong with them is the user's to mend, in one line."""
    _check_words(argv[1:])
    words = _with_file(argv)
    try:
        rest = flags.FLAGS(words)
        _check_mode()
        if _MODE.value == "predict":
            return rest
        if _CONFIG.value is None:
            raise ConfigError("--config=FILE is required, for a start --config=demo")
        _CONFIG.value.items()  # a file that could not be loaded says so at its first use
    except (PartdiscError, BrokenPipeError):
        raise
    except Exception as error:  # Of the flags, or anything that a file of the user's does.
        raise ConfigError(_reason(error, words)) from error
    return rest


def _check_words(words: list[str]) -> None:
    """Refuse what the library that parses flags has no good words for."""
    for word, after in itertools.pairwise([*words, ""]):
        flag, equals, text = word.partition("=")
        name = flag.lstrip("-")
        if flag.startswith("-") and len(name) > _LONGEST and not name.startswith("config."):
            raise ConfigError(f"{shortened(word)} is not a flag; --help lists them")
        if re.match(r"--?config\.", flag):
            key = name.removeprefix("config.")
            check_key(key)
            if equals or not is_switch(key):
                check_text(key, text if equals else after)


def _check_mode() -> None:
    """Refuse flags that are of another mode: they would not count."""
    if _MODE.value == "predict" and _CONFIG.present:
        raise ConfigError(
            "--config is given, but --mode=predict takes the detector of the run in --workdir; "
            "--mode=evaluate --config.parts.wanted=3, with that run's --config, makes other parts"
        )
    for mode, of_mode in _OF_MODES.items():
        for flag in of_mode:
            if flag.present and flag.value and _MODE.value != mode:
                raise ConfigError(f"--{flag.name} is of --mode={mode}, but --mode is {_MODE.value}")


def _reason(error: Exception, words: list[str]) -> str:
    """Say in one line what is wrong with the command line, or with the file of the config."""
    lines = str(error).strip().splitlines() or [""]
    text = lines[0]
    if not isinstance(error, flags.Error):
        named = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
        text = f"--config: the file cannot be read: {named}{lines[-1].strip()}"
    elif isinstance(error, flags.UnrecognizedFlagError) and error.flagname.startswith("config."):
        text = f"--{error.flagname} is given without --config=FILE, whose keys it sets"
    elif len(lines) > 1:  # With what the file raised at the end.
        text = f"--config: the file cannot be read: {lines[-1].strip()}"
    # The shorter first: a value before the flag with it.
    for given in sorted({*words, *(word.partition("=")[2] for word in words)}, key=len):
        if len(given) > _LONGEST:
            text = text.replace(given, shortened(given))
    return text


def _with_file(argv: list[str]) -> list[str]:
    """Put the file in the place of the config's name, where it is given by its name."""
    words = list(argv)
    for place, word in enumerate(argv):
        flag, equals, given = word.partition("=")
        if flag not in ("-config", "--config"):
            continue
        if equals:
            words[place] = f"{flag}={config_file(given)}"
        elif place + 1 < len(argv):
            words[place + 1] = config_file(argv[place + 1])
    return words


def _name() -> str:
    """Name the config that was given: its file, and its argument."""
    path, _, argument = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")
    return "-".join([pathlib.Path(path).stem, *re.findall(r"\w+", argument)])


def main(argv: list[str], command: str) -> int:
    """Run what the flags ask for; return the exit status."""
    if len(argv) > 1:
        raise ConfigError(f"{shortened(argv[1])} is not a flag; options begin with --")
    logging.set_verbosity(logging.WARNING)  # the libraries' own chatter
    if _DETERMINISTIC.value:  # JAX reads it when it starts.
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_SAME_BITS}".strip()
    _keep_compiled()
    if _MODE.value == "predict":
        from partdisc.export.command import Asked, predict

        stopping.heard(stopping.stop)
        return predict(_WORKDIR.value, Asked(*(flag.value for flag in _ASKED)))
    validate(_CONFIG.value)  # before the libraries are imported, which takes seconds
    from partdisc import devices, experiment, progress

    stopping.heard(stopping.stop)
    _join(devices)
    if not devices.first():
        progress.silence()
    asked = experiment.Asked(
        policy=_policy(),
        predictions=_PREDICTIONS.value,
        given=config_flags.get_override_values(flags.FLAGS["config"]),
        command=command,
    )
    workdir = _WORKDIR.value or os.path.join("runs", _name())
    return experiment.run(_CONFIG.value, workdir, _MODE.value, asked)


def _join(devices: types.ModuleType) -> None:
    """Join the other processes of a run, where there are any."""
    devices.join(_DISTRIBUTED.value if _MODE.value == "train" else False)


def _keep_compiled() -> None:
    """Have JAX keep what it compiles, for the next run, where nothing else is asked of it."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    # A home is seen by many machines, and what is compiled for one may crash on another.
    about = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError):
        told = pathlib.Path("/proc/cpuinfo").read_text()
        about += re.findall(r"^(?:model name|flags|CPU part|Features)\s*:.*", told, re.MULTILINE)
    kind = hashlib.sha256("\n".join(sorted(set(about))).encode()).hexdigest()[:16]
    folder = cache_folder() / "compiled" / kind
    with contextlib.suppress(OSError):  # It is for speed alone.
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        # A program that cannot be read, as that of a killed run, is compiled again.
        warnings.filterwarnings("ignore", r"Error (reading|writing) persistent compilation cache")


def _policy() -> str:
    """Return what to do where another training is there."""
    named = [flag.name for flag in (_OVERWRITE, _CONTINUE) if flag.value]
    if len(named) > 1:
        raise ConfigError("--overwrite and --continue are given; only one of them can be")
    return named[0] if named else "stop"


def _again(lost: Any) -> None:
    """Send a signal again that came where Python ignores errors, as while garbage is collected."""
    if isinstance(lost.exc_value, Stopped):
        threading.Timer(0.1, os.kill, (os.getpid(), lost.exc_value.number)).start()
    else:
        sys.__unraisablehook__(lost)


def start(command: str) -> None:
    """Run the program and end the process; `command` is how it was started, as one types it."""
    stopping.heard(stopping.end)  # Until `main` has loaded what it needs.
    sys.unraisablehook = _again
    try:
        try:
            app.run(functools.partial(main, command=command), flags_parser=_parse)
        finally:
            stopping.heard(stopping.end)  # Nothing catches what is raised from here on.
            print(end="", flush=True)
    except BrokenPipeError:
        # Whoever read the output has enough of it, as `head` has: end as other programs do.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.raise_signal(signal.SIGPIPE)
    except Stopped as stopped:
        sys.exit(stopping.told(stopped.number))
    except PartdiscError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {disk_message(error)}")


if __name__ == "__main__":
    start("python -m partdisc")
