"""CelebA (Liu et al. 2015) in its official layout, with the MAFL lists.

    img_align_celeba/000001.jpg ...     aligned and cropped, 178 x 218 pixels
    list_landmarks_align_celeba.txt     count, names of columns, name and 5 times x y

or, in the wild,

    img_celeba/000001.jpg ...           photos of all sizes
    list_landmarks_celeba.txt           as above
    list_bbox_celeba.txt                count, names of columns, name and x y width height

and for both

    list_eval_partition.txt             name, 0 train | 1 validation | 2 test
    MAFL/training.txt, testing.txt      names; also found beside the folder

The publishers' folders Img, Anno and Eval may stand between, and that of an archive. Mirrors
have the lists as tables, `.csv`. Coordinates count from 0: the mean of the two eyes over the
aligned faces is at x = 88.5, the centre of the 178 columns.
"""

import pathlib
from typing import NamedTuple

import numpy as np

from partdisc import errors
from partdisc.data import decoding, record
from partdisc.data.bad_images import BadImage
from partdisc.data.files import entry, find_files, locate
from partdisc.data.lists import List
from partdisc.data.names import Names

NAMES = ("left eye", "right eye", "nose", "left mouth", "right mouth")
EYES = (0, 1)
SPLITS = ("official", "mafl", "subset")
WILD_SPLITS = (*SPLITS, "scops")

_PARTITION = ("image_id", "partition")
_POINTS = (
    "image_id",
    *(f"{part}_{axis}" for part in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
      for axis in "xy"),
)  # fmt: skip
_BOXES = ("image_id", "x_1", "y_1", "width", "height")

# SCOPS keeps a photo where the face's box takes this share of it.
SCOPS_SHARE = 0.3


class _Layout(NamedTuple):
    folders: tuple[str, ...]
    landmarks: str
    boxes: str | None


_ALIGNED = _Layout(
    ("img_align_celeba", "img_align_celeba_png"), "list_landmarks_align_celeba", None
)
_WILD = _Layout(("img_celeba",), "list_landmarks_celeba", "list_bbox_celeba")


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
    partitions = List(_list(root, "list_eval_partition"), _PARTITION)
    partition = partitions.choices("partition", ("0", "1", "2"))
    landmarks = List(_list(root, layout.landmarks), _POINTS)
    points = _read_points(landmarks)
    lists, boxes = [partitions, landmarks], {}
    if layout.boxes:
        lists.append(List(_list(root, layout.boxes), _BOXES))
        boxes = _read_boxes(lists[-1])
    mafl = [] if splits == "subset" else [List(path, _PARTITION[:1]) for path in _mafl(root)]
    lists += mafl
    bad = {image: reason for one in lists for image, reason in one.bad.items()}

    listed = sorted(partition.keys() | points.keys() | bad.keys())
    key_of = {name: _file_of(files, name) for name in listed}
    problems = [
        BadImage(key or name, bad.get(name) or files.missing(name))
        for name, key in key_of.items()
        if not key or name in bad
    ]
    known = {key for name, key in key_of.items() if name in partition or name in bad}
    unlisted = f"{record.UNLISTED}{partitions.path.name}"
    problems += [BadImage(key, unlisted) for key in files if key not in known]
    present = [name for name in listed if key_of[name] and name in partition and name not in bad]
    members = _members(partition, points, *mafl) if mafl else _subset(present, points)
    if splits == "mafl":
        members["train"] = mafl[0].rows.keys() - mafl[1].rows.keys()
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
    sources = tuple(one.path for one in lists)
    notes = tuple(files.notes())
    return record.Listing(records, problems, NAMES, EYES, sources, notes=notes)


def _list(root: pathlib.Path, name: str) -> pathlib.Path:
    """Find a list: as the publishers have it, or as a table."""
    places = [locate(root, f"{name}{ending}") for ending in (".txt", ".csv")]
    return next((place for place in places if place.exists()), places[0])


def _mafl(root: pathlib.Path) -> list[pathlib.Path]:
    """Find the lists of MAFL, which tell what to fit and to test on: training, testing."""
    folder = locate(root, "MAFL")
    folder = folder if folder.exists() else entry(root.parent, "MAFL")
    if not folder:
        raise errors.DataError(
            f"{root / 'MAFL'}: no such folder, and none beside {root}; its training.txt and "
            "testing.txt say what to fit and to test on"
        )
    return [locate(folder, f"{name}.txt") for name in ("training", "testing")]


def _images(root: pathlib.Path, names: tuple[str, ...]) -> tuple[pathlib.Path, Names]:
    """Find the folder of images; mirrors have it once more in itself."""
    places = [locate(root, name) for name in names]
    folder = next((place for place in places if place.exists()), places[0])
    folder = folder / folder.name if (folder / folder.name).is_dir() else folder
    return folder, find_files(folder)


def _file_of(files: Names, name: str) -> str | None:
    """Return the file of a listed image; the lists name JPEGs where there may be PNGs."""
    return files.find(name) or files.find(f"{pathlib.PurePath(name).stem}.png")


def _read_points(landmarks: List) -> dict[str, np.ndarray]:
    """Read the landmarks (y, x) [5, 2]."""
    values = landmarks.numbers(_POINTS[1:])
    return {name: row.reshape(len(NAMES), 2)[:, ::-1] for name, row in values.items()}


def _read_boxes(boxes: List) -> dict[str, np.ndarray]:
    """Read (y0, x0, y1, x1) of the faces; 101283.jpg has a box without area: none."""
    found = {}
    for name, (x, y, width, height) in boxes.numbers(_BOXES[1:]).items():
        box = np.array([y, x, y + height, x + width]) - 0.5
        found[name] = box if width > 0 and height > 0 else np.full(4, np.nan)
    return found


def _is_large(path: pathlib.Path, box: np.ndarray) -> bool:
    """Say whether a face takes enough of its photo for SCOPS (false where it has no box)."""
    try:
        height, width = decoding.read_frame(path.read_bytes()).upright
    except (OSError, errors.DataError):
        return True  # Preparing the set finds it damaged, and says so by name.
    return bool((box[2:] - box[:2]).prod() >= SCOPS_SHARE * height * width)


def _members(
    partition: dict[str, str], points: dict[str, np.ndarray], fit: List, test: List
) -> dict[str, set[str]]:
    train = {name for name, part in partition.items() if part == "0"} - test.rows.keys()
    labelled = points.keys()
    return {"train": train, "fit": fit.rows.keys() & labelled, "test": test.rows.keys() & labelled}


def _subset(present: list[str], points: dict[str, np.ndarray]) -> dict[str, set[str]]:
    labelled = [name for name in present if name in points]
    half = len(labelled) // 2
    train = {name for name in present if name not in points}
    return {"train": train, "fit": set(labelled[:half]), "test": set(labelled[half:])}
