"""Do coordinates make sense as pixels of their images? All of them together can tell."""

from typing import NamedTuple

import numpy as np

# So many points are looked at, at least: few may lie anywhere.
_LEAST = 20
# Shares of the points: so few may lie outside by mistake, and from so many on it is none.
_SOME, _MANY = 0.02, 0.2
# Points that cover less than this of the images' sides are of smaller images.
_SMALL = 0.5


class Suspicion(NamedTuple):
    """What coordinates seem to be instead of pixels, and what would mend them.

    Attributes:
        text: says it.
        sure: whether they cannot be pixels; else they may be, of objects in a corner.
    """

    text: str
    sure: bool = True


def what_is_wrong(points: np.ndarray, sizes: np.ndarray) -> Suspicion | None:
    """Say what coordinates seem to be; None where they make sense as pixels.

    Args:
        points: (y, x), pixels, finite [n, 2].
        sizes: height and width of the image of each, pixels [n, 2].
    """
    if len(points) < _LEAST:
        return None
    outside, exchanged = _outside(points, sizes), _outside(points[:, ::-1], sizes)
    if points.min() >= 0 and points.max() <= 1 and sizes.min() > 2:
        return Suspicion(
            "all coordinates are between 0 and 1: they seem to be shares of the sides; multiply "
            "x by the width and y by the height"
        )
    if outside >= _MANY and exchanged <= _SOME:
        return Suspicion(
            f"{outside:.0%} of the points lie outside their images, and "
            f"{exchanged:.0%} with x and y exchanged: they seem to be "
            "(y, x) where (x, y) is read, or the other way round; exchange them"
        )
    # Nearly the largest one: a few may be wrong in their own way.
    reach = np.quantile(points / sizes, 1 - _SOME / 2, axis=0)
    if outside >= _MANY:
        return Suspicion(
            f"{outside:.0%} of the points lie outside their images: they seem to "
            f"be pixels of images {reach.max():.1f} times as large; divide them by that, or use "
            "the images that were annotated"
        )
    if reach.max() < _SMALL and sizes.min() > 2:
        return Suspicion(
            f"no point lies beyond {reach.max():.0%} of its image's sides: they seem to be pixels "
            "of smaller images; scale them, or use the images that were annotated",
            sure=False,
        )
    return None


def _outside(points: np.ndarray, sizes: np.ndarray) -> float:
    """Return the share of the points that lie more than a hundredth outside."""
    slack = np.maximum(1.5, 0.01 * sizes)
    out = (points < -slack) | (points > sizes - 1 + slack)
    return float(out.any(axis=1).mean())
