"""The feature cache: unit backbone features of every image, computed once (section 3.1)."""

import pathlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from partdisc import devices
from partdisc.backbones import unit_features
from partdisc.data import images
from partdisc.detector import Detector, Predictions
from partdisc.discovery.feature_file import DTYPE, Wanted, open_file
from partdisc.discovery.inputs import Inputs
from partdisc.discovery.passes import batches, read_ahead
from partdisc.discovery.recomputed import Recomputed
from partdisc.progress import Progress, say
from partdisc.workdir import Workdir, digest

# Images between two marks of how far the cache has come, and how many marks there are at most.
BLOCK, BLOCKS = 128, 100
# Images of one pass of a detector over the cache, and that are recomputed together.
CHUNK = 64
# What becomes of features.
WAYS = ("keep", "recompute")


class Features(NamedTuple):
    """Cached features of the N images of a data set.

    Attributes:
      features: float16 [N, P, C], unit vectors, zero on cells that do not exist; in memory, on the
        disk, or made again when they are asked for.
      grids: int32 [N, 2], rows and columns.
      geometry: how each image became the network's input.
      step: cells here to a stride of the network: 1, or 2 where those halfway are here too.
    """

    features: np.ndarray | Recomputed
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
        for place, row, found in zip(taken, indices, self._each(indices), strict=True):
            grid = self.grids[row]
            fine = found[: grid.prod()].reshape(*grid, -1)
            coarse = fine[:: self.step, :: self.step].reshape(-1, fine.shape[-1])
            place[: len(coarse)] = coarse
        return taken

    def vectors(self, rows: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Return features [n, C] of cells of images, of those that `coarse_grids` counts."""
        y, x = np.divmod(cells, self.coarse_grids(rows)[:, 1])
        fine = self.step * (y * self.grids[rows, 1] + x)
        taken = np.zeros((len(rows), self.features.shape[-1]), DTYPE)
        seen, counts = np.unique(rows, return_counts=True)
        places = np.split(np.argsort(rows, kind="stable"), np.cumsum(counts)[:-1])
        for place, found in zip(places, self._each(seen), strict=False):
            taken[place] = found[fine[place]]
        return taken

    def _each(self, indices: np.ndarray) -> Iterable[np.ndarray]:
        """Yield features [P, C] of images: one by one, or a few, for the whole may be large."""
        if not isinstance(self.features, Recomputed):
            return (self.features[row] for row in indices)
        chunks = (indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK))
        return (found for chunk in chunks for found in self.features[chunk])


def features_stage(config: Any, workdir: Workdir, inputs: Inputs) -> Features:
    """Compute the features of all images, or reuse them."""
    batch, half_stride = config.backbone.batch, config.detection.half_stride
    if config.features == "recompute":
        say("features are computed again at each pass, as config.features says")
        return recomputed_features(inputs, batch=batch, half_stride=half_stride)
    key = digest(inputs.key, half_stride)
    path = workdir.path / "features.npy"
    return cache_features(path, key, inputs, batch=batch, half_stride=half_stride)


def recomputed_features(inputs: Inputs, *, batch: int, half_stride: bool) -> Features:
    """Return the features of all images, which are computed whenever they are asked for."""
    shape, grids = _layout(inputs, half_stride)
    made = Recomputed(inputs, shape, batch=batch, half_stride=half_stride)
    return Features(made, grids, inputs.geometry, 2 if half_stride else 1)


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
    sizes = np.asarray(inputs.geometry.working)
    shape, grids = _layout(inputs, half_stride)
    count = len(sizes)
    file = devices.in_turn(lambda: open_file(path, Wanted(key, inputs.names(), shape)))
    weights = inputs.weights._replace(params=devices.copy(inputs.weights.params))

    def mine(group: np.ndarray) -> np.ndarray:
        """Return what of a batch this process reads."""
        rows = devices.own(batch)
        return rows[rows < len(group)]

    groups = list(batches(np.flatnonzero(~file.have), sizes, batch))
    block, unmarked = max(BLOCK, count // BLOCKS), 0
    with Progress("features", total=count, unit="images", start=int(file.have.sum())) as shown:
        for number, (group, pixels) in enumerate(read_ahead(inputs, groups, batch, mine)):
            shares = devices.split(pixels)
            computed = unit_features(inputs.backbone, weights, shares, half_stride=half_stride)
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
    rows = np.load(path, mmap_mode="r")
    return Features(rows, grids, inputs.geometry, 2 if half_stride else 1)


def _layout(inputs: Inputs, half_stride: bool) -> tuple[tuple[int, int, int], np.ndarray]:
    """Return the shape N, P, C of all features, and the grids int32 [N, 2]."""
    sizes = np.asarray(inputs.geometry.working)
    grids = (sizes // inputs.backbone.stride).astype(np.int32)
    if half_stride:
        grids = 2 * grids - 1
    cells = int(np.max(grids.prod(axis=1), initial=1))
    return (len(sizes), cells, inputs.backbone.channels), grids


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
