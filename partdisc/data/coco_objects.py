"""The objects that the annotations of a COCO file are of, and where their parts are.

Where one field of an annotation is absent or of no use, another one answers if it can: a box
for polygons, polygons for a box, either of them for keypoints, and keypoints for a box. An
annotation without any answer is odd: it is named and left out. So is one whose keypoints are
there and malformed, but its box is used.
"""

import collections
import math
from typing import Any, NamedTuple

import numpy as np

from partdisc.data import coco_fields
from partdisc.data.bad_images import BadImage
from partdisc.data.coco_fields import NOT_LABELLED, Fault, tried
from partdisc.data.coco_file import Annotation, CocoFile, declared_size
from partdisc.data.coco_parts import VISIBILITIES, Parts

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
        odd: the annotations with a fault: left out, or only their box is used.
        visibilities: how many keypoints have each of them.
        remarks: annotations to be counted, by what is to be said of them.
    """

    objects: dict[Any, list[Object]]
    odd: list[BadImage]
    visibilities: collections.Counter
    remarks: dict[str, list[BadImage]]

    def remark(self, what: str, one: Annotation, reason: str) -> None:
        """Count an annotation."""
        self.remarks.setdefault(what, []).append(BadImage(one.name, reason))


def find_objects(file: CocoFile, parts: Parts) -> Found:
    """Find the objects of each image of a file."""
    objects: dict[Any, list[Object]] = {image: [] for image in file.images}
    found = Found(objects, list(file.odd), collections.Counter(), {})
    boxes: dict[Any, list] = {}
    for one in file.annotations:
        try:
            if not parts.category:
                index = parts.names.index(one.category)
                for box in _part_boxes(one, one.category in parts.split, found):
                    boxes.setdefault(one.image, []).append((index, box))
            elif one.category == parts.category:
                size = declared_size(file.images[one.image])
                objects[one.image].append(_object(one, parts, size, found))
            else:
                what = f"annotations that are not of '{parts.category}' left out"
                found.remark(what, one, f"of '{one.category}'")
        except Fault as fault:
            found.odd.append(BadImage(one.name, str(fault)))
    for image, several in boxes.items():
        objects[image].append(_whole(several, len(parts.names)))
    return found


def _whole(several: list[tuple[int, np.ndarray]], count: int) -> Object:
    """Return the object that parts (index, box) are of; its box holds all of them."""
    points: list[list] = [[] for _ in range(count)]
    for part, box in several:
        points[part].append(tuple((box[:2] + box[2:]) / 2))
    return Object(points, coco_fields.around([box for _, box in several]))


def _part_boxes(one: Annotation, split: bool, found: Found) -> list[np.ndarray]:
    """Return the boxes of the instances of a part."""
    boxes, no_polygons = tried(lambda: coco_fields.polygon_boxes(one.fields))
    if boxes is None:
        box, no_box = tried(lambda: coco_fields.box(one.fields))
        if box is None:
            raise Fault(f"{no_box}, and {no_polygons}")
        boxes = [box]
    elif not split:
        boxes = [coco_fields.around(boxes)]
    if coco_fields.says_keypoints(one.fields):
        reason = (
            "has keypoints, and most annotations have none: only its box is used; "
            f"data.category={one.category} takes keypoints"
        )
        found.odd.append(BadImage(one.name, reason))
    return boxes


def _object(one: Annotation, parts: Parts, size: tuple[int, int] | None, found: Found) -> Object:
    """Return the object whose keypoints are the parts; the size is that of its image."""
    count = len(parts.names)
    points, no_points = tried(lambda: coco_fields.keypoints(one.fields, count))
    box, no_box = tried(lambda: _object_box(one.fields, size))
    if no_points and no_box:
        raise Fault(f"{no_points}, and {no_box}")
    if no_box:
        box = _keypoint_box(points, size)
        what = "objects without box of use, for which the one around their keypoints stands in"
        found.remark("objects without box of use" if box is None else what, one, no_box)
    if no_points:
        if one.fields.get("keypoints"):
            found.odd.append(BadImage(one.name, f"{no_points}; only its box is used"))
        else:
            found.remark("objects without keypoints", one, "only its box is used")
        return Object([[] for _ in range(count)], box)
    found.visibilities.update(points[:, 2].astype(int).tolist())
    wanted = VISIBILITIES[parts.visibility]
    return Object(
        [[(y, x)] if seen in wanted else [] for x, y, seen in points],
        _NO_BOX if box is None else box,
    )


def _object_box(fields: dict, size: tuple[int, int] | None) -> np.ndarray:
    """Return the box of an object: as it is given, or around its polygons."""

    def given() -> np.ndarray:
        return _meeting("bbox", coco_fields.box(fields), size)

    def drawn() -> np.ndarray:
        return _meeting("segmentation", coco_fields.around(coco_fields.polygon_boxes(fields)), size)

    box, no_box = tried(given)
    if box is None:
        box, no_polygons = tried(drawn)
    if box is None:
        raise Fault(f"{no_box}, and {no_polygons}")
    return box


def _keypoint_box(points: np.ndarray, size: tuple[int, int] | None) -> np.ndarray | None:
    """Return the box around labelled keypoints (x, y, visibility); None where it has no area."""
    corners = points[points[:, 2] != NOT_LABELLED, 1::-1]
    if len(corners) < 2 or (corners.max(axis=0) <= corners.min(axis=0)).any():
        return None
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    return tried(lambda: _meeting("keypoints", box, size))[0]


def _meeting(name: str, box: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Return a box that meets its image."""
    limit = np.array(size or (math.inf, math.inf)) - 0.5
    if (np.minimum(box[2:], limit) <= np.maximum(box[:2], -0.5)).any():
        of = f" of {size[0]} x {size[1]} pixels" if size else ""
        raise Fault(f"{name} lies outside of its image{of}")
    return box
