"""Diagnose alignment on labelled images: `--mode=align`, protocol D in full."""

from typing import Any, NamedTuple

import numpy as np

from partdisc import evaluation
from partdisc.data import Dataset
from partdisc.discovery import stages, step
from partdisc.discovery.pool_alignment import PoolAlignment, unit_maps
from partdisc.errors import ConfigError, DataError
from partdisc.method.transforms import FAMILIES
from partdisc.progress import say, table
from partdisc.report import figures
from partdisc.report.pairs import show_pair
from partdisc.report.parts import working_image
from partdisc.scoring.alignment import LabelledPools, Pairs, align, in_pixels, summary
from partdisc.scoring.results_table import ALIGNMENT_COLUMNS, alignment_row
from partdisc.workdir import Workdir, write_json


class _Measured(NamedTuple):
    settings: step.Settings
    aligned: PoolAlignment
    pairs: Pairs


def check_labelled(config: Any, dataset: Dataset) -> None:
    """Refuse data without landmarks before any work.

    Raises:
      errors.ConfigError: no image is to be measured.
      errors.DataError: the data set has no landmarks.
    """
    if config.evaluation.alignment_images == 0:
        raise ConfigError("config.evaluation.alignment_images is 0; --mode=align needs 1 or more")
    if not dataset.landmark_names:
        raise DataError(
            f"{dataset.name} has no landmarks, by which --mode=align measures alignment"
        )


def diagnose(
    config: Any,
    workdir: Workdir,
    inputs: stages.Inputs,
    pools: LabelledPools | None,
    layers: dict[str, Any],
    settings: step.Settings,
) -> None:
    """Measure the alignment of pools by every family of transforms, print it and draw pairs.

    The pools are those of the config for every family. Writes alignment.json and the
    pictures `aligned_best` and `aligned_worst` of the last layer with the transform of the
    config: the pairs that came nearer most, and those that are left furthest apart.

    Args:
      config: the whole config.
      workdir: of the run.
      inputs: data set and backbone.
      pools: the labelled pools.
      layers: name -> params, the untrained layer and, where there is one, the trained.
      settings: static settings of training.

    Raises:
      errors.DataError: there are too few labelled images.
    """
    if pools is None:
        raise DataError(
            f"{inputs.dataset.name} has too few images with landmarks to measure alignment: "
            f"pools of {config.pools.size} need more than that many"
        )
    found: dict[str, Any] = {}
    for name, params in layers.items():
        maps = unit_maps(settings.layer, params, pools.images)
        measured = {
            family: _measure(config, inputs, pools, _with_family(settings, family), maps)
            for family in FAMILIES
        }
        found[name] = {
            family: summary(one.pairs, one.aligned, one.settings)
            for family, one in measured.items()
        }
        say("")
        table(
            f"{name}: {inputs.dataset.name}, pools of {len(pools.targets)} images; mean landmark "
            "distance / normaliser",
            ["", *ALIGNMENT_COLUMNS],
            [alignment_row(family, row) for family, row in found[name].items()],
        )
        chosen = measured[config.alignment.transform]
        groups = {
            group: summary(chosen.pairs, chosen.aligned, chosen.settings, rows)
            for group, rows in _groups(chosen.aligned.scores).items()
        }
        found[name]["groups"] = groups
        say("")
        table(
            f"{name}, {config.alignment.transform}: by neighbour",
            ["", *ALIGNMENT_COLUMNS],
            [alignment_row(group, row) for group, row in groups.items()],
        )
    write_json(workdir.path / "alignment.json", found)
    pictures = _draw(config, workdir, inputs, pools, chosen, params)
    say("")
    say(f"figures     {workdir.path / 'alignment.json'}")
    say(f"pictures    {', '.join(map(str, pictures))}")


def _with_family(settings: step.Settings, family: str) -> step.Settings:
    options = dict(settings.alignment) | {"transform": family}
    return settings._replace(alignment=tuple(sorted(options.items())))


def _measure(config, inputs, pools, settings, maps) -> _Measured:
    aligned = align(config, pools, settings, maps)
    return _Measured(settings, aligned, in_pixels(inputs, pools, aligned.transforms))


def _groups(scores: np.ndarray) -> dict[str, np.ndarray]:
    """Group the pairs [n * J] by the neighbour's place in its pool, and by its score."""
    number, size = scores.shape
    place = np.tile(np.arange(size), number)
    groups = {}
    for part in np.array_split(np.arange(size), min(3, size)):
        groups[f"neighbours {part[0] + 1} to {part[-1] + 1}"] = np.isin(place, part)
    order = np.argsort(-scores, axis=None, kind="stable")
    for quarter, part in enumerate(np.array_split(order, 4)):
        if len(part):
            low, high = scores.flat[part].min(), scores.flat[part].max()
            groups[f"score quarter {quarter + 1} ({low:.2f} to {high:.2f})"] = part
    return groups


def _draw(config, workdir, inputs, pools, measured: _Measured, params) -> list:
    before, after = (
        array.reshape(pools.members.shape)
        for array in evaluation.pair_distances(*measured.pairs.flat())
    )
    written = []
    for name, worth, caption in (
        ("aligned_best", before - after, "Pairs that alignment brought nearer most"),
        ("aligned_worst", after, "Pairs that alignment leaves furthest apart"),
    ):
        worth = np.where(np.isfinite(worth), worth, -np.inf)
        # A neighbour a target, so that one odd image does not fill the sheet.
        neighbour = worth.argmax(axis=1)
        rows = np.argsort(-worth.max(axis=1), kind="stable")[: config.report.images]
        rows = rows[np.isfinite(worth[rows].max(axis=1))]
        shown = [
            show_pair(
                config,
                inputs,
                measured.settings,
                params,
                pools.images,
                pools.targets[row],
                pools.members[row],
                neighbour[row],
            )
            for row in rows
        ]
        path = workdir.path / "report" / f"{name}.png"
        figures.aligned_pair(
            [working_image(inputs, pools.index[pools.targets[row]]) for row in rows],
            [working_image(inputs, pools.index[pair.neighbour]) for pair in shown],
            [pair.target for pair in shown],
            [pair.source for pair in shown],
            [pair.fits for pair in shown],
            [pair.transform for pair in shown],
            path,
            caption=caption,
            remarks=[
                f"{before[row, j]:.2f} to {after[row, j]:.2f}"
                for row, j in zip(rows, neighbour[rows], strict=True)
            ],
        )
        written.append(path)
    return written
