"""What a detector says of one image, in pixels of the upright original."""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from partdisc.data import images
from partdisc.detector.parts import Part
from partdisc.detector.pixels import (
    OBJECT,
    bounds,
    label_pixels,
    largest_piece,
    to_original_size,
)


class FoundPart(NamedTuple):
    """A part in an image; there is always a point, and the score says whether to believe it.

    Attributes:
      id: of the part, from 1.
      name: its name, or "part 3".
      point: (y, x), pixels.
      score: the largest p(part | cell), in [0, 1].
      present: whether the score reaches the part's threshold.
      box: (y0, x0, y1, x1), pixels, around the largest piece labelled with it, or None.
      area: labelled with it, share of the image.
      sides: the score shared out by the way the object faces: the part seen from side a, from b.
    """

    id: int
    name: str
    point: tuple[float, float]
    score: float
    present: bool
    box: tuple[float, float, float, float] | None
    area: float
    sides: tuple[float, float] = (0.0, 0.0)


class FoundObject(NamedTuple):
    """The object in an image: what is more probably some part than background.

    Attributes:
      box: (y0, x0, y1, x1), pixels, around its largest piece.
      score: mean of 1 - p(background) in that piece, in [0, 1].
      area: of that piece, share of the image.
      facing: which way it faces, from -1 (side b is seen) to 1 (side a is). Which is left the
        program cannot know.
    """

    box: tuple[float, float, float, float]
    score: float
    area: float
    facing: float = 0.0


class Detection(NamedTuple):
    """One instance of a channel that is listed.

    Attributes:
      part: name of what the channel answers for.
      channel: of the part layer.
      score: p(channel | cell) at the peak, in [0, 1].
      point: (y, x), pixels.
      box: (y0, x0, y1, x1), pixels; it may reach past the image.
    """

    part: str
    channel: int
    score: float
    point: tuple[float, float]
    box: tuple[float, float, float, float]


class Listed(NamedTuple):
    """A channel whose detections are listed.

    Attributes:
      name: of what it answers for.
      channel: of the part layer.
      least: the score from which they are listed.
    """

    name: str
    channel: int
    least: float


class Reader(NamedTuple):
    """How predictions are read from maps.

    Attributes:
      parts: that are read.
      listed: channels whose detections are listed.
      stride: pixels of the network's input from one cell to the next.
      origin: pixel of the first cell's centre.
    """

    parts: tuple[Part, ...]
    listed: tuple[Listed, ...]
    stride: float
    origin: float


class Reading(NamedTuple):
    """What is read from the maps of n images, leading axes [n], or of one.

    Attributes:
      geometry: of the images.
      maps: [rows, columns, k + 1], p(part | cell), the background last.
      points: [k, 2], (y, x) of the parts, original pixels.
      scores: [k], of the parts.
      peaks: [listed, D, 2], (y, x) of the channels' detections, original pixels.
      peak_scores: [listed, D], -inf in unused slots.
      box_sides: [], side of a detection's box, original pixels.
      facing: [], which way the object faces, from -1 to 1.
    """

    geometry: images.Geometry
    maps: np.ndarray
    points: np.ndarray
    scores: np.ndarray
    peaks: np.ndarray
    peak_scores: np.ndarray
    box_sides: np.ndarray
    facing: np.ndarray

    def take(self, index: int) -> "Reading":
        """Return what was read from the maps of one image."""
        return Reading(self.geometry.take(index), *(array[index] for array in self[1:]))


