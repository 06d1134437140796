"""Names of files, found by the names that lists and users have for them."""

import difflib
import functools
import posixpath
import unicodedata
from typing import Any

# Of so many missing files the nearest one is sought, which takes its time.
_SOUGHT = 3


class Names(dict[str, Any]):
    """Names of files, paths with "/" between folders, each with what is known of the file."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._by_end: dict[str, str] = {}
        self._sought = 0

    def find(self, name: str) -> str | None:
        """Return the file that a name means, None where there is none or more than one.

        The name may differ in letter case and in how Unicode writes an accent, and may use "\\".
        It may have other folders in front, as on another machine, or lack some of its own:
        `notes` says so.
        """
        meant = self.meant(name)
        if len(meant) != 1:
            return None
        if folded(meant[0]) != folded(plain(name)):
            self._by_end[name] = meant[0]
        return meant[0]

    def alike(self, name: str) -> list[str]:
        """Return the files whose whole path a name may be: one where it is written alike."""
        name = plain(name)
        return [name] if name in self else self._alike.get(folded(name), [])

    def meant(self, name: str) -> list[str]:
        """Return the files that a name may mean: none, one or several."""
        if alike := self.alike(name):
            return alike
        words = [word for word in plain(name).split("/") if word not in ("", "..")]
        if lacking := self._ends.get(folded("/".join(words))):
            return lacking
        ends = ("/".join(words[i:]) for i in range(1, len(words)))
        return next((found for end in ends if (found := self.alike(end))), [])

    def missing(self, name: str) -> str:
        """Say that there is no file of a name, and which one is nearest to it."""
        several = self.meant(name)
        if len(several) > 1:
            more = f" and {len(several) - 2} more" if len(several) > 2 else ""
            return f"no such file, but {' and '.join(several[:2])}{more}"
        self._sought += 1
        near = self.nearest(name) if self._sought <= _SOUGHT else ""
        return f"no such file{near and f'; the nearest is {near}'}"

    def nearest(self, name: str) -> str:
        """Return the file that is nearest to a name; "" where none is near."""
        base = posixpath.basename(plain(name))
        same = [path for path in self if posixpath.basename(path) == base]
        # Another number is another image, and no slip of the pen.
        near = [path for path in self if _digits(path) == _digits(name)]
        return (same or difflib.get_close_matches(name, near, 1, 0.85) or [""])[0]

    def notes(self) -> list[str]:
        """Say how many names were found by the end of their path alone, and name one."""
        return [
            f"names of which only the end of the path was found: {len(self._by_end):,}, such as "
            f"{name}, taken as {found}"
            for name, found in list(self._by_end.items())[:1]
        ]

    @functools.cached_property
    def _alike(self) -> dict[str, list[str]]:
        """The files by their folded path."""
        found: dict[str, list[str]] = {}
        for path in self:
            found.setdefault(folded(path), []).append(path)
        return found

    @functools.cached_property
    def _ends(self) -> dict[str, list[str]]:
        """The files by every end of their folded path."""
        found: dict[str, list[str]] = {}
        for path in self:
            words = folded(path).split("/")
            for i in range(len(words)):
                found.setdefault("/".join(words[i:]), []).append(path)
        return found


def plain(name: str) -> str:
    """Return a name with "/" between its folders, and no step of its path in vain."""
    return posixpath.normpath(name.replace("\\", "/"))


def folded(name: str) -> str:
    """Return a name as it compares where letter case and writing of accents do not count."""
    return unicodedata.normalize("NFC", name).casefold()


def _digits(name: str) -> str:
    return "".join(filter(str.isdigit, name))
