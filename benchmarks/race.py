"""Time partdisc in turn with other ways to do the same work."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from partdisc.progress import say

COLUMNS = ["stage", "beside", "partdisc", "unit", "ratio: min", "median", "CPU"]


class Way(NamedTuple):
    """One way to do the work of a stage.

    Attributes:
      name: of the way.
      work: does it.
      units: how much of it a call does.
    """

    name: str
    work: Callable[[], object]
    units: float


class Race(NamedTuple):
    """A stage and its ways.

    Attributes:
      stage: its name.
      unit: what its work is counted in.
      ways: partdisc's first.
      seen: what was seen of the results, one line each.
    """

    stage: str
    unit: str
    ways: list[Way]
    seen: list[str] = []


class Times(NamedTuple):
    """Seconds of a unit of work, of each round [n]: by the clock, and of all cores together."""

    wall: np.ndarray
    cpu: np.ndarray


def measure(ways: list[Way], rounds: int) -> list[Times]:
    """Time ways in turn, A B C A B C ..., after one call of each, which compiles."""
    for way in ways:
        jax.block_until_ready(way.work())
    times = np.zeros((len(ways), rounds, 2))
    for number in range(rounds):
        for index, way in enumerate(ways):
            wall, cpu = time.perf_counter(), time.process_time()
            jax.block_until_ready(way.work())
            times[index, number] = time.perf_counter() - wall, time.process_time() - cpu
            times[index, number] /= way.units
    return [Times(*one.T) for one in times]


def rows(race: Race, rounds: int) -> list[list[str]]:
    """Run a race, and return a row of `COLUMNS` for each way beside partdisc's.

    A ratio is partdisc's time by the other's: below 1 partdisc is faster. Of each the fastest
    and the median round count, and the least time of the cores, which other programs on the
    machine disturb less.
    """
    ours, *others = measure(race.ways, rounds)
    rate = f"{1 / ours.wall.min():,.1f}"
    found = []
    for way, theirs in zip(race.ways[1:], others, strict=True):
        ratios = (
            ours.wall.min() / theirs.wall.min(),
            np.median(ours.wall) / np.median(theirs.wall),
            ours.cpu.min() / theirs.cpu.min(),
        )
        found.append([race.stage, way.name, rate, f"{race.unit}/s"] + [f"{r:.2f}" for r in ratios])
        say(f"{race.stage}: {rate} {race.unit}/s, {found[-1][4]} x the time of {way.name}")
    for line in race.seen:
        say(f"  {line}")
    return found
