"""What prediction costs beside the bare network, and whether its memory grows.

  python -m benchmarks.prediction RUN FOLDER [images [picture]]

RUN is the work directory of a run, FOLDER has photos. Both ways read, resize and encode the same
photos in the same batches, turn by turn, and only one of them looks for parts. Then so many
images (0: none) are predicted, and the memory of the process is drawn into a PNG file.
"""

import itertools
import os
import pathlib
import resource
import sys
import time

import numpy as np

import partdisc
from partdisc.backbones import unit_features
from partdisc.detector import Detector, find_sources
from partdisc.detector.stream import Way, predictions
from partdisc.progress import Progress, say, table

PHOTOS, ROUNDS = 160, 5


def bare(detector: Detector, sources):
    """Read, resize and encode photos, and look for nothing."""

    def look(names, pixels, geometry):
        half_stride = detector.settings.half_stride
        features = unit_features(
            detector.backbone, detector.weights, pixels, half_stride=half_stride
        )
        np.asarray(features)
        return names

    return predictions(Way(detector.batch, detector.geometry, look), iter(sources), None)


def seconds(images) -> tuple[float, float]:
    """Return the wall and the CPU time of a pass."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in images:
        pass
    return time.perf_counter() - wall, time.process_time() - cpu


def rates(detector: Detector, sources) -> None:
    """Print the rate of both ways, and how much longer prediction takes."""
    ways = {"bare network": bare, "prediction": lambda one, given: one.predict(given)}
    times = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, way in ways.items():
            taken = seconds(way(detector, sources))
            if turn:  # the first round compiles
                times[name].append(taken)
    both = np.array(list(times.values()))  # [way, round, wall or CPU]
    ratio = both[1] / both[0]
    rows = [
        [
            name,
            f"{len(sources) / one[:, 0].min():.1f}",
            f"{len(sources) / np.median(one[:, 0]):.1f}",
        ]
        for name, one in zip(ways, both, strict=True)
    ]
    title = f"{detector.backbone.name} {detector.backbone.layer}, {len(detector.parts)} parts"
    table(title, ["", "images/s, best", "median"], rows)
    for place, kind in enumerate(("wall", "CPU")):
        low, middle = ratio[:, place].min(), np.median(ratio[:, place])
        say(f"{kind} time, prediction / bare: {low:.3f} at best, median {middle:.3f}")


def memory(detector: Detector, sources, images: int, picture: pathlib.Path) -> None:
    """Predict many images and draw the memory that the process holds."""
    import matplotlib.pyplot as plt

    held = []
    endless = itertools.islice(itertools.cycle(sources), images)
    page = resource.getpagesize() / 2**20
    with Progress("predicting", total=images, unit="images") as progress:
        for number, _ in enumerate(detector.predict(endless)):
            if number % 20 == 0:
                pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
                held.append((number, int(pages) * page))
            progress.advance(1)
    number, size = np.array(held).T
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    axes.plot(number, size)
    axes.set(xlabel="images predicted", ylabel="memory, MiB", ylim=(0, 1.15 * size.max()))
    figure.savefig(picture, dpi=110)
    second, last = (part.max() for part in np.array_split(size, 3)[1:])
    say(f"memory at most, second third of the images: {second:.0f} MiB, last: {last:.0f} MiB")
    say(os.fspath(picture))


def main(arguments: list[str]) -> None:
    """Measure what the arguments ask for."""
    detector = partdisc.load(arguments[0])
    sources = find_sources(arguments[1])
    rates(detector, sources[:PHOTOS])
    if len(arguments) > 2 and int(arguments[2]):
        picture = pathlib.Path(arguments[3] if len(arguments) > 3 else "memory.png")
        memory(detector, sources, int(arguments[2]), picture)


if __name__ == "__main__":
    main(sys.argv[1:])
