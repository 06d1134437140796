"""Image files written by hand: what Pillow does not write, with all bytes known."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encode(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, content: bytes, checksum: int | None = None) -> bytes:
    made = zlib.crc32(name + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", made)


def png(values: np.ndarray, before: bytes = b"") -> bytes:
    """Return a PNG of 16 bits a value [H, W, 1 to 4], with these chunks before its pixels."""
    height, width, count = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, (0, 4, 2, 6)[count - 1], 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + pixels


def tiff(values: np.ndarray, order: str = "<", packed=False, alpha=2, separate=False) -> bytes:
    """Return a TIFF of the values [H, W, 1, 3 or 4] in their own type.

    The order of bytes is "<" or ">". An alpha is 1 (the colours have it in them), 2 (they have
    not), 0 (none) or "inks", where there are four colours and no alpha.
    """
    height, width, count = values.shape
    planes = np.moveaxis(values, -1, 0) if separate else values
    data = planes.astype(values.dtype.newbyteorder(order)).tobytes()
    strips = [zlib.compress(data) if packed else data]
    if separate:
        size = len(data) // count
        strips = [data[i * size : (i + 1) * size] for i in range(count)]
        strips = [zlib.compress(strip) for strip in strips] if packed else strips
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    photometric = 1 if count == 1 else 5 if alpha == "inks" else 2
    tags = {
        256: [width], 257: [height], 258: [8 * values.dtype.itemsize] * count,
        259: [8 if packed else 1], 262: [photometric], 273: [0] * len(strips), 277: [count],
        278: [height], 279: [len(strip) for strip in strips], 284: [2 if separate else 1],
        338: [alpha], 339: [kind] * count,
    }  # fmt: skip
    if count < 4 or alpha == "inks":
        del tags[338]
    fields = len(tags)
    at = 8 + 2 + 12 * fields + 4
    room = sum(4 * len(numbers) for numbers in tags.values() if len(numbers) > 1)
    tags[273] = [at + room + sum(map(len, strips[:i])) for i in range(len(strips))]
    entries, more = b"", b""
    for tag, numbers in tags.items():
        # All are long numbers; several of them lie elsewhere.
        several = struct.pack(f"{order}{len(numbers)}I", *numbers)
        place = struct.pack(f"{order}I", at + len(more)) if len(numbers) > 1 else several
        more += several if len(numbers) > 1 else b""
        entries += struct.pack(f"{order}HHI", tag, 4, len(numbers)) + place
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, fields)
    return head + entries + bytes(4) + more + b"".join(strips)
