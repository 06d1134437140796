"""The protocols of landmark regression: the frame, the regressor and the normaliser of each.

The same predictions move by 10 % and more from one published harness to another, so each is
here under its own name. Plain NumPy in float64. Points are (y, x).
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from partdisc.evaluation.regressors import least_squares, normal_equations, ridge

# Side in pixels of the square in which SCOPS truncates its landmarks.
SCOPS_SIDE = 256


class Images(NamedTuple):
    """What protocols know of n images; None where the caller did not say.

    Attributes:
        landmarks: [n, L, 2] annotated landmarks, pixels.
        sizes: [n, 2] height and width, pixels.
        boxes: [n, 4] (y0, x0, y1, x1) of the objects, pixels.
        eyes: indices of the two eyes among the landmarks.
    """

    landmarks: np.ndarray
    sizes: np.ndarray | None
    boxes: np.ndarray | None
    eyes: tuple[int, int] | None


def inter_ocular(landmarks: np.ndarray, left: int = 0, right: int = 1) -> np.ndarray:
    """Return the distance between the eyes [N], pixels, of landmarks [N, L, 2].

    Args:
        landmarks: [N, L, 2] annotated landmarks, pixels.
        left: index of one eye among the landmarks.
        right: index of the other eye.
    """
    landmarks = np.asarray(landmarks, np.float64)
    return np.hypot(*(landmarks[:, left] - landmarks[:, right]).T)


def longer_side(boxes: np.ndarray) -> np.ndarray:
    """Return the longer side [N], pixels, of boxes [N, 4] (y0, x0, y1, x1)."""
    boxes = np.asarray(boxes, np.float64)
    return (boxes[:, 2:] - boxes[:, :2]).max(1)


def short_side(sizes: np.ndarray) -> np.ndarray:
    """Return the short side [N], pixels, of images of sizes [N, 2] (height, width)."""
    return np.asarray(sizes, np.float64).min(1)


class Protocol(NamedTuple):
    """How one harness regresses landmarks.

    Attributes:
        regressor: (inputs [Nf, D], landmarks [Nf, L, 2], test inputs [Nt, D]) to
            predictions [Nt, L, 2] and the ridge strength, NaN where it has none.
        frame: (points [n, K, 2], images) to the points in the coordinates of the fit.
        needs: the attributes of `Images` without which it cannot score.
        truncate: whether landmarks become whole numbers in those coordinates.
        divided: whether the coordinates are already divided by the normaliser, which
            otherwise is the inter-ocular distance in them.
        fit_share: share of the fit images, the first ones, that the fit uses.
    """

    regressor: Callable
    frame: Callable
    needs: tuple[str, ...] = ()
    truncate: bool = False
    divided: bool = False
    fit_share: float = 1.0


def _pixels(points, images):
    return points


def _square(points, images, *, scale=1.0, shift=0.0):
    """Scale both axes to a square of side `scale`."""
    return points / images.sizes[:, None] * scale + shift


def _eyes_divided(points, images):
    length = inter_ocular(images.landmarks, *images.eyes)
    return points / np.where(length > 0, length, np.nan)[:, None, None]


def _box(points, images):
    sides = images.boxes[:, 2:] - images.boxes[:, :2]
    return (points - images.boxes[:, None, :2]) / np.where(sides > 0, sides, np.nan)[:, None]


_plain = functools.partial(least_squares, intercept=True)
_no_intercept = functools.partial(least_squares, intercept=False)

PROTOCOLS = {
    # Pixels at the true aspect; the strength is chosen inside the fit split.
    "default": Protocol(ridge, _pixels),
    # SCOPS: landmarks truncated to whole pixels of a 256 x 256 square.
    "scops": Protocol(
        functools.partial(least_squares, intercept=True, standardise=True),
        functools.partial(_square, scale=SCOPS_SIDE),
        needs=("sizes", "eyes"),
        truncate=True,
    ),
    # LMDIS: [0, 1] minus a half.
    "lmdis": Protocol(
        _no_intercept, functools.partial(_square, shift=-0.5), needs=("sizes", "eyes")
    ),
    # AutoLink: [0, 1], not centred.
    "autolink": Protocol(normal_equations, _square, needs=("sizes", "eyes")),
    # IMM: pixels of the crop; the last tenth of the fit split is left out.
    "imm": Protocol(_no_intercept, _pixels, needs=("eyes",), fit_share=0.9),
    # Huang & Li, PDiscoNet on faces: all points divided by their own image's true eye
    # distance, those of test images too. That leaks the answer: points that say nothing
    # beat the mean shape.
    "eye_leak": Protocol(_plain, _eyes_divided, needs=("eyes",), divided=True),
    # Huang & Li, Choudhury, PDiscoNet, PDiscoFormer on birds: relative to the true box.
    "cub_box": Protocol(_plain, _box, needs=("boxes",), divided=True),
    # AutoLink, GANSeg, StableKeypoints on birds: relative to the image.
    "cub_image": Protocol(_no_intercept, _square, needs=("sizes",), divided=True),
}
