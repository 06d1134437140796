"""One file in the COCO format, read and checked: its images, categories and annotations."""

import collections
import json
import pathlib
from typing import Any, NamedTuple, NoReturn

from partdisc import errors
from partdisc.data.bad_images import BadImage
from partdisc.data.coco_ids import Entries, is_id
from partdisc.data.files import absent
from partdisc.errors import one_line, shortened
from partdisc.paths import user_path

# What compressed files begin with.
_COMPRESSED = (b"\x1f\x8b", b"PK")


class Annotation(NamedTuple):
    """One annotation.

    Attributes:
        name: that messages give to it.
        image: id of its image.
        category: name of its category.
        fields: all that the file says of it.
    """

    name: str
    image: Any
    category: str
    fields: dict


class CocoFile:
    """One COCO file. What is wrong with the file as a whole is an error.

    Attributes:
        path: of it.
        folder: of its images, relative to the root.
        images: from id to the image.
        categories: from id to the category.
        annotations: of these images and categories; without crowd regions and copies.
        problems: the images that are not listed as they must be.
        odd: the annotations that belong to nothing.
        notes: lines on annotations that were left out, or that share an id.
    """

    def __init__(self, root: pathlib.Path, given: str):
        name, _, folder = given.partition(":")
        self.path = root / user_path(name)
        self.folder = user_path(folder) if folder else pathlib.PurePath(name).parent
        content = _load(self.path)
        images, categories, annotations = (
            self._section(content, key) for key in ("images", "categories", "annotations")
        )
        self.problems: list[BadImage] = []
        self.odd: list[BadImage] = []
        self.notes: list[str] = []
        self.images = self._images(images)
        self.categories = self._categories(categories)
        self.annotations = self._annotations(annotations)

    def fail(self, message: str) -> NoReturn:
        """Raise a DataError that names the file."""
        raise errors.DataError(f"{self.path}: {message}")

    def _section(self, content: Any, key: str) -> list:
        section = content.get(key) if isinstance(content, dict) else None
        if not isinstance(section, list):
            self.fail(f"no list of '{key}': not a COCO file of instances or keypoints")
        return section

    def _images(self, section: list) -> Entries:
        by_id: dict[Any, list[int]] = {}
        for i, one in enumerate(section):
            if _has(one, "file_name"):
                by_id.setdefault(one["id"], []).append(i)
            else:
                fault = f"needs an id and a file_name, not {shortened(one)}"
                self.problems.append(BadImage(f"{self.path.name}: images[{i}]", fault))
        images = Entries()
        for same, places in by_id.items():
            several = [section[i] for i in places]
            if len({(one["file_name"], declared_size(one)) for one in several}) == 1:
                images[same] = several[0]
                continue
            # Which of them the annotations of this id are of, nobody knows.
            for one in several:
                fault = f"its id {same!r} is that of another image too"
                self.problems.append(
                    BadImage(f"{self.path.name}: {one_line(one['file_name'])}", fault)
                )
        return images

    def _categories(self, section: list) -> Entries:
        categories = Entries()
        for i, one in enumerate(section):
            if not _has(one, "name"):
                self.fail(f"categories[{i}]: needs an id and a name")
            if one["id"] in categories:
                self.fail(f"categories[{i}]: id {one['id']!r} is there twice")
            names = one.get("keypoints") or []
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                self.fail(f"categories[{i}]: keypoints must be a list of names")
            if len(set(names)) < len(names):
                self.fail(f"categories[{i}]: a name is twice among the keypoints")
            categories[one["id"]] = one
        return categories

    def _annotations(self, section: list) -> list[Annotation]:
        found, crowds, copies = [], 0, []
        ids = _ids(section)
        texts: set[str] = set()
        for i, fields in enumerate(section):
            one = self._annotation(i, fields)
            if one is None:
                continue
            if is_id(fields.get("id")) and ids[fields["id"]] > 1:
                text = json.dumps(fields, sort_keys=True)
                if text in texts:
                    copies.append(one.name)
                    continue
                texts.add(text)
            # Programs write it as a text, too.
            if fields.get("iscrowd") in (1, "1"):
                crowds += 1
            else:
                found.append(one)
        shared = _ids([one.fields for one in found])
        given = [(one.name, one.fields.get("id")) for one in found]
        twice = [name for name, known in given if is_id(known) and shared[known] > 1]
        if crowds:
            self.notes.append(f"{self.path}: {crowds} crowd regions left out")
        if copies:
            self.notes.append(
                f"{self.path}: {len(copies)} copies of annotations left out, such as of {copies[0]}"
            )
        if twice:
            self.notes.append(
                f"{self.path}: {len(twice)} annotations share their ids with others, such as "
                f"{twice[0]}; all of them are used"
            )
        return found

    def _annotation(self, i: int, fields: Any) -> Annotation | None:
        """Return an annotation; None where it is of no known image or category."""
        if not isinstance(fields, dict):
            fault = f"must be an annotation, not {shortened(fields)}"
            self.odd.append(BadImage(f"annotations[{i}]", fault))
            return None
        image = self.images.meant(fields.get("image_id"))
        category = self.categories.meant(fields.get("category_id"))
        name = f"annotation {fields['id']}" if is_id(fields.get("id")) else f"annotations[{i}]"
        if image is not None:
            name = f"{name} ({one_line(self.images[image]['file_name'])})"
        for key, found, table in (
            ("image_id", image, "the images that can be used"),
            ("category_id", category, "the categories"),
        ):
            if found is None:
                fault = f"{key} {shortened(fields.get(key))} is not among the ids of {table}"
                self.odd.append(BadImage(name, fault))
                return None
        return Annotation(name, image, self.categories[category]["name"], fields)


def declared_size(image: dict) -> tuple[int, int] | None:
    """Return the height and width that an image is said to have."""
    size = tuple(_whole(image.get(name)) for name in ("height", "width"))
    return size if all(side > 0 for side in size) else None


def _whole(given: Any) -> int:
    """Return a whole number, which may be written as another type; 0 for anything else."""
    if isinstance(given, str) and given.isdecimal():
        return int(given)
    return int(given) if is_id(given) and not isinstance(given, str) else 0


def _has(one: Any, name: str) -> bool:
    """Say whether an entry has an id and a name."""
    return (
        isinstance(one, dict)
        and is_id(one.get("id"))
        and isinstance(one.get(name), str)
        and bool(one[name])
    )


def _ids(annotations: list) -> collections.Counter:
    """Count the ids of annotations."""
    given = (one.get("id") for one in annotations if isinstance(one, dict))
    return collections.Counter(one for one in given if is_id(one))


def _load(path: pathlib.Path) -> Any:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise errors.DataError(absent(path)) from None
    except IsADirectoryError:
        raise errors.DataError(f"{path}: is a folder, and must be a COCO file") from None
    except OSError as error:
        raise errors.DataError(f"{path}: {error.strerror}") from None
    if content.startswith(_COMPRESSED):
        raise errors.DataError(f"{path}: is compressed; unpack it")
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            fault = "more follows the first value; a COCO file is one object, not one a line"
        else:
            fault = error.msg
        raise errors.DataError(f"{path}, line {error.lineno}: {fault}") from None
    except UnicodeDecodeError:
        raise errors.DataError(f"{path}: not a text file; save it as UTF-8") from None
    except RecursionError:
        raise errors.DataError(f"{path}: nested too deeply for a COCO file") from None
    except ValueError:
        raise errors.DataError(f"{path}: a number has too many digits") from None
