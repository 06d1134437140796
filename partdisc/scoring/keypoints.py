"""What a part layer says at the annotated keypoints of the test images (protocol C)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from partdisc import evaluation
from partdisc.detector import Detector
from partdisc.discovery.run import Run


class KeypointProbs(NamedTuple):
    """The channels at the keypoints; further instances of a part are further rows of its id.

    Attributes:
      probs: [n, L, K + 1], p(channel | cell nearest to the keypoint); NaN where it is not seen.
      visible: bool [n, L].
      boxed: bool [n, L], visible and inside the box of the object.
    """

    probs: np.ndarray
    visible: np.ndarray
    boxed: np.ndarray

    def agreement(self, probs: np.ndarray) -> dict[str, float]:
        """Compare arg-maxima of probs [n, L, k + 1], the background last, with the ids: %."""
        figures = {}
        for name, foreground, counted in (
            ("full", False, self.visible),
            ("fg", True, self.boxed),
        ):
            found = evaluation.keypoint_agreement(probs, counted, foreground=foreground)
            figures |= {f"nmi_{name}": found.nmi, f"ari_{name}": found.ari}
        return figures


# Takes unit features float16 [n, P, C] and their grids [n, 2] to maps [n, P, k].
Maps = Callable[[np.ndarray, np.ndarray], np.ndarray]


def keypoint_probs(run: Run, detector: Detector, maps: Maps | None = None) -> KeypointProbs:
    """Read the maps of the test images at their keypoints: the channels', or others."""
    maps = maps or detector.probabilities
    inputs, features = run.inputs, run.features
    index = inputs.dataset.splits["test"]
    matrix = detector.cell_matrix(inputs.geometry.take(index))
    rows, inside = [], []
    for n, points in enumerate(inputs.dataset.instances[index]):
        taken, (grid,) = features.take_fine(index[n : n + 1])
        (probs,) = np.asarray(maps(taken, grid[None]))
        cells = points @ matrix[n, :2, :2].T + matrix[n, :2, 2]
        crop = inputs.geometry.crop[index[n]]
        seen = ((points >= crop[:2] - 0.5) & (points <= crop[2:] - 0.5)).all(axis=-1)
        nearest = np.clip(np.nan_to_num(np.rint(cells)), 0, grid - 1).astype(int)
        there = probs[nearest[..., 0] * grid[1] + nearest[..., 1]]
        rows.append(np.where(seen[..., None], there, np.nan))
        box = inputs.dataset.boxes[index[n]]
        inside.append(np.isnan(box).any() | ((points >= box[:2]) & (points <= box[2:])).all(-1))
    probs = np.swapaxes(np.stack(rows), 1, 2).reshape(-1, len(points), rows[0].shape[-1])
    visible = np.isfinite(probs).all(axis=-1)
    boxed = visible & np.swapaxes(np.stack(inside), 1, 2).reshape(visible.shape)
    return KeypointProbs(probs, visible, boxed)
