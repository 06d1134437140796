"""The page of a run: its photos with their parts, and how these were found."""

import functools
import pathlib
from typing import Any, NamedTuple

import numpy as np

from partdisc.discovery.run import Run
from partdisc.page import Album, Drawn, Page, choose, write_montage, write_page
from partdisc.progress import Progress
from partdisc.scoring.results_table import result_tables


class Told(NamedTuple):
    """What the page of a run says besides its parts.

    Attributes:
      title: its heading.
      results: of results.json.
      drawings: of the training.
      photos: on the page, at most.
    """

    title: str
    results: dict[str, Any]
    drawings: list[Drawn]
    photos: int


def write_run_page(path: pathlib.Path, run: Run, told: Told) -> None:
    """Write the page of a run, and its opening as `parts.png` beside it.

    It shows the test photos, or the training photos where there are none.
    """
    dataset, detector = run.inputs.dataset, run.detector
    test = len(dataset.splits["test"]) > 0
    split = dataset.splits["test" if test else "train"]
    album = Album(detector.parts, len(split), told.photos)
    with Progress("photos of the page", total=len(album.wanted), unit="images") as progress:
        for place in sorted(album.wanted):
            index = split[place : place + 1]
            features, _ = run.features.take_fine(index)
            geometry = run.inputs.geometry.take(index)
            name = dataset.keys[index[0]]
            (found,) = detector.predictions([name], np.asarray(features), geometry)
            album.add(place, functools.partial(dataset.image, int(index[0])), found)
            progress.advance(1)
    train = len(dataset.splits["train"])
    network = f"{detector.backbone.name} {detector.backbone.layer}"
    weights = ", random weights" if told.results["random_weights"] else ""
    shown = f"{len(album.photos)} of {len(split)} {'test' if test else 'training'} photos are shown"
    facts = [
        f"{len(detector.parts)} parts, found in {train} photos without any label "
        f"({network}{weights}). {shown}."
    ]
    # Without labels there is nothing to compare with.
    labelled = told.results["baselines"]
    tables = result_tables(told.results, ("clustering", "trained")) if labelled else []
    page = Page(told.title, facts, detector.parts, album.photos, [], told.drawings, tables)
    write_page(path, page)
    typical, _ = choose(album.photos)
    write_montage(path.with_name("parts.png"), [album.photos[n] for n in typical])
