"""What the pictures of parts show: channels and their names, points, maps and patches."""

from typing import NamedTuple

import numpy as np

from partdisc.data import images
from partdisc.detector import Detector, on_pixels
from partdisc.discovery.features import Features, predict
from partdisc.discovery.inputs import Inputs

# Patches of a part in the gallery: as many as a page is wide.
PATCHES = 8
# Grey around a patch that reaches past its image.
NOTHING = 238


class Parts(NamedTuple):
    """The channels to show, each once.

    Attributes:
      channels: int [n].
      titles: n names; those of a channel that answers for several parts are joined.
      landmarks: n lists of the landmarks that a channel answers for, maybe empty.
    """

    channels: np.ndarray
    titles: list[str]
    landmarks: list[list[int]]

    def first(self, count: int) -> "Parts":
        """Return the first of them."""
        return Parts(*(field[:count] for field in self))


def shown_parts(parts: dict[str, int], landmarks: tuple[str, ...]) -> Parts:
    """Gather the names of each channel, in the order of their first appearance."""
    groups: dict[int, list[str]] = {}
    for name, channel in parts.items():
        groups.setdefault(channel, []).append(name)
    return Parts(
        np.array(list(groups), int),
        [", ".join(group) for group in groups.values()],
        [[landmarks.index(n) for n in group if n in landmarks] for group in groups.values()],
    )


def working_image(inputs: Inputs, index: int) -> np.ndarray:
    """Return an image as the network sees it, uint8 [h, w, 3]."""
    return inputs.dataset.working_image(int(index), inputs.geometry.take(int(index)))


def strongest(
    detector: Detector, features: Features, indices: np.ndarray, channels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return each channel's strongest detection in each image.

    Args:
      detector: what detects.
      features: the cache.
      indices: int [n], the images.
      channels: int [K].

    Returns:
      points [n, K, 2], (y, x) in pixels of the working images, NaN where there is none,
      and scores [n, K], -inf there.
    """
    found = predict(detector, features, indices)
    points = images.to_working(found.peak[:, channels], features.geometry.take(indices))
    return points, found.scores[:, channels, 0]


def ground_truth(
    inputs: Inputs, indices: np.ndarray, landmarks: list[list[int]]
) -> list[list[np.ndarray]]:
    """Return for each image and channel its landmarks [n, 2], pixels of the working image."""
    geometry = inputs.geometry.take(indices)
    marks = images.to_working(inputs.dataset.points[indices], geometry)
    return [[each[group] for group in landmarks] for each in marks]


def part_maps(
    detector: Detector, features: Features, indices: np.ndarray, channels: np.ndarray
) -> list[np.ndarray]:
    """Return each image's probabilities of channels, [K, h, w] on its working pixels."""
    taken, grids = features.take_fine(indices)
    probs = np.asarray(detector.probabilities(taken, grids))
    sizes = features.geometry.take(indices).working
    return [
        on_pixels(unpacked(cells.T, grid), size, detector.stride, detector.backbone.origin)
        for cells, grid, size in zip(probs[..., channels], grids, sizes, strict=True)
    ]


def unpacked(cells: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return packed cells [..., P] as maps [..., rows, columns]."""
    return cells[..., : grid.prod()].reshape(*cells.shape[:-1], *grid)


def strongest_patches(
    inputs: Inputs, indices: np.ndarray, points: np.ndarray, scores: np.ndarray, side: float
) -> list[np.ndarray]:
    """Cut the patches around a part's strongest detections, one an image at most.

    Args:
      inputs: data set and geometry.
      indices: int [n], the images.
      points: [n, 2], (y, x), pixels of the working images.
      scores: [n], -inf where the part was not found.
      side: of a patch in pixels.

    Returns:
      Patches, uint8 [side, side, 3], strongest first.
    """
    order = np.argsort(-scores, kind="stable")[:PATCHES]
    return [
        patch(working_image(inputs, indices[n]), points[n], side)
        for n in order
        if np.isfinite(scores[n])
    ]


def patch(image: np.ndarray, point: np.ndarray, side: float) -> np.ndarray:
    """Cut a square out of an image around a point, grey where it reaches past the image."""
    side = max(1, round(side))
    canvas = np.pad(image, ((side, side), (side, side), (0, 0)), constant_values=NOTHING)
    y, x = (np.floor(point - side / 2 + 1).astype(int) + side).tolist()
    return canvas[y : y + side, x : x + side]
