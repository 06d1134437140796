"""The objects that the annotations of a COCO file are of, and where their parts are.

Where one field of an annotation is absent or of no use, another one answers if it can: a box
for polygons, polygons for a box, either of them for keypoints. An annotation without any
answer is odd: it is named and left out.
"""

import collections
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from partdisc.data.bad_images import BadImage
from partdisc.data.coco_file import CocoFile
from partdisc.errors import shortened

# What the third number of a keypoint says.
NOT_LABELLED, HIDDEN, VISIBLE = 0, 1, 2
VISIBILITIES = {"visible": (VISIBLE,), "labelled": (HIDDEN, VISIBLE)}

_NO_BOX = np.full(4, np.nan)


class Object(NamedTuple):
    """One object.

    Attributes:
        points: (y, x) of the instances of each part, pixels, L lists.
        box: (y0, x0, y1, x1), pixels; NaN where there is none [4].
    """

    points: list[list[tuple[float, float]]]
    box: np.ndarray


class Found(NamedTuple):
    """What the annotations of a file show.

    Attributes:
        objects: of each image, by its id; none in images without annotation.
        odd: the annotations that say nothing.
        visibilities: how many keypoints have each of them.
        without: how many annotations lack a field of use, by its name, and are used.
    """

    objects: dict[Any, list[Object]]
    odd: list[BadImage]
    visibilities: collections.Counter
    without: collections.Counter


class Parts(NamedTuple):
    """Which parts are wanted, and how they are read.

    Attributes:
        names: of them, L.
        category: whose keypoints they are; "": the categories are the parts.
        split: those each of whose polygons is an instance.
        visibility: one of `VISIBILITIES`: which keypoints count.
    """

    names: list[str]
    category: str
    split: set[str]
    visibility: str


class _Fault(Exception):
    """Why a field says nothing."""


def find_objects(file: CocoFile, parts: Parts) -> Found:
    """Find the objects of each image of a file."""
    found = Found(
        {image: [] for image in file.images},
        list(file.odd),
        collections.Counter(),
        collections.Counter(),
    )
    boxes: dict[Any, list] = {}
    for name, one in file.annotations:
        category = file.categories[one["category_id"]]["name"]
        try:
            if not parts.category:
                index = parts.names.index(category)
                for box in _part_boxes(one, category in parts.split):
                    boxes.setdefault(one["image_id"], []).append((index, box))
            elif category == parts.category:
                found.objects[one["image_id"]].append(_object(one, parts, found))
        except _Fault as fault:
            found.odd.append(BadImage(name, str(fault)))
    for image, several in boxes.items():
        found.objects[image].append(_whole(several, len(parts.names)))
    return found


