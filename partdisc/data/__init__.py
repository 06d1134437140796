"""Data sets: official layouts in, arrays and images out. Knows nothing of models.

`open_dataset` reads the official files of a set into a `record.Listing`
(readers), prepares it once with tensorflow-datasets (builder, preparation) and
gives a `Dataset`. Images that cannot be used are skipped and reported (bad_images).
"""

import hashlib
import os
import pathlib
import shutil

import numpy as np

from partdisc import errors
from partdisc.data import record
from partdisc.data.bad_images import BadImage, check_few
from partdisc.data.dataset import Dataset, crop_boxes
from partdisc.data.preparation import Progress, Table, load_table, prepare
from partdisc.data.readers import names, origin, read
from partdisc.data.record import mirrored
from partdisc.data.settings import DataSettings

__all__ = ["DataSettings", "Dataset", "BadImage", "names", "open_dataset", "origin", "read"]

# Changes when what is written to the cache does.
_FORMAT = 3


def open_dataset(
    wanted: DataSettings, cache_dir: os.PathLike, *, seed: int, progress: Progress | None = None
) -> Dataset:
    """Open a data set, preparing it first where that has not been done.

    Args:
        wanted: which data set, and what of it.
        cache_dir: where prepared data lies; made where absent.
        seed: of the random training subset and of the drawn shapes.
        progress: shows the work: given an iterable, its length and a label, gives
            an iterable of the same elements.

    Raises:
        errors.ConfigError: a value is none of those that the set knows.
        errors.DataError: files are absent or malformed, or more than
            max_bad_fraction of the images cannot be used.
        errors.WorkdirError: the cache cannot be written.
    """
    listing = read(wanted, seed)
    listed = len(listing.records) + len(listing.problems)
    check_few(listing.problems, listed, wanted.max_bad_fraction)
    records = _subset(listing.records, wanted.train_subset, seed)
    if wanted.flip:
        records = [*records, *(mirrored(one) for one in records if "train" in one.splits)]
    options = (wanted.name, wanted.category, wanted.split_polygons)
    prepared = _fingerprint(options, listing, records)
    where = pathlib.Path(cache_dir).absolute() / f"{wanted.name}-{prepared[:16]}"
    if not where.exists():
        _prepare_once(records, listing, where, progress, wanted.name)
    table = load_table(where)
    bad = [BadImage(*problem) for problem in table.problems.tolist()]
    check_few(bad, len(records), wanted.max_bad_fraction)
    return _dataset(wanted, listing, table, bad, prepared, where)


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


def _fingerprint(options: tuple, listing: record.Listing, records: list[record.Record]) -> str:
    head = (_FORMAT, options, listing.landmark_names, listing.instances)
    digest = hashlib.sha256(repr(head).encode())
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
        marks = (len(listing.landmark_names), listing.instances)
        prepare(records, marks, partial, progress, f"preparing {name}")
        partial.rename(where)
    except OSError as error:
        if not where.exists():  # Else another process was faster, with the same result.
            raise errors.WorkdirError(f"{where}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _dataset(
    wanted: DataSettings,
    listing: record.Listing,
    table: Table,
    bad: list[BadImage],
    prepared: str,
    where: pathlib.Path,
) -> Dataset:
    options = (prepared, wanted.crop_margin, wanted.short_side, wanted.max_aspect)
    return Dataset(
        name=wanted.name,
        keys=table.keys.tolist(),
        sizes=table.sizes,
        instances=table.instances,
        boxes=table.boxes,
        crops=crop_boxes(table.sizes, table.boxes, wanted.crop_margin),
        landmark_names=listing.landmark_names,
        splits={
            split: np.flatnonzero(table.members[:, i]) for i, split in enumerate(record.SPLITS)
        },
        eyes=listing.eyes,
        problems=listing.problems + bad,
        notes=listing.notes,
        sources=listing.sources,
        fingerprint=hashlib.sha256(repr(options).encode()).hexdigest(),
        folder=where,
    )
