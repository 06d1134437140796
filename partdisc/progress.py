"""What is printed while work goes on: progress, plain lines, tables.

Progress goes to stderr, as a bar on a terminal and as a line every ten seconds
elsewhere; lines and tables go to stdout. Where there is nothing to do, nothing is
printed.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from partdisc.errors import one_line

_Item = TypeVar("_Item")

_PERIOD = 10.0  # seconds between lines
_now = time.monotonic
_silent = False


def silence() -> None:
    """Print nothing from now on: of several processes one speaks."""
    global _silent
    _silent = True


class Progress:
    """Show how far a piece of work is, from `with` to the end of its block.

    Args:
      label: what is being done.
      total: units of the whole work, None where unknown.
      unit: what is counted, in the plural.
      start: units already done by an earlier run; they do not count for the rate.
    """

    def __init__(self, label: str, *, total: int | None = None, unit: str = "it", start: int = 0):
        self.label, self.total, self.unit, self.start = label, total, unit, start
        self.done, self.text = start, ""

    def __enter__(self) -> "Progress":
        self._began = self._told = _now()
        self._terminal = _is_terminal(sys.stderr)
        self._bar = None
        if self.total is not None and self.total > self.start:
            self._open()
        return self

    def advance(self, count: int = 1, text: str | None = None) -> None:
        """Count `count` units more; `text`, where given, is shown behind them."""
        self.done += count
        self.text = self.text if text is None else text
        self._open()
        if self._bar:
            speed = f"{self._rate():.1f} {self.unit}/s"
            self._bar.update(self._task, completed=self.done, speed=speed, text=self.text)
        elif _now() - self._told >= _PERIOD:
            self._told = _now()
            self._line(f"{self._count()}, {self._rate():.1f} {self.unit}/s{self._left()}")

    def __exit__(self, kind, error, trace) -> None:
        if self._bar:
            self._bar.stop()
        elif self.done > self.start:
            took = duration(_now() - self._began)
            if kind is None:
                self._line(f"{self._count()} in {took}, {self._rate():.1f} {self.unit}/s")
            else:
                self._line(f"stopped at {self._count()} after {took}")

    def _open(self) -> None:
        """Start the bar, once there is something to show and a terminal to show it on."""
        if self._bar or not self._terminal or _silent:
            return
        from rich import progress
        from rich.console import Console

        def column(field: str) -> progress.TextColumn:
            return progress.TextColumn("{task." + field + "}", markup=False)

        self._bar = progress.Progress(
            column("description"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            column("fields[speed]"),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            column("fields[text]"),
            console=Console(file=sys.stderr),
            # Lines of `say` appear above the bar; but what goes to a file stays there.
            redirect_stdout=sys.stdout.isatty(),
            get_time=_now,
        )
        self._task = self._bar.add_task(
            self.label, total=self.total, completed=self.start, speed="", text=""
        )
        self._bar.start()

    def _rate(self) -> float:
        return (self.done - self.start) / max(_now() - self._began, 1e-9)

    def _count(self) -> str:
        whole = "" if self.total is None else f"/{self.total}"
        return f"{self.done}{whole} {self.unit}"

    def _left(self) -> str:
        if self.total is None or self.done == self.start:
            return ""
        return f", {duration(max(self.total - self.done, 0) / self._rate())} left"

    def _line(self, text: str) -> None:
        text = f"{self.label}: {text}" + (f", {self.text}" if self.text else "")
        if _silent:
            return
        print(text, file=sys.stderr, flush=True)


def track(
    iterable: Iterable[_Item], label: str, *, total: int | None = None, unit: str = "it"
) -> Iterator[_Item]:
    """Pass an iterable's items on and show the progress.

    Args:
      iterable: the items; each counts when the next one is asked for.
      label: what is being done.
      total: their number; by default the iterable's length, where it has one.
      unit: what is counted, in the plural.
    """
    if total is None and hasattr(iterable, "__len__"):
        total = len(iterable)
    with Progress(label, total=total, unit=unit) as progress:
        for item in iterable:
            yield item
            progress.advance()


def duration(seconds: float) -> str:
    """Write a time as a reader wants it: `34 s`, `12 min`, `3 h 05 min`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def say(text: str) -> None:
    """Print a line to stdout, at once; characters that it cannot show are escaped."""
    if _silent:
        return
    encoding = sys.stdout.encoding or "utf-8"
    print(one_line(text).encode(encoding, "backslashreplace").decode(encoding), flush=True)


class Table(NamedTuple):
    """What `table` prints, for others to show too.

    Attributes:
      title: what the figures are.
      columns: their headings, over the name of each row first.
      rows: the cells.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table to stdout: framed on a terminal, aligned plain text elsewhere.

    Columns of numbers are aligned on the right. Without rows nothing is printed.

    Args:
      title: a line over the table.
      columns: their names.
      rows: a list of cells, one per column, for each row.

    Raises:
      ValueError: a row has more or fewer cells than there are columns.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"table {title!r}: {len(columns)} columns, but a row is {row}")
    if not rows:
        return
    rows = [[one_line(cell) for cell in row] for row in rows]
    right = [all(_is_number(cell) for cell in column) for column in zip(*rows, strict=True)]
    if _is_terminal(sys.stdout):
        _framed(title, columns, rows, right)
    else:
        _aligned(title, columns, rows, right)


def _aligned(title, columns, rows, right) -> None:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    lines = [columns, ["-" * width for width in widths], *rows]
    say(title)
    for line in lines:
        cells = zip(line, widths, right, strict=True)
        say("  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in cells).rstrip())


def _framed(title, columns, rows, right) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    framed = Table(title=Text(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD)
    for name, numbers in zip(columns, right, strict=True):
        justify = "right" if numbers else "left"
        framed.add_column(Text(name), justify=justify, overflow="fold")
    for row in rows:
        framed.add_row(*map(Text, row))
    Console(file=sys.stdout).print(framed)


def _is_terminal(stream) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _is_number(cell: str) -> bool:
    """Say whether a cell is a number, with or without a unit, or stands for a missing one."""
    try:
        float(cell.rstrip("%").strip() or "nan")
    except ValueError:
        return cell.strip() in ("-", "–")
    return True
