"""The fields of one annotation of a COCO file: its keypoints, its box and its polygons.

Each is a function that returns what the field says, or raises a `Fault`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from partdisc.errors import shortened

# What the third number of a keypoint says.
NOT_LABELLED, HIDDEN, VISIBLE = 0, 1, 2


class Fault(Exception):
    """Why a field says nothing."""


def tried(read: Callable[[], Any]) -> tuple[Any, str]:
    """Return what a field says, or None and why it says nothing."""
    try:
        return read(), ""
    except Fault as fault:
        return None, str(fault)


def keypoints(fields: dict, count: int) -> np.ndarray:
    """Return x, y and visibility of the keypoints [count, 3]; NaN, NaN, 0 if not labelled."""
    given = fields.get("keypoints")
    if not given:
        raise Fault("no keypoints")
    if not isinstance(given, list) or len(given) != 3 * count:
        raise Fault(
            f"keypoints must be {3 * count} numbers, x, y and visibility of each, "
            f"not {shortened(given)}"
        )
    points = np.full((count, 3), np.nan)
    for i in range(count):
        *place, seen = given[3 * i : 3 * i + 3]
        if type(seen) not in (int, float) or seen not in (NOT_LABELLED, HIDDEN, VISIBLE):
            raise Fault(f"a keypoint's visibility is {shortened(seen)}, not 0, 1 or 2")
        points[i, 2] = seen
        # Programs write what they like as the place of a point that is not labelled.
        if seen != NOT_LABELLED:
            points[i, :2] = _numbers("x and y of a keypoint", place, 2)
    return points


def says_keypoints(fields: dict) -> bool | None:
    """Say whether an annotation has keypoints; None where all are 0, as nothing is labelled."""
    given = fields.get("keypoints")
    if isinstance(given, list) and given and not any(given):
        return None
    return bool(given)


def box(fields: dict) -> np.ndarray:
    """Return the box, (y0, x0, y1, x1), pixels [4]."""
    x, y, width, height = _numbers("bbox", fields.get("bbox"), 4)
    if width <= 0 or height <= 0:
        raise Fault(f"bbox {shortened(fields['bbox'])} has no area")
    return np.array([y, x, y + height, x + width]) - 0.5


def polygon_boxes(fields: dict) -> list[np.ndarray]:
    """Return the box of each sound polygon, one at least."""
    polygons = fields.get("segmentation")
    if isinstance(polygons, dict):
        raise Fault("segmentation is a mask (RLE), of which no box is made: give its bbox")
    if not isinstance(polygons, list) or not polygons:
        raise Fault("no polygons as segmentation")
    found = [tried(lambda polygon=polygon: _polygon_box(polygon)) for polygon in polygons]
    boxes = [one for one, _ in found if one is not None]
    if not boxes:
        raise Fault(found[0][1])
    return boxes


def around(boxes: list[np.ndarray]) -> np.ndarray:
    """Return the box that holds all of some boxes [4]."""
    corners = np.array(boxes)
    return np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)])


def _polygon_box(polygon: Any) -> np.ndarray:
    values = _numbers("a polygon of segmentation", polygon, None)
    if values.size % 2 or values.size < 6:
        fault = "an odd number of coordinates" if values.size % 2 else f"{values.size // 2} points"
        raise Fault(f"a polygon of segmentation has {fault}, and needs 3 points")
    corners = values.reshape(-1, 2)[:, ::-1]
    if (corners.max(axis=0) <= corners.min(axis=0)).any():
        raise Fault("a polygon of segmentation has no area")
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)]) - 0.5


def _numbers(name: str, given: Any, count: int | None) -> np.ndarray:
    """Return a flat list of numbers, of a count where it is fixed."""
    if given is None:
        raise Fault(f"no {name}")
    numbers = isinstance(given, list) and all(type(one) in (int, float) for one in given)
    try:
        values = np.array(given if numbers else np.nan, np.float64)
    except OverflowError:
        values = np.array(np.nan)
    if not np.isfinite(values).all() or (count and values.size != count):
        wanted = f"{count} finite numbers" if count else "a list of finite numbers"
        raise Fault(f"{name} must be {wanted}, not {shortened(given)}")
    return values
