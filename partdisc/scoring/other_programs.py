"""Score the predictions of any program by the same protocols: `--mode=score`."""

from typing import Any

import numpy as np

from partdisc.data.coordinates import Suspicion, suspect_points
from partdisc.detector import Predictions
from partdisc.discovery.inputs import list_data, open_data
from partdisc.errors import ConfigError, DataError
from partdisc.paths import user_path
from partdisc.progress import say
from partdisc.scoring import parts
from partdisc.scoring.landmarks import baselines
from partdisc.scoring.prediction_files import read_points
from partdisc.scoring.results_table import print_tables, result_tables
from partdisc.scoring.settings import scoring_settings
from partdisc.workdir import Workdir, write_json


def score(config: Any, workdir: Workdir, path: str) -> None:
    """Score a file of predictions on the fit and test images of the config's data set.

    Writes scores.json, as results.json but with the row `predictions`.

    Args:
      config: the whole config, valid.
      workdir: of the run.
      path: of the predictions, as `predictions.read_points` reads them.

    Raises:
      errors.PartdiscError: data or predictions are absent or unusable, or lack an image.
    """
    if not path:
        raise ConfigError("--mode=score needs --predictions=FILE.csv, .json or .jsonl")
    scoring = scoring_settings(config)
    listed = list_data(config, workdir)
    if not listed.listing.landmark_names:
        raise DataError(f"data: {config.data.name} has no landmarks to score predictions on")
    inputs = open_data(config, workdir, listed)
    dataset = inputs.dataset
    found = read_points(user_path(path), dataset.keys)
    say(
        f"predictions: {found.rows} points of {len(found.parts)} parts, at most "
        f"{found.scores.shape[2]} of a part in an image"
    )
    for note in found.notes:
        say(f"  {note}")
    test = np.isin(np.arange(len(dataset)), dataset.splits["test"])
    images = listed.images(dataset.keys, dataset.sizes, test)
    used = np.isfinite(found.scores)[..., None]
    _refuse(path, suspect_points(np.where(used, found.points, np.nan), images))
    annotation = ", ".join(map(str, dataset.sources)) or dataset.name
    _refuse(f"the annotation, {annotation}", suspect_points(dataset.instances, images))
    split = {}
    for name in ("fit", "test"):
        index = dataset.splits[name]
        points, scores = found.points[index], found.scores[index]
        silent = int((~np.isfinite(scores)).all(axis=(1, 2)).sum())
        if silent == len(index):
            raise DataError(f"{path}: no prediction for any of the {silent} {name} images")
        if silent:
            say(f"  {silent} of {len(index)} {name} images have no prediction")
        found_here = Predictions(points, ranks(scores), points[:, :, 0])
        split[name] = found_here._replace(mean=found_here.peak)
    figures, channels = parts.score(scoring, inputs, split["fit"], split["test"])
    left_out = len(found.parts) - figures["channels_regressed"]
    if left_out:
        say(
            f"  {left_out} of {len(found.parts)} parts are found too seldom to regress landmarks "
            f"from (config.evaluation.min_firing is {scoring.min_firing})"
        )
    for one in (figures, *figures["regression"].values()):
        del one["nme_mean"]  # A point has no other mean than itself.
    results = {
        "protocol": scoring.names,
        "data": dataset.name,
        "backbone": "",
        "random_weights": False,
        "file": path,
        "predictions": figures,
        "baselines": baselines(scoring, inputs),
        "channels": {
            name: found.parts[channel]
            for name, channel in zip(dataset.landmark_names, channels, strict=True)
        },
    }
    write_json(workdir.path / "scores.json", results)
    print_tables(result_tables(results, ("predictions",)))
    say("")
    say(f"figures     {workdir.path / 'scores.json'}")


def _refuse(what: str, found: list[Suspicion]) -> None:
    """Refuse points that are no pixels of their images, and warn of those that may be none."""
    for one in sorted(found, key=lambda one: one.sure, reverse=True):
        if one.sure:
            raise DataError(f"{what}: {one.text}")
        say(f"  warning: {what}: {one.text}")


def ranks(scores: np.ndarray) -> np.ndarray:
    """Replace the scores of each part by their ranks, from above 1 to 2.

    Programs score in units of their own, logarithms among them. Precision depends on the
    order alone, and a part then fires as often as it is found.

    Args:
      scores: [N, K, D], -inf in unused slots.
    """
    ranked = np.full(scores.shape, -np.inf)
    for part in range(scores.shape[1]):
        used = np.isfinite(scores[:, part])
        _, order = np.unique(scores[:, part][used], return_inverse=True)
        ranked[:, part][used] = 1 + (order + 1) / max(order.size, 1)
    return ranked
