"""Figures of parts: the gallery of a channel's patches, detections on images."""

import math

import numpy as np

from partdisc.report.figures.page import Page
from partdisc.report.figures.sheet import (
    FAINT,
    Sheet,
    bare,
    colour,
    empty,
    fitted,
    ink,
    picture,
    seen,
)


def part_gallery(
    patches,
    titles,
    page: Page,
) -> None:
    """Draw the patches around each channel's strongest detections, a row a channel.

    A channel that means one thing shows one thing along its row.

    Args:
      patches: for each of K channels its patches, strongest first, uint8 [H, W, 3] each.
      titles: K names of the channels.
      page: where it goes.
    """
    ending = page.ending(
        "What each part looks like",
        follows="patches around the strongest detections, strongest first",
    )
    if not len(patches):
        return empty(page.path, "no parts", **ending)
    width = 0.8
    columns = max(1, max(len(row) for row in patches))
    sheet = Sheet([width] * columns, [fitted(width, row) for row in patches])
    for row, (found, title) in enumerate(zip(patches, titles, strict=True)):
        sheet.row_title(row, title)
        for column, patch in enumerate(found):
            picture(sheet.panel(row, column), patch)
        if not len(found):
            axes = sheet.panel(row, 0)
            bare(axes)
            style = {"size": 7, "color": FAINT, "transform": axes.transAxes}
            axes.text(0.5, 0.5, "none", ha="center", va="center", **style)
    sheet.save(page.path, **ending)


def detections(
    images,
    points,
    scores,
    labels,
    page: Page,
) -> None:
    """Draw the detected parts as numbered dots, a colour and a number a part.

    A dot is the fainter the lower its score is, relative to the part's best in the figure.

    Args:
      images: N images, uint8 [H, W, 3] each.
      points: N arrays [K, 2], (y, x) in pixels, NaN where a part was not found; or
        [K, n, 2] for several instances of a part.
      scores: N arrays [K] or [K, n], from 0 up.
      labels: K names of the parts.
      page: where it goes.
    """
    ending = page.ending(
        "Detected parts", follows="one colour and number per part; fainter means a lower score"
    )
    if not len(images):
        return empty(page.path, "no images", **ending)
    width = 1.9
    columns = math.ceil(len(images) / math.ceil(len(images) / 5))
    rows = [images[i : i + columns] for i in range(0, len(images), columns)]
    sheet = Sheet([width] * columns, [fitted(width, row) for row in rows])
    best = [_best([score[k] for score in scores]) for k in range(len(labels))]
    for i, (image, spots, score) in enumerate(zip(images, points, scores, strict=True)):
        axes = sheet.panel(i // columns, i % columns)
        picture(axes, image)
        for k in range(len(labels)):
            _dots(axes, k, spots[k], np.asarray(score[k]) / best[k], image.shape[:2])
    if labels:
        from matplotlib.lines import Line2D

        handles = [Line2D([], [], ls="none", **_dot(k, 1.0)) for k in range(len(labels))]
        sheet.key(handles, [f"{k + 1}  {label}" for k, label in enumerate(labels)])
    sheet.save(page.path, **ending)


def _best(scores) -> float:
    """Give the largest of some scores, 1 where there is none above 0."""
    scores = np.concatenate([np.ravel(score) for score in scores])
    return float(np.max(scores, where=np.isfinite(scores), initial=0.0)) or 1.0


def _dot(k: int, share: float) -> dict:
    fill = (*colour(k), 0.35 + 0.65 * share)
    return {"marker": "o", "ms": 8.5, "mfc": fill, "mec": (1, 1, 1, 0.4 + 0.6 * share), "mew": 0.8}


def _dots(axes, k: int, points, shares, shape: tuple[int, int]) -> None:
    points = np.asarray(points, dtype=float).reshape(-1, 2)
    kept = seen(points, shape)
    shares = np.clip(np.nan_to_num(np.ravel(shares)), 0, 1)
    # The best instance last, on top of the others.
    for i in sorted(np.flatnonzero(kept), key=lambda i: shares[i]):
        y, x = points[i]
        axes.plot(x, y, ls="none", clip_on=False, **_dot(k, shares[i]))
        style = {"size": 5.5, "weight": "bold", "color": ink(colour(k)), "ha": "center"}
        axes.text(x, y, str(k + 1), va="center_baseline", **style)
