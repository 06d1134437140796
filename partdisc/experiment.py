"""One run from its config to its page: the stages in order, as section 3 of the paper has them."""

import os
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

from partdisc import devices
from partdisc.config import flatten, split_names
from partdisc.data import Dataset
from partdisc.detector import Detector, keep
from partdisc.discovery.check import check
from partdisc.discovery.clusters import clusters_stage
from partdisc.discovery.features import features_stage
from partdisc.discovery.identity import identity_of
from partdisc.discovery.images import GIB, open_images
from partdisc.discovery.inputs import (
    list_data,
    open_data,
    open_weights,
    with_weights,
    write_about,
)
from partdisc.discovery.loop import train
from partdisc.discovery.parts import parts_stage
from partdisc.discovery.pools import PoolSettings, pools_stage
from partdisc.discovery.run import Run
from partdisc.discovery.settings import step_settings
from partdisc.discovery.training import Training, begin, beginning, open_training
from partdisc.errors import WorkdirError
from partdisc.export import list_detections, write_detections
from partdisc.progress import say
from partdisc.report import write_page, write_report
from partdisc.report.diagnosis import check_labelled, diagnose
from partdisc.scoring.other_programs import score
from partdisc.scoring.results import Evaluated, evaluate
from partdisc.scoring.results_table import print_results
from partdisc.tables import Doing, make_table
from partdisc.validation import validate
from partdisc.workdir import Workdir, write_json


class Asked(NamedTuple):
    """What a user asks for beside the config.

    Attributes:
      policy: what to do where another training is there, one of `training.POLICIES`.
      predictions: the file of another program's, to score.
      given: what was set on the command line, {'section.key': value}; for a table.
      command: what starts the program, for the line that a run ends with.
    """

    policy: str = "stop"
    predictions: str = ""
    given: dict[str, Any] | None = None
    command: str = "python -m partdisc"


def run(config: Any, path: str | os.PathLike, mode: str, asked: Asked | None = None) -> int:
    """Do a run in a work directory.

    Args:
      config: the whole config.
      path: the work directory; made where absent, taken up where an earlier run stopped.
      mode: `train` does every stage and evaluates; `evaluate` evaluates what was trained
        there; `align` measures how pools align, by the untrained layer and by what was
        trained there; `check` examines data and weights and stops; `score` scores predictions of
        another program; `table` makes a table of the paper.
      asked: the rest; None for the defaults.

    Returns:
      The exit status: 0, or what a check found.

    Raises:
      errors.PartdiscError: what the user has to mend.
    """
    validate(config)
    asked = asked or Asked()
    with Workdir(path) as workdir:
        say(f"work directory: {workdir.path}")
        match mode:
            case "check":
                return check(config, workdir)
            case "score":
                score(config, workdir, asked.predictions)
            case "table":
                doing = Doing(_data_of_a_run, _run_of_a_table)
                make_table(config, workdir, asked.given or {}, doing)
            case "align":
                align(config, workdir)
            case _:
                policy = "trained" if mode == "evaluate" else asked.policy
                found = discover(config, workdir, policy=policy)
                if not devices.first():
                    return 0
                show(config, workdir, found, evaluate(config, workdir, found), asked.command)
    return 0


def discover(config: Any, workdir: Workdir, *, policy: str = "stop", readable: bool = True) -> Run:
    """Discover the parts of an object class, or take up where an earlier run stopped.

    Args:
      config: the whole config, valid.
      workdir: of the run.
      policy: what to do where another training is there, one of `training.POLICIES`.
      readable: whether to make parts that a person reads.
    """
    training, found = prepare(config, workdir, policy)
    found = _trained(config, workdir, training, found)
    if not readable or not devices.first():
        return found
    # Channels that hold the same places become parts that a person reads.
    return found._replace(detector=parts_stage(config, workdir, found))


