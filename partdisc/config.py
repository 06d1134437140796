"""The configuration: every key with its default, what it allows, its unit and its meaning.

A file in `configs/` changes what its experiment needs, and the command line any key:
`--config.train.steps=300`. `docs/config.md` is this table as a page; `partdisc/deviations.py`
says where a default is not the paper's, and why.
"""

from typing import NamedTuple

import ml_collections


class Key(NamedTuple):
    """A key of the configuration. It has bounds, choices, names or a text, or is a switch.

    Attributes:
      default: its type is that of every value.
      meaning: one line.
      low: the smallest value of a number.
      high: the largest one; every number has both.
      choices: what a text may be.
      names: what a text may list, by commas; it may be empty where the default is.
      text: what any other text says, in words; who reads it checks it.
      unit: of a number.
    """

    default: bool | int | float | str
    meaning: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    text: str = ""
    unit: str = ""


class Section(NamedTuple):
    """Keys that belong together, and one line on what they are of."""

    about: str
    keys: dict[str, Key]


# Of the whole run.
WHOLE = {
    "seed": Key(0, "Seed of all that is random: the same one gives the same run.", 0, 2**31 - 1),
    "memory": Key(4.0, "Hold up to so much of the training images' features, and of the maps made "
        "of them; of more, each is read or made again when it is needed.", 0, 100_000, unit="GiB"),
    "features": Key("keep", "Keep all features in a file, or `recompute` them at each pass: slower "
        "by far, for small disks.", choices=("keep", "recompute")),
}  # fmt: skip

