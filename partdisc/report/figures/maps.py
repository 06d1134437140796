"""Figures of maps over images: heat maps, pseudo ground truth."""

import numpy as np

from partdisc.report.figures.page import Page
from partdisc.report.figures.sheet import (
    INK,
    Sheet,
    colour,
    empty,
    fitted,
    ink,
    picture,
    raster,
    seen,
)

_PANEL = 1.35  # inches
_FINE = 256  # pixels of the longer side of a heat map, drawn


def heat_maps(
    images,
    maps,
    titles,
    page: Page,
    *,
    points=None,
    truth=None,
) -> None:
    """Draw the channels' maps over the images: a row an image, a column a channel.

    A column has one scale, from zero to its largest value on these images, so that
    images can be compared within a channel. Figures 6-9 of the paper.

    Args:
      images: N images, uint8 [H, W, 3] each.
      maps: N arrays [K, h, w] of values from 0 up; the cells cover the image exactly.
        NaN is drawn as 0.
      titles: K names of the channels.
      page: where it goes.
      points: N arrays [K, 2], (y, x) in pixels: the predicted peaks; or [K, n, 2].
      truth: the same for the annotated landmarks.
    """
    ending = page.ending("What the channels see", follows="as in Figures 6-9 of Guo et al. (2020)")
    if not len(images):
        return empty(page.path, "no images", **ending)
    tops = [max(_top(m[k]) for m in maps) for k in range(len(titles))]
    heights = [fitted(_PANEL, [image]) for image in images]
    sheet = Sheet([_PANEL] * (1 + len(titles)), heights)
    sheet.headings(["image", *titles])
    for row, (image, channels) in enumerate(zip(images, maps, strict=True)):
        picture(sheet.panel(row, 0), image)
        grey = _grey(image)
        for k, (values, top) in enumerate(zip(channels, tops, strict=True)):
            axes = sheet.panel(row, 1 + k)
            picture(axes, grey)
            raster(axes, _heat(values, top, image.shape[:2]), image.shape[:2])
            for where, draw in ((truth, _ring), (points, _cross)):
                if where is not None:
                    _mark(axes, where[row][k], image.shape[:2], draw)
    if titles:
        shades = _colours(np.linspace(0, 1, 128))
        share = shades[:, 3:]
        sheet.scale(share * shades[:, :3] + (1 - share) * 0.75, "0", "channel's max")
    drawn = [(points, _cross, "predicted peak"), (truth, _ring, "ground truth")]
    drawn = [(draw, label) for where, draw, label in drawn if where is not None]
    if titles and drawn:
        sheet.key([_handle(draw) for draw, _ in drawn], [label for _, label in drawn])
    sheet.save(page.path, **ending)


def pseudo_ground_truth(
    images,
    labels,
    page: Page,
    *,
    background: int,
    centres=None,
) -> None:
    """Draw which channel each cell is to be taught, beside the image.

    A channel has the same colour and number in every image. Figure 1, lower right.

    Args:
      images: N images, uint8 [H, W, 3] each.
      labels: N arrays int [h, w] of channels, -1 without label.
      page: where it goes.
      background: K, the channel of the background.
      centres: N pairs of arrays, the rows [h] and columns [w] of the cells' centres in
        pixels of the image; None: the cells cover the image exactly.
    """
    follows = "channel of each cell, in the manner of Figure 1 of Guo et al. (2020)"
    ending = page.ending("Pseudo ground truth", follows=follows)
    if not len(images):
        return empty(page.path, "no images", **ending)
    width, across = 2.2, min(2, len(images))
    rows = [images[i : i + across] for i in range(0, len(images), across)]
    sheet = Sheet([width] * (2 * across), [fitted(width, row) for row in rows])
    sheet.headings(["image", "channel of each cell"] * across)
    for i, (image, channels) in enumerate(zip(images, labels, strict=True)):
        row, column = i // across, 2 * (i % across)
        picture(sheet.panel(row, column), image)
        axes = sheet.panel(row, column + 1)
        picture(axes, _grey(image))
        channels = np.asarray(channels)
        edges = [
            _edges(count, size, None if centres is None else centres[i][axis])
            for axis, (count, size) in enumerate(zip(channels.shape, image.shape, strict=False))
        ]
        _blocks(axes, _cells(channels, background), edges)
        _numbers(axes, channels, edges, background)
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=colour(0), edgecolor="none"),
        Patch(facecolor=_BACKGROUND, edgecolor="none"),
        Patch(facecolor="white", edgecolor=INK, linewidth=0.5),
    ]
    sheet.key(handles, ["a channel, with its number", "background", "no label"])
    sheet.save(page.path, **ending)


