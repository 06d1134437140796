"""Make a table of the paper: `--mode=table`."""

from typing import Any

from partdisc.config import split_names
from partdisc.errors import ConfigError
from partdisc.progress import say
from partdisc.tables.layout import FORMATS, render
from partdisc.tables.paper import DATASETS, TABLES, Table
from partdisc.tables.sweep import Doing, runs_of, sweep
from partdisc.workdir import Workdir, atomic


def make_table(
    config: Any,
    workdir: Workdir,
    given: dict[str, Any],
    doing: Doing,
) -> None:
    """Do the runs of a table that are not done yet, print it, and write it in every format.

    Args:
      config: the whole config, valid.
      workdir: of the table.
      given: what the user set on the command line, {'section.key': value}.
      doing: of the runs.

    Raises:
      errors.ConfigError: the config's section `table` names something that there is not.
    """
    table = TABLES[config.table.number]
    datasets, seeds = _datasets(config, table), _seeds(config)
    own = {key: value for key, value in given.items() if not key.startswith("table.")}
    if "seed" in own:
        raise ConfigError("config.seed: a table runs the seeds of config.table.seeds; set those")
    outcomes = sweep(config, runs_of(table, datasets, seeds), workdir.path, own, doing)
    written = render(table, config.table.number, datasets, outcomes, seeds)
    for ending in FORMATS:
        with atomic(workdir.path / f"table.{ending}") as temporary:
            temporary.write_text(written[ending])
    say("")
    for line in written["txt"].splitlines():
        say(line)
    for ending, name in FORMATS.items():
        say(f"{name:9}{workdir.path / f'table.{ending}'}")


def _datasets(config: Any, table: Table) -> tuple[str, ...]:
    names = tuple(filter(None, config.table.data.split("+"))) or table.columns
    for name in names:
        if name not in DATASETS:
            raise ConfigError(
                f"config.table.data is {config.table.data!r}; allowed, by '+': "
                f"{', '.join(DATASETS)}"
            )
    return names


def _seeds(config: Any) -> tuple[int, ...]:
    words = split_names(config.table.seeds)
    numbers = {int(word) for word in words if word.isdecimal()}
    if not words or len(numbers) < len(words):
        raise ConfigError(
            f"config.table.seeds is {config.table.seeds!r}; allowed: different whole numbers, "
            "by commas"
        )
    return tuple(map(int, words))
