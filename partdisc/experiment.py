"""One run from its config to its tables and pictures: the stages in order, and what they say."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from partdisc import report
from partdisc.config import flatten
from partdisc.data import Dataset
from partdisc.discovery import label_free, stages, step
from partdisc.discovery.check import check
from partdisc.discovery.features import Features
from partdisc.discovery.label_free import LabelFree
from partdisc.discovery.loop import train
from partdisc.discovery.pools import pools_stage
from partdisc.errors import WorkdirError
from partdisc.progress import say
from partdisc.report.diagnosis import check_labelled, diagnose
from partdisc.scoring import extras, parts
from partdisc.scoring.alignment import LabelledPools, alignment_quality, labelled_pools
from partdisc.scoring.landmarks import Predictions, baselines, normalisers
from partdisc.scoring.other_programs import score
from partdisc.scoring.results_table import print_results
from partdisc.tables import Doing, make_table
from partdisc.validation import validate
from partdisc.workdir import Workdir, write_json, write_lines

RANDOM_NOTE = "random backbone weights"


def run(
    config: Any,
    path: str,
    mode: str,
    *,
    predictions: str = "",
    given: dict[str, Any] | None = None,
) -> int:
    """Do a run in a work directory.

    Args:
      config: the whole config.
      path: the work directory; made where absent, taken up where an earlier run stopped.
      mode: `train` does every stage and evaluates; `evaluate` evaluates what was trained
        there; `align` measures how pools align, by the untrained layer and by what was
        trained there; `check` examines data and weights and stops; `score` scores predictions of
        another program; `table` makes a table of the paper.
      predictions: the file of those.
      given: what was set on the command line, {'section.key': value}; for a table.

    Returns:
      The exit status: 0, or what a check found.

    Raises:
      errors.PartdiscError: what the user has to mend.
    """
    validate(config)
    with Workdir(path) as workdir:
        say(f"work directory: {workdir.path}")
        if mode == "check":
            return check(config, workdir)
        if mode == "score":
            score(config, workdir, predictions)
            return 0
        if mode == "table":
            make_table(config, workdir, given or {}, Doing(_data_of_a_run, _run_of_a_table))
            return 0
        if mode == "align":
            _align(_prepare(config, workdir, check_labelled), workdir)
            return 0
        ready = _prepare(config, workdir)
        trained = _train(ready, workdir, trained_only=mode == "evaluate")
        _show(workdir, trained, _evaluate(workdir, trained))
    return 0


def _data_of_a_run(config: Any, path: pathlib.Path) -> str:
    with Workdir(path) as workdir:
        return stages.prepared_data(config, workdir).fingerprint


def _run_of_a_table(config: Any, path: pathlib.Path) -> None:
    with Workdir(path) as workdir:
        _evaluate(workdir, _train(_prepare(config, workdir), workdir))


class Run(NamedTuple):
    """A run: all that its training, its evaluation and its pictures need.

    Attributes:
      config: the whole config.
      inputs: data set and backbone.
      features: the cache.
      start: the untrained part layer.
      settings: static settings of training.
      images: the training images.
      pools: int32 [N, J].
      distances: [N, J] of the pools.
      pools_key: names all that the pools depend on.
      params: of the part layer, as far as it has been trained.
    """

    config: Any
    inputs: stages.Inputs
    features: Features
    start: stages.Start
    settings: step.Settings
    images: step.Images
    pools: np.ndarray
    distances: np.ndarray
    pools_key: str
    params: Any


def _prepare(
    config: Any, workdir: Workdir, check_data: Callable[[Any, Dataset], None] | None = None
) -> Run:
    """Do the stages before training, where the data pass the check."""
    inputs = stages.open_inputs(config, workdir)
    if check_data:
        check_data(config, inputs.dataset)
    write_json(workdir.path / "config.json", flatten(config))
    features = stages.features_stage(config, workdir, inputs)
    start = stages.clusters_stage(config, workdir, inputs, features)
    settings = step.settings_of(config)
    images = stages.device_images(features, inputs.dataset.splits["train"], start.offset)
    pools, distances, key = pools_stage(config, workdir, start, settings, images)
    return Run(
        config, inputs, features, start, settings, images, pools, distances, key, start.params
    )


def _train(run: Run, workdir: Workdir, *, trained_only: bool = False) -> Run:
    state = train(
        run.config,
        workdir,
        run.start,
        run.images,
        run.pools,
        run.pools_key,
        trained_only=trained_only,
    )
    return run._replace(params=state.params)


def _align(run: Run, workdir: Workdir) -> None:
    """Diagnose the alignment of the untrained layer, and of what was trained there."""
    layers = {"clustering": run.start.params}
    try:
        if run.config.train.steps:
            layers["trained"] = _train(run, workdir, trained_only=True).params
    except WorkdirError as error:
        say(f"only the untrained layer is measured: {error}")
    diagnose(run.config, workdir, run.inputs, _labelled_pools(run), layers, run.settings)


def _labelled_pools(run: Run) -> LabelledPools | None:
    return labelled_pools(
        run.config, run.inputs, run.features, run.start, run.settings, run.images, run.pools
    )


class Evaluated(NamedTuple):
    """What the evaluation of a run gave.

    Attributes:
      results: of results.json.
      found: the trained layer's predictions on the images shown.
      shown: int [n], the test images, or the training images where there are no landmarks.
      channels: of the parts.
    """

    results: dict[str, Any]
    found: Predictions
    shown: np.ndarray
    channels: np.ndarray


def _evaluate(workdir: Workdir, run: Run) -> Evaluated:
    """Evaluate, and write results."""
    dataset, config = run.inputs.dataset, run.config
    results: dict[str, Any] = {
        "protocol": parts.protocol(config),
        "data": dataset.name,
        "n_train": len(dataset.splits["train"]),
        "backbone": f"{run.inputs.backbone.name} {run.inputs.backbone.layer}",
        "weights": run.inputs.weights.origin,
        "random_weights": config.backbone.weights == "random",
        "clusters": config.clusters.kind,
        "objective": config.train.objective,
        "steps": config.train.steps,
        "seed": config.seed,
    }
    labelled = bool(dataset.landmark_names)
    shown = dataset.splits["test" if labelled else "train"]
    pools = _labelled_pools(run) if labelled else None
    for name, params in (("clustering", run.start.params), ("trained", run.params)):
        if name == "trained" and config.train.steps == 0:
            results[name] = results["clustering"]
            continue
        say(f"evaluating: {name}")
        evaluate_layer = _score_labelled if labelled else _score_unlabelled
        quality = label_free.measure(run.settings, params, run.images, run.pools, seed=config.seed)
        figures, found, channels = evaluate_layer(run, params, shown, quality)
        figures["alignment"] = alignment_quality(config, run.inputs, pools, run.settings, params)
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
    return Evaluated(results, found, shown, channels)


def _show(workdir: Workdir, run: Run, done: Evaluated) -> None:
    """Write detections and pictures, and print the results."""
    config, results = run.config, done.results
    rows = parts.detection_rows(config, run.inputs, done.shown, done.found, results["channels"])
    write_lines(workdir.path / "detections.jsonl", rows)
    say("drawing the report")
    pictures = report.write_report(
        config,
        workdir,
        run.inputs,
        run.features,
        run.start,
        run.settings,
        run.params,
        run.images,
        run.pools,
        run.distances,
        done.channels,
        list(results["channels"]),
        RANDOM_NOTE if results["random_weights"] else "",
    )
    print_results(results, ("clustering", "trained"))
    _print_places(workdir.path, len(rows), pictures)


def _predict(run: Run, params: Any, indices: np.ndarray) -> Predictions:
    return parts.predict(
        run.config,
        run.inputs,
        run.features,
        indices,
        run.settings.layer,
        params,
        run.start.offset,
    )


def _score_labelled(run: Run, params: Any, shown: np.ndarray, quality: LabelFree):
    """Return a layer's figures, its predictions on the test images, a channel a landmark."""
    fit = _predict(run, params, run.inputs.dataset.splits["fit"])
    test = _predict(run, params, shown)
    figures, channels = parts.score(run.config, run.inputs, fit, test)
    figures["extras"] = extras.measure(
        run.config,
        run.inputs,
        run.features,
        run.settings.layer,
        params,
        run.start.offset,
        fit,
        test,
    )
    return figures, test, channels


def _score_unlabelled(run: Run, params: Any, shown: np.ndarray, quality: LabelFree):
    """Return no figures, predictions on the training images, and the best channels."""
    found = _predict(run, params, shown)
    short = normalisers(run.inputs, shown)["short_side"]
    channels = label_free.best_channels(quality, found.peak, short, run.config.detection.parts)
    return {}, found, channels


def _print_places(path: pathlib.Path, detections: int, pictures: list[pathlib.Path]) -> None:
    say("")
    say(f"figures     {path / 'results.json'}")
    say(f"detections  {path / 'detections.jsonl'} ({detections} of them)")
    say(f"training    {path / 'metrics.jsonl'}")
    say(f"pictures    {path / 'report'} ({len(pictures)} of them)")
