"""MTFL (Zhang et al., ECCV 2014): faces from the web, not aligned, in its official layout.

    training.txt, testing.txt   path, x1 ... x5, y1 ... y5, gender, smile, glasses, pose
    lfw_5590/, net_7876/        the images of training.txt
    AFLW/                       those of testing.txt, the AFLW test set of the literature

Paths are written with a backslash, and coordinates count from 1. There are no boxes of faces:
detection is scored by one made of the five points (`face_box`).
"""

import pathlib

import numpy as np

from partdisc.data import record
from partdisc.data.bad_images import BadImage
from partdisc.data.celeba import EYES, NAMES
from partdisc.data.files import find_files, locate
from partdisc.data.lists import List
from partdisc.data.names import plain

_POINTS = tuple(f"{axis}{i}" for axis in "xy" for i in range(1, 1 + len(NAMES)))
_COLUMNS = ("path", *_POINTS, "gender", "smile", "glasses", "pose")


def read(root: pathlib.Path) -> record.Listing:
    """Read the lists of MTFL: train and fit are training.txt, test is testing.txt.

    Images in neither list are passed over: the official 10,000 + 2,995 are a part of
    the folders.

    Args:
        root: the folder of the layout above.

    Raises:
        errors.DataError: a list or the folder is absent or malformed.
    """
    sources = (locate(root, "training.txt"), locate(root, "testing.txt"))
    root = sources[0].parent
    files = find_files(root)
    records, problems = [], []
    listed = set()
    for path, splits in zip(sources, (("train", "fit"), ("test",)), strict=True):
        faces = List(path, _COLUMNS)
        for name, row in faces.numbers(_POINTS).items():
            # x1 ... x5, y1 ... y5, from 1, to (y, x) from 0.
            marks = row.reshape(2, len(NAMES))[::-1].T - 1
            if key := files.find(name):
                records.append(
                    record.file_record(root, key, files[key], splits, marks, face_box(marks))
                )
            else:
                reason = f"in {path.name}, but {files.missing(name)}"
                problems.append(BadImage(plain(name), reason))
        problems += [BadImage(plain(name), reason) for name, reason in faces.bad.items()]
        listed |= {files.find(name) for name in (*faces.rows, *faces.bad)}
    notes = ["boxes of faces are made of their five points, to score detections by"]
    others = sum(key.lower().endswith(record.ENDINGS) for key in files.keys() - listed)
    notes += [f"{others} images are in neither list"] * bool(others)
    notes += files.notes()
    return record.Listing(records, problems, NAMES, EYES, sources, notes=tuple(notes))


def face_box(points: np.ndarray) -> np.ndarray:
    """Return the box of a face: that of its points, and a quarter of its longer side around.

    Args:
        points: (y, x), pixels [L, 2].

    Returns:
        (y0, x0, y1, x1), pixels [4].
    """
    start, stop = points.min(axis=0), points.max(axis=0)
    margin = 0.25 * (stop - start).max()
    return np.concatenate([start - margin, stop + margin])
