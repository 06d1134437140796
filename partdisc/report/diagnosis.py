"""Diagnose alignment on labelled images: `--mode=align`, protocol D in full."""

import pathlib
from typing import Any, NamedTuple

import numpy as np

from partdisc import evaluation
from partdisc.data import Listed
from partdisc.detector import Detector
from partdisc.discovery.inputs import Inputs
from partdisc.discovery.pool_alignment import Aligner, PoolAlignment, aligner_of
from partdisc.discovery.run import Run
from partdisc.errors import ConfigError, DataError
from partdisc.method.transforms import FAMILIES
from partdisc.progress import say, table
from partdisc.report import figures
from partdisc.report.pairs import drawn_pair, show_pair
from partdisc.scoring.alignment import (
    LabelledPools,
    Pairs,
    align,
    in_pixels,
    labelled_pools,
    summary,
)
from partdisc.scoring.results_table import ALIGNMENT_COLUMNS, alignment_row
from partdisc.scoring.settings import scoring_settings
from partdisc.workdir import Workdir, write_json


class _Measured(NamedTuple):
    aligner: Aligner
    aligned: PoolAlignment
    pairs: Pairs


def check_labelled(config: Any, listed: Listed) -> None:
    """Refuse data without landmarks before any work.

    Raises:
      errors.ConfigError: no image is to be measured.
      errors.DataError: the data set has no landmarks.
    """
    if config.evaluation.alignment_images == 0:
        raise ConfigError("config.evaluation.alignment_images is 0; --mode=align needs 1 or more")
    if not listed.listing.landmark_names:
        raise DataError(
            f"{listed.wanted.name} has no landmarks, by which --mode=align measures alignment"
        )


def diagnose(config: Any, workdir: Workdir, run: Run, detectors: dict[str, Detector]) -> None:
    """Measure the alignment of pools by every family of transforms, print it and draw pairs.

    The pools are those of the config for every family. Writes alignment.json and the
    pictures `aligned_best` and `aligned_worst` of the last layer with the transform of the
    config: the pairs that came nearer most, and those that are left furthest apart.

    Args:
      config: the whole config.
      workdir: of the run.
      run: what its stages made.
      detectors: by name, the untrained one and, where there is one, the trained.

    Raises:
      errors.DataError: there are too few labelled images.
    """
    name_of_data, family = run.inputs.dataset.name, run.settings.alignment.transform
    pools = labelled_pools(scoring_settings(config), run)
    if pools is None:
        raise DataError(
            f"{name_of_data} has too few images with landmarks to measure alignment: "
            f"pools of {run.pooling.size} need more than that many"
        )
    found: dict[str, Any] = {}
    for name, detector in detectors.items():
        aligner = aligner_of(run.settings, detector.params, pools.images, seed=run.seed)
        measured = {
            each: _measure(run.inputs, pools, aligner.with_family(each)) for each in FAMILIES
        }
        found[name] = {
            each: summary(one.pairs, one.aligned, each) for each, one in measured.items()
        }
        say("")
        table(
            f"{name}: {name_of_data}, pools of {len(pools.targets)} images; mean landmark "
            "distance / normaliser",
            ["", *ALIGNMENT_COLUMNS],
            [alignment_row(each, row) for each, row in found[name].items()],
        )
        chosen = measured[family]
        groups = {
            group: summary(chosen.pairs, chosen.aligned, family, rows)
            for group, rows in _groups(chosen.aligned.scores).items()
        }
        found[name]["groups"] = groups
        say("")
        table(
            f"{name}, {family}: by neighbour",
            ["", *ALIGNMENT_COLUMNS],
            [alignment_row(group, row) for group, row in groups.items()],
        )
    write_json(workdir.path / "alignment.json", found)
    pictures = _draw(config, workdir, run.inputs, pools, chosen, detector)
    say("")
    say(f"figures     {workdir.path / 'alignment.json'}")
    say(f"pictures    {', '.join(map(str, pictures))}")


def _measure(inputs: Inputs, pools: LabelledPools, aligner: Aligner) -> _Measured:
    aligned = align(pools, aligner)
    return _Measured(aligner, aligned, in_pixels(inputs, pools, aligned.transforms))


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


def _draw(
    config: Any,
    workdir: Workdir,
    inputs: Inputs,
    pools: LabelledPools,
    measured: _Measured,
    detector: Detector,
) -> list[pathlib.Path]:
    """Draw the pairs that came nearer most, and those that are left furthest apart."""
    before, after = (
        array.reshape(pools.members.shape)
        for array in evaluation.pair_distances(*measured.pairs.flat())
    )
    aligner, written = measured.aligner, []
    for name, worth, caption in (
        ("aligned_best", before - after, "Pairs that alignment brought nearer most"),
        ("aligned_worst", after, "Pairs that alignment leaves furthest apart"),
    ):
        worth = np.where(np.isfinite(worth), worth, -np.inf)
        # A neighbour a target, so that one odd image does not fill the sheet.
        neighbour = worth.argmax(axis=1)
        rows = np.argsort(-worth.max(axis=1), kind="stable")[: config.report.images]
        drawn = []
        for row in rows[np.isfinite(worth[rows].max(axis=1))]:
            pair = show_pair(
                detector,
                aligner.settings,
                pools.images,
                np.array([pools.targets[row], *pools.members[row]]),
                seed=aligner.seed,
                neighbour=neighbour[row],
            )
            target, other = pools.index[[pools.targets[row], pair.neighbour]]
            distances = (array[row, neighbour[row]] for array in (before, after))
            remark = "{:.2f} to {:.2f}".format(*distances)
            drawn.append(drawn_pair(inputs, pair, target, other, remark))
        written.append(workdir.path / "report" / f"{name}.png")
        figures.aligned_pairs(drawn, figures.Page(written[-1], caption))
    return written
