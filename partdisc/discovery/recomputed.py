"""Features that are made again whenever they are asked for, where a disk has no room for them."""

import numpy as np

from partdisc import devices
from partdisc.backbones import unit_features
from partdisc.discovery.feature_file import DTYPE
from partdisc.discovery.inputs import Inputs
from partdisc.discovery.passes import batches, read_ahead


class Recomputed:
    """Features float16 [N, P, C], indexed by images as an array is; nothing of them is kept.

    They have the bits that a file of them would hold.

    Args:
      inputs: the images and the network.
      shape: N, P, C.
      batch: images of a pass.
      half_stride: whether the cells halfway between are made too.
    """

    dtype = np.dtype(DTYPE)

    def __init__(
        self, inputs: Inputs, shape: tuple[int, int, int], *, batch: int, half_stride: bool
    ):
        self.shape = shape
        self._inputs, self._batch, self._half_stride = inputs, batch, half_stride

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return the features [..., P, C] of images."""
        wanted, place = np.unique(rows, return_inverse=True)
        sizes = np.asarray(self._inputs.geometry.working)
        groups = list(batches(wanted, sizes, self._batch))
        running = []
        for number, (group, pixels) in enumerate(read_ahead(self._inputs, groups, self._batch)):
            with devices.turn(number):
                network, weights = self._inputs.backbone, self._inputs.weights
                found = unit_features(network, weights, pixels, half_stride=self._half_stride)
            running.append((group, found))
        made = np.zeros((len(wanted), *self.shape[1:]), DTYPE)
        for group, found in running:
            made[np.searchsorted(wanted, group), : found.shape[1]] = found[: len(group)]
        return made[place.reshape(np.shape(rows))]
