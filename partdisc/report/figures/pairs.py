"""Figures of images that belong together: pools of similar ones, aligned pairs."""

import math
from typing import NamedTuple

import numpy as np

from partdisc.report.figures.page import Page
from partdisc.report.figures.sheet import FAINT, Sheet, empty, fitted, picture, shrunk

_MOST = 60  # lines of a kind drawn on one pair: more is a tangle
_NOTHING = 238  # grey of what a warped image does not cover


def similar_pools(
    images,
    pools,
    distances,
    page: Page,
    *,
    measure: str = "Jensen-Shannon divergence in nats",
) -> None:
    """Draw each image with its nearest pool members and their distance from it.

    Figure 5 of the paper; the distance is the divergence of section 3.2.1, or another.

    Args:
      images: N images, uint8 [H, W, 3] each.
      pools: for each image its neighbours, best first, uint8 [H, W, 3] each.
      distances: N arrays [J].
      page: where it goes.
      measure: what the distances are, and their unit.
    """
    follows = f"with their {measure}; as in Figure 5 of Guo et al. (2020)"
    ending = page.ending("Pools of similar images", follows=follows)
    if not len(images):
        return empty(page.path, "no images", **ending)
    width = 1.15
    columns = max(len(pool) for pool in pools)
    heights = [fitted(width, [i, *pool]) for i, pool in zip(images, pools, strict=True)]
    sheet = Sheet([width] * (1 + columns), heights, gap=(0.22, 0.06))
    sheet.headings(["image", *(f"neighbour {j + 1}" for j in range(columns))])
    for row, (image, pool, far) in enumerate(zip(images, pools, distances, strict=True)):
        picture(sheet.panel(row, 0), image)
        for j, (member, distance) in enumerate(zip(pool, far, strict=True)):
            picture(sheet.panel(row, 1 + j), member)
            sheet.below(row, 1 + j, _number(float(distance)))
    sheet.save(page.path, **ending)


class Aligned(NamedTuple):
    """A neighbour aligned with its target, to be drawn.

    Attributes:
      target: uint8 [H, W, 3].
      neighbour: uint8 [h, w, 3].
      here: [M, 2], matched points (y, x) in pixels of the target.
      there: [M, 2] of the neighbour.
      fits: bool [M], the matches that fit the transform.
      transform: [3, 3] on columns (y, x, 1), neighbour's to target's pixels.
      remark: a text below the pair, or ''.
    """

    target: np.ndarray
    neighbour: np.ndarray
    here: np.ndarray
    there: np.ndarray
    fits: np.ndarray
    transform: np.ndarray
    remark: str = ""


def aligned_pairs(pairs, page: Page) -> None:
    """Draw the matches of pairs of images, and the neighbour warped onto the target.

    A row a pair: matches (those that fit the transform coloured, the others faint),
    the warped neighbour, and both images mixed before and after. Figures 1 and 4.

    Args:
      pairs: N of `Aligned`.
      page: where it goes.
    """
    follows = "in the manner of Figures 1 and 4 of Guo et al. (2020)"
    ending = page.ending("Neighbours aligned by their matches", follows=follows)
    if not len(pairs):
        return empty(page.path, "no pairs", **ending)
    width = 1.6
    heights = [fitted(width, [pair.target]) for pair in pairs]
    sheet = Sheet([2.06 * width, width, width, width], heights, gap=(0.24, 0.06))
    sheet.headings(
        ["target and neighbour, matched", "neighbour, warped", "mixed, before", "mixed, after"]
    )
    for row, (target, neighbour, here, there, fits, transform, remark) in enumerate(pairs):
        here, there = np.asarray(here), np.asarray(there)
        fits, transform = np.asarray(fits, dtype=bool), np.asarray(transform, dtype=float)
        _matches(sheet.panel(row, 0), target, neighbour, here, there, fits)
        sheet.below(row, 0, _count(fits))
        if remark:
            sheet.below(row, 3, remark)
        under, over = shrunk(target), shrunk(neighbour)
        inwards = np.linalg.inv(_scaling(neighbour, over))
        outwards = _scaling(target, under)
        before = _on_grey(*warp(over, outwards @ inwards, under.shape[:2]))
        after = _on_grey(*warp(over, outwards @ transform @ inwards, under.shape[:2]))
        for column, shown in enumerate((after, _mixed(under, before), _mixed(under, after)), 1):
            picture(sheet.panel(row, column), shown)
    sheet.save(page.path, **ending)