SECTIONS = {
    "data": Section("The images (section 4.2 of the paper).", {
        "name": Key("folder", "Kind of data set: `folder` is any images, `shapes` draws its own.",
            choices=("celeba", "celeba_wild", "mtfl", "cub", "vehicle_part", "coco", "folder",
                     "shapes")),
        "root": Key("",
            "Where the data set is. Empty: below PARTDISC_DATA (not `folder` and `coco`).",
            text="a folder; may begin with $PARTDISC_DATA"),
        "splits": Key("official",
            "Which images to train, fit and test on. All but `official` are of CelebA.",
            choices=("official", "mafl", "subset", "scops")),
        "category": Key("", "The part of a data set to use. Empty: all species of `cub`.",
            text="cub: numbers of species, by commas; vehicle_part: aeroplane, bicycle, bus, car, "
                 "motorbike or train; coco: the category whose keypoints are the parts"),
        "coco_train": Key("", "Of `coco`: the images to train and fit on.",
            text="a file below root, or file:folder of its images"),
        "coco_test": Key("", "Of `coco`: the images to test on. Empty: none.",
            text="a file below root, or file:folder of its images"),
        "split_polygons": Key("",
            "Of `coco`: parts of which each polygon is one instance, as a car's wheels.",
            text="names of parts, by commas"),
        "visibility": Key("labelled",
            "Of `coco`: keypoints that count. `labelled`: hidden ones (1) too, as COCO's own "
            "evaluation has it; `visible`: only those that are seen (2).",
            choices=("visible", "labelled")),
        "flip": Key(False, "Whether to train on mirrored images too."),
        "crop_margin": Key(-1.0, "Crop to the object's box and this margin. Negative: do not crop.",
            low=-1, high=10, unit="share of the box's side"),
        "short_side": Key(224, "Images are resized so that their short side is this long.",
            low=16, high=4096, unit="pixels"),
        "max_aspect": Key(1.5,
            "Longer images are squeezed to this shape. Results are mapped back exactly.",
            low=1, high=20, unit="long side / short side"),
        "train_subset": Key(2000, "Learn from so many random training images. 0: from all.",
            low=0, high=100_000_000, unit="images"),
        "max_bad_fraction": Key(0.05, "Stop if more of the images than this cannot be used.",
            low=0, high=1, unit="share of the images"),
        "max_pixels": Key(80_000_000, "Larger images are not read, for the sake of the memory.",
            low=1024, high=170_000_000, unit="pixels"),
        "shapes_train": Key(400, "Of `shapes`: images drawn to train on.",
            low=1, high=1_000_000, unit="images"),
        "shapes_fit": Key(150, "Of `shapes`: images drawn to fit on.",
            low=1, high=1_000_000, unit="images"),
        "shapes_test": Key(150, "Of `shapes`: images drawn to test on.",
            low=1, high=1_000_000, unit="images"),
        "shapes_size": Key(224, "Of `shapes`: side of an image.", low=32, high=2048, unit="pixels"),
    }),
    "backbone": Section("The network that gives the features; it is not trained (section 3.1).", {
        "name": Key("vgg16", "Which network. The paper's is `vgg16`.",
            choices=("vgg16", "googlenet", "resnet50", "dinov2_vits14", "dinov2_vits14_reg",
                     "dinov2_vitb14", "dinov2_vitb14_reg")),
        "layer": Key("pool4", "The layer whose output the features are.",
            text="vgg16: pool3, conv4_3, pool4, conv5_3, pool5; googlenet: inception_3a, "
                 "inception_3b, inception_4a, inception_4b, inception_4c, inception_4d, "
                 "inception_4e; resnet50: layer2, layer3; dinov2: norm, block1 to block12, "
                 "block1_keys to block12_keys"),
        "weights": Key("",
            "Trained weights. Empty: search for them, then download what is published.",
            text="a file, a folder or the word random"),
        "batch": Key(4, "Images that go through the network at once.",
            low=1, high=1024, unit="images"),
        "center": Key(False, "Whether to subtract the mean feature. Random weights need it."),
    }),
    "parts": Section("The part layer: a channel a part, and one for background (section 3.1).", {
        "count": Key(512, "Number of channels, each a detector of its own.",
            low=2, high=65_536, unit="channels"),
        "kappa": Key(20.0,
            "How sharply parts are told apart: what cosines are multiplied by. Not of `nmf`.",
            low=1e-3, high=1e4),
        "background": Key("mean",
            "`mean`: background has a direction, as parts do; `constant`: a number. Not of `nmf`.",
            choices=("mean", "constant")),
        "wanted": Key("auto",
            "How many parts to make of the channels for people to read. `auto`: the most that "
            "half of the images choose like the other half, each part by itself too.",
            text="auto, or a number from 2 to 24"),
    }),
    "clusters": Section("Clusters of features, which the parts start from (section 3.1).", {
        "kind": Key("vmf",
            "`vmf`: von Mises-Fisher mixture, the paper's; `nmf`: factors, which are not trained.",
            choices=("vmf", "kmeans", "nmf")),
        "cells_per_image": Key(20, "Cluster so many random cells of each image.",
            low=1, high=65_536, unit="cells"),
        "most": Key(200_000, "Of very many images take fewer cells each, so many in all.",
            low=1000, high=100_000_000, unit="cells"),
        "border": Key(3, "Leave out cells this close to the border, if enough others remain.",
            low=0, high=1000, unit="cells"),
        "iterations": Key(150, "Stop after so many rounds.", low=1, high=100_000, unit="rounds"),
        "tolerance": Key(5e-5,
            "Stop when a round changes the likelihood (`vmf`) or the mean squared distance less.",
            low=0, high=1e3, unit="nats (`vmf`)"),
        "seeding_vectors": Key(50_000, "Choose the first clusters among so many random features.",
            low=1, high=10_000_000, unit="features"),
    }),
    "pools": Section("The similar images that go with each training image (section 3.2.1).", {
        "similarity": Key("position_free",
            "`spatial_js`: compare images cell by cell; `position_free`: wherever the parts are.",
            choices=("spatial_js", "position_free")),
        "size": Key(15, "Similar images in a pool.", low=1, high=10_000, unit="images"),
        "candidates": Key(40,
            "Align so many similar images and keep the best aligned. 0: keep the most similar.",
            low=0, high=10_000, unit="images"),
        "grid": Key(7, "Of `spatial_js`: side of the map to which images are resized.",
            low=1, high=64, unit="cells"),
        "refresh_epochs": Key(0, "Find new pools each time after so many epochs. 0: never.",
            low=0, high=10_000, unit="epochs"),
    }),
    "matching": Section("Which cells of two images show the same thing (section 3.2.2).", {
        "kind": Key("mutual",
            "`threshold`: all pairs above it match; `degree`: the same, but a cell of many matches "
            "counts less in each; `mutual`: only pairs that are each other's best.",
            choices=("threshold", "degree", "mutual")),
        "threshold": Key(0.4, "Two cells can match if they are more alike than this.",
            low=-1, high=1, unit="cosine"),
        "saliency": Key(True,
            "Whether cells that are unlike their image's corners, so not background, count more."),
        "slots": Key(1024,
            "Keep at most so many matches of two images, evenly; 0: all. Not of `mutual`.",
            low=0, high=1_000_000, unit="matches"),
    }),
    "alignment": Section("How a similar image is laid on a training image (section 3.2.2).", {
        "transform": Key("affine", "Kind of transform that is sought.",
            choices=("none", "translation", "affine", "homography")),
        "hypotheses": Key(128, "Random plausible transforms to compare.",
            low=1, high=1_000_000, unit="transforms"),
        "scoring": Key("truncated",
            "`count`: matches that fit count the same; `truncated`: the closer, the more.",
            choices=("count", "truncated")),
        "radius": Key(1.5, "A match fits if the transform leaves it at most this far apart.",
            low=1e-3, high=1e3, unit="cells"),
        "max_area_change": Key(3.0, "An area may grow or shrink at most by this factor.",
            low=1, high=1e9),
        "max_stretch": Key(2.5,
            "One direction may be stretched against the other at most by this factor.",
            low=1, high=1e6),
        "max_rotation": Key(90.0, "An image may be turned at most by this.",
            low=0, high=180, unit="degrees"),
        "polish": Key(2, "Rounds of least squares that refine the best transform.",
            low=0, high=100, unit="rounds"),
    }),
    "pseudo_gt": Section("The labels that aligned images give, to train on (section 3.2.3).", {
        "capacity": Key(3, "Cells that a part may take in an image.",
            low=1, high=65_536, unit="cells"),
        "background": Key("salient",
            "What is labelled as background: `salient`, the cells that do not stand out; "
            "`printed`, all that it wins, as Algorithm 1 is printed; `excluded`, nothing.",
            choices=("salient", "printed", "excluded")),
        "suppression": Key(0, "Around a cell that a part took, it takes no other this close.",
            low=0, high=1000, unit="cells"),
        "include_self": Key(False, "Whether the image's own map counts beside those of its pool."),
    }),
    "part_templates": Section("What `train.objective=part_templates` compares maps with.", {
        "tau": Key(16.0, "Height of a template's peak, for each unit of probability.",
            low=1e-3, high=1e4),
        "beta": Key(4.0, "How fast a template falls away from its peak.", low=1e-3, high=1e3),
    }),
    "train": Section("Training of the part layer, by Adagrad (sections 3.2.4 and 4.3).", {
        "objective": Key("alignment",
            "`alignment`: the paper's method; `part_templates`: its baseline MaskRegularized.",
            choices=("alignment", "part_templates")),
        "steps": Key(1000, "How long to train. 0: the clusters stay as they are.",
            low=0, high=100_000_000, unit="steps"),
        "batch": Key(4, "Training images of a step; each brings its pool.",
            low=1, high=4096, unit="images"),
        "learning_rate": Key(2e-2, "The learning rate of the first step.", low=0, high=1e3),
        "decay": Key(0.1, "How much the learning rate falls, in the way of `decay_kind`.",
            low=0, high=1e3),
        "decay_kind": Key("none",
            "`none`: constant; `inverse_time`: divide the rate by 1 + decay x step; "
            "`step`: multiply it by decay after every `decay_every` steps.",
            choices=("none", "inverse_time", "step")),
        "decay_every": Key(1000, "Of `decay_kind=step`: steps between two falls.",
            low=1, high=100_000_000, unit="steps"),
        "checkpoint_every": Key(100, "Save after every so many steps.",
            low=1, high=100_000_000, unit="steps"),
    }),
    "detection": Section("Where the parts are in an image (section 3.3).", {
        "half_stride": Key(True, "Whether to look between cells too. Takes 4 times the disk."),
        "box": Key(100.0, "Side of a part's box, in images resized to `data.short_side`.",
            low=1, high=1e5, unit="pixels"),
        "nms_iou": Key(0.3, "A box that overlaps a stronger one by more than this is dropped.",
            low=0, high=1, unit="IoU"),
        "per_part": Key(5, "Keep at most so many detections of a part in an image.",
            low=1, high=1000, unit="detections"),
        "min_score": Key(0.2, "Weaker detections are left out of detections.jsonl.",
            low=0, high=1, unit="share of the channel's best"),
        "parts": Key(24, "Parts in detections.jsonl, where no landmarks choose them.",
            low=1, high=65_536, unit="parts"),
    }),
    "evaluation": Section("How results are measured where there are landmarks (section 4.4).", {
        "threshold": Key(0.1, "By `l2`, a detection closer to its landmark than this is right.",
            low=0, high=10, unit="share of the object's or image's size"),
        "iou": Key(0.5, "By `iou` and `vsp`, a box that overlaps the true one by more is right.",
            low=0, high=1, unit="IoU"),
        "channel_selection": Key("fit",
            "Images that tell which channel is which landmark; by `test` figures are too good.",
            choices=("fit", "test")),
        "detection": Key("l2",
            "How detections are scored: by distance, or by boxes. The first chooses the channels.",
            names=("l2", "iou", "vsp")),
        "protocols": Key("default",
            "How predicted landmarks are scored. The first stands in the main table.",
            names=("default", "scops", "lmdis", "autolink", "imm", "eye_leak", "cub_box",
                   "cub_image")),
        "min_firing": Key(0.05, "Landmarks are not predicted from channels that fire less.",
            low=0, high=1, unit="share of the strongest channel's"),
        "alignment_images": Key(100, "Images on which alignment is measured. 0: it is not.",
            low=0, high=1_000_000, unit="images"),
        "extras": Key("", "What to measure beyond the main table.",
            names=("keypoints", "parts", "equivariance", "fit_sizes", "cumulative", "backward")),
    }),
    "report": Section("The page and the pictures of a run.", {
        "photos": Key(400, "Photos on the page, spread over all.", low=1, high=2000,
            unit="images"),
        "images": Key(6, "Rows of a picture. 0: no pictures, the page alone.",
            low=0, high=100, unit="images"),
        "channels": Key(6, "Columns of a picture.", low=1, high=100, unit="channels"),
    }),
    "table": Section("A table of the paper, made by `--mode=table`.", {
        "number": Key(1, "Its number; 9 and 10 show what each deviation from the paper is worth.",
            low=1, high=10),
        "data": Key("", "Its columns. Empty: those of the paper.",
            text="names of data sets, by '+', as configs/tables.py lists them"),
        "seeds": Key("0", "Every run is done with each of these.", text="whole numbers, by commas"),
    }),
}  # fmt: skip

KEYS = WHOLE | {
    f"{name}.{key}": value
    for name, section in SECTIONS.items()
    for key, value in section.keys.items()
}


def base_config() -> ml_collections.ConfigDict:
    """Return the defaults."""
    defaults = {
        name: {key: value.default for key, value in section.keys.items()}
        for name, section in SECTIONS.items()
    }
    whole = {key: value.default for key, value in WHOLE.items()}
    return ml_collections.ConfigDict(whole | defaults)


def flatten(config: ml_collections.ConfigDict) -> dict[str, object]:
    """Return the config as {'section.key': value}."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            flat.update({f"{name}.{key}": leaf for key, leaf in flatten(value).items()})
        else:
            flat[name] = value
    return flat


def split_names(text: str) -> list[str]:
    """Return the names in a text that lists them by commas; between two may be nothing."""
    return [name.strip() for name in text.split(",") if name.strip()]
