"""All ratios in one table: partdisc beside other ways to do the same work.

  python -m benchmarks [--rounds=5] [stage ...]

Rates depend on the machine and on what else it does; the ratios hold. Peers are measured where
their libraries are installed: `make benchmark-peers`.
"""

import argparse
import os
import sys

# Threads that wait for work must not take the cores from those that do the other way's.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import jax

from benchmarks.inputs import GRID, PARTS
from benchmarks.kernels import STAGES
from benchmarks.race import COLUMNS, rows
from partdisc.progress import say, table


def main(argv: list[str]) -> int:
    """Measure the stages named, or all."""
    stages = dict(STAGES)
    try:
        from benchmarks.peers.stages import STAGES as of_peers
    except ModuleNotFoundError as error:
        say(f"no peers are measured: {error.name} is not installed (make benchmark-peers)")
    else:
        stages |= of_peers
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", help=f"of {', '.join(stages)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=5, help="of each stage")
    asked = parser.parse_args(argv)
    unknown = [name for name in asked.stages if name not in stages]
    if unknown:
        parser.error(f"'{unknown[0]}' is no stage; allowed: {', '.join(stages)}")
    found = []
    for name in asked.stages or stages:
        found += rows(stages[name](), asked.rounds)
    say("")
    title = f"{GRID[0]} x {GRID[1]} cells, {PARTS} parts, {jax.devices()[0].device_kind}, "
    table(title + f"{len(os.sched_getaffinity(0))} cores", COLUMNS, found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
