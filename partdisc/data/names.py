"""Names of files, found by the names that lists and users have for them."""

import difflib
import functools
import posixpath
import unicodedata
from typing import Any

from partdisc.errors import shortened

# Of so many missing files the nearest one is sought, which takes its time.
_SOUGHT = 3


class Names(dict[str, Any]):
    """Names of files, paths with "/" between folders, each with what is known of the file.

    Attributes:
        unread: files that are there by name alone, and folders, with a "/" behind them, that
            cannot be looked into; each with the reason.
    """

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.unread: dict[str, str] = {}
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
        if meant[0] not in self.alike(name):
            self._by_end[name] = meant[0]
        return meant[0]

    def alike(self, name: str) -> list[str]:
        """Return the files whose whole path a name may be: one where it is written alike."""
        exact = [one for one in (name, plain(name)) if one in self]
        return exact[:1] or self._alike.get(folded(plain(name)), [])

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
        """Say that there is no file of a name, and which one may be meant."""
        return f"no such file{self.hint(name)}"

    def hint(self, name: str) -> str:
        """Say which files a name that was not found may mean, or which is nearest to it."""
        if several := self.meant(name):
            more = f" or {len(several) - 2} others" if len(several) > 2 else ""
            return f"; it may be {' or '.join(several[:2])}{more}"
        self._sought += 1
        near = self._nearest(name) if self._sought <= _SOUGHT else ""
        return near and f"; the nearest is {near}"

    def _nearest(self, name: str) -> str:
        base = posixpath.basename(plain(name))
        same = [path for path in self if posixpath.basename(path) == base]
        # Another number is another image, and no slip of the pen.
        near = [path for path in self if _digits(path) == _digits(name)]
        return (same or difflib.get_close_matches(name, near, 1, 0.85) or [""])[0]

    def notes(self) -> list[str]:
        """Say how many names were found by the end of their path alone, and name one."""
        return [
            f"names of which only the end of the path was found: {len(self._by_end):,}, such as "
            f"{shortened(name)}, taken as {found}"
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
