"""Which data set is wanted, and what of it."""

from typing import NamedTuple


class DataSettings(NamedTuple):
    """The section `data` of the config; `docs/config.md` says what each field means."""

    name: str
    root: str
    splits: str
    category: str
    coco_train: str
    coco_test: str
    split_polygons: str
    visibility: str
    flip: bool
    crop_margin: float
    short_side: int
    max_aspect: float
    train_subset: int
    max_bad_fraction: float
    max_pixels: int
    shapes_train: int
    shapes_fit: int
    shapes_test: int
    shapes_size: int
