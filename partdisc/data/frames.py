"""In which frame an image was annotated: as it is stored, or upright, as its EXIF says."""

import collections
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from partdisc.data.bad_images import BadImage
from partdisc.data.decoding import Frame
from partdisc.data.record import Record


class Settled(NamedTuple):
    """Records whose annotation is in the frame of the upright image.

    Attributes:
        records: of the images whose size is the one that they were annotated with.
        problems: the others.
        notes: lines on what was turned.
    """

    records: list[Record]
    problems: list[BadImage]
    notes: list[str]


def settle(records: Sequence[Record], frames: Mapping[str, Frame | None]) -> Settled:
    """Bring the annotation of all images into the frame of the upright image.

    The size that an image is declared with says whether its annotation was made before it was
    turned by its EXIF orientation or after. Where the size cannot tell (it is square, or turned
    by 180 degrees, or mirrored), the other images of the same lists decide: of those with the
    test split, and of those without, for each may have a file of its own.

    Args:
        records: of images; those that declare no size stay as they are.
        frames: of the images, by their keys; None where one cannot be read.
    """
    kept, problems, turned = list(records), [], []
    doubtful: dict[bool, list[int]] = {False: [], True: []}
    stored, upright = collections.Counter(), collections.Counter()
    for place, one in enumerate(records):
        test = "test" in one.splits
        frame = frames.get(one.key)
        if not one.declared or not frame:
            continue
        as_stored, as_upright = one.declared == frame.stored, one.declared == frame.upright
        if not as_stored and not as_upright:
            said, found = (" x ".join(map(str, size)) for size in (one.declared, frame.upright))
            problems.append(BadImage(one.key, f"annotated as {said} pixels, but it is {found}"))
        elif as_stored and as_upright:
            doubtful[test] += [place] * (frame.orientation != 1)
        else:
            stored[test] += as_stored
            upright[test] += as_upright
            turned += [place] * as_stored
    taken = 0
    for test, places in doubtful.items():
        if stored[test] and not upright[test]:
            turned += places
        else:
            taken += len(places)
    notes = []
    if taken:
        notes.append(
            f"{taken} images are turned by EXIF, and their size does not tell how they "
            "were annotated: they are taken to be annotated upright"
        )
    for place in turned:
        kept[place] = _turned(records[place], frames[records[place].key])
    if turned:
        notes.insert(
            0,
            f"{len(turned)} images were annotated before they were turned by EXIF, such as "
            f"{records[turned[0]].key}: their annotation is turned too",
        )
    bad = {one.name for one in problems}
    return Settled([one for one in kept if one.key not in bad], problems, notes)


def _turned(one: Record, frame: Frame) -> Record:
    points = to_upright(one.points, frame)
    corners = to_upright(one.box.reshape(2, 2), frame)
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])

    def load():
        return one.load()._replace(points=points, box=box)

    return one._replace(points=points, box=box, load=load)


def to_upright(points: np.ndarray, frame: Frame) -> np.ndarray:
    """Map points of an image as it is stored to the upright image.

    Args:
        points: (y, x), pixels [..., 2]; NaN stays NaN.
        frame: of the image.

    Returns:
        (y, x), pixels [..., 2].
    """
    y, x = points[..., 0], points[..., 1]
    bottom, right = frame.stored[0] - 1 - y, frame.stored[1] - 1 - x
    # By the values of EXIF's orientation, from 1: what the upright row and column are.
    pairs = ((y, x), (y, right), (bottom, right), (bottom, x), (x, y), (x, bottom),
             (right, bottom), (right, y))  # fmt: skip
    return np.stack(pairs[frame.orientation - 1], axis=-1)
