"""Figures of numbers: curves of training, bars of scores."""

import math

import numpy as np

from partdisc.report.figures.page import Page
from partdisc.report.figures.sheet import EDGE, FAINT, INK, Sheet, colour, empty, wrap

_CURVE = "#1c6dd0"

# What is recorded: key, title, factor to the unit shown.
_CURVES = (
    ("loss", "loss [nats]", 1),
    ("entropy", "entropy of the channels taught [nats]", 1),
    ("matches", "matches of a pair", 1),
    ("inliers", "matches that fit the transform", 1),
    ("identity_share", "pairs left as they are [%]", 100),
    ("background_share", "cells taught as background [%]", 100),
    ("background_argmax", "cells that the background wins [%]", 100),
    ("positive_share", "maps that show their part [%]", 100),
    ("channels_in_use", "channels in use", 1),
)


def training_curves(records, page: Page) -> None:
    """Draw what was recorded over the steps: each value faint, their moving mean bold.

    Args:
      records: dicts with `step` and any of `loss`, `entropy` (nats), `matches`,
        `inliers`, `channels_in_use` (counts), `identity_share`, `background_share`,
        `background_argmax`, `positive_share` (shares in [0, 1]); a key may be missing or
        NaN in any of them.
      page: where it goes.
    """
    curves = []
    for key, title, factor in _CURVES:
        pairs = [(float(r["step"]), factor * float(r[key])) for r in records if key in r]
        pairs = np.asarray(sorted(p for p in pairs if math.isfinite(p[1])))
        if len(pairs):
            curves.append((title, *pairs.T))
    ending = page.ending("Training", follows="faint: as recorded; bold: moving mean")
    if not curves:
        return empty(page.path, "no records", **ending)
    rows = math.ceil(len(curves) / 4)
    columns = math.ceil(len(curves) / rows)
    sheet = Sheet([2.3] * columns, [1.35] * rows, gap=(0.62, 0.5))
    last = max(steps[-1] for _, steps, _ in curves)
    first = min(steps[0] for _, steps, _ in curves)
    for i, (title, steps, values) in enumerate(curves):
        axes = sheet.panel(i // columns, i % columns)
        _plain(axes)
        alone = {"marker": "o", "ms": 3} if len(steps) == 1 else {}
        axes.plot(steps, values, color=_CURVE, alpha=0.3, lw=0.7, **alone)
        # The steps are averaged as well, or a slope would be bent at both ends.
        reach = len(values) // 20
        axes.plot(smooth(steps, reach), smooth(values, reach), color=_CURVE, lw=1.6)
        axes.set_title(title, size=7.5, weight="bold", color=INK, loc="left", pad=4)
        if last > first:
            axes.set_xlim(first, last)
        axes.margins(y=0.08)
        if np.ptp(values) == 0:  # a flat curve has no scale of its own
            axes.set_ylim(min(0.0, 2 * values[0]), max(2 * values[0], 1.0))
        if i + columns >= len(curves):
            axes.set_xlabel("step", size=7, color=INK, labelpad=2)
    sheet.save(page.path, **ending)


def scores_chart(rows, page: Page) -> None:
    """Draw scores as bars: a panel a metric, a bar a method.

    Args:
      rows: (name, {metric: value}) of each method, in the order to be shown. The
        metric's name holds its unit; a value may be missing or NaN.
      page: where it goes.
    """
    metrics = list(dict.fromkeys(metric for _, scores in rows for metric in scores))
    ending = page.ending("Scores", follows="")
    if not metrics:
        return empty(page.path, "no scores", **ending)
    sheet = Sheet([2.0] * len(metrics), [0.26 * len(rows) + 0.1], gap=(0.0, 0.25))
    sheet.headings(metrics)
    for column, metric in enumerate(metrics):
        axes = sheet.panel(0, column)
        _plain(axes)
        values = [float(scores.get(metric, math.nan)) for _, scores in rows]
        known = [value for value in values if math.isfinite(value)]
        low, high = min([0.0, *known]), max([0.0, *known])
        room = 0.25 * ((high - low) or 1.0)  # for the number beside the longest bar
        axes.set(xlim=(low - (room if low < 0 else 0), high + room), ylim=(len(rows) - 0.5, -0.5))
        for y, value in enumerate(values):
            shown = value if math.isfinite(value) else 0.0
            axes.barh(y, shown, height=0.68, color=colour(y), zorder=2)
            text = _number(value) if math.isfinite(value) else "not measured"
            style = {"size": 7, "color": INK if math.isfinite(value) else FAINT}
            axes.annotate(
                text,
                (shown, y),
                (3 if shown >= 0 else -3, 0),
                textcoords="offset points",
                ha="left" if shown >= 0 else "right",
                va="center_baseline",
                **style,
            )
        axes.set(xticks=[], yticks=range(len(rows)))
        axes.tick_params(axis="y", length=0)
        axes.spines["bottom"].set_visible(False)
        axes.grid(False)
        names = [wrap(name, 2.4, 7.5, lines=2) if column == 0 else "" for name, _ in rows]
        axes.set_yticklabels(names, size=7.5, color=INK, parse_math=False)
    sheet.save(page.path, **ending)


def smooth(values, reach: int) -> np.ndarray:
    """Give the mean of each value [n] and those up to `reach` before and after it."""
    values = np.asarray(values, dtype=float)
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, len(values))
    return (total[high] - total[low]) / (high - low)


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _plain(axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=EDGE, linewidth=0.8)
    axes.tick_params(labelsize=6.5, colors=EDGE, labelcolor=INK, length=2.5, width=0.6)
    axes.grid(axis="y", color=EDGE, lw=0.3, alpha=0.6)
