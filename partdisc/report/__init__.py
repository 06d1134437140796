"""Pictures of a run: what the parts are, and how training saw its images."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from partdisc.discovery import stages, step
from partdisc.discovery.features import Features
from partdisc.discovery.loop import read_metrics
from partdisc.report import figures
from partdisc.report.pairs import show_pair
from partdisc.report.parts import (
    ground_truth,
    part_maps,
    shown_parts,
    strongest,
    strongest_patches,
    working_image,
)
from partdisc.workdir import Workdir

# Members of a pool: as many as a page is wide.
NEIGHBOURS = 6

_MEASURES = {
    "spatial_js": "Jensen-Shannon divergence in nats",
    "position_free": "distance, 1 - cosine of the channels' peaks",
}


def write_report(
    config: Any,
    workdir: Workdir,
    inputs: stages.Inputs,
    features: Features,
    start: stages.Start,
    settings: step.Settings,
    params: Any,
    train_images: step.Images,
    pools: np.ndarray,
    distances: np.ndarray,
    channels: np.ndarray,
    names: list[str],
    note: str,
) -> list[pathlib.Path]:
    """Draw the pictures of a run into `report/` of its work directory.

    Parts are shown on test images, or on training images where there are none to test on;
    pools, alignment and pseudo ground truth on training images. All are shown as the
    network sees them, cropped and resized.

    Args:
      config: the whole config.
      workdir: of the run.
      inputs: data set, backbone and geometry.
      features: the cache.
      start: the untrained part layer.
      settings: static settings of training.
      params: of the trained part layer.
      train_images: the training images on the device.
      pools: int32 [N, J], rows of `train_images`, best aligned first.
      distances: [N, J] of the pools.
      channels: int [n], the channels to show, best first.
      names: their n names; a landmark's name brings its ground truth into the pictures.
      note: a remark for the corner of every picture, or ''.

    Returns:
      The PNG files.
    """
    written: list[pathlib.Path] = []

    def draw(figure: Callable, name: str, *arrays: Any, **options: Any) -> None:
        path = workdir.path / "report" / f"{name}.png"
        figure(*arrays, path, note=note, **options)
        written.append(path)

    _draw_parts(
        draw, config, inputs, features, start, settings, params, np.asarray(channels, int), names
    )
    _draw_pairs(draw, config, inputs, settings, params, train_images, pools, distances)
    draw(figures.training_curves, "training_curves", read_metrics(workdir.path / "metrics.jsonl"))
    return written


def _draw_parts(draw, config, inputs, features, start, settings, params, channels, names) -> None:
    dataset = inputs.dataset
    split, kind = dataset.splits["test"], "test"
    if not len(split):
        split, kind = dataset.splits["train"], "training"
    rows = spread(len(split), config.report.images, config.seed)
    shown = split[rows]
    pictures = [working_image(inputs, index) for index in shown]
    parts = shown_parts(channels, names, dataset.landmark_names)
    few = parts.first(config.report.channels)
    peaks = functools.partial(strongest, config, inputs, features)
    points, scores = peaks(split, settings.layer, params, start.offset, parts.channels)
    untrained, _ = peaks(shown, settings.layer, start.params, start.offset, few.channels)
    trained = points[rows][:, : len(few.channels)]
    truth = ground_truth(inputs, shown, few.landmarks) if dataset.landmark_names else None
    for name, when, layer, marks in (
        ("heat_maps", "after training", params, trained),
        ("heat_maps_untrained", "before training", start.params, untrained),
    ):
        draw(
            figures.heat_maps,
            name,
            pictures,
            part_maps(inputs, features, shown, settings, layer, start.offset, few.channels),
            few.titles,
            points=marks,
            truth=truth,
            caption=f"The parts on {kind} images, {when}",
        )
    patches = [
        strongest_patches(inputs, split, points[:, k], scores[:, k], config.detection.box)
        for k in range(len(few.channels))
    ]
    draw(figures.part_gallery, "part_gallery", patches, few.titles)
    draw(
        figures.detections,
        "detections",
        pictures,
        points[rows],
        scores[rows],
        parts.titles,
        caption=f"Detected parts on {kind} images",
    )


def _draw_pairs(draw, config, inputs, settings, params, train_images, pools, distances) -> None:
    train, network = inputs.dataset.splits["train"], inputs.backbone
    rows = spread(len(pools), config.report.images, config.seed)
    targets = [working_image(inputs, index) for index in train[rows]]
    near = pools[rows, :NEIGHBOURS]
    draw(
        figures.similar_pools,
        "similar_pools",
        targets,
        [[working_image(inputs, index) for index in train[members]] for members in near],
        distances[rows, :NEIGHBOURS],
        measure=_MEASURES[config.pools.similarity],
    )
    pairs = [
        show_pair(config, inputs, settings, params, train_images, row, pools[row]) for row in rows
    ]
    draw(
        figures.aligned_pair,
        "aligned_pairs",
        targets,
        [working_image(inputs, train[pair.neighbour]) for pair in pairs],
        [pair.target for pair in pairs],
        [pair.source for pair in pairs],
        [pair.fits for pair in pairs],
        [pair.transform for pair in pairs],
        caption="Of each pool, the neighbour that alignment helped most",
    )
    draw(
        figures.pseudo_ground_truth,
        "pseudo_ground_truth",
        targets,
        [pair.labels for pair in pairs],
        background=settings.layer.parts,
        centres=[
            [network.stride * np.arange(side) + network.origin for side in pair.labels.shape]
            for pair in pairs
        ],
    )


def spread(size: int, count: int, seed: int) -> np.ndarray:
    """Draw at most `count` of the rows 0 ... size - 1, one from each of as many equal runs."""
    rng = np.random.default_rng(seed)
    runs = np.array_split(np.arange(size), min(count, size)) if size else []
    return np.array([rng.choice(run) for run in runs], int)
