"""Chunks of a PNG: its pixels do not depend on its metadata."""

import io
import zlib
from collections.abc import Iterator

from PIL import PngImagePlugin

from partdisc import errors

_PNG = b"\x89PNG\r\n\x1a\n"
# Where the header says what a pixel is.
_COLOUR = slice(25, 26)
_BY_PALETTE = b"\3"
# Metadata that may say how the image is turned, and the keywords of its texts that do.
_EXIF, _TEXTS = b"eXIf", (b"tEXt", b"zTXt", b"iTXt")
_TURNING = (b"exif", b"Raw profile type exif", b"XML:com.adobe.xmp")


def sound_png(data: bytes) -> bytes:
    """Return a file, if a PNG, without metadata: what is odd about it spoils no pixel.

    What says how the image is turned stays, where it can be read.

    Raises:
        errors.DataError: a chunk is damaged or absent without which there is no image.
    """
    if not data.startswith(_PNG):
        return data
    whole, kept, names = memoryview(data), [_PNG], []
    stream, end = PngImagePlugin.PngStream(io.BytesIO()), len(_PNG)
    for name, start, end in _chunks(data):
        names.append(name)
        content = data[start + 8 : end - 4] if _may_turn(name) else b""
        sound = zlib.crc32(whole[start + 4 : end - 4]) == int.from_bytes(
            whole[end - 4 : end], "big"
        )
        if _shows(name) and name != b"IEND" and not sound:
            chunk = name.decode("ascii", "backslashreplace")
            raise errors.DataError(f"damaged: its chunk {chunk} has the wrong checksum")
        if _shows(name) or sound and _turns(stream, name, content):
            kept.append(whole[start:end])
    # What is left is the beginning of a chunk that breaks off, or stands behind the end.
    if names[-1:] != [b"IEND"] and _shows(data[end + 4 : end + 8]):
        names.append(data[end + 4 : end + 8])
        kept.append(whole[end:])
    if b"IDAT" not in names:
        raise errors.DataError("damaged: it has no pixels")
    if data[_COLOUR] == _BY_PALETTE and b"PLTE" not in names[: names.index(b"IDAT")]:
        raise errors.DataError("damaged: it has no palette")
    return data if sum(map(len, kept)) == len(data) else b"".join(kept)


def has_late_metadata(data: bytes) -> bool:
    """Say whether a PNG may say behind its pixels how it is turned."""
    names = [name for name, _, _ in _chunks(data)]
    behind = names[names.index(b"IDAT") :] if b"IDAT" in names else []
    return any(map(_may_turn, behind))


def _shows(name: bytes) -> bool:
    """Say whether a chunk is needed to show the image; the case of its first letter says so."""
    return not name[:1] or not name[0] & 0x20 or name == b"tRNS"


def _may_turn(name: bytes) -> bool:
    return name == _EXIF or name in _TEXTS


def _turns(stream: PngImagePlugin.PngStream, name: bytes, content: bytes) -> bool:
    """Say whether a chunk may say how the image is turned, and Pillow can read it."""
    if name in _TEXTS and content.partition(b"\0")[0] in _TURNING:
        stream.fp = io.BytesIO(content)
        try:
            stream.call(name, 0, len(content))
        except Exception:  # It is too large, or packed in an unknown way.
            return False
        return True
    return name == _EXIF


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, the start and the end of each whole chunk of a PNG, up to its last one."""
    start, name = len(_PNG), b""
    while start + 12 <= len(data) and name != b"IEND":
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            return
        name = data[start + 4 : start + 8]
        yield name, start, end
        start = end
