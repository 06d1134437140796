"""Which parts COCO files annotate: the keypoints of a category, or the categories themselves.

Most annotations decide. The keypoints of a few are a slip of whoever annotated, and must not
take the boxes of all others.
"""

import collections
from typing import NamedTuple

from partdisc import errors
from partdisc.data.coco_fields import HIDDEN, VISIBLE, says_keypoints
from partdisc.data.coco_file import CocoFile
from partdisc.data.settings import DataSettings

VISIBILITIES = {"visible": (VISIBLE,), "labelled": (HIDDEN, VISIBLE)}


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


def find_parts(files: list[CocoFile], wanted: DataSettings) -> Parts:
    """Find the parts that files annotate.

    Raises:
        errors.DataError: several categories have keypoints, the one that is wanted has none,
            the files do not agree on them, or a part to split is unknown.
    """
    category = _keypoint_category(files, wanted.category)
    names = _names(files, category)
    return Parts(names, category, _split(wanted.split_polygons, names), wanted.visibility)


def _keypoint_category(files: list[CocoFile], wanted: str) -> str:
    """Return the category whose keypoints are the parts; "" where the categories are parts."""
    categories = [one for file in files for one in file.categories.values()]
    named = {one["name"] for one in categories if one.get("keypoints")}
    having, lacking = collections.Counter(), collections.Counter()
    for one in (one for file in files for one in file.annotations):
        said = says_keypoints(one.fields)
        if said is not None:
            (having if said else lacking)[one.category] += 1
    names = dict.fromkeys(one["name"] for one in categories)
    able = [name for name in names if name in named or having[name]]
    if wanted:
        if wanted not in able:
            raise errors.DataError(
                f"{files[0].path}: data.category is {errors.shortened(wanted)}; with keypoints "
                f"are: {', '.join(able) or 'none'}"
            )
        return wanted
    # Names of keypoints are a sign of their own: then other categories have no say.
    most = having.total() > lacking.total()
    likely = [name for name in able if (having[name] >= lacking[name] if name in named else most)]
    if len(likely) > 1:
        raise errors.DataError(
            f"{files[0].path}: several categories have keypoints, data.category must name "
            f"one of {', '.join(likely)}"
        )
    return likely[0] if likely else ""


def _names(files: list[CocoFile], category: str) -> list[str]:
    """Return the names of the parts; files must agree on keypoints."""
    categories = [one for file in files for one in file.categories.values()]
    if not category:
        return list(dict.fromkeys(one["name"] for one in categories))
    lists = [one.get("keypoints") or [] for one in categories if one["name"] == category]
    if not any(lists):  # Keypoints that nobody named are numbered.
        counts = [_keypoint_count(file, category) for file in files]
        lists = [[f"keypoint {i + 1}" for i in range(count)] for count in counts]
    if len(lists) < len(files) or any(names != lists[0] for names in lists):
        raise errors.DataError(
            f"{files[-1].path}: the keypoints of '{category}' are not those of {files[0].path}"
        )
    return lists[0]


def _keypoint_count(file: CocoFile, category: str) -> int:
    """Return how many keypoints most annotations of a category have."""
    given = [one.fields.get("keypoints") for one in file.annotations if one.category == category]
    counts = collections.Counter(len(one) // 3 for one in given if isinstance(one, list) and one)
    return max(counts, key=counts.get, default=0)


def _split(given: str, known: list[str]) -> set[str]:
    names = {name.strip() for name in given.split(",") if name.strip()}
    for name in sorted(names - set(known)):
        raise errors.DataError(
            f"data.split_polygons names {errors.shortened(name)}; the parts are {', '.join(known)}"
        )
    return names
