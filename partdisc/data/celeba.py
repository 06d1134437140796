"""CelebA (Liu et al. 2015) in its official layout, with the MAFL lists.

    img_align_celeba/000001.jpg ...     aligned and cropped, 178 x 218 pixels
    list_landmarks_align_celeba.txt     count, header, name and 5 times x y

or, in the wild,

    img_celeba/000001.jpg ...           photos of all sizes
    list_landmarks_celeba.txt           as above
    list_bbox_celeba.txt                count, header, name and x y width height

and for both

    list_eval_partition.txt             name, 0 train | 1 validation | 2 test
    MAFL/training.txt, testing.txt      names; also found beside the folder

The publishers' folders Img, Anno and Eval may stand between. Coordinates count
from 0: the mean of the two eyes over the aligned faces is at x = 88.5, the centre
of the 178 columns.
"""

import pathlib
from typing import NamedTuple

import numpy as np

from partdisc import errors
from partdisc.data import decoding, record
from partdisc.data.bad_images import BadImage
from partdisc.data.files import find_files
from partdisc.data.names import Names

NAMES = ("left eye", "right eye", "nose", "left mouth", "right mouth")
EYES = (0, 1)
SPLITS = ("official", "mafl", "subset")
WILD_SPLITS = (*SPLITS, "scops")

# SCOPS keeps a photo where the face's box takes this share of it.
SCOPS_SHARE = 0.3


class _Layout(NamedTuple):
    folders: tuple[str, ...]
    landmarks: str
    boxes: str | None


_ALIGNED = _Layout(
    ("img_align_celeba", "img_align_celeba_png"), "list_landmarks_align_celeba.txt", None
)
_WILD = _Layout(("img_celeba",), "list_landmarks_celeba.txt", "list_bbox_celeba.txt")


def read(root: pathlib.Path, splits: str, *, wild: bool = False) -> record.Listing:
    """Read the lists of CelebA.

    Args:
        root: the folder of the layout above.
        splits: "official": train is CelebA's train without MAFL's test images
            (161,962 images), fit is MAFL train, test is MAFL test. "mafl": train and
            fit are MAFL train (19,000), test is MAFL test (1,000). "scops", in the wild:
            as official, of photos whose face box takes 30 % of them at least (45,609 /
            5,379 / 283). "subset", for a part of the set with few landmarks: train is
            the images without landmarks, fit and test the first and second half of the
            others.
        wild: whether to read the photos instead of the aligned faces.

    Raises:
        errors.DataError: a list or the folder of images is absent or malformed.
    """
    layout = _WILD if wild else _ALIGNED
    folder, files = _images(root, layout.folders)
    partition_path = _find(root, "list_eval_partition.txt")
    partition_rows = record.read_rows(partition_path, 2, skip=int(_is_table(partition_path)))
    record.check_words(partition_path, partition_rows, 1, ("0", "1", "2"))
    partition = dict(row.words for row in partition_rows)
    points, sources = _read_points(_find(root, layout.landmarks))
    boxes = {}
    if layout.boxes:
        boxes_path = _find(root, layout.boxes)
        boxes = _read_boxes(boxes_path)
        sources += (boxes_path,)
    sources = (partition_path, *sources)

    listed = sorted(partition.keys() | points.keys())
    missing = partition_path.name
    key_of = {name: _file_of(files, name) for name in listed}
    problems = [BadImage(name, files.missing(name)) for name in listed if not key_of[name]]
    known = {key for name, key in key_of.items() if name in partition}
    problems += [BadImage(key, f"{record.UNLISTED}{missing}") for key in files if key not in known]
    present = [name for name in listed if key_of[name] and name in partition]
    if splits == "subset":
        members = _subset(present, points)
    else:
        members, mafl = _official(root, partition, points, splits)
        sources += mafl
    if splits == "scops":
        boxed = [name for name in present if name in boxes]
        large = {name for name in boxed if _is_large(folder / key_of[name], boxes[name])}
        members = {split: names & large for split, names in members.items()}

    unknown = np.full((len(NAMES), 2), np.nan)
    records = [
        record.file_record(
            folder,
            key_of[name],
            files[key_of[name]],
            tuple(split for split in record.SPLITS if name in members[split]),
            points.get(name, unknown),
            boxes.get(name),
        )
        for name in present
    ]
    records = [one for one in records if one.splits]
    return record.Listing(records, problems, NAMES, EYES, sources)


