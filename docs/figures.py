"""Fill the pages of figures with what was measured: `python docs/figures.py`.

Every table between `<!-- figures: ... -->` and `<!-- end -->` is made from a file of `tables/`,
which has a line a run, {data, seed, changes, results}, as a sweep keeps them:

  jq -c . runs/tables/results/*.json > docs/tables/vgg16.jsonl

What stands behind `figures:` is a kind of table (a function of this file), the file, and the data
sets. A test fails as long as a page has other figures than its files.
"""

import functools
import json
import math
import pathlib
import re
from collections.abc import Callable
from typing import Any

from partdisc.config import base_config, flatten
from partdisc.deviations import DEVIATIONS, PAPER
from partdisc.tables.entries import (
    Column,
    Figures,
    difference,
    difference_text,
    figures_of,
    mean_text,
    published,
)
from partdisc.tables.layout import render
from partdisc.tables.paper import DATASETS, TABLES, Row
from partdisc.tables.sweep import Outcome, Run, config_of, run_of, runs_of

FOLDER = pathlib.Path(__file__).parent
PAGES = ("results.md", "alignment.md", "performance.md")
SEEDS = (0, 1, 2)

_BLOCK = re.compile(r"(<!-- figures: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
# What the figures of a layer are called, by how many digits are shown.
_NAMES = {
    "map_iou": ("mAP IoU", 1), "map_l2_box": ("mAP box", 1),
    "map_l2_short_side": ("mAP short side", 1), "pck_box": ("PCK box", 1),
    "nme_peak": ("NME peak", 2), "nme_mean": ("NME mean", 2), "after": ("landmarks apart", 3),
}  # fmt: skip
_MORE = ("evaluation.extras", "evaluation.protocols")
# Figures that are kept below `alignment`.
_ALIGNMENT = ("before", "after", "oracle")
_SHOWN = {
    "car_parts": ("map_iou", "pck_box", "nme_peak", "nme_mean", "after"),
    "celeba_subset": ("map_l2_short_side", "nme_peak", "nme_mean", "after"),
}
_OTHERS = ("map_l2_box", "map_l2_short_side", "pck_box", "nme_peak", "nme_mean", "after")


class Outcomes(dict[Run, Outcome]):
    """From each run to its outcome, also by other changes that come to the same configuration."""

    def __missing__(self, run: Run) -> Outcome:
        """Return the outcome of the run that it comes to, or say that it was not done."""
        same = (one for one in self if one[::2] == run[::2] and _settings(one) == _settings(run))
        self[run] = self[found] if (found := next(same, None)) else Outcome(None, "not done here")
        return self[run]


@functools.cache
def _settings(run: Run) -> dict[str, Any]:
    settings = flatten(config_of(base_config(), run, {}))
    # These add figures, and change none of the others.
    return {key: value for key, value in settings.items() if key not in _MORE}


def load(name: str) -> Outcomes:
    """Return the outcomes of a file of `tables/`."""
    outcomes = Outcomes()
    for line in (FOLDER / "tables" / f"{name}.jsonl").read_text().splitlines():
        record = json.loads(line)
        run = run_of(record["data"], record["changes"], record["seed"])
        results = record["results"]
        for layer in ("clustering", "trained"):
            results[layer] |= {key: results[layer]["alignment"][key] for key in _ALIGNMENT}
        outcomes[run] = Outcome(results)
    return outcomes


def paper(outcomes: Outcomes, datasets: tuple[str, ...], number: str) -> str:
    """Write a table of the paper, without its title."""
    table = TABLES[int(number)]
    own = {run: outcomes[run] for run in runs_of(table, datasets, SEEDS)}
    written = render(table, int(number), datasets, own, SEEDS)["md"]
    return written.partition("\n\n")[2]


def gains(outcomes: Outcomes, datasets: tuple[str, ...], settings: str = "ours") -> str:
    """Write what training adds to clustering, by `ours`, the `paper`'s settings or key=value."""
    changed, _, value = settings.partition("=")
    changes = {changed: json.loads(value)} if value else {"ours": {}, "paper": PAPER}[settings]
    rows = ["| | clustering | trained | difference | in the paper |", "|---|---|---|---|---|"]
    for data in datasets:
        head = DATASETS[data].heading
        for key in _SHOWN.get(data, _OTHERS):
            name, digits = _NAMES[key]
            start, end = (
                _figures(outcomes, data, changes, layer, key) for layer in ("clustering", "trained")
            )
            if not end.by_seed:
                continue
            if key == "after":
                before, best = (
                    _figures(outcomes, data, changes, "trained", each)
                    for each in ("before", "oracle")
                )
                name += f" (before {before.mean:.3f}, best affine {best.mean:.3f})"
            cells = [
                f"{head}: {name}" if head else name,
                mean_text(start, digits),
                mean_text(end, digits),
            ]
            cells += ["" if key == "after" else difference_text(difference(end, start))]
            cells += [_margin(data, key)]
            rows.append(f"| {' | '.join(cells)} |")
            head = ""
    return "\n".join(rows) + "\n"


def beside(outcomes: Outcomes, datasets: tuple[str, ...], other: str) -> str:
    """Write the trained layers' figures beside those of another file."""
    rows = ["| | before | now |", "|---|---|---|"]
    for data in datasets:
        head = f"{DATASETS[data].heading}: "
        for key in _SHOWN.get(data, _OTHERS):
            name, digits = _NAMES[key]
            found = (_figures(one, data, {}, "trained", key) for one in (outcomes, load(other)))
            rows.append(f"| {head}{name} | {' | '.join(mean_text(one, digits) for one in found)} |")
            head = ""
    return "\n".join(rows) + "\n"


def ablation(outcomes: Outcomes, datasets: tuple[str, ...]) -> str:
    """Write what Table 7 has no columns for: errors, and how well neighbours are aligned."""
    columns = [(data, key) for data in datasets for key in ("nme_mean", "after")]
    rows, block, seen = [_head(columns)], "", set()
    for row in TABLES[7].rows:
        block = (row.block or block).partition(",")[0]
        if row.changes is None or str(row.changes) in seen:
            continue
        seen.add(str(row.changes))
        rows.append(_row(f"{block} {row.name}", outcomes, columns, row.changes))
    return "\n".join(rows) + "\n"


def worth(outcomes: Outcomes, datasets: tuple[str, ...], other: str) -> str:
    """Write what each deviation is worth, with seed 0; all of them together by another file."""
    columns = [
        (data, key)
        for data in datasets
        for key in (*_SHOWN.get(data, _OTHERS)[:1], "nme_peak", "nme_mean", "after")
    ]
    rows = [_head(columns)]
    rows.append(_row("(clustering, three seeds)", outcomes, columns, {}, "clustering"))
    rows.append(_row("(nothing, three seeds)", outcomes, columns, {}))
    rows.append(_row("(all of them, three seeds)", load(other), columns, PAPER))
    first = Outcomes({run: one for run, one in outcomes.items() if run.seed == 0})
    rows.append(_row("(nothing, seed 0)", first, columns, {}))
    rows += [_row(each.name, first, columns, each.paper) for each in DEVIATIONS]
    return "\n".join(rows) + "\n"


def protocols(outcomes: Outcomes, datasets: tuple[str, ...]) -> str:
    """Write the errors of one run, seed 0, by every protocol that it was scored by."""
    columns = [(layer, how) for layer in ("clustering", "trained") for how in ("peak", "mean")]
    heads = [f"{layer} {how}" for layer, how in columns]
    rows = [f"| protocol | {' | '.join(heads)} | a point that never moves |"]
    rows.append(f"|{'---|' * (len(columns) + 2)}")
    for data in datasets:
        results = outcomes[run_of(data, {}, 0)].results
        for name, still in results["baselines"]["mean_shape"]["regression"].items():
            errors = [results[layer]["regression"][name][f"nme_{how}"] for layer, how in columns]
            cells = [f"{error:.2f}" for error in (*errors, still)]
            rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


KINDS: dict[str, Callable[..., str]] = {
    one.__name__: one for one in (paper, gains, beside, ablation, worth, protocols)
}


def filled(page: str) -> str:
    """Return a page with the figures of its files in all its tables."""

    def table(found: re.Match) -> str:
        kind, name, datasets, *more = found[2].split()
        written = KINDS[kind](load(name), tuple(datasets.split("+")), *more)
        return f"{found[1]}\n{written}\n{found[3]}"

    return _BLOCK.sub(table, page)


def _figures(
    outcomes: Outcomes, data: str, changes: dict[str, Any], layer: str, key: str
) -> Figures:
    row, column = Row("", {}, "", changes, layer), Column("", (data,), key)
    return figures_of(row, column, outcomes, SEEDS)


def _margin(data: str, key: str) -> str:
    """Return what training adds in the paper, where it says."""
    numbers = (3, 6) if key.startswith("nme") else (1, 2, 5) if key.startswith("map") else ()
    for number in numbers:
        rows = {row.name: row for row in TABLES[number].rows}
        margin = published(rows["Ours"], data) - published(rows["Clustering"], data)
        if not math.isnan(margin):
            return f"{margin:+.1f}"
    return ""


def _head(columns: list[tuple[str, str]]) -> str:
    names, last = [], ""
    for data, key in columns:
        name = _NAMES[key][0]
        names.append(name if data == last else f"{DATASETS[data].heading}: {name}")
        last = data
    return f"| | {' | '.join(names)} |\n|{'---|' * (len(columns) + 1)}"


def _row(
    name: str,
    outcomes: Outcomes,
    columns: list[tuple[str, str]],
    changes: dict[str, Any],
    layer: str = "trained",
) -> str:
    cells = [
        mean_text(_figures(outcomes, data, changes, layer, key), _NAMES[key][1])
        for data, key in columns
    ]
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    for name in PAGES:
        page = FOLDER / name
        page.write_text(filled(page.read_text()))
