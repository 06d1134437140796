"""CelebA (Liu et al. 2015), aligned and cropped, in its official layout, with the MAFL lists.

    img_align_celeba/000001.jpg ...     178 x 218 pixels
    list_eval_partition.txt             name, 0 train | 1 validation | 2 test
    list_landmarks_align_celeba.txt     count, header, name and 5 times x y
    MAFL/training.txt, testing.txt      names; also found beside the folder

Coordinates count from 0: the mean of the two eyes over the faces is at x = 88.5,
the centre of the 178 columns.
"""

import pathlib

import numpy as np

from partdisc import errors
from partdisc.data import record

NAMES = ("left eye", "right eye", "nose", "left mouth", "right mouth")
EYES = (0, 1)


def read(root: pathlib.Path, splits: str) -> record.Listing:
    """Read the lists of CelebA.

    Args:
        root: the folder of the layout above.
        splits: "official": train is CelebA's train without MAFL's test images
            (161,962 images), fit is MAFL train, test is MAFL test. "subset", for
            a part of the set with few landmarks: train is the images without
            landmarks, fit and test the first and second half of the others.

    Raises:
        errors.DataError: a list or the folder of images is absent or malformed.
    """
    folder = root / "img_align_celeba"
    files = record.find_files(folder)
    partition_path = root / "list_eval_partition.txt"
    partition = dict(record.read_rows(partition_path, 2))
    points, sources = _read_points(root / "list_landmarks_align_celeba.txt")
    sources = (partition_path, *sources)

    listed = sorted(partition.keys() | points.keys())
    missing = partition_path.name
    problems = [record.Problem(name, "no such file") for name in listed if name not in files]
    problems += [
        record.Problem(name, f"not in {missing}") for name in files if name not in partition
    ]
    present = [name for name in listed if name in files and name in partition]
    if splits == "official":
        members, mafl = _official(root, partition, points)
        sources += mafl
    else:
        members = _subset(present, points)

    unknown = np.full((len(NAMES), 2), np.nan)
    records = [
        record.file_record(
            folder,
            name,
            files[name],
            tuple(split for split in record.SPLITS if name in members[split]),
            points.get(name, unknown),
        )
        for name in present
    ]
    records = [one for one in records if one.splits]
    return record.Listing(records, problems, NAMES, EYES, sources)


def _read_points(path: pathlib.Path) -> tuple[dict[str, np.ndarray], tuple[pathlib.Path, ...]]:
    if not path.exists():
        return {}, ()
    rows = record.read_rows(path, 1 + 2 * len(NAMES), skip=2)
    count = record.read_header(path)
    if count != str(len(rows)):
        raise errors.DataError(f"{path}: {len(rows)} rows, but its first line says {count!r}")
    values = record.to_numbers(path, [row[1:] for row in rows])
    values = values.reshape(-1, len(NAMES), 2)[:, :, ::-1]
    return {row[0]: value for row, value in zip(rows, values, strict=True)}, (path,)


def _official(
    root: pathlib.Path, partition: dict[str, str], points: dict[str, np.ndarray]
) -> tuple[dict[str, set[str]], tuple[pathlib.Path, ...]]:
    fit, test, sources = set(), set(), ()
    # Without the MAFL lists there is nothing to evaluate on, but all to train on.
    folders = [folder for folder in (root / "MAFL", root.parent / "MAFL") if folder.is_dir()]
    if folders:
        sources = (folders[0] / "training.txt", folders[0] / "testing.txt")
        fit, test = ({row[0] for row in record.read_rows(path, 1)} for path in sources)
    train = {name for name, part in partition.items() if part == "0"} - test
    return {"train": train, "fit": fit & points.keys(), "test": test & points.keys()}, sources


def _subset(present: list[str], points: dict[str, np.ndarray]) -> dict[str, set[str]]:
    labelled = [name for name in present if name in points]
    half = len(labelled) // 2
    train = {name for name in present if name not in points}
    return {"train": train, "fit": set(labelled[:half]), "test": set(labelled[half:])}