class Predictions(NamedTuple):
    """What the channels of a detector say of n images, in original pixels.

    Attributes:
      points: [n, K, D, 2], (y, x) of the detections, strongest first.
      scores: [n, K, D], p(part | cell) at each, -inf in unused slots.
      mean: [n, K, 2], (y, x) where each part should be, `part_centres`.
    """

    points: np.ndarray
    scores: np.ndarray
    mean: np.ndarray

    @property
    def peak(self) -> np.ndarray:
        """[n, K, 2], the strongest detection of each part; NaN where there is none."""
        found = np.isfinite(self.scores[:, :, 0])
        return np.where(found[..., None], self.points[:, :, 0], np.nan)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a detector says of one image.

    Attributes:
      image: its name.
      size: height and width of the upright original, pixels.
      object: the object, or None.
      parts: all parts, in the order of their ids.
      detections: of the channels that are listed, by part, strongest first.
      geometry: how the image became the network's input.
      labels: uint8 [h, w], on the network's input: the id of the part, 0 for background.
    """

    image: str
    size: tuple[int, int]
    object: FoundObject | None
    parts: tuple[FoundPart, ...]
    detections: tuple[Detection, ...]
    geometry: images.Geometry = dataclasses.field(repr=False)
    labels: np.ndarray = dataclasses.field(repr=False)

    @classmethod
    def of(cls, reader: Reader, name: str, found: Reading) -> "Prediction":
        """Make the prediction of one image of what was read from its maps."""
        geometry = found.geometry
        maps = np.moveaxis(found.maps, -1, 0)
        labels, foreground = label_pixels(maps, geometry.working, reader.stride, reader.origin)
        height, width = (int(side) for side in geometry.size)
        whole = find_object(foreground, geometry)
        return cls(
            image=name,
            size=(height, width),
            object=whole and whole._replace(facing=float(found.facing)),
            parts=_parts(reader, labels, found),
            detections=_detections(reader, found),
            geometry=geometry,
            labels=labels,
        )

    @functools.cached_property
    def mask(self) -> np.ndarray:
        """The part of each pixel of the original, uint8 [H, W]: its id, 0 for background."""
        return to_original_size(self.labels, self.geometry)

    @property
    def object_mask(self) -> np.ndarray:
        """Which pixels of the original are the object's, bool [H, W]: its largest piece."""
        piece = largest_piece(self.labels > 0).astype(np.uint8)
        return to_original_size(piece, self.geometry).astype(bool)


def find_object(foreground: np.ndarray, geometry: images.Geometry) -> FoundObject | None:
    """Find the object: the largest piece where the background has less than a half.

    Args:
      foreground: [h, w], 1 - p(background) on the network's input.
      geometry: of the image.
    """
    piece = largest_piece(foreground > OBJECT)
    if not piece.any():
        return None
    return FoundObject(
        bounds(piece, geometry), float(foreground[piece].mean()), float(piece.mean())
    )


def _parts(reader: Reader, labels: np.ndarray, found: Reading) -> tuple[FoundPart, ...]:
    listed = []
    areas = np.bincount(labels.ravel(), minlength=len(reader.parts) + 1)
    facing = float(found.facing)
    around = ndimage.find_objects(labels, max_label=len(reader.parts))
    for place, part in enumerate(reader.parts):
        score, box = float(found.scores[place]), None
        if window := around[place]:
            # In the part's own window alone: pieces of a whole image take long to find.
            piece = largest_piece(labels[window] == part.id)
            box = bounds(piece, found.geometry, tuple(side.start for side in window))
        listed.append(
            FoundPart(
                id=part.id,
                name=part.title,
                point=tuple(found.points[place].tolist()),
                score=score,
                present=score >= part.threshold,
                box=box,
                area=float(areas[part.id] / labels.size),
                sides=(0.5 * score * (1.0 + facing), 0.5 * score * (1.0 - facing)),
            )
        )
    return tuple(listed)


def _detections(reader: Reader, found: Reading) -> tuple[Detection, ...]:
    half = 0.5 * float(found.box_sides)
    listed = []
    for one, points, scores in zip(reader.listed, found.peaks, found.peak_scores, strict=True):
        for point, score in zip(points, scores, strict=True):
            if score >= one.least and np.isfinite(score):
                box = (*(point - half).tolist(), *(point + half).tolist())
                place = tuple(point.tolist())
                listed.append(Detection(one.name, one.channel, float(score), place, box))
    return tuple(listed)