def _find(root: pathlib.Path, name: str) -> pathlib.Path:
    """Find a file or folder in the root or in the publishers' folders below it.

    Mirrors have the lists as tables, `.csv`.
    """
    names = (name, name.replace(".txt", ".csv"))
    places = [root / between / one for one in names for between in ("", "Img", "Anno", "Eval")]
    return next((place for place in places if place.exists()), places[0])


def _is_table(path: pathlib.Path) -> bool:
    return path.suffix == ".csv"


def _images(root: pathlib.Path, names: tuple[str, ...]) -> tuple[pathlib.Path, Names]:
    """Find the folder of images; mirrors have it once more in itself."""
    places = [_find(root, name) for name in names]
    folder = next((place for place in places if place.exists()), places[0])
    folder = folder / folder.name if (folder / folder.name).is_dir() else folder
    return folder, find_files(folder)


def _file_of(files: Names, name: str) -> str | None:
    """Return the file of a listed image; the lists name JPEGs where there may be PNGs."""
    return files.find(name) or files.find(f"{pathlib.PurePath(name).stem}.png")


def _read_counted(path: pathlib.Path, columns: int) -> list[record.Row]:
    """Read a list that begins with its count and a header; a table has no count."""
    if _is_table(path):
        return record.read_rows(path, columns, skip=1)
    rows = record.read_rows(path, columns, skip=2)
    count = record.read_header(path)
    if count != str(len(rows)):
        raise errors.DataError(f"{path}: {len(rows)} rows, but its first line says {count!r}")
    return rows


def _read_points(path: pathlib.Path) -> tuple[dict[str, np.ndarray], tuple[pathlib.Path, ...]]:
    if not path.exists():
        return {}, ()
    rows = _read_counted(path, 1 + 2 * len(NAMES))
    values = record.to_numbers(path, rows, slice(1, None))
    values = values.reshape(-1, len(NAMES), 2)[:, :, ::-1]
    return {row.words[0]: value for row, value in zip(rows, values, strict=True)}, (path,)


def _read_boxes(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Read (y0, x0, y1, x1) of the faces; 101283.jpg has a box without area: none."""
    rows = _read_counted(path, 5)
    x, y, width, height = record.to_numbers(path, rows, slice(1, None)).reshape(-1, 4).T
    boxes = np.stack([y, x, y + height, x + width], axis=1) - 0.5
    boxes[(width <= 0) | (height <= 0)] = np.nan
    return {row.words[0]: box for row, box in zip(rows, boxes, strict=True)}


def _is_large(path: pathlib.Path, box: np.ndarray) -> bool:
    """Say whether a face takes enough of its photo for SCOPS (false where it has no box)."""
    try:
        height, width = decoding.read_frame(path.read_bytes()).upright
    except (OSError, errors.DataError):
        return True  # Preparing the set finds it damaged, and says so by name.
    return bool((box[2:] - box[:2]).prod() >= SCOPS_SHARE * height * width)


def _official(
    root: pathlib.Path, partition: dict[str, str], points: dict[str, np.ndarray], splits: str
) -> tuple[dict[str, set[str]], tuple[pathlib.Path, ...]]:
    fit, test, sources = set(), set(), ()
    # Without the MAFL lists there is nothing to evaluate on, but all to train on.
    folders = [folder for folder in (root / "MAFL", root.parent / "MAFL") if folder.is_dir()]
    if folders:
        sources = (folders[0] / "training.txt", folders[0] / "testing.txt")
        fit, test = ({row.words[0] for row in record.read_rows(path, 1)} for path in sources)
    elif splits == "mafl":
        raise errors.DataError(f"{root / 'MAFL'}: no such folder, and none beside {root}")
    train = fit if splits == "mafl" else {name for name, part in partition.items() if part == "0"}
    members = {"train": train - test, "fit": fit & points.keys(), "test": test & points.keys()}
    return members, sources


def _subset(present: list[str], points: dict[str, np.ndarray]) -> dict[str, set[str]]:
    labelled = [name for name in present if name in points]
    half = len(labelled) // 2
    train = {name for name in present if name not in points}
    return {"train": train, "fit": set(labelled[:half]), "test": set(labelled[half:])}
