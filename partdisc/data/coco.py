"""Images annotated in the COCO format: keypoints of objects, or parts as boxes or polygons.

A file is {"images": [{id, file_name, width?, height?}], "categories": [{id, name, keypoints?}],
"annotations": [{id?, image_id, category_id, bbox?, segmentation?, keypoints?, iscrowd?}]}.
Where a category names keypoints, or most annotations have some, an annotation is an object, and
its keypoints are the parts; a box that is absent is the one around them. Otherwise the
categories are the parts of the one object that an image shows: the centre of an annotation's
box is where the part is, and the object's box is what holds all of them. Boxes and polygons are
measured from the image's upper left corner, keypoints in pixels from 0.
"""

import collections
import pathlib

from partdisc import errors
from partdisc.data import record
from partdisc.data.bad_images import BadImage
from partdisc.data.coco_fields import HIDDEN, NOT_LABELLED, VISIBLE
from partdisc.data.coco_file import CocoFile
from partdisc.data.coco_images import Images, Used
from partdisc.data.coco_objects import Found, find_objects
from partdisc.data.coco_parts import VISIBILITIES, Parts, find_parts
from partdisc.data.settings import DataSettings


def read(root: pathlib.Path, wanted: DataSettings) -> record.Listing:
    """Read one or two COCO files: train and fit are the images of the first, test of the second.

    Args:
        root: the folder that the others are relative to.
        wanted: of these
            `coco_train`, `coco_test`: file, or file:folder of its images; without, they lie
            beside the file. There may be no test.
            `category`: of the objects whose keypoints are the parts; may be "" where only one
            has keypoints.
            `split_polygons`: names of parts, by commas, each of whose polygons is an instance
            (two wheels in one annotation); the polygons of others are one instance, seen
            in pieces.
            `visibility`: which keypoints count.
            `crop_margin`: from 0 on images are cropped to objects, so that an image of several
            objects becomes as many.

    Raises:
        errors.DataError: a file is absent or malformed, or lacks what is asked for.
    """
    if not wanted.coco_train:
        raise errors.DataError("data.coco_train is empty: it must name the COCO file")
    files = [CocoFile(root, given) for given in (wanted.coco_train, wanted.coco_test) if given]
    parts = find_parts(files, wanted)
    found = [find_objects(file, parts) for file in files]
    used, notes = _used_parts(files, found, parts)
    records: list[record.Record] = []
    problems: list[BadImage] = []
    for file, one, splits in zip(files, found, (("train", "fit"), ("test",)), strict=False):
        images = Images(root, file, splits, wanted.crop_margin >= 0)
        sound, bad, said = images.records(one.objects, used)
        records += sound
        problems += bad
        notes += said
    _check_apart(files, records)
    return record.Listing(
        records,
        problems,
        tuple(used.names),
        None,
        tuple(file.path for file in files),
        instances=used.instances,
        notes=tuple(notes),
        odd=[
            BadImage(f"{file.path.name}: {one.name}", one.reason)
            for file, several in zip(files, found, strict=True)
            for one in several.odd
        ],
        annotations=sum(len(file.annotations) + len(file.odd) for file in files),
    )


def _used_parts(files: list[CocoFile], found: list[Found], parts: Parts) -> tuple[Used, list[str]]:
    """Return the parts that are annotated, and notes on what is left out."""
    objects = [one for by in found for several in by.objects.values() for one in several]
    count = len(parts.names)
    most = [max((len(one.points[i]) for one in objects), default=0) for i in range(count)]
    notes = [note for file in files for note in file.notes]
    seen = sum((one.visibilities for one in found), collections.Counter())
    if seen:
        notes.append(
            f"keypoints: {seen[VISIBLE]:,} visible (2), {seen[HIDDEN]:,} hidden (1), "
            f"{seen[NOT_LABELLED]:,} not labelled (0); config.data.visibility is "
            f"{parts.visibility}: those of {' and '.join(map(str, VISIBILITIES[parts.visibility]))}"
            " count"
        )
    for what in dict.fromkeys(what for one in found for what in one.remarks):
        notes += _such_as(what, [each for one in found for each in one.remarks.get(what, ())])
    if not any(most):
        if seen[HIDDEN]:
            notes.append("set config.data.visibility to labelled")
        problems = [one for file in files for one in file.problems]
        notes += _such_as("images that are not listed as they must be", problems)
        odd = [one for several in found for one in several.odd]
        notes += _such_as("annotations with a fault", odd)
        raise errors.DataError(
            "; ".join([f"{files[0].path}: no part is annotated in any image", *notes])
        )
    empty = [name for name, count in zip(parts.names, most, strict=True) if not count]
    if empty:
        notes.append(f"parts without any annotation left out: {', '.join(empty)}")
    indices = [i for i, count in enumerate(most) if count]
    return Used([parts.names[i] for i in indices], indices, max(most)), notes


def _such_as(what: str, several: list[BadImage]) -> list[str]:
    """Say how many there are of a kind, and name one."""
    return [f"{what}: {len(several):,}, such as {name}: {reason}" for name, reason in several[:1]]


def _check_apart(files: list[CocoFile], records: list[record.Record]) -> None:
    split_of: dict[str, str] = {}
    for one in records:
        # Several objects of one image are numbered after its name.
        name = one.key.rpartition("#")[0] or one.key
        if split_of.setdefault(name, one.splits[0]) != one.splits[0]:
            raise errors.DataError(f"{files[-1].path}: {name} is in {files[0].path} too")
