"""One run from its config to its page: the stages in order, as section 3 of the paper has them."""

import os
import pathlib
import shlex
from typing import Any, NamedTuple

from partdisc import devices
from partdisc.config import flatten, split_names
from partdisc.data.bad_images import reasons
from partdisc.detector import Detector, keep
from partdisc.discovery.check import check
from partdisc.discovery.clusters import clusters_stage
from partdisc.discovery.features import features_stage
from partdisc.discovery.images import GIB, open_images
from partdisc.discovery.inputs import (
    list_data,
    open_data,
    with_weights,
    write_about,
)
from partdisc.discovery.loop import train
from partdisc.discovery.parts import parts_stage
from partdisc.discovery.pools import PoolSettings, pools_stage
from partdisc.discovery.record import Training
from partdisc.discovery.run import Run
from partdisc.discovery.settings import step_settings
from partdisc.discovery.training import begin, beginning, kept_clusters
from partdisc.discovery.wanted import Wanted, look
from partdisc.errors import WorkdirError
from partdisc.export import list_detections, write_detections
from partdisc.progress import say
from partdisc.report import write_page, write_report
from partdisc.report.diagnosis import check_labelled, diagnose
from partdisc.scoring.other_programs import score
from partdisc.scoring.results import Evaluated, evaluate
from partdisc.scoring.results_table import print_tables, result_tables
from partdisc.tables import Doing, make_table
from partdisc.validation import validate
from partdisc.workdir import Workdir, code, digest, write_json


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
    holder = Workdir(path)
    if mode == "evaluate" and not holder.there():  # It would be made, to hold nothing.
        raise WorkdirError(f"{holder.path} holds no trained layer; run it with --mode=train")
    with holder as workdir:
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
                _whole(config, workdir, look(config, workdir, policy), asked.command)
    return 0


def _whole(config: Any, workdir: Workdir, wanted: Wanted, command: str) -> None:
    """Discover, evaluate and show; or where all of it is there, say again what was found."""
    key = digest(
        flatten(config), wanted.training.key, wanted.listed.fingerprint, code(),
        str(workdir.path), command,
    )  # fmt: skip
    ending = devices.agree(lambda: workdir.sealed(key))
    if ending:
        say("nothing has changed since this run ended; it found:")
    else:
        found = discover(config, workdir, wanted)
        if not devices.first():
            return
        ending = show(config, workdir, found, evaluate(config, workdir, found), command)
        workdir.seal(key, ending)
    print_tables(ending["tables"])
    for line in ending["lines"]:
        say(line)


def discover(config: Any, workdir: Workdir, wanted: Wanted, *, readable: bool = True) -> Run:
    """Discover the parts of an object class, or take up where an earlier run stopped.

    Args:
      config: the whole config, valid.
      workdir: of the run.
      wanted: what `look` found.
      readable: whether to make parts that a person reads.
    """
    found = _trained(config, workdir, wanted.training, prepare(config, workdir, wanted))
    if not readable or not devices.first():
        return found
    # Channels that hold the same places become parts that a person reads.
    return found._replace(detector=parts_stage(config, workdir, found))


def prepare(config: Any, workdir: Workdir, wanted: Wanted) -> Run:
    """Do the stages before training; what is there stays."""
    training = wanted.training
    dataset = devices.in_turn(lambda: open_data(config, workdir, wanted.listed))
    inputs = with_weights(config, dataset, wanted.weights)
    if devices.first():
        write_about(workdir, inputs)
    # Section 3.1: features of a frozen network, clusters of them, the untrained part layer.
    features = features_stage(config, workdir, inputs)
    kept = devices.agree(lambda: kept_clusters(workdir, training))
    start = clusters_stage(config, workdir, inputs, features, kept)
    # Section 3.2.1: the pool of similar images of each training image.
    settings, pooling = step_settings(config), PoolSettings(**config.pools)
    images = open_images(
        features, inputs.dataset.splits["train"], start.detector.offset, int(config.memory * GIB)
    )
    first = beginning(config, workdir, training, start)
    pools = pools_stage(config, workdir, first, settings, images)
    return Run(
        inputs, features, start, first.detector, settings, images, pools, pooling, config.seed, 0
    )


def _trained(config: Any, workdir: Workdir, training: Training, found: Run) -> Run:
    """Align, label and learn, step by step (sections 3.2.2 to 3.2.4)."""
    if not training.only and devices.first():
        write_json(workdir.path / "config.json", flatten(config))
        begin(workdir, training, found.start.arrays)
    # What follows is soon done: the first process does it, and the others end.
    state, images = devices.leave((train(config, workdir, training, found), found.images))
    detector = found.detector.with_params(devices.fetch(state.params))
    return found._replace(detector=detector, images=images, steps=int(state.step))


def align(config: Any, workdir: Workdir) -> None:
    """Diagnose the alignment of the untrained layer, and of what was trained there."""
    wanted = look(config, workdir, "same")
    check_labelled(config, wanted.listed)
    training, found = wanted.training, prepare(config, workdir, wanted)
    detectors: dict[str, Detector] = {"clustering": found.start.detector}
    try:
        if training.steps:
            found = _trained(config, workdir, training._replace(only=True), found)
            detectors["trained"] = found.detector
    except WorkdirError as error:
        say(f"only the untrained layer is measured: {error}")
    diagnose(config, workdir, found, detectors)


def show(
    config: Any, workdir: Workdir, found: Run, done: Evaluated, command: str
) -> dict[str, list]:
    """Write detections (section 3.3), pictures and the page.

    Returns:
      What the run says at its end: `tables`, of type `Table`, and then `lines`.
    """
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
    lines = [
        "",
        f"figures     {workdir.path / 'results.json'}",
        f"detections  {workdir.path / 'detections.jsonl'} ({len(detections)} of them)",
        f"parts       {workdir.path / 'parts.csv'}: give them names in its column `name`",
        f"training    {workdir.path / 'metrics.jsonl'}",
        f"pictures    {workdir.path / 'report'} ({len(pictures)} of them)",
        f"page        {page}: open it in a browser",
        "",
    ]
    if out := dataset.problems:
        total = len(out) + len(dataset)
        lines.append(f"warning: {len(out)} of {total} images were left out: {reasons(out)}")
    lines += [
        "find the parts in other photos:",
        f"  {command} --mode=predict --workdir={shlex.quote(str(workdir.path))} --images=FOLDER "
        "--out=FOLDER --report",
    ]
    return {"tables": result_tables(done.results, ("clustering", "trained")), "lines": lines}


def _data_of_a_run(config: Any, path: pathlib.Path) -> str:
    with Workdir(path) as workdir:
        return list_data(config, workdir).fingerprint


def _run_of_a_table(config: Any, path: pathlib.Path) -> None:
    with Workdir(path) as workdir:
        readable = "parts" in split_names(config.evaluation.extras)
        # The runs of a table share their folder, one after the other.
        wanted = look(config, workdir, "overwrite")
        found = discover(config, workdir, wanted, readable=readable)
        evaluate(config, workdir, found)
