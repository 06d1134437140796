"""Files below a folder, and files and folders that publishers' layouts have there."""

import difflib
import functools
import os
import pathlib
import posixpath
import stat

from partdisc import errors
from partdisc.data.names import Names, folded, plain
from partdisc.paths import is_made

# Folders that systems and archivers put beside a user's own.
_FOREIGN = ("@eadir", "__macosx", "$recycle.bin", "system volume information", "lost+found")
# Of folders between a root and what lies in it.
_DEPTH = 2


def find_files(folder: pathlib.Path) -> Names:
    """Find all files below a folder, each with its stat, in the order of their names.

    Links to folders are followed, each folder once and by its own name first. What is hidden,
    or put there by a system beside the user's own, is left out, and so is what the program made.
    What cannot be read is in the `unread` of the names.

    Raises:
        errors.DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise errors.DataError(absent(folder, "folder"))
    found, unread, seen, starts = {}, {}, set(), [folder]

    def leave_out(error: OSError) -> None:
        below = pathlib.Path(error.filename).relative_to(folder).as_posix()
        unread[f"{below}/"] = f"a folder that cannot be read ({error.strerror or error})"

    for start in starts:  # Links are put behind it as they are met.
        if start != folder and _holds(start, folder):
            continue
        for at, folders, names in os.walk(start, onerror=leave_out):
            here = os.stat(at)
            if (here.st_dev, here.st_ino) in seen:
                folders.clear()
                continue
            seen.add((here.st_dev, here.st_ino))
            inside = [pathlib.Path(at, name) for name in sorted(filter(_is_own, folders))]
            folders[:] = [path.name for path in inside if not is_made(path)]
            starts += [path for path in inside if path.is_symlink() and path.name in folders]
            below = pathlib.Path(at).relative_to(folder)
            for name in (name for name in names if not name.startswith(".")):
                key, path = (below / name).as_posix(), os.path.join(at, name)
                try:
                    one = os.stat(path)
                except OSError as error:
                    unread[key] = "a broken link" if os.path.islink(path) else error.strerror
                else:
                    if stat.S_ISREG(one.st_mode):
                        found[key] = one
    files = Names(sorted(found.items()))
    files.unread = dict(sorted(unread.items()))
    return files


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
        """Return the file that a name means, relative to the base; None: none, or one elsewhere."""
        if self._leads_out(name):
            if os.path.isfile(self._given(name)):
                return self._inside(name)
            beside = self._all.alike(self.named(name))
            if len(beside) == 1:
                return beside[0]
        found = self._files.find(name)
        return found and (self._below / found).as_posix()

    def stat(self, key: str) -> os.stat_result:
        """Return the stat of a file by its key."""
        return os.stat(self.base / key)

    def missing(self, name: str) -> str:
        """Say that there is no such file, and which is nearest, or that it lies elsewhere."""
        if self._leads_out(name) and os.path.isfile(self._given(name)):
            return (
                f"that file lies outside of {self.base}; set config.data.root to a folder that "
                "holds both, or give the file as FILE:FOLDER, with the folder of its images"
            )
        return self._files.missing(name)

    def elsewhere(self, name: str) -> str:
        """Return a file of the same name that lies below the root, but not in the folder."""
        there = self._all.meant(posixpath.basename(plain(name)))
        return next((o for o in there if not pathlib.Path(o).is_relative_to(self._below)), "")

    def named(self, name: str) -> str:
        """Return the key that a missing file would have."""
        return plain((self._below / plain(name)).as_posix())

    def notes(self) -> list[str]:
        """Say which files were found by the end of their path alone."""
        return self._files.notes()

    def _leads_out(self, name: str) -> bool:
        return plain(name).startswith(("/", "../"))

    def _given(self, name: str) -> str:
        """Return the path that a name is when it is taken as it stands."""
        return os.path.join(self.base, self._below, plain(name))

    def _inside(self, name: str) -> str | None:
        """Return the key of a file that is there as given; None where it lies elsewhere."""
        for real in (os.path.abspath, os.path.realpath):  # The root may be, or have, a link.
            below = os.path.relpath(real(self._given(name)), real(self.base))
            if below.split(os.sep)[0] != os.pardir:
                return pathlib.Path(below).as_posix()
        # A link in the folder may lead there.
        keys = [(self._below / found).as_posix() for found in self._files.meant(name)]
        return next((k for k in keys if os.path.samefile(self.base / k, self._given(name))), None)

    @functools.cached_property
    def _all(self) -> Names:
        return find_files(self.base)


def absent(path: pathlib.Path, what: str = "file") -> str:
    """Say that a file or folder is not there, and which one is nearest to it."""
    there = path
    while not there.exists() and there != there.parent:
        there, wanted = there.parent, there.name
    near = ""
    if there.is_dir() and there != path:
        is_file = what == "file" and there == path.parent
        names = sorted(one for one in os.listdir(there) if (there / one).is_dir() != is_file)
        alike = [name for name in names if folded(name) == folded(wanted)]
        close = alike or difflib.get_close_matches(wanted, names, 1)
        near = f"; there is {there / close[0]}" if close else f"; {there} has nothing like it"
    if path.exists():
        return f"{path}: is no {what}"
    return f"{path}: no such {what}{near}"


def locate(root: pathlib.Path, name: str) -> pathlib.Path:
    """Return where a file or folder of a layout lies, in any letter case.

    It lies in the root or in folders of it, at most two deep: the publisher's and those of an
    archive. Where there is none, or more than one at the same depth, it is that of the root.
    """
    level = [root]
    for _ in range(_DEPTH + 1):
        found = [path for folder in level if (path := entry(folder, name))]
        if found:
            return found[0] if len(found) == 1 else root / name
        level = [path for folder in level for path in _folders(folder)]
    return root / name


def entry(folder: pathlib.Path, name: str) -> pathlib.Path | None:
    """Return what a folder has under a path, in any letter case; None: none, or several."""
    path = folder
    for word in name.split("/"):
        if not (path / word).exists():
            names = os.listdir(path) if path.is_dir() else []
            alike = [one for one in names if folded(one) == folded(word)]
            if len(alike) != 1:
                return None
            word = alike[0]
        path = path / word
    return path


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the folders of a user's own in a folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as found:
        return sorted(pathlib.Path(one) for one in found if _is_own(one.name) and one.is_dir())


def _is_own(folder: str) -> bool:
    return not folder.startswith(".") and folder.casefold() not in _FOREIGN
