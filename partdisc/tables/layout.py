"""From the outcomes of a sweep to the rows and cells of a table."""

import csv
import io
import math
from typing import Any, NamedTuple

import numpy as np

from partdisc.tables import formats
from partdisc.tables.paper import DATASETS, ERRORS, Row, Table
from partdisc.tables.sweep import Outcome, Run, run_of

FORMATS = {"txt": "text", "md": "Markdown", "tex": "LaTeX", "csv": "CSV"}
# How a figure's name of results.json is printed.
_MEASURES = {
    "map_iou": "IoU", "map_vsp": "IoU, vsp", "map_l2_box": "box",
    "map_l2_short_side": "short side", "nme_peak": "peak", "nme_mean": "centroid",
}  # fmt: skip


class Figures(NamedTuple):
    """Figures of one cell over seeds.

    Attributes:
      values: by seed.
      published: the paper's, NaN where it has none.
    """

    values: tuple[float, ...]
    published: float

    @property
    def mean(self) -> float:
        """Mean over the seeds, NaN where there are none."""
        return float(np.mean(self.values)) if self.values else math.nan

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds, NaN where there is one at most."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else math.nan


class Column(NamedTuple):
    """A column: data sets, of which it shows the average, and one of their figures."""

    heading: str
    datasets: tuple[str, ...]
    key: str


def columns_of(table: Table, datasets: tuple[str, ...]) -> list[list[Column]]:
    """Return the columns of a table on some data sets, those of a data set together."""
    columns = [
        [
            Column(DATASETS[data].heading, (data,), key)
            for key in (ERRORS if table.measure == "nme" else DATASETS[data].precision)
        ]
        for data in datasets
    ]
    if table.averaged and len(datasets) > 1:
        columns.append([Column("average", datasets, columns[0][0].key)])
    return columns


def figures_of(
    row: Row, column: Column, outcomes: dict[Run, Outcome], seeds: tuple[int, ...]
) -> Figures:
    """Return the figures of a cell: of the seeds for which there are all."""
    values = []
    for seed in seeds if row.changes is not None else ():
        found = [
            (outcomes[run_of(data, row.changes_on(data), seed)].results or {}).get(row.layer, {})
            .get(column.key)
            for data in column.datasets
        ]
        if None not in found:
            values.append(float(np.mean(found)))
    published = [_published(row, data) for data in column.datasets]
    return Figures(tuple(values), float(np.mean(published)))


def _published(row: Row, data: str) -> float:
    """Return the paper's figure for a data set, or for the one that it stands for."""
    names = (data, *DATASETS[data].stands_for)
    return next((row.published[name] for name in names if name in row.published), math.nan)


def difference(first: Figures, second: Figures) -> Figures:
    """Return first - second, seed by seed; without figures where the seeds do not agree."""
    agree = len(first.values) == len(second.values)
    pairs = zip(first.values, second.values, strict=True) if agree else ()
    return Figures(tuple(a - b for a, b in pairs), first.published - second.published)


def difference_text(figures: Figures) -> str:
    """Write a difference; one that its spread covers is called none."""
    if not figures.values:
        return ""
    text = f"{figures.mean:+.2f}"
    if math.isnan(figures.spread):
        return f"{text}, one seed"
    if abs(figures.mean) <= figures.spread:
        return f"none ({text} ± {figures.spread:.2f})"
    return f"{text} ± {figures.spread:.2f}"


def _number(value: float, measure: str) -> str:
    return "" if math.isnan(value) else f"{value:.{2 if measure == 'nme' else 1}f}"


def _cell(figures: Figures, measure: str) -> str:
    """Write ours, its spread, and in brackets what it is above the published figure."""
    if not figures.values:
        return ""
    text = _number(figures.mean, measure)
    if not math.isnan(figures.spread):
        text += f" ± {_number(figures.spread, measure)}"
    if not math.isnan(figures.published):
        text += f" ({figures.mean - figures.published:+.1f})"
    return text


def render(
    table: Table,
    number: int,
    datasets: tuple[str, ...],
    outcomes: dict[Run, Outcome],
    seeds: tuple[int, ...],
) -> dict[str, str]:
    """Write a table in every format of `FORMATS`.

    Args:
      table: what it shows.
      number: of it in the paper.
      datasets: names of its columns in `DATASETS`.
      outcomes: of all its runs.
      seeds: of the runs.

    Returns:
      From the ending of the file to its content.
    """
    groups = columns_of(table, datasets)
    rows = [row for row in table.rows if row.changes is not None or _is_published(row, groups)]
    # What the paper has nothing of needs no column for it.
    papers = [any(_is_published(row, [group]) for row in rows) for group in groups]
    head = ["", *_headings(groups, papers)]
    lines: list[formats.Line] = []
    for row in rows:
        if row.block:
            lines.append(formats.Line(row.block, []))
        cells = []
        for group, paper in zip(groups, papers, strict=True):
            figures = [figures_of(row, column, outcomes, seeds) for column in group]
            cells += [_number(figures[0].published, table.measure)] * paper
            cells += [_cell(one, table.measure) for one in figures]
        lines.append(formats.Line("", [f"{row.name} {row.source}".strip(), *cells]))
    lines += _differences(table, groups, papers, outcomes, seeds)
    title = f"Table {number}: {table.title}"
    notes = _notes(table, datasets, outcomes, seeds)
    return {
        "txt": formats.text(title, head, lines, notes),
        "md": formats.markdown(title, head, lines, notes),
        "tex": formats.latex(title, head, lines, notes),
        "csv": _csv(table, groups, outcomes, seeds),
    }


