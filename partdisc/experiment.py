"""One run from its config to its tables and pictures: the stages in order, and what they say."""

import pathlib
from typing import Any, NamedTuple

import numpy as np

from partdisc import evaluate, label_free, report, stages, training
from partdisc.config import flatten, regression_protocols, validate
from partdisc.evaluate_alignment import alignment_quality
from partdisc.evaluate_regression import Predictions, baselines, normalisers
from partdisc.features import Features
from partdisc.label_free import LabelFree
from partdisc.progress import say, table
from partdisc.train import train
from partdisc.workdir import Workdir, write_json, write_lines

MODES = ("train", "evaluate", "check")
RANDOM_NOTE = "random backbone weights"


def run(config: Any, path: str, mode: str) -> None:
    """Do a run in a work directory.

    Args:
      config: the whole config.
      path: the work directory; made where absent, taken up where an earlier run stopped.
      mode: `train` does every stage and evaluates; `evaluate` evaluates what was trained
        there; `check` opens config, data and weights and stops.

    Raises:
      errors.PartdiscError: what the user has to mend.
    """
    validate(config)
    with Workdir(path) as workdir:
        say(f"work directory: {workdir.path}")
        inputs = stages.open_inputs(config, workdir)
        if mode == "check":
            say("config, data and weights are in order; nothing was computed")
            return
        write_json(workdir.path / "config.json", flatten(config))
        _finish(workdir, _train(config, workdir, inputs, mode))


class Trained(NamedTuple):
    """A run after training: all that its evaluation and its pictures need."""

    config: Any
    inputs: stages.Inputs
    features: Features
    start: stages.Start
    settings: training.Settings
    params: Any
    images: training.Images
    pools: np.ndarray
    distances: np.ndarray


def _train(config: Any, workdir: Workdir, inputs: stages.Inputs, mode: str) -> Trained:
    features = stages.features_stage(config, workdir, inputs)
    start = stages.clusters_stage(config, workdir, inputs, features)
    settings = training.settings_of(config)
    images = stages.device_images(
        features, inputs.dataset.splits["train"], start.offset, salient=config.matching.saliency
    )
    pools, distances, key = stages.pools_stage(config, workdir, start, settings.layer, images)
    state = train(
        config, workdir, start, images, pools, key, trained_only=mode == "evaluate"
    )
    return Trained(
        config, inputs, features, start, settings, state.params, images, pools, distances
    )


def _finish(workdir: Workdir, run: Trained) -> None:
    """Evaluate, and write results, detections and pictures, the dearest first."""
    dataset, config = run.inputs.dataset, run.config
    note = RANDOM_NOTE if config.backbone.weights == "random" else ""
    results: dict[str, Any] = {
        "protocol": {
            "regression": regression_protocols(config)[0],
            "detection": config.evaluation.detection,
            "channel_selection": config.evaluation.channel_selection,
            "threshold": config.evaluation.threshold,
            "iou": config.evaluation.iou,
            "alignment": "D",
        },
        "data": dataset.name,
        "n_train": len(dataset.splits["train"]),
        "backbone": f"{run.inputs.backbone.name} {run.inputs.backbone.layer}",
        "weights": run.inputs.weights.origin,
        "random_weights": bool(note),
        "steps": config.train.steps,
        "seed": config.seed,
    }
    labelled = bool(dataset.landmark_names)
    shown = dataset.splits["test" if labelled else "train"]
    for name, params in (("clustering", run.start.params), ("trained", run.params)):
        say(f"evaluating: {name}")
        evaluate_layer = _score_labelled if labelled else _score_unlabelled
        quality = label_free.measure(
            run.settings, params, run.images, run.pools, seed=config.seed
        )
        figures, found, channels = evaluate_layer(run, params, shown, quality)
        results[name] = figures | {
            "label_free": {
                "agreement": quality.agreement,
                "background_argmax": quality.background_argmax,
                "channels_in_use": quality.channels_in_use,
            }
        }
    results["baselines"] = baselines(config, run.inputs) if labelled else {}
    names = list(dataset.landmark_names) or [f"part {channel}" for channel in channels]
    results["channels"] = dict(zip(names, channels.tolist(), strict=True))
    write_json(workdir.path / "results.json", results)
    rows = evaluate.detection_rows(config, run.inputs, shown, found, results["channels"])
    write_lines(workdir.path / "detections.jsonl", rows)
    say("drawing the report")
    pictures = report.write_report(
        config, workdir, run.inputs, run.features, run.start, run.settings, run.params,
        run.images, run.pools, run.distances, channels, names, note,
    )
    _print_results(results, note)
    _print_places(workdir.path, len(rows), pictures)


def _predict(run: Trained, params: Any, indices: np.ndarray) -> Predictions:
    return evaluate.predict(
        run.config, run.inputs, run.features, indices, run.settings.layer, params,
        run.start.offset,
    )


