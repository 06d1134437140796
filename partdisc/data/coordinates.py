"""Do coordinates make sense as pixels of their images? All of them together can tell.

Images of the test split are looked at for themselves, for another file may hold them.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# So many points are looked at, at least: few may lie anywhere.
LEAST = 20
# Less is enough where sound points never are: all in the first pixel, or outside of images
# that EXIF turns.
_FEW, _FEW_TURNED = 3, 6
# Shares of the points: so few may lie outside by mistake, and from so many on it is none.
_SOME, _MANY = 0.02, 0.2
# Points that cover less than this of the images' sides are of smaller images.
_SMALL = 0.5
# The first pixel, however it is counted, pixels; and the least side of images that it is small in.
_FIRST, _LARGE = 1.5, 8
# How much the two sides' factors may differ, and be, where points are of larger images.
_LIKE, _LARGER = 1.25, 1.05


class Suspicion(NamedTuple):
    """What coordinates seem to be instead of pixels, and what would mend them.

    Attributes:
        text: says it.
        sure: whether they cannot be pixels; else they may be, of objects in a corner.
    """

    text: str
    sure: bool = True


class Images(NamedTuple):
    """The images that coordinates are of.

    Attributes:
        sizes: height and width, pixels [N, 2].
        stored: the same before EXIF turns them [N, 2].
        test: whether they are of the test split [N].
    """

    sizes: np.ndarray
    stored: np.ndarray
    test: np.ndarray

    def rows(self, index: np.ndarray) -> "Images":
        """Return some of them."""
        return Images(self.sizes[index], self.stored[index], self.test[index])


def suspect_points(points: np.ndarray, images: Images) -> list[Suspicion]:
    """Say what points seem to be; nothing where they make sense as pixels.

    Args:
        points: (y, x), pixels, any number an image; NaN where there is none [N, ..., 2].
        images: that they are of.
    """
    known = np.isfinite(points).all(axis=-1)
    return _by_split(points[known], images.rows(np.nonzero(known)[0]), _suspect)


def suspect_boxes(boxes: np.ndarray, images: Images) -> list[Suspicion]:
    """Say what boxes seem to be; nothing where they make sense as pixels.

    Args:
        boxes: (y0, x0, y1, x1), pixels; NaN where there is none [N, 4].
        images: that they are of.
    """
    (known,) = np.nonzero(np.isfinite(boxes).all(axis=1))
    return _by_split(boxes[known], images.rows(known), _suspect_boxes)


def _by_split(
    what: np.ndarray, images: Images, suspect: Callable[[np.ndarray, Images], Suspicion | None]
) -> list[Suspicion]:
    """Look at the images of the test split and at the others; where either tells, at that alone."""
    found = []
    for name, here in (("train and fit", ~images.test), ("test", images.test)):
        one = suspect(what[here], images.rows(here)) if here.any() and not here.all() else None
        if one:
            found.append(one._replace(text=f"of {name} images, {one.text}"))
    if len(found) == 1 or not len(what):
        return found
    of_all = suspect(what, images)
    return [of_all] if of_all else found


def _suspect(points: np.ndarray, images: Images, noun: str = "points") -> Suspicion | None:
    """Say what points (y, x) [n, 2] seem to be, each of the image in its row."""
    sizes = images.sizes
    first = (np.abs(points) <= _FIRST).all(axis=1) & (sizes.min(axis=1) > _LARGE)
    if len(points) >= _FEW and first.mean() >= 1 - _SOME:
        return Suspicion(
            "nearly all coordinates are between 0 and 1, or -1 and 1: they seem to be shares of "
            "the sides; bring them to 0 to 1, and multiply x by the width and y by the height"
        )
    if turned := _suspect_stored(points, images, noun):
        return turned
    if len(points) < LEAST:
        return None
    outside = _outside(points, sizes)
    if outside >= _SOME:
        return Suspicion(
            f"{outside:.0%} of the {noun} lie outside their images{_instead(points, sizes)}",
            sure=outside >= _MANY,
        )
    if first.mean() >= _SOME:
        return Suspicion(
            f"{first.mean():.0%} of the {noun} lie in the first pixel of their image: these seem "
            "to be shares of the sides, or to be nowhere",
            sure=False,
        )
    reach = _reach(points, sizes).max()
    if reach < _SMALL and sizes.min() > _LARGE:
        return Suspicion(
            f"none of the {noun} lies beyond {max(reach, 0):.0%} of its image's sides: they seem "
            "to be pixels of smaller images; scale them, or use the images that were annotated",
            sure=False,
        )
    return None


def _suspect_stored(points: np.ndarray, images: Images, noun: str) -> Suspicion | None:
    """Say whether they are of images as they are stored, where EXIF exchanges their sides."""
    turned = (images.stored != images.sizes).any(axis=1)
    rest = ~turned
    if turned.sum() < _FEW_TURNED:
        return None
    if rest.any() and _outside(points[rest], images.sizes[rest]) >= _MANY:
        return None  # Whatever it is, it is not EXIF alone.
    outside = _outside(points[turned], images.sizes[turned])
    stored = _outside(points[turned], images.stored[turned])
    if outside < _MANY or stored > _SOME:
        return None
    unless = "" if rest.sum() >= _FEW_TURNED else " (or x and y are exchanged)"
    return Suspicion(
        f"{outside:.0%} of the {noun} of images that EXIF turns lie outside them, and {stored:.0%} "
        "outside the images as they are stored: they seem to be pixels of the stored images"
        f"{unless}; turn them as the images are turned"
    )


def _suspect_boxes(boxes: np.ndarray, images: Images) -> Suspicion | None:
    start, extent = boxes[:, :2] + 0.5, boxes[:, 2:] - boxes[:, :2]
    if len(boxes) >= LEAST and _outside(boxes[:, 2:], images.sizes) >= _MANY:
        corners = np.stack([start, extent], axis=1)
        centred = np.stack([start - extent / 2, start + extent / 2], axis=1)
        for kind, meant in (("x0, y0, x1, y1", corners), ("centre, width, height", centred)):
            ordered = (meant[:, 1] > meant[:, 0]).all(axis=1).mean() >= 1 - _SOME
            sizes = np.repeat(images.sizes, 2, axis=0)
            if ordered and _outside(meant.reshape(-1, 2) - 0.5, sizes) <= _SOME:
                return Suspicion(
                    "many boxes reach outside their images, and none where they are read as "
                    f"({kind}): give x, y, width and height"
                )
    # The first corner of a box may well be in the first pixel.
    return _suspect(boxes[:, 2:], images, "boxes")


def _instead(points: np.ndarray, sizes: np.ndarray) -> str:
    """Say by which other reading points would lie inside; "" where none is known."""
    outside, exchanged = _outside(points, sizes), _outside(points[:, ::-1], sizes)
    if exchanged <= outside / 10:
        return (
            f", and {exchanged:.0%} with x and y exchanged: they seem to be (y, x) where (x, y) is "
            "read, or the other way round; exchange them"
        )
    reach = _reach(points, sizes)
    if reach.min() >= _LARGER and reach.max() <= _LIKE * reach.min():
        return (
            f": they seem to be pixels of images {reach.max():.1f} times as large; divide them by "
            "that, or use the images that were annotated"
        )
    return ": they are no pixels of these images; compare both" if outside >= _MANY else ""


def _reach(points: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return how far points reach, in parts of the sides, but for a few [2]."""
    return np.quantile(points / sizes, 1 - _SOME / 2, axis=0)


def _outside(points: np.ndarray, sizes: np.ndarray) -> float:
    """Return the share of the points that lie more than a hundredth outside."""
    slack = np.maximum(1.5, 0.01 * sizes)
    out = (points < -slack) | (points > sizes - 1 + slack)
    return float(out.any(axis=1).mean())
