"""Chunks of a PNG: its pixels do not depend on its metadata."""

import zlib
from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"


def sound_png(data: bytes) -> bytes:
    """Return a file, if a PNG, without those of its metadata that are damaged: they spoil no pixel.

    Chunks whose name begins in lower case need not be understood to show the image.
    """
    if not data.startswith(_PNG):
        return data
    kept, end = [_PNG], len(_PNG)
    for name, start, end in _chunks(data):
        spoils_none = name[:1].islower() and name != b"tRNS"
        checksum = int.from_bytes(data[end - 4 : end], "big")
        if not spoils_none or zlib.crc32(data[start + 4 : end - 4]) == checksum:
            kept.append(data[start:end])
    kept.append(data[end:])
    return data if sum(map(len, kept)) == len(data) else b"".join(kept)


def has_late_metadata(data: bytes) -> bool:
    """Say whether a PNG has metadata behind its pixels."""
    names = [name for name, _, _ in _chunks(data)]
    behind = names[names.index(b"IDAT") :] if b"IDAT" in names else []
    return any(name[:1].islower() for name in behind)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, the start and the end of each whole chunk of a PNG."""
    start = len(_PNG)
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            return
        yield data[start + 4 : start + 8], start, end
        start = end