def _score_labelled(run: Trained, params: Any, shown: np.ndarray, quality: LabelFree):
    """Return a layer's figures, its predictions on the test images, a channel a landmark."""
    fit = _predict(run, params, run.inputs.dataset.splits["fit"])
    test = _predict(run, params, shown)
    figures, channels = evaluate.score(run.config, run.inputs, fit, test)
    figures["alignment"] = alignment_quality(
        run.config, run.inputs, run.features, run.settings, params, run.start.offset
    )
    return figures, test, channels


def _score_unlabelled(run: Trained, params: Any, shown: np.ndarray, quality: LabelFree):
    """Return no figures, predictions on the training images, and the best channels."""
    found = _predict(run, params, shown)
    short = normalisers(run.inputs, shown)["short_side"]
    channels = label_free.best_channels(
        quality, found.peak, short, run.config.detection.parts
    )
    return {}, found, channels


# Heading of a column of the table, and where its figure lies.
_COLUMNS = {
    "mAP IoU {iou}": "map_iou",
    "mAP IoU {iou}, vsp": "map_vsp",
    "mAP@{t} box": "map_l2_box",
    "mAP@{t} short side": "map_l2_short_side",
    "PCK@{t} box": "pck_box",
    "PCK@{t} short side": "pck_short_side",
    "NME peak": "nme_peak",
    "NME mean": "nme_mean",
}


def _print_results(results: dict[str, Any], note: str) -> None:
    threshold = results["protocol"]["threshold"]
    remark = f" ({note})" if note else ""
    say("")
    if results["baselines"]:
        keys = [
            (heading.format(t=threshold, iou=results["protocol"]["iou"]), key)
            for heading, key in _COLUMNS.items()
            if np.isfinite(results["trained"].get(key, np.nan))
        ]
        rows = [
            [name, *(f"{results[name][key]:.1f}" if "nme" not in key
                     else f"{results[name][key]:.2f}" for _, key in keys)]
            for name in ("clustering", "trained")
        ]
        for name, figures in results["baselines"].items():
            rows.append([
                name.replace("_", " "),
                *(f"{figures['nme']:.2f}" if key == "nme_peak" else "-" for _, key in keys),
            ])
        trained = results["trained"]
        title = (
            f"{results['data']}, {results['backbone']}{remark}: {trained['n_fit']} fit, "
            f"{trained['n_test']} test images; %; mAP and PCK: higher is better, NME: lower; "
            f"protocol {results['protocol']['regression']} / {results['protocol']['detection']}, "
            f"channels chosen on {results['protocol']['channel_selection']}"
        )
        table(title, ["", *(heading for heading, _ in keys)], rows)
        say("")
        if len(trained["regression"]) > 1:
            _print_protocols(results)
        table(
            "alignment of pools on fit images: mean landmark distance / normaliser",
            ["", "before", "after", "oracle", "improved", "identity", "inliers", "matches"],
            [_alignment_row(name, results[name]["alignment"]) for name in
             ("clustering", "trained") if results[name]["alignment"]],
        )
    else:
        table(
            f"{results['data']}, {results['backbone']}{remark}: no landmarks, label-free figures",
            ["", "agreement of aligned images", "cells that are background", "parts in use"],
            [
                [name, *(f"{100 * results[name]['label_free'][key]:.1f} %" for key in
                         ("agreement", "background_argmax", "channels_in_use"))]
                for name in ("clustering", "trained")
            ],
        )


def _print_protocols(results: dict[str, Any]) -> None:
    """Print the errors of the same predictions by every protocol, and of the mean shape."""
    kinds = ("nme_peak", "nme_mean")
    start, trained = (results[name]["regression"] for name in ("clustering", "trained"))
    still = results["baselines"]["mean_shape"]["regression"]
    table(
        "landmark regression by protocol, %; these differ in what counts as 100 %",
        ["", "clustering peak", "mean", "trained peak", "mean", "same pixel", "fit", "test"],
        [
            [
                name,
                *(f"{layer[name][kind]:.2f}" for layer in (start, trained) for kind in kinds),
                f"{still[name]:.2f}",
                *(str(trained[name][count]) for count in ("n_fit", "n_test")),
            ]
            for name in trained
        ],
    )
    say("")


def _alignment_row(name: str, quality: dict[str, float]) -> list[str]:
    return [
        name,
        *(f"{quality[key]:.3f}" for key in ("before", "after", "oracle")),
        *(f"{100 * quality[key]:.0f} %" for key in ("improved", "identity_share")),
        *(f"{quality[key]:.0f}" for key in ("inliers", "matches")),
    ]


def _print_places(path: pathlib.Path, detections: int, pictures: list[pathlib.Path]) -> None:
    say("")
    say(f"figures     {path / 'results.json'}")
    say(f"detections  {path / 'detections.jsonl'} ({detections} of them)")
    say(f"training    {path / 'metrics.jsonl'}")
    say(f"pictures    {path / 'report'} ({len(pictures)} of them)")
