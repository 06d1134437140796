"""What a run works on, the data set and the frozen network: opened, checked and described."""

from typing import Any, NamedTuple

import numpy as np

from partdisc.backbones import Backbone, Weights, backbone, load_weights
from partdisc.config import split_names
from partdisc.data import Dataset, DataSettings, bad_images, images, open_dataset
from partdisc.errors import ConfigError, DataError
from partdisc.evaluation import PROTOCOLS
from partdisc.progress import say, track
from partdisc.workdir import Workdir, digest, write_json


class Inputs(NamedTuple):
    """What a run works on.

    Attributes:
      dataset: the images and their annotation.
      backbone: the network.
      weights: its weights; None where only the predictions of others are scored.
      framing: how any image becomes the network's input.
      geometry: how each of these does.
      key: names all that the features depend on.
    """

    dataset: Dataset
    backbone: Backbone
    weights: Weights | None
    framing: images.Framing
    geometry: images.Geometry
    key: str


def prepared_data(config: Any, workdir: Workdir) -> Dataset:
    """Open the data set, preparing it where that has not been done, and say nothing else.

    Raises:
      errors.PartdiscError: a file is absent or unusable.
    """
    return open_dataset(
        DataSettings(**config.data),
        workdir.path / "data",
        seed=config.seed,
        progress=lambda records, total, label: track(records, label, total=total, unit="images"),
    )


def open_data(config: Any, workdir: Workdir) -> Inputs:
    """Open the data set alone, and say what was found.

    Returns:
      The inputs, without weights and key.

    Raises:
      errors.PartdiscError: a file is absent or unusable, or a split is empty.
    """
    network = backbone(config.backbone.name, config.backbone.layer)
    dataset = prepared_data(config, workdir)
    framing = images.Framing(config.data.short_side, config.data.max_aspect)
    geometry = images.geometry(
        dataset.sizes, dataset.crops, framing.short_side, network.stride, framing.max_aspect
    )
    _describe(dataset)
    _check_splits(config, dataset)
    _check_protocols(config, dataset)
    return Inputs(dataset, network, None, framing, geometry, "")


def open_inputs(config: Any, workdir: Workdir) -> Inputs:
    """Open the data set and the weights, and say what was found.

    Raises:
      errors.PartdiscError: a file is absent or unusable, or there are too few images.
    """
    inputs = open_data(config, workdir)
    dataset, network, geometry = inputs.dataset, inputs.backbone, inputs.geometry
    weights = load_weights(network, config.backbone.weights, seed=config.seed)
    say(f"backbone: {network.description}; {weights.origin}")
    _check_enough(config, dataset, geometry, network)
    key = digest(
        dataset.fingerprint,
        weights.digest,
        weights.preprocessing,
        network.name,
        network.layer,
        geometry.working,
    )
    write_json(
        workdir.path / "data.json",
        {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "images": len(dataset),
            "splits": {name: len(index) for name, index in dataset.splits.items()},
            "landmarks": dataset.landmark_names,
            "skipped": [problem._asdict() for problem in dataset.problems],
            "weights": weights.origin,
        },
    )
    return inputs._replace(weights=weights, key=key)


def _check_protocols(config: Any, dataset: Dataset) -> None:
    """Refuse regression protocols for which a labelled data set lacks eyes or boxes."""
    if not dataset.landmark_names:
        return
    has = {
        "sizes": True,
        "eyes": dataset.eyes is not None,
        "boxes": bool(np.isfinite(dataset.boxes).all(axis=-1).any()),
    }
    for name in split_names(config.evaluation.protocols):
        for need in PROTOCOLS[name].needs:
            if not has[need]:
                raise ConfigError(
                    f"config.evaluation.protocols names '{name}', which needs {need}, but "
                    f"'{dataset.name}' has none"
                )


def _describe(dataset: Dataset) -> None:
    counts = ", ".join(f"{len(index)} {name}" for name, index in dataset.splits.items())
    say(f"data: {dataset.name}, {len(dataset)} images ({counts})")
    for note in (*dataset.notes, *bad_images.report(dataset.problems)):
        say(f"  {note}")


def _check_splits(config: Any, dataset: Dataset) -> None:
    """Refuse a labelled set with nothing to fit or to test on."""
    for split in ("fit", "test") if dataset.landmark_names else ():
        index = dataset.splits[split]
        if len(index) and np.isfinite(dataset.points[index]).any():
            continue
        fault = f"shows no part, or none just once, in {len(index)}" if len(index) else "has no"
        lists = f": {', '.join(map(str, dataset.sources))}" if dataset.sources else ""
        raise DataError(
            f"data: the split '{split}' of {dataset.name} {fault} images here{lists} "
            f"(config.data.splits is '{config.data.splits}')"
        )


def _check_enough(
    config: Any, dataset: Dataset, geometry: images.Geometry, network: Backbone
) -> None:
    """Refuse too few training images before any work starts."""
    train = dataset.splits["train"]
    if len(train) <= config.pools.size:
        raise DataError(
            f"{len(train)} training images, but config.pools.size is {config.pools.size}: an "
            f"image needs that many others; add images or set it to {max(len(train) - 1, 1)} "
            "or less"
            if len(train) > 1
            else f"{len(train)} training images: parts are found by comparing images, at least 2"
        )
    cells = (geometry.working[train] // network.stride).prod(axis=1)
    vectors = int(np.minimum(cells, config.clusters.cells_per_image).sum())
    if vectors < 2 * config.parts.count:
        raise ConfigError(
            f"config.parts.count is {config.parts.count}, but {len(train)} training images give "
            f"{vectors} feature vectors to cluster and a part needs 2; set it to at most "
            f"{vectors // 2}, or raise config.clusters.cells_per_image "
            f"({config.clusters.cells_per_image} of {int(cells.max())} cells)"
        )
