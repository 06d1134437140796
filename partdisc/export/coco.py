"""Predictions in the COCO format: parts as keypoints of one object, its box and its mask.

As COCO has it: keypoints are (x, y) of pixel centres, boxes (x, y, width, height) from the upper
left corner of the image. A part that is present has visibility 2; one that is not has 1, and the
place where it should be.
"""

import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from partdisc.detector import Part

Rows = Callable[[], Iterator[dict[str, Any]]]
# Of the one category, the object.
CATEGORY = 1


def write(path: pathlib.Path, rows: Rows, parts: tuple[Part, ...]) -> None:
    """Write a COCO file of the rows of predictions, image after image.

    Args:
      path: of the file.
      rows: gives the rows from the first one on; images that could not be used are left out.
      parts: their names are the keypoints, their neighbours the skeleton.
    """

    def written(kind: Callable[[int, dict[str, Any]], dict[str, Any] | None]) -> None:
        first = True
        for number, row in enumerate(rows(), 1):
            if "problem" not in row and (entry := kind(number, row)) is not None:
                file.write(("" if first else ",\n") + json.dumps(entry))
                first = False

    with open(path, "w", encoding="utf-8") as file:
        file.write(f'{{"categories": [{json.dumps(_category(parts))}],\n"images": [\n')
        written(_image)
        file.write('],\n"annotations": [\n')
        written(_annotation)
        file.write("]}\n")


def _category(parts: tuple[Part, ...]) -> dict[str, Any]:
    titles = [part.title for part in parts]
    pairs = {tuple(sorted((part.id, other))) for part in parts for other in part.neighbours[:1]}
    return {
        "id": CATEGORY,
        "name": "object",
        "supercategory": "",
        # A user may give two parts one name; keypoints have names of their own.
        "keypoints": [
            part.title if titles.count(part.title) == 1 else f"{part.title} {part.id}"
            for part in parts
        ],
        "skeleton": sorted(map(list, pairs)),
    }


def _image(number: int, row: dict[str, Any]) -> dict[str, Any]:
    height, width = row["size"]
    return {"id": number, "file_name": row["image"], "height": height, "width": width}


def _annotation(number: int, row: dict[str, Any]) -> dict[str, Any] | None:
    whole = row["object"]
    if whole is None:
        return None
    y0, x0, y1, x1 = whole["box"]
    keypoints: list[float] = []
    for part in row["parts"]:
        y, x = part["point"]
        keypoints += [x, y, 2 if part["present"] else 1]
    return {
        "id": number,
        "image_id": number,
        "category_id": CATEGORY,
        "iscrowd": 0,
        "score": whole["score"],
        "bbox": [round(v, 2) for v in (x0 + 0.5, y0 + 0.5, x1 - x0, y1 - y0)],
        "area": sum(whole["mask"]["counts"][1::2]),
        "segmentation": whole["mask"],
        "keypoints": keypoints,
        "num_keypoints": len(row["parts"]),
    }


def run_lengths(mask: np.ndarray) -> dict[str, list[int]]:
    """Return a mask bool [H, W] as COCO has it: lengths of runs down the columns, zeros first."""
    flat = np.concatenate([[False], mask.T.ravel(), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], edges, [mask.size]]))
    return {"size": list(mask.shape), "counts": counts[: len(edges) + 1].tolist()}
