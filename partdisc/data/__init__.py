"""Data sets: official layouts in, arrays and images out. Knows nothing of models.

`list_dataset` reads the official files of a set into a `record.Listing` (readers), names what
its images hold and whether they can be decoded (contents); nothing is written.
`prepare_dataset` prepares it once with tensorflow-datasets (builder, preparation) and gives a
`Dataset`. Images that cannot be used are skipped and reported (bad_images).
"""

import hashlib
import os
import pathlib
import shutil
from collections.abc import Mapping

import numpy as np

from partdisc import errors
from partdisc.data import contents, frames, readers, record
from partdisc.data.bad_images import BadImage, check_few
from partdisc.data.contents import Progress
from partdisc.data.dataset import Dataset, crop_boxes
from partdisc.data.listed import Listed, box_bytes
from partdisc.data.preparation import Table, load_table, prepare
from partdisc.data.readers import names, origin, read
from partdisc.data.record import mirrored
from partdisc.data.settings import DataSettings

__all__ = [
    "BadImage",
    "DataSettings",
    "Dataset",
    "Listed",
    "examined_dataset",
    "list_dataset",
    "names",
    "open_dataset",
    "origin",
    "prepare_dataset",
    "read",
]

# Changes when what is written to the cache does.
_FORMAT = 5
# Images with a shorter side, pixels, are warned of.
SMALL = 32


def open_dataset(
    wanted: DataSettings, cache_dir: os.PathLike, *, seed: int, progress: Progress | None = None
) -> Dataset:
    """Open a data set, preparing it first where that has not been done.

    The arguments and errors are those of `list_dataset` and of `prepare_dataset`.
    """
    listed = list_dataset(wanted, cache_dir, seed=seed, progress=progress)
    return prepare_dataset(listed, cache_dir, progress=progress)


def list_dataset(
    wanted: DataSettings,
    cache_dir: os.PathLike,
    *,
    seed: int,
    progress: Progress | None = None,
    known: Mapping[str, contents.Content] | None = None,
) -> Listed:
    """List the images of a data set, and name what they hold; nothing is written.

    Args:
        wanted: which data set, and what of it.
        cache_dir: where prepared data lies.
        seed: of the random training subset and of the drawn shapes.
        progress: shows the work: given an iterable, its length and a label, gives
            an iterable of the same elements.
        known: what some images hold, where that was found before.

    Raises:
        errors.ConfigError: a value is none of those that the set knows.
        errors.DataError: files are absent or malformed.
    """
    listing = readers.read(wanted, seed)
    records = _subset(listing.records, wanted.train_subset, seed)
    folder = pathlib.Path(cache_dir)
    found = contents.identify(records, folder, wanted.max_pixels, progress, known)
    settled = frames.settle(records, {key: one.frame for key, one in found.items()})
    records = settled.records
    unfit = {one.name for one in settled.problems}
    listing = listing._replace(
        records=[one for one in listing.records if one.key not in unfit],
        problems=[*listing.problems, *settled.problems],
        notes=(*listing.notes, *settled.notes),
    )
    if wanted.flip:
        for one in [one for one in records if "train" in one.splits]:
            records.append(mirrored(one, wanted.max_pixels))
            name = contents.digest(found[one.key].hash.encode(), b"mirrored")
            found[records[-1].key] = contents.Content(name, checked=found[one.key].checked)
    head = (
        wanted.name,
        contents.readable(wanted.max_pixels),
        listing.landmark_names,
        listing.instances,
    )
    return Listed(wanted, listing, records, found, _fingerprint(head, records, found))