def upsample(values, shape: tuple[int, int]) -> np.ndarray:
    """Stretch a map [h, w] over [H, W] pixels, bilinear between the cells' centres.

    Pixel y lies at cell (y + 0.5) h / H - 0.5; beyond the outer centres the value stays.
    """
    values = np.asarray(values, dtype=float)
    for axis, size in enumerate(shape):
        count = values.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * count / size - 0.5, 0, count - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, count - 1)
        share = np.expand_dims(at - low, 1 - axis)
        values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return values


def _top(values) -> float:
    values = np.asarray(values, dtype=float)
    return float(np.max(values, where=np.isfinite(values), initial=0.0))


def _heat(values, top: float, shape: tuple[int, int]) -> np.ndarray:
    """Colour a map [h, w] by its share of `top`: RGBA over the image [H, W]."""
    values = np.asarray(values, dtype=float)
    values = np.where(np.isfinite(values), values, 0.0) / (top or 1.0)
    shrink = min(1.0, _FINE / max(shape))
    size = tuple(max(1, round(side * shrink)) for side in shape)
    return _colours(np.clip(upsample(values, size), 0, 1))


def _colours(share) -> np.ndarray:
    from matplotlib import colormaps

    colours = colormaps["inferno"](0.3 + 0.65 * share)
    # Proportional to the value, up to where the image could no longer be seen.
    colours[..., 3] = np.minimum(1.3 * share, 0.75)
    return colours


def _grey(image) -> np.ndarray:
    """Take most of the colour out of an image, so that colours over it can be told."""
    grey = np.asarray(image) @ np.array([0.299, 0.587, 0.114])
    return np.repeat((40 + 0.8 * grey)[..., None], 3, axis=2).astype(np.uint8)


def _cross(filled: str, width: float) -> dict:
    return {"marker": "x", "ms": 4, "mec": filled, "mew": width}


def _ring(filled: str, width: float) -> dict:
    return {"marker": "o", "ms": 9, "mec": filled, "mew": width, "mfc": "none"}


_MARKS = {_cross: "#00e5ff", _ring: "#7cff4f"}


def _mark(axes, points, shape: tuple[int, int], draw) -> None:
    points = np.asarray(points, dtype=float).reshape(-1, 2)
    for y, x in points[seen(points, shape)]:
        # A dark rim first: the mark must be seen on any ground.
        axes.plot(x, y, ls="none", clip_on=False, **draw("black", 1.9))
        axes.plot(x, y, ls="none", clip_on=False, **draw(_MARKS[draw], 1.0))


def _handle(draw):
    from matplotlib.lines import Line2D

    return Line2D([], [], ls="none", **draw(_MARKS[draw], 1.4))


_BACKGROUND = "#3b3f46"


def _cells(labels: np.ndarray, background: int) -> np.ndarray:
    """Colour each cell by its channel: RGBA [h, w, 4], nothing where there is no label."""
    from matplotlib.colors import to_rgb

    colours = np.zeros((*labels.shape, 4))
    for channel in np.unique(labels[labels >= 0]):
        shade = to_rgb(_BACKGROUND) if channel == background else colour(int(channel))
        colours[labels == channel] = (*shade, 0.75)
    return colours


def _edges(cells: int, pixels: int, centres) -> np.ndarray:
    """Give the borders [cells + 1] between cells along an axis: half way between centres."""
    if centres is None:
        return np.linspace(-0.5, pixels - 0.5, cells + 1)
    centres = np.asarray(centres, dtype=float)
    return np.concatenate([[-0.5], (centres[1:] + centres[:-1]) / 2, [pixels - 0.5]])


def _blocks(axes, colours: np.ndarray, edges) -> None:
    """Draw each cell's colour [h, w, 4] between its borders."""
    height, width = (side[-1] + 0.5 for side in edges)
    axes.pcolorfast(edges[1], edges[0], colours)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _numbers(axes, labels: np.ndarray, edges, background: int) -> None:
    """Write each cell's channel in it, where there is room."""
    inches = axes.get_position().width * axes.figure.get_size_inches()[0]
    sides = [np.diff(side) for side in edges]
    usual = [np.median(side) for side in sides]
    size = min(8.0, inches * min(usual) / max(side.sum() for side in sides) * 72 / 2.2)
    if size < 2.5:
        return
    middles = [(side[1:] + side[:-1]) / 2 for side in edges]
    for (row, column), channel in np.ndenumerate(labels):
        # The image may end within its last cells.
        room = sides[0][row] >= 0.7 * usual[0] and sides[1][column] >= 0.7 * usual[1]
        if 0 <= channel != background and room:
            style = {"size": size, "color": ink(colour(int(channel)))}
            place = middles[1][column], middles[0][row]
            axes.text(*place, str(channel), ha="center", va="center_baseline", **style)
