"""Draw antialiased shapes with Pillow: flat polygons with dark outlines.

Shapes are polygons (y, x) in any units; a matrix acting on (y, x, 1) takes them
to the picture, whose sides run from 0 to 1.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

# Drawn this many times larger, then averaged down.
SUPERSAMPLING = 3
INK = (40, 36, 44)

# Labels of pixels.
GROUND, OBJECT, PAINTED, COVER = range(4)


class Shape(NamedTuple):
    """One polygon.

    Attributes:
        points: vertices (y, x) [n, 2].
        fill: its colour.
        painted: whether it takes the object's texture.
        inked: whether it gets an outline.
    """

    points: np.ndarray
    fill: Colour
    painted: bool = False
    inked: bool = True


def disc(y: float, x: float, radius: float, fill: Colour, inked: bool = True) -> Shape:
    """Make a disc."""
    angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    points = np.stack([y + radius * np.sin(angles), x + radius * np.cos(angles)], axis=1)
    return Shape(points, fill, inked=inked)


def box(y0: float, x0: float, y1: float, x1: float, fill: Colour, **kind: bool) -> Shape:
    """Make an upright rectangle."""
    return Shape(np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)]), fill, **kind)


def bar(
    start: np.ndarray, stop: np.ndarray, width: float, fill: Colour, inked: bool = True
) -> Shape:
    """Make a straight bar with round ends from one point (y, x) to another."""
    start, stop = np.asarray(start, float), np.asarray(stop, float)
    along = stop - start
    turn = np.arctan2(along[0], along[1])
    half = np.linspace(-np.pi / 2, np.pi / 2, 8)
    angles = np.concatenate([half + turn, half + turn + np.pi])
    ends = np.repeat(np.stack([stop, start]), 8, axis=0)
    points = ends + width / 2 * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    return Shape(points, fill, inked=inked)


def shade(colour: Colour, factor: float) -> Colour:
    """Darken a colour (factor below 1) or lighten it towards white (above 1)."""
    if factor <= 1:
        return tuple(int(channel * factor) for channel in colour)
    return tuple(int(255 - (255 - channel) / factor) for channel in colour)


def transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a matrix [2, 3] to points (y, x) [n, 2]."""
    return points @ matrix[:, :2].T + matrix[:, 2]


class Canvas:
    """A square picture in the making, with a label for every pixel.

    Args:
        side: of the finished picture, pixels.
        top: colour of the upper edge.
        bottom: colour of the lower edge; between the two it changes evenly.
    """

    def __init__(self, side: int, top: Colour, bottom: Colour):
        self._large = side * SUPERSAMPLING
        size = (self._large, self._large)
        ramp = Image.linear_gradient("L").resize(size)
        self._picture = Image.composite(
            Image.new("RGB", size, bottom), Image.new("RGB", size, top), ramp
        )
        self._labels = Image.new("L", size, GROUND)

    def draw(self, shapes: Iterable[Shape], label: int, matrix: np.ndarray | None = None) -> None:
        """Draw shapes one over the other; painted ones get their own label.

        The ground comes first: it leaves the labels as they are.
        """
        picture, labels = ImageDraw.Draw(self._picture), ImageDraw.Draw(self._labels)
        ink = max(2, round(0.007 * self._large))
        for shape in shapes:
            points = shape.points if matrix is None else transform(shape.points, matrix)
            corners = [(x, y) for y, x in (points * self._large).tolist()]
            layers = [(picture, shape.fill, INK)]
            if label != GROUND:
                layers.append((labels, PAINTED if shape.painted else label, label))
            for layer, fill, outline in layers:
                layer.polygon(corners, fill=fill)
                if shape.inked:
                    # Round what joins at corners; along a curve nothing shows.
                    joint = "curve" if len(corners) < 12 else None
                    layer.line([*corners, *corners[:2]], fill=outline, width=ink, joint=joint)

    def darken(self, y: float, x: float, height: float, width: float) -> None:
        """Lay a soft elliptic shadow of the given half axes round a point."""
        rows = (np.arange(64)[:, None] + 0.5) / 64
        columns = rows.T
        distance = np.hypot((rows - y) / height, (columns - x) / width)
        dark = np.clip(150 * (1.25 - distance), 0, 110).astype(np.uint8)
        mask = Image.fromarray(dark).resize(self._picture.size, Image.Resampling.BILINEAR)
        self._picture.paste((20, 20, 40), mask=mask)

    def box(self) -> np.ndarray:
        """Measure the box of everything labelled, (y0, x0, y1, x1), 0 to 1 [4]."""
        x0, y0, x1, y1 = self._labels.getbbox()
        return np.array([y0, x0, y1, x1]) / self._large

    def labels_at(self, points: np.ndarray) -> np.ndarray:
        """Look up the labels at points inside the picture (y, x), 0 to 1 [n, 2]."""
        at = np.clip((points * self._large).astype(int), 0, self._large - 1)
        return np.asarray(self._labels)[at[:, 0], at[:, 1]]

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Average down to the picture, float32 [side, side, 3], 0 to 255, and the share of
        paint in its pixels, float32 [side, side, 1]."""
        paint = self._labels.point([255 * (label == PAINTED) for label in range(256)])
        paint = np.asarray(paint.reduce(SUPERSAMPLING), np.float32)[:, :, None] / 255
        return np.asarray(self._picture.reduce(SUPERSAMPLING), np.float32), paint
