"""From the outcomes of a sweep to a table in every format."""

import csv
import io
import math
from typing import Any

from partdisc.scoring.results_table import described
from partdisc.tables import formats
from partdisc.tables.entries import (
    Column,
    cell_text,
    columns_of,
    difference,
    difference_text,
    figure_text,
    figures_of,
    published,
)
from partdisc.tables.paper import DATASETS, Row, Table
from partdisc.tables.sweep import Outcome, Run, run_of

FORMATS = {"txt": "text", "md": "Markdown", "tex": "LaTeX", "csv": "CSV"}
# How a figure's name of results.json is printed.
_MEASURES = {
    "map_iou": "IoU", "map_vsp": "IoU, vsp", "map_l2_box": "box",
    "map_l2_short_side": "short side", "nme_peak": "peak", "nme_mean": "centroid",
}  # fmt: skip


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
            cells += [figure_text(figures[0].published, table.measure)] * paper
            cells += [cell_text(one, table.measure) for one in figures]
        lines.append(formats.Line("", [f"{row.name} {row.source}".strip(), *cells]))
    lines += _differences(table, groups, papers, outcomes, seeds)
    title = f"Table {number}: {table.title}"
    notes = _notes(table, groups, datasets, outcomes, seeds)
    return {
        "txt": formats.text(title, head, lines, notes),
        "md": formats.markdown(title, head, lines, notes),
        "tex": formats.latex(title, head, lines, notes),
        "csv": _csv(table, groups, outcomes, seeds),
    }


def _is_published(row: Row, groups: list[list[Column]]) -> bool:
    return any(
        not math.isnan(published(row, data)) for group in groups for data in group[0].datasets
    )


def _headings(groups: list[list[Column]], papers: list[bool]) -> list[str]:
    headings = []
    for group, paper in zip(groups, papers, strict=True):
        ours = [f"ours, {_MEASURES[column.key]}" for column in group]
        first, *rest = ["paper", *ours] if paper else ours
        headings += [f"{group[0].heading}: {first}", *rest]
    return headings


def _differences(table, groups, papers, outcomes, seeds) -> list[formats.Line]:
    """Compare ours with what it should beat, seed by seed."""
    rows = {row.name: row for row in table.rows if row.changes is not None}
    others = [
        name
        for name in ("Clustering", "MaskRegularized", "Ours, settings of the paper")
        if name in rows
    ]
    if not others or "Ours" not in rows:
        return []
    lines = [formats.Line("differences", [])]
    for other in others:
        cells = []
        for group, paper in zip(groups, papers, strict=True):
            found = [
                difference(
                    *(figures_of(rows[name], column, outcomes, seeds) for name in ("Ours", other))
                )
                for column in group
            ]
            theirs = found[0].published
            cells += ["" if math.isnan(theirs) else f"{theirs:+.1f}"] * paper
            cells += [difference_text(one) for one in found]
        lines.append(formats.Line("", [f"Ours - {other}", *cells]))
    return lines


def _notes(table, groups, datasets, outcomes, seeds) -> list[str]:
    notes = [
        "%, higher is better; in brackets: ours minus the paper's"
        if table.measure == "map"
        else "% of the normaliser, lower is better; in brackets: ours minus the paper's"
    ]
    for data, group in zip(datasets, groups, strict=False):
        heading = DATASETS[data].heading
        found = [one for run, one in outcomes.items() if run.data == data]
        done = [one.results for one in found if one.results]
        if not done:
            notes.append(f"{heading}: not run: {found[0].reason}")
            continue
        notes += _rows_not_run(table, data, outcomes, seeds)
        notes += [
            f"{heading}: {_MEASURES[column.key]} was not measured by {_protocol(table, done[0])}"
            for column in group
            if not any(figures_of(row, column, outcomes, seeds).by_seed for row in table.rows)
        ]
        trained = sorted({one["n_train"] for one in done}, reverse=True)
        notes.append(
            f"{heading}: {done[0]['backbone']}"
            f"{' (random weights)' if done[0]['random_weights'] else ''}, "
            f"{' or '.join(map(str, trained))} train, {done[0]['trained']['n_fit']} fit, "
            f"{done[0]['trained']['n_test']} test images, {_protocol(table, done[0])}"
        )
        other = next((name for name in DATASETS[data].stands_for if name in table.columns), None)
        if other:
            notes.append(f"{heading} stands for {DATASETS[other].heading} of the paper")
    if len(seeds) > 1:
        notes.append(f"mean ± standard deviation over seeds {', '.join(map(str, seeds))}")
    else:
        notes.append(f"seed {seeds[0]} alone")
    return notes + list(table.remarks)


def _protocol(table: Table, results: dict[str, Any]) -> str:
    """Say by what protocol the figures of a table were measured."""
    protocol = results["protocol"]
    if table.measure == "nme":
        return f"protocol {described(protocol['regression'])}"
    return f"protocol {protocol['detection']}, channels chosen on " + described(
        protocol["channel_selection"]
    )


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
        *(f"seed {seed}" for seed in seeds), "n_train", "n_fit", "n_test", "protocol",
    ])  # fmt: skip
    block = ""
    for row in table.rows:
        block = row.block or block
        source = row.source or ("paper" if row.published else "")
        for column in (column for group in groups for column in group):
            figures = figures_of(row, column, outcomes, seeds)
            writer.writerow(
                [
                    block,
                    row.name,
                    source,
                    "+".join(column.datasets),
                    column.key,
                    *(
                        "" if math.isnan(value) else value
                        for value in (figures.published, figures.mean, figures.spread)
                    ),
                    *(figures.by_seed.get(seed, "") for seed in seeds),
                    *_circumstances(table, row, column, outcomes, seeds),
                ]
            )
    return file.getvalue()


def _circumstances(table: Table, row: Row, column: Column, outcomes, seeds) -> list[Any]:
    """Return the numbers of train, fit and test images, and the protocol, where it was run."""
    nothing = ["", "", "", ""]
    if row.changes is None or len(column.datasets) > 1:
        return nothing
    data = column.datasets[0]
    found = (outcomes[run_of(data, row.changes_on(data), seed)].results for seed in seeds)
    results = next(filter(None, found), None)
    if results is None:
        return nothing
    layer = results["trained"]
    return [results["n_train"], layer["n_fit"], layer["n_test"], _protocol(table, results)]
