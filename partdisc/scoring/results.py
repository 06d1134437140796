"""The results of a run: its untrained and its trained layer scored, beside trivial baselines."""

from typing import Any, NamedTuple

import numpy as np

from partdisc.detector import Detector, Predictions
from partdisc.discovery import label_free
from partdisc.discovery.features import predict
from partdisc.discovery.label_free import LabelFree
from partdisc.discovery.run import Run
from partdisc.progress import say
from partdisc.scoring import parts
from partdisc.scoring.alignment import alignment_quality, labelled_pools
from partdisc.scoring.extras import Found, measure_extras
from partdisc.scoring.landmarks import baselines, normalisers
from partdisc.scoring.settings import Scoring, scoring_settings
from partdisc.workdir import Workdir, write_json


class Evaluated(NamedTuple):
    """What the evaluation of a run gave.

    Attributes:
      results: of results.json.
      found: the trained detector's predictions on the images shown.
      shown: int [n], the test images, or the training images where there are no landmarks.
      channels: name of a part -> channel that answers for it.
    """

    results: dict[str, Any]
    found: Predictions
    shown: np.ndarray
    channels: dict[str, int]


def evaluate(config: Any, workdir: Workdir, run: Run) -> Evaluated:
    """Score the untrained and the trained layer, and write results.json."""
    dataset, scoring = run.inputs.dataset, scoring_settings(config)
    results = _head(config, scoring, run)
    labelled = bool(dataset.landmark_names)
    shown = dataset.splits["test" if labelled else "train"]
    pools = labelled_pools(scoring, run) if labelled else None
    for name, detector in (("clustering", run.start.detector), ("trained", run.detector)):
        if name == "trained" and run.steps == 0:
            results[name] = results["clustering"]
            continue
        say(f"evaluating: {name}")
        quality = label_free.measure(
            run.settings, detector, run.images, run.pools.members, seed=run.seed
        )
        if labelled:
            figures, found, channels = _score_labelled(scoring, run, detector)
        else:
            figures, found, channels = _score_unlabelled(run, detector, quality)
        figures["alignment"] = alignment_quality(run, pools, detector)
        results[name] = figures | {
            "label_free": {
                "agreement": quality.agreement,
                "background_argmax": quality.background_argmax,
                "channels_in_use": quality.channels_in_use,
            }
        }
    results["baselines"] = baselines(scoring, run.inputs) if labelled else {}
    names = list(dataset.landmark_names) or [f"channel {channel}" for channel in channels]
    results["channels"] = dict(zip(names, channels.tolist(), strict=True))
    write_json(workdir.path / "results.json", results)
    return Evaluated(results, found, shown, results["channels"])


def _head(config: Any, scoring: Scoring, run: Run) -> dict[str, Any]:
    """Return what was run, and how it is measured."""
    inputs = run.inputs
    return {
        "protocol": scoring.names,
        "data": inputs.dataset.name,
        "n_train": len(inputs.dataset.splits["train"]),
        "backbone": f"{inputs.backbone.name} {inputs.backbone.layer}",
        "weights": inputs.weights.origin,
        "random_weights": config.backbone.weights == "random",
        "clusters": config.clusters.kind,
        "objective": config.train.objective,
        "steps": run.steps,
        "seed": config.seed,
    }


def _score_labelled(
    scoring: Scoring, run: Run, detector: Detector
) -> tuple[dict[str, Any], Predictions, np.ndarray]:
    """Return a layer's figures, its predictions on the test images, a channel a landmark."""
    fit, test = (
        predict(detector, run.features, run.inputs.dataset.splits[name]) for name in ("fit", "test")
    )
    figures, channels = parts.score(scoring, run.inputs, fit, test)
    figures["extras"] = measure_extras(Found(scoring, run, detector, fit, test))
    return figures, test, channels


def _score_unlabelled(
    run: Run, detector: Detector, quality: LabelFree
) -> tuple[dict[str, Any], Predictions, np.ndarray]:
    """Return no figures, predictions on the training images, and the best channels."""
    shown = run.inputs.dataset.splits["train"]
    found = predict(detector, run.features, shown)
    short = normalisers(run.inputs, shown)["short_side"]
    channels = label_free.best_channels(quality, found.peak, short, detector.settings.parts)
    return {}, found, channels
