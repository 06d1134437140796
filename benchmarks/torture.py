"""What becomes of work when everything goes wrong: kills, full disks, damaged and odd files.

  python -m benchmarks.torture [--scale=0.1] [--only=kills,images]

Each trial has survived if the program ended as it promises (it went on and came to the same bits,
or it said in one line what is wrong), and has lost if it did not: a traceback, a hang, another
result, or something that was there before and is gone. Takes an hour or two at full scale.
"""

import argparse
import collections
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.odd_files import (
    annotation_trials,
    checkpoint_trials,
    image_trials,
    weight_trials,
)
from partdisc.progress import say, table, track

# Longer than this, seconds, is a hang.
PATIENCE = 600
RUN = [
    "--config=demo", "--config.backbone.layer=pool3", "--config.data.shapes_train=12",
    "--config.data.shapes_fit=8", "--config.data.shapes_test=5", "--config.data.shapes_size=64",
    "--config.data.short_side=64", "--config.parts.count=8", "--config.pools.size=3",
    "--config.train.batch=2", "--config.train.steps=40", "--config.train.checkpoint_every=4",
    "--config.report.images=2", "--config.report.channels=2",
]  # fmt: skip
# Programs that are compiled soon: most of a small run's time goes there.
QUICK = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1"
)
COUNTS = {
    "kills": 200, "disks": 20, "read-only": 5, "few files": 3, "two at once": 5,
    "images": 10_000, "annotations": 5_000, "weights": 500, "checkpoints": 500,
}  # fmt: skip


def started(workdir: pathlib.Path, **options) -> subprocess.Popen:
    """Start a small run, which keeps its compiled programs beside its work directory."""
    own = {
        "XLA_FLAGS": QUICK,
        "XDG_CACHE_HOME": str(workdir.parent / "cache"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "partdisc", *RUN, f"--workdir={workdir}"],
        env=os.environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def params(workdir: pathlib.Path) -> dict[str, bytes]:
    """Return the trained params, by their names."""
    with np.load(workdir / "detector.npz") as file:
        return {name: file[name].tobytes() for name in file.files if name.startswith("params/")}


def ended(process: subprocess.Popen) -> str:
    """Return what is wrong with the way a process ended; "" where it came to its end."""
    try:
        _, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return "hang"
    if "Traceback" in errors:
        return "traceback"
    if process.returncode == 0:
        return ""
    last = errors.strip().splitlines()[-1:]
    return "said" if last and last[0].startswith("error: ") else f"ended by {process.returncode}"


def kills(count: int, place: pathlib.Path, rng: random.Random) -> Iterator[str]:
    """Kill a run at random moments until it has come to its end, and compare its bits."""
    whole = place / "whole"
    assert ended(started(whole)) == ""
    expected = params(whole)
    began = time.monotonic()
    assert ended(started(place / "again")) == ""
    longest = time.monotonic() - began
    assert params(place / "again") == expected
    # What is compiled is to be killed while it is kept, too.
    shutil.rmtree(place / "cache")
    workdir, killed = place / "killed", 0
    while killed < count:
        process = started(workdir)
        try:
            process.communicate(timeout=rng.uniform(0, 1.2 * longest))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            killed += 1
            # What a kill costs shows when the run has come to its end.
            yield ""
        else:
            good = process.returncode == 0 and params(workdir) == expected
            if not good:
                yield "other bits or no end"
            shutil.rmtree(workdir)
    if workdir.exists():
        yield ended(started(workdir)) or ("" if params(workdir) == expected else "other bits")


def disks(count: int, place: pathlib.Path, rng: random.Random) -> Iterator[str]:
    """Fill the disk at any write; with room again, the same command comes to its end."""
    for number in range(count):
        workdir = place / str(number)
        workdir.mkdir()
        megabytes = 0.3 + 6 * number / count
        mount = ["mount", "-t", "tmpfs", "-o", f"size={int(megabytes * 1024)}k", "tmpfs", workdir]
        subprocess.run(mount, check=True)
        try:
            first = ended(started(workdir / "run"))
            room = ["mount", "-o", "remount,size=1g", workdir]
            subprocess.run(room, check=True)
            again = ended(started(workdir / "run"))
            yield next((one for one in (first, again) if one not in ("", "said")), "") or again
        finally:
            subprocess.run(["umount", workdir], check=True)


def read_only(count: int, place: pathlib.Path, rng: random.Random) -> Iterator[str]:
    """Make the folder of a finished run read-only: one line, and nothing is gone."""
    for number in range(count):
        workdir = place / str(number)
        workdir.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", workdir], check=True)
        try:
            if number % 2:
                assert ended(started(workdir / "run")) == ""
            subprocess.run(["mount", "-o", "remount,ro", workdir], check=True)
            found = ended(started(workdir / "run"))
            yield "" if found == "said" else found or "wrote where nothing can be written"
        finally:
            subprocess.run(["umount", workdir], check=True)


def few_files(count: int, place: pathlib.Path, rng: random.Random) -> Iterator[str]:
    """Allow few open files: it comes to its end, or says so in one line."""
    for number in range(count):
        limit = (64, 48, 32)[number % 3]

        def limited(limit=limit):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

        found = ended(started(place / str(number), preexec_fn=limited))
        yield "" if found == "said" else found


def two_at_once(count: int, place: pathlib.Path, rng: random.Random) -> Iterator[str]:
    """Start two runs in one folder: one is refused, the other one comes to its end."""
    for number in range(count):
        pair = [started(place / str(number)) for _ in range(2)]
        found = sorted(ended(one) for one in pair)
        yield "" if found == ["", "said"] else str(found)


TRIALS: dict[str, Callable[[int, pathlib.Path, random.Random], Iterator[str]]] = {
    "kills": kills,
    "disks": disks,
    "read-only": read_only,
    "few files": few_files,
    "two at once": two_at_once,
    "images": image_trials,
    "annotations": annotation_trials,
    "weights": weight_trials,
    "checkpoints": checkpoint_trials,
}


def main(argv: list[str]) -> int:
    """Do the trials, and print what survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the trials to do")
    parser.add_argument("--only", default=",".join(TRIALS), help="which, by commas")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(argv)
    rows, losses = [], 0
    for name in asked.only.split(","):
        count = max(1, round(COUNTS[name] * asked.scale))
        with tempfile.TemporaryDirectory() as place:
            trials = TRIALS[name](count, pathlib.Path(place), random.Random(asked.seed))
            found = collections.Counter(track(trials, name, total=count, unit="trials"))
        lost = sum(found.values()) - found[""]
        losses += lost
        how = "; ".join(f"{reason}: {n}" for reason, n in found.items() if reason)
        rows.append([name, f"{sum(found.values()):,}", f"{found['']:,}", f"{lost:,}", how])
        say(f"{name}: {rows[-1][1:]}")
    table("torture", ["", "tried", "survived", "lost", "how"], rows)
    return int(losses > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
