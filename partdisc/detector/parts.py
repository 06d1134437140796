"""Parts as a user sees them: one or several channels, with an id, a colour, a name, figures."""

import csv
import io
import pathlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from partdisc.errors import DataError
from partdisc.method.discriminant import Discriminant
from partdisc.workdir import atomic

# Distinct beside each other and on photos, in light and in dark; the order is fixed.
COLOURS = (
    "#e6194b", "#f58231", "#ffe119", "#3cb44b", "#42d4f4", "#4363d8", "#911eb4", "#f032e6",
    "#9a6324", "#bfef45", "#469990", "#fabed4", "#808000", "#000075", "#aaffc3", "#800000",
    "#dcbeff", "#ffd8b1", "#5c6bc0", "#00897b", "#c0ca33", "#6d4c41", "#ff7043", "#78909c",
)  # fmt: skip
MOST = len(COLOURS)


class Part(NamedTuple):
    """A part of the object class.

    Attributes:
      id: from 1, by falling presence.
      name: the user's; "" until it has one.
      colour: "#rrggbb".
      channels: of the part layer that it is made of.
      presence: share of the training images in which its score reaches the threshold.
      maximum: largest score in the training images.
      threshold: score from which it is present.
      area: mean share of the object that it takes, where it is present.
      place: (y, x) of its mean point in the object's box, (0, 0) to (1, 1).
      agreement: share of its cells that aligned images give to it too.
      mirror: share of its cells that the mirrored image gives to it too.
      stability: share of its channels that it keeps when half of the images choose the parts.
      neighbours: ids of the parts beside it, most often first.
      equivariance: mean distance of its point from where the mirrored image has it, as a share
        of the longer side of the object's box, where it is present; 1 where it never is.
    """

    id: int
    name: str
    colour: str
    channels: tuple[int, ...]
    presence: float
    maximum: float
    threshold: float
    area: float
    place: tuple[float, float]
    agreement: float
    mirror: float
    stability: float
    neighbours: tuple[int, ...]
    equivariance: float

    @property
    def title(self) -> str:
        """Its name, or what stands for one."""
        return self.name or f"part {self.id}"


def make_parts(described: Iterable[dict[str, Any]]) -> tuple[Part, ...]:
    """Make parts of what is known of them, in order; ids and colours follow it."""
    return tuple(
        Part(
            **{"id": place, "name": "", "colour": COLOURS[place - 1]}
            | {name: _plain(value) for name, value in fields.items()}
        )
        for place, fields in enumerate(described, 1)
    )


def _plain(value: Any) -> Any:
    """Return a value of JSON or NumPy as a part has it."""
    value = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    return tuple(value) if isinstance(value, list) else value


class PartSet(NamedTuple):
    """The parts of one number of them, and how they are read from features.

    Attributes:
      parts: by falling presence.
      discriminant: says which of them a cell of the object is, in their order.
    """

    parts: tuple[Part, ...]
    discriminant: Discriminant

    def renamed(self, names: dict[tuple[int, ...], str]) -> "PartSet":
        """Return the same parts with names, by their channels; the others keep theirs."""
        parts = (part._replace(name=names.get(part.channels, part.name)) for part in self.parts)
        return self._replace(parts=tuple(parts))


# What a detector has before parts are made of its channels.
NO_PARTS = PartSet((), Discriminant(np.zeros((0, 0), np.float32), np.zeros(0, np.float32)))


def rgb(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue of "#rrggbb", 0 to 255."""
    return tuple(int(colour[start : start + 2], 16) for start in (1, 3, 5))


_COLUMNS = [name for name in Part._fields if name != "place"]


def part_rows(parts: tuple[Part, ...]) -> list[list[object]]:
    """Return the rows of parts.csv, the headings first."""
    rows: list[list[object]] = [[*_COLUMNS, "place_y", "place_x"]]
    for part in parts:
        row = part._asdict()
        place = row.pop("place")
        cells = [" ".join(map(str, v)) if isinstance(v, tuple) else _short(v) for v in row.values()]
        rows.append([*cells, *map(_short, place)])
    return rows


def write_parts(path: pathlib.Path, parts: tuple[Part, ...]) -> None:
    """Write parts.csv, in which the user gives names: whole, or it stays as it was."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(part_rows(parts))
    with atomic(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _short(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


def read_names(path: pathlib.Path) -> dict[tuple[int, ...], str]:
    """Return the names that a parts.csv has, by a part's channels; it may be absent.

    Raises:
      errors.DataError: the file is no such table.
    """
    if not path.exists():
        return {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return {
                tuple(map(int, row["channels"].split())): row["name"].strip()
                for row in csv.DictReader(file)
            }
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise DataError(
            f"{path}: no table with the columns name and channels ({error}); delete the file, "
            "and it is written anew"
        ) from None
