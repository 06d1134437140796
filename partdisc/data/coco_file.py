"""One file in the COCO format, read and checked: its images, categories and annotations."""

import json
import pathlib
from typing import Any, NoReturn

from partdisc import errors
from partdisc.data.bad_images import BadImage
from partdisc.paths import user_path


class CocoFile:
    """One COCO file. What is wrong with the file as a whole is an error.

    Attributes:
        path: of it.
        folder: of its images, relative to the root.
        images: from id to the image.
        categories: from id to the category.
        annotations: the name that messages give to each, and the annotation; without crowds.
        crowds: how many annotations are crowd regions.
        odd: the annotations that belong to nothing.
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
            names = one.get("keypoints") or []
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                self.fail(f"categories[{i}]: keypoints must be a list of names")
            if len(set(names)) < len(names):
                self.fail(f"categories[{i}]: a name is twice among the keypoints")
        self.annotations: list[tuple[str, dict]] = []
        self.crowds = 0
        self.odd: list[BadImage] = []
        seen: dict[Any, str] = {}
        for i, one in enumerate(annotations):
            name = self._name(i, one)
            if fault := self._belongs_to_nothing(one, name, seen):
                self.odd.append(BadImage(name, fault))
            elif one.get("iscrowd"):
                self.crowds += 1
            else:
                self.annotations.append((name, one))

    def fail(self, message: str) -> NoReturn:
        """Raise a DataError that names the file."""
        raise errors.DataError(f"{self.path}: {message}")

    def _name(self, i: int, one: dict) -> str:
        """Name an annotation in messages, by its id and its image where these are known."""
        image = one.get("image_id")
        known = is_id(image) and image in self.images
        of = f" ({self.images[image]['file_name']})" if known else ""
        return f"annotation {one['id']}{of}" if is_id(one.get("id")) else f"annotations[{i}]{of}"

    def _belongs_to_nothing(self, one: dict, name: str, seen: dict[Any, str]) -> str:
        """Say why an annotation is of no known image or category, or is there twice."""
        for key, table in (("image_id", self.images), ("category_id", self.categories)):
            if not is_id(one.get(key)) or one[key] not in table:
                return f"{key} {errors.shortened(one.get(key))} is not among the ids"
        if is_id(one.get("id")) and (first := seen.setdefault(one["id"], name)) is not name:
            return f"its id is that of {first} too"
        return ""

    def _section(self, content: Any, key: str) -> list[dict]:
        section = content.get(key) if isinstance(content, dict) else None
        if not isinstance(section, list) or not all(isinstance(one, dict) for one in section):
            self.fail(f"no list of '{key}': not a COCO file of instances or keypoints")
        return section

    def _by_id(self, key: str, section: list[dict], name: str) -> dict[Any, dict]:
        table: dict[Any, dict] = {}
        named: set[str] = set()
        for i, one in enumerate(section):
            if not is_id(one.get("id")) or not isinstance(one.get(name), str) or not one[name]:
                self.fail(f"{key}[{i}]: needs an id and a {name}")
            if one["id"] in table:
                self.fail(f"{key}[{i}]: id {one['id']!r} is there twice")
            if key == "images" and one[name] in named:
                self.fail(f"{key}[{i}]: {name} {one[name]!r} is there twice")
            table[one["id"]] = one
            named.add(one[name])
        return table


def is_id(value: Any) -> bool:
    """Say whether something can be an id."""
    return isinstance(value, int | str) and not isinstance(value, bool)


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
