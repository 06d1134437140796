"""One file in the COCO format, read and checked: the objects of each image and their parts."""

import json
import pathlib
from typing import Any, NamedTuple, NoReturn

import numpy as np

from partdisc import errors
from partdisc.paths import user_path


class Object(NamedTuple):
    """One object.

    Attributes:
        points: (y, x) of the instances of each part, pixels, L lists.
        box: (y0, x0, y1, x1), pixels; NaN where there is none [4].
    """

    points: list[list[tuple[float, float]]]
    box: np.ndarray


class CocoFile:
    """One COCO file, checked.

    Attributes:
        path: of it.
        folder: of its images, relative to the root.
        images: from id to the name of the file.
        categories: from id to the category.
        annotations: as they stand, without crowds.
        crowds: how many annotations are crowd regions.
    """

    def __init__(self, root: pathlib.Path, given: str):
        name, _, folder = given.partition(":")
        self.path = root / user_path(name)
        self.folder = user_path(folder) if folder else pathlib.PurePath(name).parent
        content = _load(self.path)
        images, categories, annotations = (
            self._section(content, key) for key in ("images", "categories", "annotations")
        )
        self.images = self._by_id("images", images, "file_name")
        self.categories = self._by_id("categories", categories, "name")
        for i, one in enumerate(categories):
            names = one.get("keypoints", [])
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                self.fail(f"categories[{i}]: keypoints must be a list of names")
            if len(set(names)) < len(names):
                self.fail(f"categories[{i}]: a name is twice among the keypoints")
        self.annotations = []
        self.crowds = 0
        seen: dict[Any, int] = {}
        for i, one in enumerate(annotations):
            for key, table in (("image_id", self.images), ("category_id", self.categories)):
                if not _is_id(one.get(key)) or one[key] not in table:
                    self.fail(f"annotations[{i}]: {key} {one.get(key)!r} is not among the ids")
            if _is_id(one.get("id")) and seen.setdefault(one["id"], i) != i:
                self.fail(f"annotations[{i}]: id {one['id']!r} is that of [{seen[one['id']]}] too")
            if one.get("iscrowd"):
                self.crowds += 1
            else:
                self.annotations.append((i, one))

    def fail(self, message: str) -> NoReturn:
        """Raise a DataError that names the file."""
        raise errors.DataError(f"{self.path}: {message}")

    def _section(self, content: Any, key: str) -> list[dict]:
        section = content.get(key) if isinstance(content, dict) else None
        if not isinstance(section, list) or not all(isinstance(one, dict) for one in section):
            self.fail(f"no list of '{key}': not a COCO file of instances or keypoints")
        return section

    def _by_id(self, key: str, section: list[dict], name: str) -> dict[Any, dict]:
        table: dict[Any, dict] = {}
        named: set[str] = set()
        for i, one in enumerate(section):
            if not _is_id(one.get("id")) or not isinstance(one.get(name), str):
                self.fail(f"{key}[{i}]: needs an id and a {name}")
            if one["id"] in table:
                self.fail(f"{key}[{i}]: id {one['id']!r} is there twice")
            if key == "images" and one[name] in named:
                self.fail(f"{key}[{i}]: {name} {one[name]!r} is there twice")
            table[one["id"]] = one
            named.add(one[name])
        return table

    def objects(self, names: list[str], category: str, split: set[str]) -> dict[Any, list[Object]]:
        """Find the objects of each image; none in images without annotation.

        Args:
            names: of the parts, L.
            category: whose keypoints are the parts; "": the categories are the parts.
            split: the parts each of whose polygons is an instance.

        Returns:
            From the id of the image to its objects.

        Raises:
            errors.DataError: an annotation is malformed; names the file and which one.
        """
        index = {name: i for i, name in enumerate(names)}
        found: dict[Any, list[Object]] = {image: [] for image in self.images}
        if category:
            for i, one in self.annotations:
                if self.categories[one["category_id"]]["name"] == category:
                    found[one["image_id"]].append(self._keypoints(i, one, len(names)))
            return found
        parts: dict[Any, list] = {}
        for i, one in self.annotations:
            name = self.categories[one["category_id"]]["name"]
            for box in self._part_boxes(i, one, name in split):
                parts.setdefault(one["image_id"], []).append((index[name], box))
        for image, boxes in parts.items():
            points: list[list] = [[] for _ in names]
            for part, box in boxes:
                points[part].append(tuple((box[:2] + box[2:]) / 2))
            corners = np.array([box for _, box in boxes])
            whole = np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)])
            found[image].append(Object(points, whole))
        return found

    def _keypoints(self, i: int, one: dict, count: int) -> Object:
        values = self._numbers(i, "keypoints", one.get("keypoints"), 3 * count)
        # 0: not there, 1: hidden, 2: visible.
        points = [[(y, x)] if seen == 2 else [] for x, y, seen in values.reshape(-1, 3)]
        return Object(points, self._box(i, one["bbox"]) if "bbox" in one else np.full(4, np.nan))

    def _part_boxes(self, i: int, one: dict, split: bool) -> list[np.ndarray]:
        polygons = one.get("segmentation")
        if not isinstance(polygons, list) or not polygons:
            if "bbox" not in one:
                self.fail(f"annotations[{i}]: needs a bbox or polygons as its segmentation")
            return [self._box(i, one["bbox"])]
        boxes = []
        for polygon in polygons:
            corners = self._numbers(i, "segmentation", polygon, None).reshape(-1, 2)[:, ::-1]
            boxes.append(np.concatenate([corners.min(axis=0), corners.max(axis=0)]) - 0.5)
        if split:
            return boxes
        all_boxes = np.array(boxes)
        return [np.concatenate([all_boxes[:, :2].min(axis=0), all_boxes[:, 2:].max(axis=0)])]

    def _box(self, i: int, given: Any) -> np.ndarray:
        x, y, width, height = self._numbers(i, "bbox", given, 4)
        if width <= 0 or height <= 0:
            self.fail(f"annotations[{i}]: bbox {given} has no area")
        return np.array([y, x, y + height, x + width]) - 0.5

    def _numbers(self, i: int, key: str, given: Any, count: int | None) -> np.ndarray:
        try:
            values = np.array(given, np.float64)
        except (TypeError, ValueError, OverflowError):
            values = np.array([np.nan])
        wrong = values.size < 6 or values.size % 2 if count is None else values.size != count
        if values.ndim != 1 or wrong or not np.isfinite(values).all():
            wanted = "pairs of" if count is None else count
            self.fail(f"annotations[{i}]: {key} must be {wanted} finite numbers")
        return values


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, str))


def _load(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise errors.DataError(f"{path}: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise errors.DataError(f"{path}, line {error.lineno}: {error.msg}") from None
    except UnicodeDecodeError:
        raise errors.DataError(f"{path}: not a text file") from None
    except (ValueError, RecursionError) as error:
        raise errors.DataError(f"{path}: {error}") from None
