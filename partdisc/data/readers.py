"""From the `data` section of a configuration to the listing of its data set."""

import os
import pathlib
from typing import Any

from partdisc import errors
from partdisc.data import celeba, coco, cub, folder, mtfl, record, shapes, vehicle_part

# Of each set, the folder below PARTDISC_DATA where `data.root` does not name one.
_FOLDERS = {
    "celeba": "celeba",
    "celeba_wild": "celeba",
    "mtfl": "MTFL",
    "cub": "CUB_200_2011",
    "vehicle_part": "VehiclePart",
    "coco": None,
    "folder": None,
}
# Of each set with publishers, what it needs and where that is to be had.
_CELEBA = "list_eval_partition.txt (and MAFL's lists, github.com/zhzhanp/TCDCN-face-alignment)"
_ORIGINS = {
    "celeba": (f"img_align_celeba/, list_landmarks_align_celeba.txt, {_CELEBA}",
               "mmlab.ie.cuhk.edu.hk/projects/CelebA.html"),
    "celeba_wild": ("img_celeba/, list_landmarks_celeba.txt, list_bbox_celeba.txt, " + _CELEBA,
                    "mmlab.ie.cuhk.edu.hk/projects/CelebA.html"),
    "mtfl": ("training.txt, testing.txt, lfw_5590/, net_7876/, AFLW/",
             "mmlab.ie.cuhk.edu.hk/projects/TCDCN.html"),
    "cub": ("images/, images.txt, train_test_split.txt, image_class_labels.txt, "
            "bounding_boxes.txt, parts/", "www.vision.caltech.edu/datasets/cub_200_2011"),
    "vehicle_part": ("file_list/ and <category>_imagenet/transfered/ of VehicleSemanticPart, "
                     "Images/ and Annotations/ of PASCAL3D+",
                     "ccvl.jhu.edu and cvgl.stanford.edu/projects/pascal3d.html"),
}  # fmt: skip
NAMES = (*_FOLDERS, "shapes")
SPLITS = celeba.WILD_SPLITS
_SPLITS_OF = {"celeba": celeba.SPLITS, "celeba_wild": SPLITS}


def read(config: Any, seed: int) -> record.Listing:
    """Read the lists of the data set that a configuration names.

    Args:
        config: its `data` section.
        seed: of the drawn shapes.

    Raises:
        errors.ConfigError: a value is none of those that the set knows.
        errors.DataError: files are absent or malformed.
    """
    name = config.name
    if name not in NAMES:
        raise errors.ConfigError(f"data.name is {name!r}; allowed: {', '.join(NAMES)}")
    choices = _SPLITS_OF.get(name, ("official",))
    if config.splits not in choices:
        raise errors.ConfigError(
            f"data.splits is {config.splits!r}; allowed for {name}: {', '.join(choices)}"
        )
    if name == "shapes":
        counts = {split: getattr(config, f"shapes_{split}") for split in record.SPLITS}
        return shapes.read(counts, config.shapes_size, seed)
    listing = _read(name, _root(name, config.root), config)
    _check_once(listing)
    return listing


def _read(name: str, root: pathlib.Path, config: Any) -> record.Listing:
    match name:
        case "celeba" | "celeba_wild":
            return celeba.read(root, config.splits, wild=name == "celeba_wild")
        case "mtfl":
            return mtfl.read(root)
        case "cub":
            return cub.read(root, config.category)
        case "vehicle_part":
            return vehicle_part.read(root, config.category)
        case "coco":
            return coco.read(
                root,
                config.coco_train,
                config.coco_test,
                category=config.category,
                split_polygons=config.split_polygons,
                cropped=config.crop_margin >= 0,
            )
    return folder.read(root)


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
        return pathlib.Path(os.path.expandvars(root)).expanduser()
    if _FOLDERS[name] is None:
        raise errors.DataError("data.root is empty: it must name the folder of images")
    if not os.environ.get("PARTDISC_DATA"):
        raise errors.DataError(
            f"data.root is empty and the environment variable PARTDISC_DATA is not set: "
            f"one must say where {name} is"
        )
    return pathlib.Path(os.environ["PARTDISC_DATA"]) / _FOLDERS[name]


def origin(name: str) -> str:
    """Say which files a data set consists of and where they are to be had; "" if unknown."""
    if name not in _ORIGINS:
        return ""
    files, place = _ORIGINS[name]
    return f"its files are {files}, from {place}"
