"""One run from its config to its tables and pictures: the stages in order, and what they say."""

import pathlib
from typing import Any

import numpy as np

from partdisc import evaluate, label_free, report, stages, training
from partdisc.config import flatten, validate
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
        _run(config, workdir, inputs, mode)


def _run(config: Any, workdir: Workdir, inputs: stages.Inputs, mode: str) -> None:
    features = stages.features_stage(config, workdir, inputs)
    start = stages.clusters_stage(config, workdir, inputs, features)
    settings = training.settings_of(config)
    train_index = inputs.dataset.splits["train"]
    images = stages.device_images(
        features, train_index, start.offset, salient=config.matching.saliency
    )
    pools, distances, pools_key = stages.pools_stage(
        config, workdir, start, settings.layer, images
    )
    state = train(
        config, workdir, start, images, pools, pools_key, trained_only=mode == "evaluate"
    )
    note = RANDOM_NOTE if config.backbone.weights == "random" else ""

    layers = {"clustering": start.params, "trained": state.params}
    results: dict[str, Any] = {
        "protocol": {
            "regression": "default",
            "detection": "l2",
            "channel_selection": config.evaluation.channel_selection,
            "threshold": config.evaluation.threshold,
            "alignment": "D",
        },
        "data": inputs.dataset.name,
        "n_train": len(train_index),
        "backbone": f"{inputs.backbone.name} {inputs.backbone.layer}",
        "weights": inputs.weights.origin,
        "random_weights": bool(note),
        "steps": int(state.step),
        "seed": config.seed,
    }
    labelled = bool(len(inputs.dataset.landmark_names))
    shown = inputs.dataset.splits["test"] if labelled else train_index
    channels = np.array([], int)
    for name, params in layers.items():
        say(f"evaluating: {name}")
        results[name], test, chosen = _evaluate_layer(
            config, inputs, features, settings, params, start.offset, images, pools, labelled,
            shown,
        )
        channels = chosen
    if labelled:
        results["baselines"] = evaluate.baselines(inputs)
        names = list(inputs.dataset.landmark_names)
    else:
        results["baselines"] = {}
        names = [f"part {channel}" for channel in channels]
    results["channels"] = dict(zip(names, channels.tolist(), strict=True))
    write_json(workdir.path / "results.json", results)
    rows = evaluate.detection_rows(config, inputs, shown, test, dict(zip(names, channels)))
    write_lines(workdir.path / "detections.jsonl", rows)
    pictures = report.write_report(
        config, workdir, inputs, features, start, settings, state.params, images, pools,
        distances, channels, names, note,
    )
    _print_results(results, note)
    _print_places(workdir.path, len(rows), pictures)


def _evaluate_layer(
    config, inputs, features, settings, params, offset, images, pools, labelled, shown
):
    """Return a layer's figures, its predictions on the images shown, and its best channels."""
    quality = label_free.measure(settings, params, images, pools, seed=config.seed)
    figures: dict[str, Any] = {
        "label_free": {
            "agreement": quality.agreement,
            "background_argmax": quality.background_argmax,
            "channels_in_use": quality.channels_in_use,
        }
    }

    def predict(indices):
        return evaluate.predict(
            config, inputs, features, indices, settings.layer, params, offset
        )

    test = predict(shown)
    if labelled:
        fit = predict(inputs.dataset.splits["fit"])
        scores, channels = evaluate.score(config, inputs, fit, test)
        figures = scores | {
            "alignment": evaluate.alignment_quality(
                config, inputs, features, settings, params, offset
            )
        } | figures
    else:
        short = evaluate.normalisers(inputs, shown)["short_side"]
        channels = label_free.best_channels(quality, test.peak, short, config.report.channels)
    return figures, test, channels


# Heading of a column of the table, and where its figure lies.
_COLUMNS = {
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
            (heading.format(t=threshold), key)
            for heading, key in _COLUMNS.items()
            if np.isfinite(results["trained"][key])
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
