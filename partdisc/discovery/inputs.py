"""What a run works on, the data set and the frozen network: opened, checked and described."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from partdisc.backbones import Backbone, Weights, backbone, load_weights
from partdisc.config import split_names
from partdisc.data import (
    Dataset,
    DataSettings,
    Listed,
    bad_images,
    images,
    list_dataset,
    prepare_dataset,
)
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
      key: names all that the features of an image depend on, but for the image.
    """

    dataset: Dataset
    backbone: Backbone
    weights: Weights | None
    framing: images.Framing
    geometry: images.Geometry
    key: str = ""

    def names(self, split: str = "") -> list[str]:
        """Name the network's inputs by their content: those of a split, or all."""
        index = self.dataset.splits[split] if split else range(len(self.geometry.size))
        crops, working = self.geometry.crop.tolist(), self.geometry.working.tolist()
        return [digest(self.dataset.contents[i], crops[i], working[i]) for i in index]


def list_data(
    config: Any, workdir: Workdir, *, whole: bool = False, known: Mapping[str, Any] | None = None
) -> Listed:
    """List the images of the data set and name what they hold; nothing is written.

    Args:
      config: the whole config.
      workdir: of the run.
      whole: whether to list all images, not only those that the config wants.
      known: the `contents` of an earlier list.

    Raises:
      errors.PartdiscError: a file is absent or unusable.
    """
    wanted = DataSettings(**config.data)
    if whole:
        wanted = wanted._replace(train_subset=0, flip=False)
    folder = workdir.path / "data"
    return list_dataset(wanted, folder, seed=config.seed, progress=_shown, known=known)


def open_data(config: Any, workdir: Workdir, listed: Listed) -> Inputs:
    """Open the data set alone, preparing it where that has not been done.

    Returns:
      The inputs, without weights and key.

    Raises:
      errors.PartdiscError: a file is absent or unusable, or a split is empty.
    """
    dataset = prepare_dataset(listed, workdir.path / "data", progress=_shown)
    return describe_data(config, dataset)


def describe_data(config: Any, dataset: Dataset) -> Inputs:
    """Say what was found in a data set, and check it; nothing is written.

    Returns:
      The inputs, without weights and key.

    Raises:
      errors.PartdiscError: a split is empty, or lacks what it is to be scored by.
    """
    network = backbone(config.backbone.name, config.backbone.layer)
    wanted = config.data
    framing = images.Framing(wanted.short_side, wanted.max_aspect, wanted.max_pixels)
    geometry = images.geometry(
        dataset.sizes, dataset.crops, framing.short_side, network.stride, framing.max_aspect
    )
    _describe(dataset)
    _check_splits(config, dataset)
    _check_protocols(config, dataset)
    return Inputs(dataset, network, None, framing, geometry)


def open_weights(config: Any) -> Weights:
    """Load the weights of the network.

    Raises:
      errors.WeightsError: they are absent or unusable.
    """
    network = backbone(config.backbone.name, config.backbone.layer)
    return load_weights(network, config.backbone.weights, seed=config.seed)


def with_weights(config: Any, inputs: Inputs, weights: Weights) -> Inputs:
    """Put the weights to the data, say which they are, and check that there are enough images.

    Raises:
      errors.PartdiscError: there are too few.
    """
    network = inputs.backbone
    say(f"backbone: {network.description}; {weights.origin}")
    _check_enough(config, inputs.dataset, inputs.geometry, network)
    key = digest(weights.digest, weights.preprocessing, network.name, network.layer)
    return inputs._replace(weights=weights, key=key)


def write_about(workdir: Workdir, inputs: Inputs) -> None:
    """Write data.json: what the data are, and which images were skipped."""
    dataset = inputs.dataset
    write_json(
        workdir.path / "data.json",
        {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "images": len(dataset),
            "splits": {name: len(index) for name, index in dataset.splits.items()},
            "landmarks": dataset.landmark_names,
            "skipped": [problem._asdict() for problem in dataset.problems],
            "skipped_annotations": [one._asdict() for one in dataset.odd],
            "weights": inputs.weights.origin,
        },
    )


def _shown(records: Iterable, total: int, label: str) -> Iterable:
    return track(records, label, total=total, unit="images")


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
    odd = bad_images.report(dataset.odd, what="annotation")
    for note in (*dataset.notes, *bad_images.report(dataset.problems), *odd):
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
    each = max(1, min(config.clusters.cells_per_image, config.clusters.most // len(train)))
    vectors = int(np.minimum(cells, each).sum())
    if vectors < 2 * config.parts.count:
        raise ConfigError(
            f"config.parts.count is {config.parts.count}, but {len(train)} training images give "
            f"{vectors} feature vectors to cluster and a part needs 2; set it to at most "
            f"{vectors // 2}, or raise config.clusters.cells_per_image "
            f"({each} of {int(cells.max())} cells)"
        )
