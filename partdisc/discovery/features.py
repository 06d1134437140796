"""The feature cache: unit backbone features of every image, computed once (section 3.1)."""

import concurrent.futures
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from partdisc import devices
from partdisc.backbones import unit_features
from partdisc.data import images
from partdisc.detector import Detector, Predictions
from partdisc.discovery.feature_file import DTYPE, Wanted, open_file
from partdisc.discovery.inputs import Inputs
from partdisc.progress import Progress
from partdisc.workdir import Workdir, digest

# Images between two marks of how far the cache has come, and how many marks there are at most.
BLOCK, BLOCKS = 128, 100
# Images of one pass of a detector over the cache.
CHUNK = 64


class Features(NamedTuple):
    """Cached features of the N images of a data set.

    Attributes:
      features: float16 [N, P, C], unit vectors, zero on cells that do not exist.
      grids: int32 [N, 2], rows and columns.
      geometry: how each image became the network's input.
      step: cells here to a stride of the network: 1, or 2 where those halfway are here too.
    """

    features: np.ndarray
    grids: np.ndarray
    geometry: images.Geometry
    step: int

    def take_fine(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return all features [n, P, C] and grids [n, 2] of images, for detection."""
        return self.features[indices], self.grids[indices]

    def coarse_grids(self, indices: np.ndarray) -> np.ndarray:
        """Return grids [n, 2] of images with a cell a stride."""
        return -(-self.grids[indices] // self.step)

    def take(self, indices: np.ndarray, cells: int) -> np.ndarray:
        """Return features [n, cells, C] of images with a cell a stride; none may need more."""
        taken = np.zeros((len(indices), cells, self.features.shape[-1]), DTYPE)
        for place, row in zip(taken, indices, strict=True):  # one by one: the whole may be large
            grid = self.grids[row]
            fine = self.features[row, : grid.prod()].reshape(*grid, -1)
            coarse = fine[:: self.step, :: self.step].reshape(-1, fine.shape[-1])
            place[: len(coarse)] = coarse
        return taken

    def vectors(self, rows: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Return features [n, C] of cells of images, of those that `coarse_grids` counts."""
        y, x = np.divmod(cells, self.coarse_grids(rows)[:, 1])
        return self.features[rows, self.step * (y * self.grids[rows, 1] + x)]


def features_stage(config: Any, workdir: Workdir, inputs: Inputs) -> Features:
    """Compute the features of all images, or reuse them."""
    half_stride = config.detection.half_stride
    return cache_features(
        workdir.path / "features.npy",
        digest(inputs.key, half_stride),
        inputs,
        batch=config.backbone.batch,
        half_stride=half_stride,
    )


def batches(order: np.ndarray, sizes: np.ndarray, batch: int) -> Iterator[np.ndarray]:
    """Cut positions, sorted by image size, into batches of one size each."""
    start = 0
    while start < len(order):
        same = np.all(sizes[order[start : start + batch]] == sizes[order[start]], axis=1)
        stop = start + (len(same) if same.all() else int(np.argmin(same)))
        yield order[start:stop]
        start = stop


def cache_features(
    path: pathlib.Path, key: str, inputs: Inputs, *, batch: int, half_stride: bool
) -> Features:
    """Compute the features of all images that an earlier run has not.

    Args:
      path: the cache file; which images it has, stands beside it.
      key: names how features are made of an image; another key starts afresh.
      inputs: the images, their geometry and the network.
      batch: images per pass.
      half_stride: whether to keep the cells halfway between as well.

    Returns:
      The features, memory-mapped.
    """
    backbone, geometry = inputs.backbone, inputs.geometry
    sizes = np.asarray(geometry.working)
    count = len(sizes)
    grids = (sizes // backbone.stride).astype(np.int32)
    if half_stride:
        grids = 2 * grids - 1
    shape = (count, int(np.max(grids.prod(axis=1), initial=1)), backbone.channels)
    file = devices.in_turn(lambda: open_file(path, Wanted(key, inputs.names(), shape)))
    order = np.lexsort((np.arange(count), sizes[:, 1], sizes[:, 0]))

    weights = inputs.weights._replace(params=devices.copy(inputs.weights.params))

    def read(index: np.int64) -> np.ndarray:
        return inputs.dataset.working_image(int(index), geometry.take(int(index)))

    def mine(group: np.ndarray) -> np.ndarray:
        """Return what of a batch this process reads: a short batch is filled up with nothing."""
        rows = devices.own(batch)
        return rows[rows < len(group)]

    def reading(groups: list[np.ndarray]) -> list[Iterator[np.ndarray]]:
        return [readers.map(read, group[mine(group)]) for group in groups]

    groups = list(batches(order[~file.have[order]], sizes, batch))
    block, unmarked = max(BLOCK, count // BLOCKS), 0
    with (
        concurrent.futures.ThreadPoolExecutor(4) as readers,
        Progress("features", total=count, unit="images", start=int(file.have.sum())) as shown,
    ):
        # Two batches are read ahead of the one that the network works on.
        waiting = reading(groups[:2])
        for number, group in enumerate(groups):
            waiting.extend(reading(groups[number + 2 : number + 3]))
            # A short batch is filled up, so that each image size is compiled once.
            pixels = np.zeros((batch, *sizes[group[0]], 3), np.uint8)
            for row, image in zip(mine(group), waiting.pop(0), strict=True):
                pixels[row] = image
            shares = devices.split(pixels)
            computed = unit_features(backbone, weights, shares, half_stride=half_stride)
            found = devices.fetch(computed)[: len(group)]
            file.have[group] = True
            if devices.first():
                file.rows[group, : found.shape[1]] = found
            unmarked += len(group)
            shown.advance(len(group))
            if unmarked >= block or number == len(groups) - 1:
                if devices.first():
                    file.mark()
                unmarked = 0
    # The others read what the first one has written.
    devices.agree(lambda: None)
    return Features(np.load(path, mmap_mode="r"), grids, geometry, 2 if half_stride else 1)


def predict(detector: Detector, features: Features, indices: np.ndarray) -> Predictions:
    """Detect all parts in images of the cache (section 3.3).

    Args:
      detector: what detects.
      features: the cache.
      indices: int [n], the images.

    Returns:
      The predictions, in the order of `indices`.
    """
    found = []
    for start in range(0, len(indices), CHUNK):
        chunk = indices[start : start + CHUNK]
        taken, grids = features.take_fine(chunk)
        found.append(detector.detect(taken, grids, features.geometry.take(chunk)))
    return Predictions(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))
