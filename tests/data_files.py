"""Image files and options to make small data sets of."""

import types

from PIL import Image


def options(root, **changes) -> types.SimpleNamespace:
    values = {
        "name": "folder", "root": str(root), "splits": "official", "crop_margin": -1.0,
        "short_side": 224, "max_aspect": 2.0, "train_subset": 0, "max_bad_fraction": 0.5,
        "category": "", "coco_train": "", "coco_test": "", "split_polygons": "", "flip": False,
        "visibility": "labelled", "max_pixels": 80_000_000,
        "shapes_train": 1, "shapes_fit": 1, "shapes_test": 1, "shapes_size": 64,
    }  # fmt: skip
    return types.SimpleNamespace(**{**values, **changes})


def save(path, pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, {".jpg": "JPEG"}.get(path.suffix.lower()))
