"""The runs that a table needs, and the doing of those that are not done yet."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

from partdisc.config import flatten
from partdisc.data import origin
from partdisc.errors import ConfigError, DataError
from partdisc.progress import say
from partdisc.tables.paper import DATASETS, Table
from partdisc.validation import validate
from partdisc.workdir import digest, read_json, write_json

# Keys of rows on which the features depend.
_FEATURES = ("data.max_aspect", "detection.half_stride")


class Run(NamedTuple):
    """One run of a sweep: a data set, changes of the configuration, a seed."""

    data: str
    changes: tuple[tuple[str, Any], ...]
    seed: int


class Outcome(NamedTuple):
    """What became of a run: its results.json, or why there is none."""

    results: dict[str, Any] | None
    reason: str = ""


class Doing(NamedTuple):
    """How runs are done, each of a configuration in a work directory.

    Attributes:
      fingerprint: of the data that a run would see; raises DataError where it is absent.
      train: does a run and leaves results.json.
    """

    fingerprint: Callable[[Any, pathlib.Path], str]
    train: Callable[[Any, pathlib.Path], None]


def run_of(data: str, changes: dict[str, Any], seed: int) -> Run:
    """Name a run; the order of the changes does not matter."""
    return Run(data, tuple(sorted(changes.items())), seed)


def runs_of(table: Table, datasets: tuple[str, ...], seeds: tuple[int, ...]) -> list[Run]:
    """List the runs of a table, each once, those that share stages beside each other."""
    rows = [row for row in table.rows if row.changes is not None]
    listed = []
    for data in datasets:
        runs = [run_of(data, row.changes_on(data), seed) for seed in seeds for row in rows]
        # Features are what takes longest: those of other features come together, last.
        listed += sorted(
            runs, key=lambda run: [(key, value) for key, value in run.changes if key in _FEATURES]
        )
    return list(dict.fromkeys(listed))


def config_of(config: Any, run: Run, given: dict[str, Any]) -> Any:
    """Return the configuration of a run.

    Args:
      config: the one to start from.
      run: what to change.
      given: what the user set on the command line, {'section.key': value}: it wins over
        what the data set is used with, but not over what makes the row.

    Raises:
      errors.ConfigError: the changes contradict each other.
    """
    made = config.copy_and_resolve_references()
    changes = DATASETS[run.data].changes | given | dict(run.changes) | {"seed": run.seed}
    with made.unlocked():
        made.update_from_flattened_dict(changes)
    validate(made)
    return made


def sweep(
    config: Any,
    runs: list[Run],
    folder: pathlib.Path,
    given: dict[str, Any],
    doing: Doing,
) -> dict[Run, Outcome]:
    """Do all runs, or reuse what an earlier sweep with the same configurations and data left.

    The runs of a data set share a work directory, and so its features, and those of a seed
    that come after each other their clusters and pools. A run whose data is absent, or whose
    row contradicts what its data set is used with, costs itself alone.

    Args:
      config: to start from.
      runs: as `runs_of` gives them.
      folder: of the sweep; runs are done in `runs`, and what came of each is kept in `results`,
        as {data, seed, changes, results}.
      given: what the user set on the command line.
      doing: of the runs.

    Returns:
      From each run to its outcome.
    """
    outcomes: dict[Run, Outcome] = {}
    fingerprints: dict[str, str] = {}
    for number, run in enumerate(runs, 1):
        changes = ", ".join(f"{key}={value}" for key, value in run.changes) or "our defaults"
        label = f"run {number} of {len(runs)}: {run.data}, {changes}, seed {run.seed}"
        workdir = folder / "runs" / run.data
        try:
            made = config_of(config, run, given)
            data = digest(made.data.to_dict(), run.seed)
            if data not in fingerprints:
                fingerprints[data] = doing.fingerprint(made, workdir)
            name = f"{run.data}-{run.seed}-{_key(made, fingerprints[data])}.json"
            kept = folder / "results" / name
            record = read_json(kept) or {}
            if "results" not in record:
                say("")
                say(label)
                doing.train(made, workdir)
                results = read_json(workdir / "results.json")
                record = {**run._asdict(), "changes": dict(run.changes), "results": results}
                write_json(kept, record)
            outcomes[run] = Outcome(record["results"])
        except ConfigError as error:
            outcomes[run] = Outcome(None, str(error))
        except DataError as error:
            known = DATASETS[run.data]
            where = origin(known.changes["data.name"]) or known.origin
            outcomes[run] = Outcome(None, f"{error}{where and '; '}{where}")
        if outcomes[run].results is None:
            say(f"{label} cannot be done: {outcomes[run].reason}")
    return outcomes


def _key(made: Any, fingerprint: str) -> str:
    """Name a run by its data and its configuration, without the table that asked for it."""
    flat = flatten(made).items()
    return digest(fingerprint, {k: v for k, v in flat if not k.startswith("table.")})
