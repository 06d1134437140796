"""Data sets: official layouts in, arrays and images out. Knows nothing of models.

`open_dataset` reads the official files of a set into a `record.Listing`
(celeba, cub, folder) or draws one (shapes), prepares it once with
tensorflow-datasets (builder, preparation) and gives a `Dataset`.
"""

import hashlib
import os
import pathlib
import shutil
from typing import Any

import numpy as np

from partdisc import errors
from partdisc.data import celeba, cub, folder, record, shapes
from partdisc.data.dataset import Dataset, crop_boxes
from partdisc.data.preparation import Progress, Table, load_table, prepare
from partdisc.data.record import Problem

__all__ = ["Dataset", "Problem", "open_dataset"]

# Changes when what is written to the cache does.
_FORMAT = 1

_USUAL_FOLDERS = {"celeba": "celeba", "cub": "CUB_200_2011"}
_NAMES = ("celeba", "cub", "folder", "shapes")
_SPLIT_CHOICES = ("official", "subset")


def open_dataset(
    config: Any, cache_dir: os.PathLike, *, seed: int, progress: Progress | None = None
) -> Dataset:
    """Open a data set, preparing it first where that has not been done.

    Args:
        config: the `data` section of the configuration. Read are name, root,
            splits, crop_margin, short_side, max_aspect, train_subset,
            max_bad_fraction, shapes_train, shapes_fit, shapes_test, shapes_size.
        cache_dir: where prepared data lies; made where absent.
        seed: of the random training subset and of the drawn shapes.
        progress: shows the work: given an iterable, its length and a label, gives
            an iterable of the same elements.

    Raises:
        errors.ConfigError: data.name or data.splits is none of the allowed ones.
        errors.DataError: files are absent or malformed, or more than
            max_bad_fraction of the images cannot be used.
        errors.WorkdirError: the cache cannot be written.
    """
    listing = _read(config, seed)
    listed = len(listing.records) + len(listing.problems)
    _check_problems(listing.problems, listed, config.max_bad_fraction)
    records = _subset(listing.records, config.train_subset, seed)
    prepared = _fingerprint(config.name, listing, records)
    where = pathlib.Path(cache_dir).absolute() / f"{config.name}-{prepared[:16]}"
    if not where.exists():
        _prepare_once(records, listing, where, progress, config.name)
    table = load_table(where)
    bad = [Problem(*problem) for problem in table.problems.tolist()]
    _check_problems(bad, len(records), config.max_bad_fraction)
    return _dataset(config, listing, table, bad, prepared, where)


def _read(config: Any, seed: int) -> record.Listing:
    if config.name not in _NAMES:
        raise errors.ConfigError(f"data.name is {config.name!r}; allowed: {', '.join(_NAMES)}")
    choices = _SPLIT_CHOICES if config.name == "celeba" else _SPLIT_CHOICES[:1]
    if config.splits not in choices:
        raise errors.ConfigError(
            f"data.splits is {config.splits!r}; allowed for {config.name}: {', '.join(choices)}"
        )
    if config.name == "shapes":
        counts = {split: getattr(config, f"shapes_{split}") for split in record.SPLITS}
        return shapes.read(counts, config.shapes_size, seed)
    root = _root(config.name, config.root)
    if config.name == "celeba":
        return celeba.read(root, config.splits)
    return cub.read(root) if config.name == "cub" else folder.read(root)


def _root(name: str, root: str) -> pathlib.Path:
    if root:
        return pathlib.Path(root).expanduser()
    if name not in _USUAL_FOLDERS:
        raise errors.DataError("data.root is empty: it must name the folder of images")
    if not os.environ.get("PARTDISC_DATA"):
        raise errors.DataError(
            f"data.root is empty and the environment variable PARTDISC_DATA is not set: "
            f"one must say where {name} is"
        )
    return pathlib.Path(os.environ["PARTDISC_DATA"]) / _USUAL_FOLDERS[name]


def _check_problems(problems: list[Problem], total: int, max_bad_fraction: float) -> None:
    if not total:
        raise errors.DataError("the lists of the data set name no image to use")
    if len(problems) < total and len(problems) <= max_bad_fraction * total:
        return
    first = "; ".join(f"{name}: {reason}" for name, reason in problems[:3])
    raise errors.DataError(
        f"{len(problems)} of {total} images cannot be used "
        f"(data.max_bad_fraction is {max_bad_fraction}): {first}"
        f"{'; ...' if len(problems) > 3 else ''}"
    )


def _subset(records: list[record.Record], count: int, seed: int) -> list[record.Record]:
    train = [i for i, one in enumerate(records) if "train" in one.splits]
    if not 0 < count < len(train):
        return records
    kept = set(np.random.default_rng(seed).choice(train, count, replace=False).tolist())
    dropped = set(train) - kept
    thinned = [
        one._replace(splits=tuple(split for split in one.splits if split != "train"))
        if i in dropped
        else one
        for i, one in enumerate(records)
    ]
    return [one for one in thinned if one.splits]


def _fingerprint(name: str, listing: record.Listing, records: list[record.Record]) -> str:
    digest = hashlib.sha256(repr((_FORMAT, name, listing.landmark_names)).encode())
    for one in records:
        digest.update(repr((one.key, one.splits, one.stamp)).encode())
    for path in listing.sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _prepare_once(
    records: list[record.Record],
    listing: record.Listing,
    where: pathlib.Path,
    progress: Progress | None,
    name: str,
) -> None:
    # Under another name until it is whole: what bears the final name can be trusted.
    partial = where.with_name(f".{where.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        prepare(records, len(listing.landmark_names), partial, progress, f"preparing {name}")
        partial.rename(where)
    except OSError as error:
        if not where.exists():  # Else another process was faster, with the same result.
            raise errors.WorkdirError(f"{where}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _dataset(
    config: Any,
    listing: record.Listing,
    table: Table,
    bad: list[Problem],
    prepared: str,
    where: pathlib.Path,
) -> Dataset:
    options = (prepared, config.crop_margin, config.short_side, config.max_aspect)
    return Dataset(
        name=config.name,
        keys=table.keys.tolist(),
        sizes=table.sizes,
        points=table.points,
        boxes=table.boxes,
        crops=crop_boxes(table.sizes, table.boxes, config.crop_margin),
        landmark_names=listing.landmark_names,
        splits={
            split: np.flatnonzero(table.members[:, i]) for i, split in enumerate(record.SPLITS)
        },
        eyes=listing.eyes,
        problems=listing.problems + bad,
        ignored=listing.ignored,
        fingerprint=hashlib.sha256(repr(options).encode()).hexdigest(),
        folder=where,
    )
