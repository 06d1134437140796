"""The page of a run, and its pictures: what the parts are, how training saw its images."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from partdisc.discovery.log import read_metrics
from partdisc.discovery.run import Run
from partdisc.method.cells import cells_to_pixels
from partdisc.page import Drawn
from partdisc.report import figures
from partdisc.report.figures import Page
from partdisc.report.pairs import drawn_pair, show_pair
from partdisc.report.parts import (
    Parts,
    ground_truth,
    part_maps,
    shown_parts,
    strongest,
    strongest_patches,
    working_image,
)
from partdisc.report.run_page import Told, write_run_page
from partdisc.workdir import Workdir

# Members of a pool: as many as a page is wide.
NEIGHBOURS = 6
RANDOM_NOTE = "random backbone weights"

# What the pictures show that explain the training, in the order of the page.
_CAPTIONS = {
    "similar_pools": "Pools: photos and the most similar ones of each",
    "aligned_pairs": "Alignment: a neighbour laid on its photo",
    "pseudo_ground_truth": "Pseudo ground truth: the channel that each cell is taught to answer",
    "training_curves": "Curves: loss and what was matched, step by step",
    "heat_maps_untrained": "Channels before training",
    "heat_maps": "The same channels after training",
    "part_gallery": "Where single channels answer most",
    "detections": "Detections of single channels",
}

_MEASURES = {
    "spatial_js": "Jensen-Shannon divergence in nats",
    "position_free": "distance, 1 - cosine of the channels' peaks",
}


class ReportSettings(NamedTuple):
    """How much is drawn.

    Attributes:
      images: rows of a picture; 0 for none.
      channels: columns of a picture.
      photos: on the page.
    """

    images: int
    channels: int
    photos: int


class _Drawing(NamedTuple):
    """How much is drawn of what, and how: `draw(figure, name, *arrays, caption, **options)`."""

    settings: ReportSettings
    run: Run
    draw: Callable


def write_report(
    config: Any, workdir: Workdir, run: Run, parts: dict[str, int]
) -> list[pathlib.Path]:
    """Draw the pictures of a run into `report/` of its work directory.

    Parts are shown on test images, or on training images where there are none to test on;
    pools, alignment and pseudo ground truth on training images. All are shown as the
    network sees them, cropped and resized.

    Args:
      config: the whole config.
      workdir: of the run.
      run: what its stages made.
      parts: name -> channel to show, best first; a landmark's name brings its ground truth
        into the pictures.

    Returns:
      The PNG files; none, and none of an earlier run are left, if none are wanted.
    """
    written: list[pathlib.Path] = []
    folder = workdir.path / "report"
    if not config.report.images:
        for name in _CAPTIONS:  # Those of another run are not of this one.
            (folder / f"{name}.png").unlink(missing_ok=True)
        return written
    note = RANDOM_NOTE if config.backbone.weights == "random" else ""

    def draw(figure: Callable, name: str, *arrays: Any, caption: str = "", **options: Any) -> None:
        path = folder / f"{name}.png"
        figure(*arrays, Page(path, caption, note), **options)
        written.append(path)

    drawing = _Drawing(ReportSettings(**config.report), run, draw)
    _draw_parts(drawing, shown_parts(parts, run.inputs.dataset.landmark_names))
    _draw_pools(drawing)
    _draw_pairs(drawing)
    draw(figures.training_curves, "training_curves", read_metrics(workdir.path / "metrics.jsonl"))
    return written


def write_page(
    config: Any,
    workdir: Workdir,
    run: Run,
    results: dict[str, Any],
    pictures: list[pathlib.Path],
) -> pathlib.Path:
    """Write the page of a run into `report/` of its work directory; return the file.

    Args:
      config: the whole config.
      workdir: of the run.
      run: what its stages made; its detector has parts.
      results: of results.json.
      pictures: from `write_report`.
    """
    files = {file.stem: file for file in pictures}
    drawings = [Drawn(files[name], said) for name, said in _CAPTIONS.items() if name in files]
    page = workdir.path / "report" / "index.html"
    title = f"Parts of {workdir.path.name}"
    write_run_page(page, run, Told(title, results, drawings, config.report.photos))
    return page


def _draw_parts(drawing: _Drawing, parts: Parts) -> None:
    settings, run, draw = drawing
    dataset, features = run.inputs.dataset, run.features
    split, kind = dataset.splits["test"], "test"
    if not len(split):
        split, kind = dataset.splits["train"], "training"
    rows = spread(len(split), settings.images, run.seed)
    shown = split[rows]
    pictures = [working_image(run.inputs, index) for index in shown]
    few = parts.first(settings.channels)
    points, scores = strongest(run.detector, features, split, parts.channels)
    untrained, _ = strongest(run.start.detector, features, shown, few.channels)
    trained = points[rows][:, : len(few.channels)]
    truth = ground_truth(run.inputs, shown, few.landmarks) if dataset.landmark_names else None
    for name, when, detector, marks in (
        ("heat_maps", "after training", run.detector, trained),
        ("heat_maps_untrained", "before training", run.start.detector, untrained),
    ):
        draw(
            figures.heat_maps,
            name,
            pictures,
            part_maps(detector, features, shown, few.channels),
            few.titles,
            points=marks,
            truth=truth,
            caption=f"The parts on {kind} images, {when}",
        )
    patches = [
        strongest_patches(run.inputs, split, points[:, k], scores[:, k], run.detector.settings.box)
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


def _draw_pools(drawing: _Drawing) -> None:
    settings, run, draw = drawing
    train, pools = run.inputs.dataset.splits["train"], run.pools
    rows = spread(len(pools.members), settings.images, run.seed)
    near = pools.members[rows, :NEIGHBOURS]
    draw(
        figures.similar_pools,
        "similar_pools",
        [working_image(run.inputs, index) for index in train[rows]],
        [[working_image(run.inputs, index) for index in train[members]] for members in near],
        pools.distances[rows, :NEIGHBOURS],
        measure=_MEASURES[run.pooling.similarity],
    )


def _draw_pairs(drawing: _Drawing) -> None:
    settings, run, draw = drawing
    train, network = run.inputs.dataset.splits["train"], run.inputs.backbone
    rows = spread(len(run.pools.members), settings.images, run.seed)
    pairs = [
        show_pair(
            run.detector,
            run.settings,
            run.images,
            np.array([row, *run.pools.members[row]]),
            seed=run.seed,
        )
        for row in rows
    ]
    draw(
        figures.aligned_pairs,
        "aligned_pairs",
        [
            drawn_pair(run.inputs, pair, train[row], train[pair.neighbour])
            for pair, row in zip(pairs, rows, strict=True)
        ],
        caption="Of each pool, the neighbour that alignment helped most",
    )
    draw(
        figures.pseudo_ground_truth,
        "pseudo_ground_truth",
        [working_image(run.inputs, index) for index in train[rows]],
        [pair.labels for pair in pairs],
        background=run.settings.layer.parts,
        centres=[
            [
                cells_to_pixels(np.arange(side), network.stride, network.origin)
                for side in pair.labels.shape
            ]
            for pair in pairs
        ],
    )


def spread(size: int, count: int, seed: int) -> np.ndarray:
    """Draw at most `count` of the rows 0 ... size - 1, one from each of as many equal runs."""
    rng = np.random.default_rng(seed)
    runs = np.array_split(np.arange(size), min(count, size)) if size else []
    return np.array([rng.choice(run) for run in runs], int)
