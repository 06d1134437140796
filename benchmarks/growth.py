"""How time and memory grow with the number of training images: `python -m benchmarks.growth`.

Features are made up: 1,024 maps in a file stand for all images, again and again, so that no disk
is filled. Each number of images is measured in a process of its own.

  python -m benchmarks.growth [--images=1000,4000,16000,64000] [--memory=4] [--steps=20]
      [--out=growth.png]
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.config import base_config
from partdisc.discovery.clusters import ClusterSettings, cluster
from partdisc.discovery.features import DTYPE, Features
from partdisc.discovery.images import GIB, gather, open_images, room
from partdisc.discovery.pool_alignment import align_pools, aligner_of
from partdisc.discovery.pools import PoolSettings, find_pools
from partdisc.discovery.settings import step_settings
from partdisc.discovery.step import initial_state, step_members, train_step
from partdisc.progress import say, table

# Maps in the file; rows and columns of one; channels; targets whose candidates are aligned.
MAPS, GRID, CHANNELS = 1024, (14, 17), 512
ALIGNED = 48
STAGES = (
    "put on the device", "clusters", "pools", "maps to align", "alignment of candidates",
    "training",
)  # fmt: skip


def anonymous() -> float:
    """Return the memory of this process in GiB, but for pages of files, which can be dropped."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 2**20


class Peak:
    """The most memory that was held within a block, in GiB, and the seconds it took."""

    def __enter__(self) -> "Peak":
        self.most, self._ended = anonymous(), threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        self._began = time.perf_counter()
        return self

    def _look(self) -> None:
        while not self._ended.wait(0.01):
            self.most = max(self.most, anonymous())

    def __exit__(self, *_) -> None:
        self.seconds = time.perf_counter() - self._began
        self._ended.set()
        self._watch.join()


def made_up(folder: pathlib.Path, images: int) -> tuple[Features, np.ndarray]:
    """Write maps of noise around some directions; return the cache and the rows of N images."""
    rng = np.random.default_rng(0)
    cells = GRID[0] * GRID[1]
    file = np.lib.format.open_memmap(folder / "maps.npy", "w+", DTYPE, (MAPS, cells, CHANNELS))
    directions = np.abs(rng.standard_normal((256, CHANNELS)))
    for row in range(MAPS):
        found = directions[rng.integers(0, 256, cells)]
        found = np.abs(found + 0.7 * rng.standard_normal((cells, CHANNELS)))
        file[row] = found / np.linalg.norm(found, axis=1, keepdims=True)
    file.flush()
    grids = np.tile(np.array(GRID, np.int32), (MAPS, 1))
    maps = np.load(folder / "maps.npy", mmap_mode="r")
    return Features(maps, grids, None, 1), np.arange(images) % MAPS


def measure(images: int, memory: float, steps: int) -> dict[str, Any]:
    """Do the stages for so many images; return seconds and GiB of each."""
    config = base_config()
    settings, pooling = step_settings(config), PoolSettings(**config.pools)
    found = {}

    def stage(name: str, work: Callable[[], Any], share: float = 1.0) -> Any:
        with Peak() as peak:
            done = jax.block_until_ready(work())
        found[name] = (peak.seconds / share, peak.most)
        return done

    with tempfile.TemporaryDirectory() as folder:
        cache, index = made_up(pathlib.Path(folder), images)
        offset = np.zeros(CHANNELS, np.float32)
        chosen = stage(STAGES[0], lambda: open_images(cache, index, offset, int(memory * GIB)))
        parts = config.parts
        few = dict(config.clusters) | {"iterations": 3, "tolerance": 0.0, "seeding_vectors": 5000}
        clustering = ClusterSettings(
            parts=parts.count, kappa=parts.kappa, background=parts.background, center=False,
            seed=0, **few,
        )  # fmt: skip
        layer = stage(STAGES[1], lambda: cluster(clustering, cache, index))
        params = {name: jnp.asarray(value) for name, value in layer.items() if name != "offset"}
        nearest = pooling._replace(candidates=0, size=pooling.candidates)
        members, _ = stage(STAGES[2], lambda: find_pools(nearest, settings, params, chosen, seed=0))
        some = np.random.default_rng(1).permutation(images)[:ALIGNED]

        def align() -> None:
            aligner = stage(STAGES[3], lambda: aligner_of(settings, params, chosen, seed=0))
            few = ALIGNED / images
            stage(
                STAGES[4], lambda: align_pools(aligner, some, members[some], label="").scores, few
            )

        align()

        def train():
            state = jax.tree.map(jnp.copy, initial_state(settings, params))
            key = jax.random.key(0)
            for step in range(steps):
                targets = some[np.arange(step, step + 4) % ALIGNED]
                rows = step_members(settings, members[:, : pooling.size], targets)
                batch = gather(chosen, rows, room(GRID[0] * GRID[1], GRID[0] * GRID[1]))
                state, metrics = train_step(settings, state, batch, key)
                float(metrics["loss"])
            return state

        train()
        stage(STAGES[5], train)
    return {name: {"seconds": float(s), "gib": float(g)} for name, (s, g) in found.items()}


def draw(found: dict[int, dict[str, Any]], steps: int, path: pathlib.Path) -> None:
    """Draw seconds and memory over the number of images."""
    from matplotlib.figure import Figure

    figure = Figure((9, 3.6), layout="constrained")
    time_axes, memory_axes = figure.subplots(1, 2)
    for axes, field, label in (
        (time_axes, "seconds", f"seconds ({steps} steps of training)"),
        (memory_axes, "gib", "GiB of memory"),
    ):
        for stage in STAGES:
            axes.plot(list(found), [one[stage][field] for one in found.values()], "o-", label=stage)
        axes.set(xscale="log", xlabel="training images", ylabel=label)
        axes.set_xticks(list(found), [f"{one:,}" for one in found])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    # Below it nothing is done at all.
    time_axes.set(yscale="log")
    time_axes.set_ylim(bottom=0.5)
    memory_axes.set_ylim(0)
    time_axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def main(argv: list[str]) -> int:
    """Measure each number of images in a process of its own; print a table and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default="1000,4000,16000,64000")
    parser.add_argument("--memory", type=float, default=4.0, help="config.memory, GiB")
    parser.add_argument("--steps", type=int, default=20, help="of training")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("growth.png"))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    counts = [int(one) for one in asked.images.split(",")]
    if asked.one:
        print(json.dumps(measure(counts[0], asked.memory, asked.steps)))
        return 0
    found = {}
    for count in counts:
        again = [
            sys.executable, "-m", "benchmarks.growth", "--one", f"--images={count}",
            f"--memory={asked.memory}", f"--steps={asked.steps}",
        ]  # fmt: skip
        ended = subprocess.run(again, stdout=subprocess.PIPE, text=True, check=True)
        found[count] = json.loads(ended.stdout.splitlines()[-1])
        say(f"{count} images: {found[count]}")
    say("")
    rows = [
        [stage, *(f"{one[stage]['seconds']:,.1f} s, {one[stage]['gib']:.1f} GiB"
                  for one in found.values())]
        for stage in STAGES
    ]  # fmt: skip
    table(f"config.memory={asked.memory:g}", ["", *(f"{one:,}" for one in found)], rows)
    draw(found, asked.steps, asked.out)
    say(f"drawn: {asked.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
