"""What images hold, by hash: an image is the same wherever it lies and whenever it was written.

The hashes are kept beside the prepared data, each with the size and the time of its file, so
that a file is read for its hash once.
"""

import concurrent.futures
import hashlib
import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from partdisc import errors
from partdisc.data.decoding import Frame, read_frame
from partdisc.data.preparation import READERS, Progress
from partdisc.data.record import Record

_FILE = "contents.json"
# A file that is younger than this, ns, may change once more without a change of its time.
_SETTLED = 2_000_000_000


class Content(NamedTuple):
    """What an image holds.

    Attributes:
        hash: of its bytes; "" where it cannot be read.
        frame: its size and how it is turned; None where it is drawn, or no image.
    """

    hash: str
    frame: Frame | None = None


_UNREAD = Content("")


def identify(
    records: Sequence[Record],
    folder: pathlib.Path,
    progress: Progress | None = None,
    known: Mapping[str, Content] | None = None,
) -> dict[str, Content]:
    """Name the contents of images.

    Args:
        records: of the images.
        folder: where an earlier call's hashes are kept; nothing is written there.
        progress: wraps the records that are read, given their number and a label.
        known: what was found of some of them already.

    Returns:
        From the key of each record to its content.
    """
    kept = _load(folder / _FILE)
    known = known or {}
    found = {one.key: known.get(one.key) or _known(kept, one) for one in records}
    unread = [one for one in records if not found[one.key].hash]
    with concurrent.futures.ThreadPoolExecutor(READERS) as readers:
        read = readers.map(_read, unread)
        show = progress and unread
        shown = progress(read, len(unread), "looking at the images") if show else read
        found.update(zip((one.key for one in unread), shown, strict=True))
    return found


def keep(records: Sequence[Record], found: dict[str, Content], folder: pathlib.Path) -> None:
    """Keep the contents of files, for `identify`; raises OSError."""
    young = time.time_ns() - _SETTLED
    rows = {
        one.key: [*one.stamp, *_row(found[one.key])]
        for one in records
        if not one.content and found[one.key].hash and one.stamp[-1] < young
    }
    if rows == _load(folder / _FILE):
        return
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{_FILE}.draft"
    draft.write_text(json.dumps(rows))
    draft.replace(folder / _FILE)


def digest(*parts: bytes) -> str:
    """Return the short hash (hex) of bytes."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()[:32]


def _load(file: pathlib.Path) -> dict[str, list]:
    try:
        rows = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    listed = rows.items() if isinstance(rows, dict) else ()
    return {key: row for key, row in listed if isinstance(row, list)}


def _row(content: Content) -> list:
    """Return what is kept of a content: its hash, and the numbers of its frame."""
    frame = content.frame
    return [content.hash, *frame.stored, frame.orientation] if frame else [content.hash]


def _known(kept: dict[str, list], one: Record) -> Content:
    if one.content:
        return Content(one.content)
    row, size = kept.get(one.key, []), len(one.stamp)
    if tuple(row[:size]) != one.stamp or len(row) not in (size + 1, size + 4):
        return _UNREAD
    found, *frame = row[size:]
    return Content(found, Frame((frame[0], frame[1]), frame[2]) if frame else None)


def _read(one: Record) -> Content:
    try:
        data = one.load().data
    except OSError:
        return _UNREAD
    try:
        return Content(digest(data), read_frame(data))
    except errors.DataError:
        return Content(digest(data))
