"""Errors that are the user's to mend: one line each, printed without a traceback."""

import errno
import os

# What mends an error of the operating system.
_MENDS = {
    errno.ENOSPC: "; free some space and run the same command again: it goes on where it stopped",
    errno.EISDIR: "; move that folder away: a file has to be there",
}


def shortened(value: object, most: int = 80) -> str:
    """Return a value as messages echo it, quoted where it is text: never long."""
    return cut(repr(value), most)


def cut(text: str, most: int = 80) -> str:
    """Return a text, or its beginning where it is long."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def disk_message(error: OSError, where: str | os.PathLike = "") -> str:
    """Say in one line what the operating system refused.

    Args:
      error: what it raised.
      where: a path that tells more than that of the error.
    """
    name = os.fspath(where) or str(error.filename or "a file of the work directory")
    if error.errno == errno.ENAMETOOLONG:
        name = cut(name)
    return f"{name}: {error.strerror or error}{_MENDS.get(error.errno, '')}"


def one_line(text: str) -> str:
    """Return a text as it is printed: what is no letter, such as the end of a line, is escaped.

    A file's name may hold anything.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


class PartdiscError(Exception):
    """Say in one line what was found, where, and what is allowed."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class ConfigError(PartdiscError):
    """A key of the configuration is unknown, out of range or contradicts another."""


class DataError(PartdiscError):
    """A data set is absent, malformed or has too many bad images."""


class WeightsError(PartdiscError):
    """A weights file is absent, incomplete, of the wrong shape or of the wrong hash."""


class WorkdirError(PartdiscError):
    """A work directory cannot be used: locked, not writable or not ours."""


class Stopped(KeyboardInterrupt):
    """A signal asked the program to stop; no error, and nothing that catches errors sees it."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number