def prepare_dataset(
    listed: Listed, cache_dir: os.PathLike, *, progress: Progress | None = None
) -> Dataset:
    """Prepare a data set where that has not been done, and open it.

    Args:
        listed: what `list_dataset` found.
        cache_dir: where prepared data lies; made where absent.
        progress: shows the work, as of `list_dataset`.

    Raises:
        errors.DataError: more than max_bad_fraction of the images, or of the annotations,
            cannot be used.
        errors.WorkdirError: the cache cannot be written.
    """
    wanted, listing, records = listed.wanted, listed.listing, listed.records
    named = len(listing.records) + len(listing.problems)
    check_few(listing.problems, named, wanted.max_bad_fraction)
    if listing.odd:
        check_few(listing.odd, listing.annotations, wanted.max_bad_fraction, "annotations")
    folder = pathlib.Path(cache_dir).absolute()
    where = folder / f"{wanted.name}-{listed.fingerprint[:16]}"
    table, notes = None, listing.notes
    if where.exists():
        try:
            table = load_table(where)
        except errors.DataError:
            notes = (*notes, f"{where} was damaged: it was prepared again")
            shutil.rmtree(where)
    if table is None:
        _prepare_once(listed, where, progress)
        table = load_table(where)
    try:
        contents.keep(records, listed.contents, folder, wanted.max_pixels)
    except OSError as error:
        raise errors.WorkdirError(errors.disk_message(error, folder)) from None
    bad = [BadImage(*problem) for problem in table.problems.tolist()]
    check_few(bad, len(records), wanted.max_bad_fraction)
    return _dataset(listed._replace(listing=listing._replace(notes=notes)), table, bad, where)


def examined_dataset(listed: Listed, table: Table) -> Dataset:
    """Return the data set as examining it found it: all that is known of it but its pixels.

    Args:
        listed: what `list_dataset` found.
        table: of the sound images, as `doctor.examine` found them.
    """
    splits = {one.key: one.splits for one in listed.records}
    taken = [row for row, key in enumerate(table.keys.tolist()) if key in splits]
    members = [[one in splits[table.keys[row]] for one in record.SPLITS] for row in taken]
    fields = {
        name: value[taken]
        for name, value in table._asdict().items()
        if name not in ("problems", "oddities")
    }
    fields["members"] = np.array(members, bool).reshape(-1, len(record.SPLITS))
    bad = [BadImage(*problem) for problem in table.problems.tolist()]
    return _dataset(listed, table._replace(**fields), bad, pathlib.Path())


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


def _fingerprint(
    head: tuple, records: list[record.Record], found: dict[str, contents.Content]
) -> str:
    digest = hashlib.sha256(repr((_FORMAT, head)).encode())
    for one in records:
        digest.update(repr((one.key, one.splits, found[one.key].hash)).encode())
        if one.points is not None:
            digest.update(contents.digest(one.points.tobytes(), *box_bytes(one)).encode())
    return digest.hexdigest()


def _prepare_once(listed: Listed, where: pathlib.Path, progress: Progress | None) -> None:
    # Under another name until it is whole: what bears the final name can be trusted.
    partial = where.with_name(f".{where.name}.{os.getpid()}.draft")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        records, label = listed.records, f"preparing {listed.wanted.name}"
        shown = progress(records, len(records), label) if progress else records
        prepare(shown, listed.gather(), partial)
        partial.rename(where)
    except OSError as error:
        if not where.exists():  # Else another process was faster, with the same result.
            raise errors.WorkdirError(errors.disk_message(error, where)) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _dataset(listed: Listed, table: Table, bad: list[BadImage], where: pathlib.Path) -> Dataset:
    wanted, listing = listed.wanted, listed.listing
    return Dataset(
        name=wanted.name,
        keys=table.keys.tolist(),
        contents=[listed.contents[key].hash for key in table.keys.tolist()],
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
        odd=list(listing.odd),
        notes=(*listing.notes, *_notes(table)),
        sources=listing.sources,
        fingerprint=listed.fingerprint,
        folder=where,
        max_pixels=wanted.max_pixels,
    )


def _notes(table: Table) -> list[str]:
    """Say which images were read in a way of their own, and which are too small."""
    by_kind: dict[str, list[str]] = {}
    for name, kind in table.oddities.tolist():
        by_kind.setdefault(kind, []).append(name)
    small = table.keys[table.sizes.min(axis=1, initial=SMALL) < SMALL].tolist()
    if small:
        by_kind[f"warning: smaller than {SMALL} pixels on a side"] = small
    return [f"{kind}: {len(names)}, such as {names[0]}" for kind, names in by_kind.items()]