def prepare(
    config: Any,
    workdir: Workdir,
    policy: str,
    check_data: Callable[[Any, Dataset], None] | None = None,
) -> tuple[Training, Run]:
    """Do the stages before training, where the data pass the check; what is there stays."""
    # What the data and the weights are, and whether what is there is of them: nothing is
    # written before all of it is known.
    listed = devices.in_turn(lambda: list_data(config, workdir))
    weights = devices.in_turn(lambda: open_weights(config))
    identity = identity_of(config, listed, weights)
    training = devices.agree(lambda: open_training(workdir, identity, config.train.steps, policy))
    dataset = devices.in_turn(lambda: open_data(config, workdir, listed))
    inputs = with_weights(config, dataset, weights)
    if check_data:
        check_data(config, inputs.dataset)
    if devices.first():
        write_about(workdir, inputs)
    # Section 3.1: features of a frozen network, clusters of them, the untrained part layer.
    features = features_stage(config, workdir, inputs)
    kept = training.clusters if training.parent else ""
    start = clusters_stage(config, workdir, inputs, features, kept)
    # Section 3.2.1: the pool of similar images of each training image.
    settings, pooling = step_settings(config), PoolSettings(**config.pools)
    images = open_images(
        features, inputs.dataset.splits["train"], start.detector.offset, int(config.memory * GIB)
    )
    first = beginning(config, workdir, training, start)
    pools = pools_stage(config, workdir, first, settings, images)
    return training, Run(
        inputs, features, start, first.detector, settings, images, pools, pooling, config.seed, 0
    )


def _trained(config: Any, workdir: Workdir, training: Training, found: Run) -> Run:
    """Align, label and learn, step by step (sections 3.2.2 to 3.2.4)."""
    if not training.only and devices.first():
        write_json(workdir.path / "config.json", flatten(config))
        begin(workdir, training, found.start.key)
    # What follows is soon done: the first process does it, and the others end.
    state, images = devices.leave((train(config, workdir, training, found), found.images))
    detector = found.detector.with_params(state.params)
    return found._replace(detector=detector, images=images, steps=int(state.step))


def align(config: Any, workdir: Workdir) -> None:
    """Diagnose the alignment of the untrained layer, and of what was trained there."""
    training, found = prepare(config, workdir, "same", check_labelled)
    detectors: dict[str, Detector] = {"clustering": found.start.detector}
    try:
        if training.steps:
            found = _trained(config, workdir, training._replace(only=True), found)
            detectors["trained"] = found.detector
    except WorkdirError as error:
        say(f"only the untrained layer is measured: {error}")
    diagnose(config, workdir, found, detectors)


def show(config: Any, workdir: Workdir, found: Run, done: Evaluated, command: str) -> None:
    """Write detections (section 3.3) and pictures, and print the results."""
    dataset = found.inputs.dataset
    detector = keep(workdir.path, found.detector.listing(done.channels))
    detections = list_detections(
        detector,
        [dataset.keys[index] for index in done.shown],
        found.inputs.geometry.take(done.shown),
        done.found,
        done.channels,
    )
    write_detections(workdir.path, detections)
    say("drawing the report")
    found = found._replace(detector=detector)
    pictures = write_report(config, workdir, found, done.channels)
    page = write_page(config, workdir, found, done.results, pictures)
    print_results(done.results, ("clustering", "trained"))
    say("")
    say(f"figures     {workdir.path / 'results.json'}")
    say(f"detections  {workdir.path / 'detections.jsonl'} ({len(detections)} of them)")
    say(f"parts       {workdir.path / 'parts.csv'}: give them names in its column `name`")
    say(f"training    {workdir.path / 'metrics.jsonl'}")
    say(f"pictures    {workdir.path / 'report'} ({len(pictures)} of them)")
    say(f"page        {page}: open it in a browser")
    say("")
    if out := dataset.problems:
        first = f"{out[0].name}: {out[0].reason}"
        total = len(out) + len(dataset)
        say(f"warning: {len(out)} of {total} images were left out, such as {first}")
    say("find the parts in other photos:")
    say(
        f"  {command} --mode=predict --workdir={workdir.path} --images=FOLDER --out=FOLDER --report"
    )


def _data_of_a_run(config: Any, path: pathlib.Path) -> str:
    with Workdir(path) as workdir:
        return list_data(config, workdir).fingerprint


def _run_of_a_table(config: Any, path: pathlib.Path) -> None:
    with Workdir(path) as workdir:
        readable = "parts" in split_names(config.evaluation.extras)
        # The runs of a table share their folder, one after the other.
        found = discover(config, workdir, policy="overwrite", readable=readable)
        evaluate(config, workdir, found)
