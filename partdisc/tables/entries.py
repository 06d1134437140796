"""The entries of a table: the figures of our runs, and what was published."""

import math
from typing import Any, NamedTuple

import numpy as np

from partdisc.tables.paper import DATASETS, ERRORS, Row, Table
from partdisc.tables.sweep import Outcome, Run, run_of

# What reads no image has one error, not one by kind of point.
_TRIVIAL = ("mean_shape", "image_centre")


class Figures(NamedTuple):
    """Figures of one cell over seeds.

    Attributes:
      by_seed: those that there are.
      published: the paper's, NaN where it has none.
    """

    by_seed: dict[int, float]
    published: float

    @property
    def mean(self) -> float:
        """Mean over the seeds, NaN where there are none."""
        return float(np.mean(list(self.by_seed.values()))) if self.by_seed else math.nan

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds, NaN where there is one at most."""
        if len(self.by_seed) < 2:
            return math.nan
        return float(np.std(list(self.by_seed.values()), ddof=1))


class Column(NamedTuple):
    """A column: data sets, of which it shows the average, and one of their figures."""

    heading: str
    datasets: tuple[str, ...]
    key: str


def columns_of(table: Table, datasets: tuple[str, ...]) -> list[list[Column]]:
    """Return the columns of a table on some data sets, those of a data set together.

    An average is taken of data sets whose first figure is the same measure.
    """
    columns = [
        [
            Column(DATASETS[data].heading, (data,), key)
            for key in (ERRORS if table.measure == "nme" else DATASETS[data].precision)
        ]
        for data in datasets
    ]
    first = {group[0].key for group in columns}
    if table.averaged and len(datasets) > 1 and len(first) == 1:
        columns.append([Column("average", datasets, first.pop())])
    return columns


def figures_of(
    row: Row, column: Column, outcomes: dict[Run, Outcome], seeds: tuple[int, ...]
) -> Figures:
    """Return the figures of a cell: of the seeds for which there are all."""
    by_seed = {}
    for seed in seeds if row.changes is not None else ():
        found = [
            _figure(outcomes[run_of(data, row.changes_on(data), seed)], row.layer, column.key)
            for data in column.datasets
        ]
        if None not in found:
            by_seed[seed] = float(np.mean(found))
    return Figures(by_seed, float(np.mean([published(row, data) for data in column.datasets])))


def _figure(outcome: Outcome, layer: str, key: str) -> float | None:
    results: dict[str, Any] = outcome.results or {}
    if layer in _TRIVIAL:
        return results.get("baselines", {}).get(layer, {}).get("nme")
    return results.get(layer, {}).get(key)


def published(row: Row, data: str) -> float:
    """Return the published figure for a data set, or for the one that it stands for."""
    names = (data, *DATASETS[data].stands_for)
    return next((row.published[name] for name in names if name in row.published), math.nan)


def difference(first: Figures, second: Figures) -> Figures:
    """Return first - second, seed by seed, of the seeds that both have."""
    common = [seed for seed in first.by_seed if seed in second.by_seed]
    return Figures(
        {seed: first.by_seed[seed] - second.by_seed[seed] for seed in common},
        first.published - second.published,
    )


def difference_text(figures: Figures) -> str:
    """Write a difference; one that its spread covers is called none."""
    if not figures.by_seed:
        return ""
    text = f"{figures.mean:+.2f}"
    if math.isnan(figures.spread):
        return f"{text}, one seed"
    if abs(figures.mean) <= figures.spread:
        return f"none ({text} ± {figures.spread:.2f})"
    return f"{text} ± {figures.spread:.2f}"


def figure_text(value: float, measure: str) -> str:
    """Write a figure, "" for NaN."""
    return "" if math.isnan(value) else f"{value:.{_digits(measure)}f}"


def cell_text(figures: Figures, measure: str) -> str:
    """Write ours, its spread, and in brackets what it is above the published figure."""
    if not figures.by_seed:
        return ""
    text = mean_text(figures, _digits(measure))
    if not math.isnan(figures.published):
        text += f" ({figures.mean - figures.published:+.1f})"
    return text


def mean_text(figures: Figures, digits: int) -> str:
    """Write the mean over the seeds and its spread, "" where there is no figure."""
    if not figures.by_seed:
        return ""
    spread = "" if math.isnan(figures.spread) else f" ± {figures.spread:.{digits}f}"
    return f"{figures.mean:.{digits}f}{spread}"


def _digits(measure: str) -> int:
    return 2 if measure == "nme" else 1