def warp(image, transform, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Resample an image on another's canvas, bilinear.

    Args:
      image: [H, W, 3].
      transform: [3, 3] on columns (y, x, 1), from its pixels to the canvas's.
      shape: the canvas.

    Returns:
      colours, float [*shape, 3], and which pixels the image covers, bool [*shape]:
      none, where the transform cannot be inverted.
    """
    image, transform = np.asarray(image, dtype=float), np.asarray(transform, dtype=float)
    nothing = np.zeros((*shape, 3)), np.zeros(shape, dtype=bool)
    if not np.isfinite(transform).all() or np.linalg.matrix_rank(transform) < 3:
        return nothing
    canvas = np.stack([*np.indices(shape).reshape(2, -1), np.ones(math.prod(shape))])
    y, x, w = np.linalg.inv(transform) @ canvas
    # Beyond the horizon of a homography w is negative: what lies there is not seen.
    front = w > 1e-9
    at = np.where(front, np.stack([y, x]) / np.where(front, w, 1.0), np.inf)
    size = np.asarray(image.shape[:2])[:, None]
    # The outer half of a border pixel counts as covered, and repeats its colour; the
    # hair's breadth lets rounding errors of an exact transform pass.
    covered = front & np.all((at >= -0.5 - 1e-6) & (at <= size - 0.5 + 1e-6), axis=0)
    at = np.clip(np.where(covered, at, 0.0), 0, size - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, size - 1)
    (dy, dx), (y0, x0), (y1, x1) = (at - low)[..., None], low, high
    upper = image[y0, x0] * (1 - dx) + image[y0, x1] * dx
    lower = image[y1, x0] * (1 - dx) + image[y1, x1] * dx
    colours = np.where(covered[:, None], upper * (1 - dy) + lower * dy, 0.0)
    return colours.reshape(*shape, 3), covered.reshape(shape)


def _on_grey(colours, covered) -> np.ndarray:
    return np.where(covered[..., None], colours, _NOTHING).round().astype(np.uint8)


def _mixed(target, warped) -> np.ndarray:
    return (0.5 * target + 0.5 * warped).round().astype(np.uint8)


def _scaling(image, small) -> np.ndarray:
    """Give the transform [3, 3] from an image's pixels to those of its smaller copy."""
    y, x = np.divide(small.shape[:2], image.shape[:2])
    # Borders coincide, not the centres of the first pixels.
    return np.array([[y, 0, (y - 1) / 2], [0, x, (x - 1) / 2], [0, 0, 1]])


def _matches(axes, target, neighbour, here, there, fits) -> None:
    """Draw both images at one height with lines from match to match."""
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    here, there = here.reshape(-1, 2), there.reshape(-1, 2)
    height, width = target.shape[:2]
    zoom = height / neighbour.shape[0]
    aside = 1.06 * width
    end = aside + zoom * neighbour.shape[1]
    picture(axes, neighbour)
    axes.images[0].set_extent((aside - 0.5, end - 0.5, height - 0.5, -0.5))
    picture(axes, target)
    axes.set(xlim=(-0.5, end - 0.5), ylim=(height - 0.5, -0.5))
    axes.spines[:].set_visible(False)
    # Pixel centres: zoom (i + 0.5) - 0.5, so that the borders agree and not the centres.
    ends = zoom * (there + 0.5) - 0.5 + np.array([0.0, aside])
    lines = np.stack([here, ends], axis=1)[..., ::-1]
    known = np.isfinite(lines).all(axis=(1, 2))
    out, fit = _some(lines[known & ~fits]), _some(lines[known & fits])
    axes.add_collection(LineCollection(out, colors=FAINT, linewidths=0.5, alpha=0.45))
    # Coloured by height in the target: neighbouring lines can be followed.
    colours = colormaps["turbo"](0.08 + 0.87 * np.clip(fit[:, 0, 1] / height, 0, 1))
    axes.add_collection(LineCollection(fit, colors=colours, linewidths=0.6, alpha=0.8))
    for side in (0, 1):
        axes.scatter(*fit[:, side].T, s=5, c=colours, edgecolors="white", linewidths=0.3, zorder=3)


def _some(lines: np.ndarray) -> np.ndarray:
    """Keep at most `_MOST` lines, evenly over their list."""
    kept = np.linspace(0, len(lines) - 1, min(len(lines), _MOST)).round().astype(int)
    return lines[kept]


def _count(fits: np.ndarray) -> str:
    drawn = f" (at most {_MOST} of each drawn)" if max(fits.sum(), (~fits).sum()) > _MOST else ""
    return f"{fits.sum()} of {fits.size} matches fit{drawn}"


def _number(distance: float) -> str:
    return f"{distance:.3f}" if math.isfinite(distance) else "unknown"
