"""What images hold, by hash: an image is the same wherever it lies and whenever it was written.

The hashes are kept beside the prepared data, each with the size and the time of its file, so
that a file is read for its hash once.
"""

import concurrent.futures
import hashlib
import json
import pathlib
import time
from collections.abc import Callable, Iterable, Sequence

from partdisc.data import record

Progress = Callable[[Iterable, int, str], Iterable]

_FILE = "contents.json"
# A file that is younger than this, ns, may change once more without a change of its time.
_SETTLED = 2_000_000_000
_READERS = 4


def identify(
    records: Sequence[record.Record], folder: pathlib.Path, progress: Progress | None = None
) -> dict[str, str]:
    """Name the contents of images.

    Args:
        records: of the images.
        folder: where an earlier call's hashes are kept; nothing is written there.
        progress: wraps the records that are read, given their number and a label.

    Returns:
        From the key of each record to the hash of its bytes; "" where it cannot be read.
    """
    kept = _load(folder / _FILE)
    found = {one.key: one.content or _known(kept, one) for one in records}
    unread = [one for one in records if not found[one.key]]
    with concurrent.futures.ThreadPoolExecutor(_READERS) as readers:
        hashes = readers.map(_read, unread)
        show = progress and unread
        shown = progress(hashes, len(unread), "looking at the images") if show else hashes
        found.update(zip((one.key for one in unread), shown, strict=True))
    return found


def keep(records: Sequence[record.Record], contents: dict[str, str], folder: pathlib.Path) -> None:
    """Keep the hashes of files, for `identify`; raises OSError."""
    young = time.time_ns() - _SETTLED
    rows = {
        one.key: [*one.stamp, contents[one.key]]
        for one in records
        if not one.content and contents[one.key] and one.stamp[-1] < young
    }
    if rows == _load(folder / _FILE):
        return
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{_FILE}.draft"
    partial.write_text(json.dumps(rows))
    partial.replace(folder / _FILE)


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
    return {key: row for key, row in listed if isinstance(row, list) and row}


def _known(kept: dict[str, list], one: record.Record) -> str:
    *stamp, found = kept.get(one.key, [""])
    return found if tuple(stamp) == one.stamp else ""


def _read(one: record.Record) -> str:
    try:
        return digest(one.load().data)
    except OSError:
        return ""
