"""Score the predictions of any program by the same protocols: `--mode=score`."""

from typing import Any

import numpy as np

from partdisc.data import Dataset
from partdisc.data.coordinates import what_is_wrong
from partdisc.detector import Predictions
from partdisc.discovery.inputs import list_data, open_data
from partdisc.errors import ConfigError, DataError
from partdisc.paths import user_path
from partdisc.progress import say
from partdisc.scoring import parts
from partdisc.scoring.landmarks import baselines
from partdisc.scoring.prediction_files import Points, read_points
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
    inputs = open_data(config, workdir, list_data(config, workdir))
    dataset = inputs.dataset
    if not dataset.landmark_names:
        raise DataError(f"data: {dataset.name} has no landmarks to score predictions on")
    found = read_points(user_path(path), dataset.keys)
    say(
        f"predictions: {found.rows} points of {len(found.parts)} parts, at most "
        f"{found.scores.shape[2]} of a part in an image"
    )
    for note in found.notes:
        say(f"  {note}")
    _check_coordinates(path, found, dataset)
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


def _check_coordinates(path: str, found: Points, dataset: Dataset) -> None:
    """Refuse predictions that are no pixels of their images."""
    used = np.isfinite(found.scores)
    sizes = np.broadcast_to(dataset.sizes[:, None, None], found.points.shape)
    wrong = what_is_wrong(found.points[used], sizes[used])
    if wrong and wrong.sure:
        raise DataError(f"{path}: {wrong.text}")
    if wrong:
        say(f"  warning: {wrong.text}")


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
