"""The figures of results.json as tables."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from partdisc.progress import Table, say, table

# Heading of a column of the main table, and where its figure lies.
_COLUMNS = {
    "mAP IoU {iou}": "map_iou",
    "mAP IoU {iou}, vsp": "map_vsp",
    "mAP@{t} box": "map_l2_box",
    "mAP@{t} short side": "map_l2_short_side",
    "PCK@{t} box": "pck_box",
    "PCK@{t} short side": "pck_short_side",
    "NME peak": "nme_peak",
    "NME mean": "nme_mean",
}


# What a reader must know of a protocol or a choice, wherever its name is printed.
_WARNINGS = {
    "eye_leak": "eye_leak (leaks the answer)",
    "test": "test (an upper bound)",
}

ALIGNMENT_COLUMNS = ("before", "after", "oracle", "improved", "identity", "inliers", "matches")


def described(name: str) -> str:
    """Return the name of a protocol or of a split, with what a reader must know of it."""
    return _WARNINGS.get(name, name)


def print_tables(tables: Iterable[Table]) -> None:
    """Print tables, each below an empty line."""
    for one in tables:
        say("")
        table(*one)


def result_tables(results: dict[str, Any], layers: tuple[str, ...]) -> list[Table]:
    """Return the rows of some layers beside the baselines.

    Args:
      results: as results.json holds them.
      layers: the keys of `results` that are rows; the last one is described in the title.
    """
    if not results["baselines"]:
        return [_label_free(results, layers)]
    made = [_main(results, layers)]
    if len(results[layers[-1]]["regression"]) > 1:
        made.append(_protocols(results, layers))
    aligned = [name for name in layers if results[name].get("alignment")]
    if aligned:
        made.append(
            Table(
                "alignment of pools of labelled images: mean landmark distance / normaliser",
                ["", *ALIGNMENT_COLUMNS],
                [alignment_row(name, results[name]["alignment"]) for name in aligned],
            )
        )
    return made + _extras(results, layers)


def _main(results: dict[str, Any], layers: tuple[str, ...]) -> Table:
    protocol, last = results["protocol"], results[layers[-1]]
    keys = [
        (heading.format(t=protocol["threshold"], iou=protocol["iou"]), key)
        for heading, key in _COLUMNS.items()
        if np.isfinite(last.get(key, np.nan))
    ]
    rows = [
        [name, *(f"{results[name][key]:.{2 if 'nme' in key else 1}f}" for _, key in keys)]
        for name in layers
    ]
    for name, figures in results["baselines"].items():
        rows.append(
            [
                name.replace("_", " "),
                *(f"{figures['nme']:.2f}" if key == "nme_peak" else "-" for _, key in keys),
            ]
        )
    title = (
        f"{_subject(results)}: {last['n_fit']} fit, "
        f"{last['n_test']} test images; %; mAP and PCK: higher is better, NME: lower; "
        f"protocol {described(protocol['regression'])} / {protocol['detection']}, "
        f"channels chosen on {described(protocol['channel_selection'])}"
    )
    return Table(title, ["", *(heading for heading, _ in keys)], rows)


def _extras(results: dict[str, Any], layers: tuple[str, ...]) -> list[Table]:
    """Return the figures of `config.evaluation.extras`, a row each."""
    rows = []
    flat = [dict(_flat(results[name].get("extras", {}))) for name in layers]
    for key in flat[-1]:
        rows.append([key, *(f"{one[key]:.2f}" if key in one else "-" for one in flat)])
    return [Table("further figures, %, and counts", ["", *layers], rows)] if rows else []


def _flat(extras: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in extras.items():
        if isinstance(value, dict):
            unit = " % at most" if name == "cumulative" else ""
            for key, figure in value.items():
                if isinstance(figure, dict):
                    yield from ((f"{name} {key}: {leaf}", one) for leaf, one in figure.items())
                else:
                    yield f"{name}: {key}{unit}", figure
        elif isinstance(value, list):
            for row in value:
                yield f"{name}: {row['images']} images, mean", row["mean"]
                yield f"{name}: {row['images']} images, sd", row["deviation"]
        else:
            yield name, value


def _subject(results: dict[str, Any]) -> str:
    """Name the data, and the features where there are any."""
    remark = " (random backbone weights)" if results["random_weights"] else ""
    return f"{results['data']}{results['backbone'] and ', '}{results['backbone']}{remark}"


def _label_free(results: dict[str, Any], layers: tuple[str, ...]) -> Table:
    return Table(
        f"{_subject(results)}: no landmarks, label-free figures",
        ["", "agreement of aligned images", "cells that are background", "parts in use"],
        [
            [
                name,
                *(
                    f"{100 * results[name]['label_free'][key]:.1f} %"
                    for key in ("agreement", "background_argmax", "channels_in_use")
                ),
            ]
            for name in layers
        ],
    )


def _protocols(results: dict[str, Any], layers: tuple[str, ...]) -> Table:
    """Return the errors of the same predictions by every protocol, and of the mean shape."""
    last = results[layers[-1]]["regression"]
    still = results["baselines"]["mean_shape"]["regression"]
    columns = [
        (name, kind)
        for name in layers
        for kind in ("nme_peak", "nme_mean")
        if kind in next(iter(results[name]["regression"].values()))
    ]
    return Table(
        "landmark regression by protocol, %; these differ in what counts as 100 %",
        [
            "",
            *(f"{name} {kind.removeprefix('nme_')}" for name, kind in columns),
            "same pixel",
            "fit",
            "test",
        ],
        [
            [
                described(protocol),
                *(f"{results[name]['regression'][protocol][kind]:.2f}" for name, kind in columns),
                f"{still[protocol]:.2f}",
                *(str(last[protocol][count]) for count in ("n_fit", "n_test")),
            ]
            for protocol in last
        ],
    )


def alignment_row(name: str, quality: dict[str, float]) -> list[str]:
    """Return the cells of a row under `ALIGNMENT_COLUMNS`."""
    return [
        name,
        *(f"{quality[key]:.3f}" for key in ("before", "after", "oracle")),
        *(f"{100 * quality[key]:.0f} %" for key in ("improved", "identity_share")),
        *(f"{quality[key]:.0f}" for key in ("inliers", "matches")),
    ]
