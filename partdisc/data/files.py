"""Files below a folder, found by the names that lists and users have for them."""

import difflib
import functools
import os
import pathlib
import posixpath
import unicodedata

from partdisc import errors

# Folders that systems and archivers put beside a user's own.
_FOREIGN = ("@eaDir", "__MACOSX", "$RECYCLE.BIN", "System Volume Information")
# Of so many missing files the nearest one is sought, which takes its time.
_SOUGHT = 3


class Files(dict[str, os.stat_result]):
    """The files below a folder: from the path below it, with "/", to the file's stat."""

    _sought = 0

    def find(self, name: str) -> str | None:
        """Return the file that a name means, None where there is none or more than one.

        It may differ in letter case and in how Unicode writes an accent, and may use "\\".
        """
        plain = _plain(name)
        if plain in self:
            return plain
        alike = self._alike.get(_folded(plain), [])
        return alike[0] if len(alike) == 1 else None

    def missing(self, name: str) -> str:
        """Say that there is no file of a name, and which one is nearest to it."""
        alike = self._alike.get(_folded(_plain(name)), [])
        if len(alike) > 1:
            return f"no such file, but {' and '.join(alike)}"
        self._sought += 1
        near = self._near(name) if self._sought <= _SOUGHT else ""
        return f"no such file{near and f'; the nearest is {near}'}"

    def _near(self, name: str) -> str:
        base = posixpath.basename(_plain(name))
        same = [path for path in self if posixpath.basename(path) == base]
        # Another number is another image, and no slip of the pen.
        near = [path for path in self if _digits(path) == _digits(name)]
        return (same or difflib.get_close_matches(name, near, 1, 0.85) or [""])[0]

    @functools.cached_property
    def _alike(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self:
            found.setdefault(_folded(path), []).append(path)
        return found


def find_files(folder: pathlib.Path) -> Files:
    """Find all files below a folder, in the order of their names.

    Links to folders are followed, each folder once and by its own name first. What is hidden,
    or put there by a system beside the user's own, is left out.

    Raises:
        errors.DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise errors.DataError(absent(folder, "folder"))
    found, seen, starts = {}, set(), [folder]
    for start in starts:  # Links are put behind it as they are met.
        if start != folder and _holds(start, folder):
            continue
        for at, folders, names in os.walk(start):
            here = os.stat(at)
            if (here.st_dev, here.st_ino) in seen:
                folders.clear()
                continue
            seen.add((here.st_dev, here.st_ino))
            folders[:] = sorted(
                name for name in folders if not name.startswith(".") and name not in _FOREIGN
            )
            inside = [pathlib.Path(at, name) for name in folders]
            starts += [path for path in inside if path.is_symlink()]
            below = pathlib.Path(at).relative_to(folder)
            for name in names:
                path = os.path.join(at, name)
                if not name.startswith(".") and os.path.isfile(path):
                    found[(below / name).as_posix()] = os.stat(path)
    return Files(sorted(found.items()))


def _holds(outer: pathlib.Path, folder: pathlib.Path) -> bool:
    """Say whether a link leads to a folder or to one that the folder lies in."""
    return folder.resolve().is_relative_to(outer.resolve())


class Place:
    """Where the images of a file lie: below a folder, which lies below the root as a rule."""

    def __init__(self, root: pathlib.Path, folder: pathlib.Path):
        self.base = folder if folder.is_absolute() else root
        self._below = pathlib.PurePath() if folder.is_absolute() else folder
        self._files = find_files(self.base / self._below)

    def key(self, name: str) -> str | None:
        """Return the file that a name means, relative to the base."""
        plain = _plain(name)
        if not plain.startswith(("/", "../")) and plain[1:2] != ":":
            found = self._files.find(plain)
        elif found := self._all.find((self._below / plain).as_posix()):
            return found
        else:
            # A path of another machine: what lies here of it is its end.
            words = plain.split("/")
            tails = ("/".join(words[i:]) for i in range(1, len(words)) if words[i] != "..")
            found = next((file for tail in tails if (file := self._files.find(tail))), None)
        return found and (self._below / found).as_posix()

    def stat(self, key: str) -> os.stat_result:
        """Return the stat of a file by its key."""
        return os.stat(self.base / key)

    def missing(self, name: str) -> str:
        """Say that there is no such file, and which is nearest."""
        return self._files.missing(name)

    def named(self, name: str) -> str:
        """Return the key that a missing file would have."""
        return (self._below / _plain(name)).as_posix()

    @functools.cached_property
    def _all(self) -> Files:
        return find_files(self.base)


def absent(path: pathlib.Path, what: str = "file") -> str:
    """Say that a file or folder is not there, and which one is nearest to it."""
    there = path
    while not there.exists() and there != there.parent:
        there, wanted = there.parent, there.name
    near = ""
    if there.is_dir() and there != path:
        names = sorted(os.listdir(there))
        alike = [name for name in names if _folded(name) == _folded(wanted)]
        close = alike or difflib.get_close_matches(wanted, names, 1)
        near = f"; there is {there / close[0]}" if close else f"; {there} has nothing like it"
    return f"{path}: no such {what}{near}"


def inner(root: pathlib.Path, name: str) -> pathlib.Path:
    """Return the folder that has a file: the root, or the only one in it that has."""
    if (root / name).exists() or not root.is_dir():
        return root
    found = [one for one in root.iterdir() if (one / name).exists()]
    return found[0] if len(found) == 1 else root


def _plain(name: str) -> str:
    """Return a name with "/" between its folders, and no step of its path in vain."""
    return posixpath.normpath(name.replace("\\", "/"))


def _digits(name: str) -> str:
    return "".join(filter(str.isdigit, name))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
