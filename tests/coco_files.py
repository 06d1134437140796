"""Small COCO files to read."""

import json

from data_files import options

from partdisc.data import coco

IMAGES = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
PARTS = [{"id": 7, "name": "wheel"}, {"id": 8, "name": "hood"}, {"id": 9, "name": "horn"}]
PEOPLE = [{"id": 1, "name": "person", "keypoints": ["head", "foot"]}, {"id": 2, "name": "dog"}]


def part(image, category, bbox=None, **rest):
    made = {"image_id": image, "category_id": category, "iscrowd": 0, **rest}
    return made if bbox is None else {**made, "bbox": bbox}


def keypoints(image, *values, **rest):
    return part(image, 1, [0, 0, 10, 20], keypoints=list(values), **rest)


def write(path, images, categories, annotations):
    """Write a COCO file, and beside it what its images are to be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for one in images:
        if isinstance(one, dict) and "file_name" in one:
            (path.parent / one["file_name"]).write_bytes(b"x")
    content = {"images": images, "categories": categories, "annotations": annotations}
    path.write_text(json.dumps(content))
    return path


def read(root, train="train/annotations.json", test="test/annotations.json", **changes):
    return coco.read(root, options(root, coco_train=train, coco_test=test, **changes))
