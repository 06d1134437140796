"""The work directory of a run: atomic files, each keyed by what it depends on."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import stat
from collections.abc import Iterator
from typing import Any

import numpy as np

from partdisc import devices
from partdisc.errors import WorkdirError, disk_message
from partdisc.paths import MARK, user_path
from partdisc.progress import say

# Raised by hand whenever a stage's code changes what its file means.
FORMAT = 3
_SEAL = "finished.json"
# Characters of a file's name that its draft's has: the name itself may be as long as names can be.
_CUT = 50
# What is not whole yet bears such a name.
_DRAFTS = (
    ".*.draft*", "*/.*.draft*", "checkpoints/*/.*.draft*", "checkpoints/*/*.orbax-checkpoint-tmp*",
)  # fmt: skip


def digest(*parts: Any) -> str:
    """Return a short stable name (hex) of anything that JSON can write."""
    text = json.dumps([FORMAT, *parts], sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, np.generic):
        return value.item()
    return value.to_dict()


def code() -> str:
    """Return a short name of the code of this package: what it finds may change with it."""
    found = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parent.rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


@contextlib.contextmanager
def naming(path: pathlib.Path) -> Iterator[None]:
    """Put the file's name into errors of the operating system that lack it, as a full disk's.

    Of two names, as where a draft cannot take the place of a file, it is the last.
    """
    try:
        yield
    except OSError as error:
        if error.errno:  # Without a number it has a text of its own.
            error.filename = error.filename2 or error.filename or str(path)
        raise


@contextlib.contextmanager
def atomic(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside `path` that takes its place if all goes well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem[:_CUT]}.draft{path.suffix}")
    try:
        with naming(path):
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Write a JSON file atomically; NaN becomes null."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(_finite(value), indent=2, default=_plain) + "\n")


def write_lines(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    """Write a JSON-lines file atomically; NaN becomes null."""
    with atomic(path) as temporary, open(temporary, "w") as file:
        for row in rows:
            file.write(json.dumps(_finite(row), default=_plain) + "\n")


def read_json(path: pathlib.Path) -> dict[str, Any] | None:
    """Read a JSON object; None where it is absent or damaged."""
    try:
        return json_object(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def json_object(text: bytes) -> dict[str, Any]:
    """Return the object that a text is; raises ValueError where it is none."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    return value


def read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Read an .npz file whole; raises ValueError where it is damaged, and FileNotFoundError."""
    try:
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise
    except Exception as error:  # NumPy, zipfile and zlib have many ways to say damage.
        raise ValueError(str(error)) from error


def _finite(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: _finite(leaf) for key, leaf in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(leaf) for leaf in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value


class Workdir:
    """A run's folder, held by one process at a time, or by the first of those that share a run.

    Use as a context manager; `path / name` are its files.

    Raises:
      WorkdirError: the folder cannot be made or written, holds something else, or
        another process works in it.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = user_path(path).absolute()
        self._lock = None

    def there(self) -> bool:
        """Return whether the folder is a work directory already."""
        return (self.path / MARK).exists()

    def __enter__(self) -> "Workdir":
        devices.agree(self._hold)
        return self

    def _hold(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not self.there() and any(self.path.iterdir()):
                self._know_without_mark()
            self._lock = open(self.path / MARK, "a+")  # noqa: SIM115
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            holder = (read_json(self.path / MARK) or {}).get("process", "of another user")
            raise WorkdirError(
                f"{self.path} is in use by process {holder}; wait for it or stop it"
            ) from error
        except OSError as error:
            raise WorkdirError(
                f"cannot write in the work directory: {disk_message(error)}"
            ) from error
        self._clean()
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.write(json.dumps({"format": FORMAT, "process": os.getpid()}))
        self._lock.flush()

    def _know_without_mark(self) -> None:
        """Refuse a folder that is not empty and holds no run of ours."""
        config = read_json(self.path / "config.json")
        of_a_run = isinstance(config, dict) and {"train.steps", "parts.count"} <= config.keys()
        if not (of_a_run and (self.path / "checkpoints").is_dir()):
            raise WorkdirError(
                f"{self.path} is not empty and no work directory of partdisc; "
                "give --workdir a new folder"
            )
        say(f"{self.path / MARK} is gone, but config.json and checkpoints are of a run: it goes on")

    def __exit__(self, *_) -> None:
        if self._lock:
            self._lock.close()

    def _clean(self) -> None:
        """Remove the drafts that a killed process left: who holds the lock has none yet."""
        for pattern in _DRAFTS:
            for path in self.path.glob(pattern):
                with contextlib.suppress(OSError):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def load(self, name: str, key: str) -> dict[str, np.ndarray] | None:
        """Return the arrays of the stage file `name` if it was made under `key`.

        A damaged file is said, and counts as none.
        """
        return devices.agree(lambda: self._load(name, key))

    def _load(self, name: str, key: str) -> dict[str, np.ndarray] | None:
        path = self.path / name
        try:
            arrays = read_arrays(path)
        except FileNotFoundError:
            return None
        except ValueError:
            say(f"{path} is damaged: it is made again")
            return None
        return arrays if str(arrays.pop("key", "")) == key else None

    def save(self, name: str, key: str, **arrays: np.ndarray) -> None:
        """Write the stage file `name` atomically, with its key."""
        if not devices.first():
            return
        with atomic(self.path / name) as temporary:
            np.savez(temporary, key=key, **arrays)

    def seal(self, key: str, said: Any) -> None:
        """Keep what a run said at its end, with the state of every file that it left.

        Args:
          key: names all that the run depended on.
          said: anything that JSON can write.
        """
        kept = {"files": self._files(), "said": _finite(said)}
        write_json(self.path / _SEAL, kept | {"key": digest(key, kept)})

    def sealed(self, key: str) -> Any:
        """Return what was kept under `key`, None where a file has changed or is gone since."""
        kept = read_json(self.path / _SEAL) or {}
        if kept.pop("key", "") != digest(key, kept):
            return None
        return kept["said"] if kept["files"].items() <= self._files().items() else None

    def _files(self) -> dict[str, list[int]]:
        """Return size and time of each file of the run; its data have a key of their own."""
        found = {}
        for path in self.path.rglob("*"):
            name = path.relative_to(self.path)
            if name.parts[0] in (MARK, _SEAL, "data"):
                continue
            with contextlib.suppress(OSError):  # A link that leads nowhere is no file.
                state = path.stat()
                if stat.S_ISREG(state.st_mode):
                    found[name.as_posix()] = [state.st_size, state.st_mtime_ns]
        return found