def keypoint_counts(file: CocoFile) -> dict[str, int]:
    """Return how many keypoints most annotations of each category have, where they have any."""
    counts: dict[str, collections.Counter] = {}
    for _, one in file.annotations:
        values = one.get("keypoints")
        if isinstance(values, list) and values:
            name = file.categories[one["category_id"]]["name"]
            counts.setdefault(name, collections.Counter())[len(values) // 3] += 1
    return {name: several.most_common(1)[0][0] for name, several in counts.items()}


def _whole(several: list[tuple[int, np.ndarray]], count: int) -> Object:
    """Return the object that parts (index, box) are of; its box holds all of them."""
    points: list[list] = [[] for _ in range(count)]
    for part, box in several:
        points[part].append(tuple((box[:2] + box[2:]) / 2))
    return Object(points, _around([box for _, box in several]))


def _object(one: dict, parts: Parts, found: Found) -> Object:
    """Return the object whose keypoints are the parts."""
    count = len(parts.names)
    points, no_points = _tried(lambda: _keypoints(one, count))
    box, no_box = _tried(lambda: _object_box(one))
    if no_points and no_box:
        raise _Fault(f"{no_points}, and {no_box}")
    found.without.update({"keypoints": bool(no_points), "box": bool(no_box)})
    if points is None:
        return Object([[] for _ in range(count)], box)
    found.visibilities.update(points[:, 2].astype(int).tolist())
    wanted = VISIBILITIES[parts.visibility]
    return Object(
        [[(y, x)] if seen in wanted else [] for x, y, seen in points],
        _NO_BOX if box is None else box,
    )


def _part_boxes(one: dict, split: bool) -> list[np.ndarray]:
    """Return the boxes of the instances of a part."""
    boxes, no_polygons = _tried(lambda: _polygon_boxes(one))
    if boxes is not None:
        return boxes if split else [_around(boxes)]
    box, no_box = _tried(lambda: _box(one))
    if box is None:
        raise _Fault(f"{no_box}, and {no_polygons}")
    return [box]


def _object_box(one: dict) -> np.ndarray:
    """Return the box of an object: as it is given, or around its polygons."""
    box, no_box = _tried(lambda: _box(one))
    if box is not None:
        return box
    boxes, no_polygons = _tried(lambda: _polygon_boxes(one))
    if boxes is None:
        raise _Fault(f"{no_box}, and {no_polygons}")
    return _around(boxes)


def _tried(read: Callable[[], Any]) -> tuple[Any, str]:
    """Return what a field says, or None and why it says nothing."""
    try:
        return read(), ""
    except _Fault as fault:
        return None, str(fault)


def _keypoints(one: dict, count: int) -> np.ndarray:
    """Return x, y and visibility of the keypoints [count, 3]."""
    values = _numbers("keypoints", one.get("keypoints"), 3 * count).reshape(-1, 3)
    for seen in values[:, 2]:
        if seen not in (NOT_LABELLED, HIDDEN, VISIBLE):
            raise _Fault(f"a keypoint's visibility is {seen:g}, not 0, 1 or 2")
    return values


def _box(one: dict) -> np.ndarray:
    x, y, width, height = _numbers("bbox", one.get("bbox"), 4)
    if width <= 0 or height <= 0:
        raise _Fault(f"bbox {shortened(one['bbox'])} has no area")
    return np.array([y, x, y + height, x + width]) - 0.5


def _polygon_boxes(one: dict) -> list[np.ndarray]:
    """Return the box of each sound polygon, one at least."""
    polygons = one.get("segmentation")
    if not isinstance(polygons, list) or not polygons:
        raise _Fault("no polygons as segmentation")
    tried = [_tried(lambda polygon=polygon: _polygon_box(polygon)) for polygon in polygons]
    boxes = [box for box, _ in tried if box is not None]
    if not boxes:
        raise _Fault(tried[0][1])
    return boxes


def _polygon_box(polygon: Any) -> np.ndarray:
    values = _numbers("a polygon of segmentation", polygon, None)
    if values.size % 2 or values.size < 6:
        fault = "an odd number of coordinates" if values.size % 2 else f"{values.size // 2} points"
        raise _Fault(f"a polygon of segmentation has {fault}, and needs 3 points")
    corners = values.reshape(-1, 2)[:, ::-1]
    if (corners.max(axis=0) <= corners.min(axis=0)).any():
        raise _Fault("a polygon of segmentation has no area")
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)]) - 0.5


def _around(boxes: list[np.ndarray]) -> np.ndarray:
    corners = np.array(boxes)
    return np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)])


def _numbers(name: str, given: Any, count: int | None) -> np.ndarray:
    """Return a flat list of numbers, of a count where it is fixed."""
    if given is None:
        raise _Fault(f"no {name}")
    numbers = isinstance(given, list) and all(type(one) in (int, float) for one in given)
    try:
        values = np.array(given if numbers else np.nan, np.float64)
    except OverflowError:
        values = np.array(np.nan)
    if not np.isfinite(values).all() or (count and values.size != count):
        wanted = f"{count} finite numbers" if count else "a list of finite numbers"
        raise _Fault(f"{name} must be {wanted}, not {shortened(given)}")
    return values