def _is_published(row: Row, groups: list[list[Column]]) -> bool:
    return any(
        not math.isnan(_published(row, data)) for group in groups for data in group[0].datasets
    )


def _headings(groups: list[list[Column]], papers: list[bool]) -> list[str]:
    headings = []
    for group, paper in zip(groups, papers, strict=True):
        ours = [f"ours, {_MEASURES[column.key]}" for column in group]
        first, *rest = ["paper", *ours] if paper else ours
        headings += [f"{group[0].heading}: {first}", *rest]
    return headings


def _differences(table, groups, papers, outcomes, seeds) -> list[formats.Line]:
    """Compare ours with the baselines of the paper, seed by seed."""
    rows = {row.name: row for row in table.rows if row.changes is not None}
    others = [name for name in ("Clustering", "MaskRegularized") if name in rows]
    lines = []
    for other in others if "Ours" in rows else ():
        cells = []
        for group, paper in zip(groups, papers, strict=True):
            found = [
                difference(*(
                    figures_of(rows[name], column, outcomes, seeds) for name in ("Ours", other)
                ))
                for column in group
            ]
            published = found[0].published
            cells += ["" if math.isnan(published) else f"{published:+.1f}"] * paper
            cells += [difference_text(one) for one in found]
        lines.append(formats.Line("", [f"Ours - {other}", *cells]))
    return lines


def _notes(table, datasets, outcomes, seeds) -> list[str]:
    notes = [
        "%, higher is better; in brackets: ours minus the paper's" if table.measure == "map"
        else "% of the normaliser, lower is better; in brackets: ours minus the paper's"
    ]
    for data in datasets:
        found = [one for run, one in outcomes.items() if run.data == data]
        done = next((one.results for one in found if one.results), None)
        if done is None:
            notes.append(f"{DATASETS[data].heading}: not run: {found[0].reason}")
            continue
        notes += _rows_not_run(table, data, outcomes, seeds)
        protocol = done["protocol"]
        by = (f"protocol {protocol['regression']}" if table.measure == "nme" else
              f"protocol {protocol['detection']}, channels chosen on "
              f"{protocol['channel_selection']}")  # fmt: skip
        notes.append(
            f"{DATASETS[data].heading}: {done['backbone']}"
            f"{' (random weights)' if done['random_weights'] else ''}, {done['n_train']} train, "
            f"{done['trained']['n_fit']} fit, {done['trained']['n_test']} test images, {by}"
        )
        other = next((name for name in DATASETS[data].stands_for if name in table.columns), None)
        if other:
            notes.append(
                f"{DATASETS[data].heading} stands for {DATASETS[other].heading} of the paper"
            )
    if len(seeds) > 1:
        notes.append(f"mean ± standard deviation over seeds {', '.join(map(str, seeds))}")
    else:
        notes.append(f"seed {seeds[0]} alone")
    return notes + list(table.remarks)


def _rows_not_run(table, data, outcomes, seeds) -> list[str]:
    notes = {}
    for row in table.rows:
        for seed in seeds if row.changes is not None else ():
            outcome = outcomes[run_of(data, row.changes_on(data), seed)]
            if outcome.results is None:
                heading = DATASETS[data].heading
                notes[f"{heading}, {row.name}: not run: {outcome.reason}"] = None
    return list(notes)


def _csv(table, groups, outcomes, seeds) -> str:
    """Write a line a cell, with the figure of every seed."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([
        "block", "row", "source", "data", "measure", "published", "mean", "sd",
        *(f"seed {seed}" for seed in seeds), "n_train", "n_fit", "n_test",
    ])  # fmt: skip
    block = ""
    for row in table.rows:
        block = row.block or block
        for column in (column for group in groups for column in group):
            figures = figures_of(row, column, outcomes, seeds)
            by_seed = [*figures.values, *[""] * (len(seeds) - len(figures.values))]
            writer.writerow([
                block, row.name, row.source or "paper", "+".join(column.datasets), column.key,
                *("" if math.isnan(value) else value
                  for value in (figures.published, figures.mean, figures.spread)),
                *by_seed, *_counts(row, column, outcomes, seeds),
            ])
    return file.getvalue()


def _counts(row: Row, column: Column, outcomes, seeds) -> list[Any]:
    """Return the numbers of train, fit and test images of a cell, where it was run."""
    if row.changes is None or len(column.datasets) > 1:
        return ["", "", ""]
    data = column.datasets[0]
    results = outcomes[run_of(data, row.changes_on(data), seeds[0])].results
    if results is None:
        return ["", "", ""]
    return [results["n_train"], *(results[row.layer][key] for key in ("n_fit", "n_test"))]
