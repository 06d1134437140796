"""List files of publishers: rows of words, each named by its image, and tables in general."""

import csv
import io
import math
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from partdisc import errors
from partdisc.data.files import absent

# Of the words of a table; the first of these that its first line has.
_SEPARATORS = "\t;,"
# Annotation is kept in float32.
LARGEST = float(np.finfo(np.float32).max)


class Row(NamedTuple):
    """One row of a list file or table: the line where it ends, from 1, and its words."""

    line: int
    words: list[str]


class List:
    """A list file: a row of words for each image, or for each part of it.

    Before the rows there may be their count, and a line with the names of the columns, which
    then come in any order. Without it they are in the order of `columns`. A row that cannot be
    used costs its image alone.

    Attributes:
        path: of the file.
        rows: by their names, which are their first words; each with the words of `columns`.
        bad: images, the first words of rows that cannot be used, each with what is wrong.
    """

    def __init__(self, path: pathlib.Path, columns: Sequence[str], *, unique: int = 1):
        """Read a list file.

        Args:
            path: of the file.
            columns: their names; that of the image comes first, and a line of names may lack it.
            unique: how many of them name a row.

        Raises:
            errors.DataError: the file is absent, has no row or another number of them than
                it says, or a column has another name.
        """
        self.path = path
        self.rows: dict[str, Row] = {}
        self.bad: dict[str, str] = {}
        self._columns = list(columns)
        rows = list(read_table(path))
        count = rows.pop(0) if rows and _is_count(rows[0], columns) else None
        order = self._order(rows.pop(0)) if rows and _is_header(rows[0]) else range(len(columns))
        if not rows:
            raise errors.DataError(f"{path}: no row in it")
        if count and int(count.words[0]) != len(rows):
            raise errors.DataError(
                f"{path}: {len(rows)} rows, but its first line says {count.words[0]!r}"
            )
        named: dict[str, list[Row]] = {}
        for row in rows:
            if len(row.words) == len(columns):
                row = Row(row.line, [row.words[i] for i in order])
                named.setdefault(" ".join(row.words[:unique]), []).append(row)
            else:
                self._note(row, f"{len(row.words)} columns instead of {len(columns)}")
        for name, (first, *others) in named.items():
            if other := next((row for row in others if row.words != first.words), None):
                self._note(other, f"'{name}' is in line {first.line} too, otherwise")
            else:
                self.rows[name] = first

    def leave_out(self, name: str, reason: str) -> None:
        """Take away a row that says nothing of use."""
        self._note(self.rows.pop(name), reason)

    def choices(self, column: str, allowed: Sequence[str]) -> dict[str, str]:
        """Return the words of a column, by the names of rows; other rows are bad."""
        place = self._columns.index(column)
        for name, row in list(self.rows.items()):
            if row.words[place] not in allowed:
                found = errors.shortened(row.words[place])
                self.leave_out(name, f"{found} is none of {', '.join(allowed)}")
        return {name: row.words[place] for name, row in self.rows.items()}

    def numbers(
        self, columns: Sequence[str], of: Iterable[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Return the finite numbers of some columns; rows with others are bad.

        Args:
            columns: C names.
            of: names of the rows; of all by default.

        Returns:
            By the names of the rows, float64 [C].
        """
        places = [self._columns.index(column) for column in columns]
        names = list(self.rows if of is None else of)
        words = [[self.rows[name].words[i] for i in places] for name in names]
        try:
            values = np.array(words, np.float64).reshape(len(names), len(columns))
        except ValueError:
            values = np.array([[_number(word) for word in row] for row in words], np.float64)
        for i in np.flatnonzero(~(np.abs(values) <= LARGEST).all(axis=1)):
            wrong = ((word, fault(value)) for word, value in zip(words[i], values[i], strict=True))
            word, reason = next(one for one in wrong if one[1])
            self.leave_out(names[i], f"{errors.shortened(word)} is {reason}")
        return {name: row for name, row in zip(names, values, strict=True) if name in self.rows}

    def _note(self, row: Row, reason: str) -> None:
        self.bad.setdefault(row.words[0], f"{self.path}, line {row.line}: {reason}")

    def _order(self, header: Row) -> list[int]:
        """Return where each column is, by a line of their names."""
        given = [word.casefold() for word in header.words]
        if len(given) == len(self._columns) - 1:
            given.insert(0, self._columns[0])
        where = f"{self.path}, line {header.line}"
        for name in given:
            if name not in self._columns:
                raise errors.DataError(
                    f"{where}: a line without numbers names columns, and {errors.shortened(name)} "
                    f"is none of {', '.join(self._columns)}"
                )
        if lacking := [name for name in self._columns if name not in given]:
            raise errors.DataError(f"{where}: no column {', '.join(lacking)}")
        return [given.index(name) for name in self._columns]


def read_table(path: pathlib.Path) -> Iterator[Row]:
    """Yield the rows of a text file that are not empty, their words without blanks around.

    Words are separated by blanks, or in a .csv by commas, semicolons or tabs, with quotes.

    Raises:
        errors.DataError: the file is absent or no such text.
    """
    text = read_text(path)
    if path.suffix.lower() != ".csv":
        lines = enumerate(text.splitlines(), 1)
        yield from (Row(number, line.split()) for number, line in lines if line.strip())
        return
    head = text.lstrip().partition("\n")[0]
    separator = next((one for one in _SEPARATORS if one in head), ",")
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    try:
        for words in reader:
            if any(words):
                yield Row(reader.line_num, [word.strip() for word in words])
    except csv.Error as error:
        raise errors.DataError(f"{path}, line {reader.line_num}: {error}") from None


def read_lines(path: pathlib.Path) -> list[str]:
    """Read the lines of a text file; a mark of byte order is no part of the first.

    Raises:
        errors.DataError: the file is absent or no text.
    """
    return read_text(path).splitlines()


def read_text(path: pathlib.Path) -> str:
    """Read a text file; a mark of byte order is no part of the text.

    Raises:
        errors.DataError: the file is absent or no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise errors.DataError(absent(path)) from None
    except OSError as error:
        raise errors.DataError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise errors.DataError(f"{path}: not a text file in UTF-8; save it as one") from None


def fault(value: float) -> str:
    """Say what is wrong with a number that must be finite as float32; "" if nothing is."""
    if abs(value) <= LARGEST:
        return ""
    return "too large a number" if math.isfinite(value) else "no finite number"


def _is_count(row: Row, columns: Sequence[str]) -> bool:
    return len(columns) > 1 and len(row.words) == 1 and row.words[0].isdecimal()


def _is_header(row: Row) -> bool:
    """Say whether a line names columns; a row of several words has a number."""
    return len(row.words) > 1 and all(_number(word) is None for word in row.words)


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
