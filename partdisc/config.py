"""The configuration: every key with its default."""

import ml_collections


def base_config() -> ml_collections.ConfigDict:
    """Return the defaults; a file in `configs/` changes what its experiment needs."""
    section = ml_collections.ConfigDict
    config = section()
    config.seed = 0
    config.data = section(
        {
            "name": "folder",  # celeba, celeba_wild, mtfl, cub, vehicle_part, coco, folder, shapes
            "root": "",  # '' = where PARTDISC_DATA says
            "splits": "official",
            # cub: numbers of species, '' = all; vehicle_part: 'car', ...; coco: whose keypoints
            "category": "",
            "coco_train": "",  # a file below root, or file:folder of its images
            "coco_test": "",
            "split_polygons": "",  # parts of coco, by commas, whose polygons are instances
            "flip": False,  # mirrored training images too
            "crop_margin": -1.0,  # negative = full frame; 0.15 = the object's box + 15 %
            "short_side": 224,  # pixels
            "max_aspect": 1.5,  # longer images are squeezed to this; mapped back exactly
            "train_subset": 2000,  # random training images that learning uses; 0 = all
            "max_bad_fraction": 0.05,
            "shapes_train": 400,
            "shapes_fit": 150,
            "shapes_test": 150,
            "shapes_size": 224,  # pixels
        }
    )
    config.backbone = section(
        {
            "name": "vgg16",
            "layer": "pool4",
            "weights": "",  # a file, a folder, 'random', or '' = find or download
            "batch": 4,
            "center": False,  # subtract the mean feature; random weights need it
        }
    )
    config.parts = section(
        {
            "count": 512,
            "kappa": 30.0,  # of no meaning to clusters.kind = nmf, as is the next
            "background": "mean",
        }
    )
    config.clusters = section(
        {
            "kind": "vmf",  # the paper's; nmf factorises, and is not trained
            "cells_per_image": 20,
            "border": 3,  # cells
            "iterations": 150,
            "tolerance": 5e-5,  # nats; of kmeans and nmf the mean squared distance
            "seeding_vectors": 50_000,
        }
    )
    config.pools = section(
        {
            "similarity": "position_free",
            "size": 15,
            # So many of the most similar are aligned, and the best aligned ones taken; 0 = the
            # most similar ones, as in the paper.
            "candidates": 40,
            "grid": 7,  # cells a side of the resized map, of spatial_js
            "refresh_epochs": 0,  # 0 = the pools of the start are kept
        }
    )
    config.matching = section(
        {
            "kind": "mutual",
            "threshold": 0.4,
            "saliency": True,
            "slots": 1024,
        }
    )
    config.alignment = section(
        {
            "transform": "affine",
            "hypotheses": 256,
            "scoring": "truncated",
            "radius": 1.5,  # cells
            "max_area_change": 3.0,
            "max_stretch": 2.5,
            "max_rotation": 90.0,  # degrees
            "polish": 2,
        }
    )
    config.pseudo_gt = section(
        {
            "capacity": 3,  # cells a part takes in an image
            "background": "salient",
            "suppression": 0,  # cells
            "include_self": False,
        }
    )
    config.part_templates = section(
        {  # of train.objective = part_templates
            "tau": 16.0,  # height of a template, per unit of probability
            "beta": 4.0,  # how fast it falls from its peak
        }
    )
    config.train = section(
        {
            "objective": "alignment",  # or part_templates, the baseline MaskRegularized
            "steps": 1000,
            "batch": 4,
            "learning_rate": 2e-2,  # the paper has 5e-3, with which parts form far more slowly
            "decay": 0.1,
            "decay_kind": "none",
            "decay_every": 1000,  # steps, for decay_kind = step
            "checkpoint_every": 100,
        }
    )
    config.detection = section(
        {
            "half_stride": True,  # on cells half a stride apart; 4 times the feature cache
            "box": 100.0,  # pixels at the short side of `data.short_side`
            "nms_iou": 0.3,
            "per_part": 5,
            "min_score": 0.2,  # of what detections.jsonl lists, as a share of the channel's best
            "parts": 24,  # channels it lists where no landmarks choose them
        }
    )
    config.evaluation = section(
        {
            "threshold": 0.1,  # of the normaliser
            "iou": 0.5,  # of boxes, what a match must exceed
            "channel_selection": "fit",
            "detection": "l2",  # protocols, by commas; the first one chooses the channels
            # Of regression, by commas; the first one's errors stand in the main table.
            "protocols": "default",
            # Channels whose mean best score is below this share of the strongest channel's
            # are not regressed from.
            "min_firing": 0.05,
            "alignment_images": 100,
            "extras": "",  # by commas: keypoints, equivariance, fit_sizes, cumulative, backward
        }
    )
    config.report = section({"images": 6, "channels": 6})
    config.table = section(
        {
            "number": 1,  # of the paper
            "data": "",  # its columns, by '+'; '' = those of the paper
            "seeds": "0",  # by commas
        }
    )
    return config


def flatten(config: ml_collections.ConfigDict) -> dict[str, object]:
    """Return the config as {'section.key': value}."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            flat.update({f"{name}.{key}": leaf for key, leaf in flatten(value).items()})
        else:
            flat[name] = value
    return flat


def regression_protocols(config: ml_collections.ConfigDict) -> list[str]:
    """Return the names in `config.evaluation.protocols`."""
    return [name.strip() for name in config.evaluation.protocols.split(",")]


def extras_wanted(config: ml_collections.ConfigDict) -> list[str]:
    """Return the names in `config.evaluation.extras`."""
    return [name.strip() for name in config.evaluation.extras.split(",") if name.strip()]


def detection_protocols(config: ml_collections.ConfigDict) -> list[str]:
    """Return the names in `config.evaluation.detection`."""
    return [name.strip() for name in config.evaluation.detection.split(",")]
