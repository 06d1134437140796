"""The data sets that can be read, and the listing of the one that is wanted."""

import os
import pathlib
from collections.abc import Callable
from typing import NamedTuple

from partdisc import errors
from partdisc.data import celeba, coco, cub, folder, mtfl, record, shapes, vehicle_part
from partdisc.data.settings import DataSettings
from partdisc.paths import user_path


class Source(NamedTuple):
    """A data set that is read from files.

    Attributes:
        read: gives the listing of the files below a folder.
        folder: below PARTDISC_DATA, where `data.root` does not name one; "" for sets that
            are the user's own.
        splits: ways in which it can be split.
        files: what it consists of, where it has publishers.
        place: where that is to be had.
    """

    read: Callable[[pathlib.Path, DataSettings], record.Listing]
    folder: str = ""
    splits: tuple[str, ...] = ("official",)
    files: str = ""
    place: str = ""


_FACES = "list_eval_partition.txt (and MAFL's lists, github.com/zhzhanp/TCDCN-face-alignment)"
SOURCES = {
    "celeba": Source(
        lambda root, wanted: celeba.read(root, wanted.splits, wild=False),
        "celeba",
        celeba.SPLITS,
        f"img_align_celeba/, list_landmarks_align_celeba.txt, {_FACES}",
        "mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    ),
    "celeba_wild": Source(
        lambda root, wanted: celeba.read(root, wanted.splits, wild=True),
        "celeba",
        celeba.WILD_SPLITS,
        f"img_celeba/, list_landmarks_celeba.txt, list_bbox_celeba.txt, {_FACES}",
        "mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    ),
    "mtfl": Source(
        lambda root, wanted: mtfl.read(root),
        "MTFL",
        files="training.txt, testing.txt, lfw_5590/, net_7876/, AFLW/",
        place="mmlab.ie.cuhk.edu.hk/projects/TCDCN.html",
    ),
    "cub": Source(
        lambda root, wanted: cub.read(root, wanted.category),
        "CUB_200_2011",
        files="images/, images.txt, train_test_split.txt, image_class_labels.txt, "
        "bounding_boxes.txt, parts/",
        place="www.vision.caltech.edu/datasets/cub_200_2011",
    ),
    "vehicle_part": Source(
        lambda root, wanted: vehicle_part.read(root, wanted.category),
        "VehiclePart",
        files="file_list/ and <category>_imagenet/transfered/ of VehicleSemanticPart, "
        "Images/ and Annotations/ of PASCAL3D+",
        place="ccvl.jhu.edu and cvgl.stanford.edu/projects/pascal3d.html",
    ),
    "coco": Source(coco.read),
    "folder": Source(lambda root, wanted: folder.read(root)),
}
DRAWN = "shapes"  # Drawn here, of no files.


def names() -> tuple[str, ...]:
    """Return the names of all data sets."""
    return (*SOURCES, DRAWN)


def read(wanted: DataSettings, seed: int) -> record.Listing:
    """Read the lists of the data set that is wanted.

    Args:
        wanted: which data set, and what of it.
        seed: of the drawn shapes.

    Raises:
        errors.ConfigError: a value is none of those that the set knows.
        errors.DataError: files are absent or malformed.
    """
    name = wanted.name
    if name not in names():
        raise errors.ConfigError(
            f"data.name is {errors.shortened(name)}; allowed: {', '.join(names())}"
        )
    choices = ("official",) if name == DRAWN else SOURCES[name].splits
    if wanted.splits not in choices:
        raise errors.ConfigError(
            f"data.splits is {errors.shortened(wanted.splits)}; allowed for {name}: "
            f"{', '.join(choices)}"
        )
    if name == DRAWN:
        counts = {split: getattr(wanted, f"shapes_{split}") for split in record.SPLITS}
        return shapes.read(counts, wanted.shapes_size, seed)
    listing = SOURCES[name].read(_root(name, wanted.root), wanted)
    _check_once(listing)
    return listing


def _check_once(listing: record.Listing) -> None:
    """Refuse an image that is there twice, or trained on or fitted on and tested on."""
    seen: dict[str, tuple[str, ...]] = {}
    lists = ", ".join(map(str, listing.sources))
    for one in listing.records:
        splits = (*seen.get(one.key, ()), *one.splits)
        if one.key in seen or ("test" in splits and len(splits) > 1):
            raise errors.DataError(f"{lists}: {one.key} is there twice, for {', '.join(splits)}")
        seen[one.key] = one.splits


def _root(name: str, root: str) -> pathlib.Path:
    if root.startswith("$PARTDISC_DATA") and not os.environ.get("PARTDISC_DATA"):
        raise errors.DataError(
            f"data.root is '{root}', but the environment variable PARTDISC_DATA is not set"
        )
    if root:
        return user_path(root)
    if not SOURCES[name].folder:
        raise errors.DataError("data.root is empty: it must name the folder of images")
    if not os.environ.get("PARTDISC_DATA"):
        raise errors.DataError(
            f"data.root is empty and the environment variable PARTDISC_DATA is not set: "
            f"one must say where {name} is"
        )
    return user_path(os.environ["PARTDISC_DATA"]) / SOURCES[name].folder


def origin(name: str) -> str:
    """Say which files a data set consists of and where they are to be had; "" if unknown."""
    source = SOURCES.get(name)
    return f"its files are {source.files}, from {source.place}" if source and source.files else ""
