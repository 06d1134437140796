"""What images hold, by hash: an image is the same wherever it lies and whenever it was written.

The hashes are kept beside the prepared data, each with the size and the time of its file and
with what decoding it showed, so that a file is read and decoded for it once.
"""

import concurrent.futures
import contextlib
import hashlib
import itertools
import json
import pathlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from partdisc import errors
from partdisc.data.decoding import READS_HEIF, Checked, Frame, check, read_frame
from partdisc.data.record import Record

Progress = Callable[[Iterable, int, str], Iterable]

# Images that are read at a time.
READERS = 4
_FILE = "contents.json"
# Changes when an image that could not be decoded can be, or the other way round.
_FORMAT = 1
# A file that is younger than this, ns, may change once more without a change of its time.
_SETTLED = 2_000_000_000


class Content(NamedTuple):
    """What an image holds.

    Attributes:
        hash: of its bytes; "" where it cannot be read.
        frame: its size and how it is turned; None where it is drawn, or no image.
        checked: what decoding it showed; None where it is drawn, or cannot be decoded.
    """

    hash: str
    frame: Frame | None = None
    checked: Checked | None = None


_UNREAD = Content("")


def readable(max_pixels: int) -> list[int]:
    """Return what decides which images can be decoded here, beside their bytes."""
    return [_FORMAT, max_pixels, int(READS_HEIF)]


def identify(
    records: Sequence[Record],
    folder: pathlib.Path,
    max_pixels: int,
    progress: Progress | None = None,
    known: Mapping[str, Content] | None = None,
) -> dict[str, Content]:
    """Name the contents of images.

    Args:
        records: of the images.
        folder: where an earlier call's hashes are kept; nothing is written there.
        max_pixels: of an image that is decoded.
        progress: wraps the records that are read, given their number and a label.
        known: what was found of some of them already.

    Returns:
        From the key of each record to its content.
    """
    kept = _load(folder / _FILE, max_pixels)
    known = known or {}
    found = {one.key: known.get(one.key) or _known(kept, one) for one in records}
    unread = [one for one in records if not found[one.key].hash]
    with concurrent.futures.ThreadPoolExecutor(READERS) as readers:
        before = [_content(kept.get(one.key, []), len(one.stamp)) for one in unread]
        read = readers.map(_read, unread, before, itertools.repeat(max_pixels))
        show = progress and unread
        shown = progress(read, len(unread), "looking at the images") if show else read
        found.update(zip((one.key for one in unread), shown, strict=True))
    return found


def keep(
    records: Sequence[Record], found: dict[str, Content], folder: pathlib.Path, max_pixels: int
) -> None:
    """Keep the contents of files, for `identify` by the same limit; raises OSError."""
    young = time.time_ns() - _SETTLED
    rows = {
        one.key: [*one.stamp, *_row(found[one.key])]
        for one in records
        if not one.content and found[one.key].hash and one.stamp[-1] < young
    }
    if rows == _load(folder / _FILE, max_pixels):
        return
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{_FILE}.draft"
    draft.write_text(json.dumps({"by": readable(max_pixels), "images": rows}))
    draft.replace(folder / _FILE)


def digest(*parts: bytes) -> str:
    """Return the short hash (hex) of bytes."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()[:32]


def _load(file: pathlib.Path, max_pixels: int) -> dict[str, list]:
    """Return what was kept of each image, where it was found by the same limit and formats."""
    try:
        kept = json.loads(file.read_text())
        if kept["by"] != readable(max_pixels):
            return {}
        return {key: row for key, row in kept["images"].items() if isinstance(row, list)}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _row(content: Content) -> list:
    """Return what is kept of a content: its hash, its frame, and what decoding it showed."""
    frame, checked = content.frame, content.checked
    return [
        content.hash,
        [*frame.stored, frame.orientation] if frame else [],
        [*checked.size, checked.note] if checked else [],
    ]


def _content(row: list, size: int) -> Content:
    """Return the content that was kept after a stamp of some numbers."""
    try:
        found, frame, checked = row[size:]
        return Content(
            found,
            Frame((frame[0], frame[1]), frame[2]) if frame else None,
            Checked((checked[0], checked[1]), checked[2]) if checked else None,
        )
    except (ValueError, TypeError, IndexError):
        return _UNREAD


def _known(kept: dict[str, list], one: Record) -> Content:
    if one.content:
        return Content(one.content)
    row, size = kept.get(one.key, []), len(one.stamp)
    return _content(row, size) if tuple(row[:size]) == one.stamp else _UNREAD


def _read(one: Record, before: Content, max_pixels: int) -> Content:
    """Read a file; `before` is what it held when it was read last."""
    try:
        data = one.load().data
    except OSError:
        return _UNREAD
    content = Content(digest(data))
    if content.hash == before.hash:
        return before
    with contextlib.suppress(errors.DataError):
        content = content._replace(frame=read_frame(data))
    with contextlib.suppress(errors.DataError):
        content = content._replace(checked=check(data, max_pixels=max_pixels))
    return content
