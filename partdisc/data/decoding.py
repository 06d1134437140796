"""From the bytes of an image file to upright RGB, whatever the format and however odd.

Everything here is NumPy and Pillow on the host: it runs in reader threads, before any array
reaches the device.
"""

import contextlib
import io
import logging
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from partdisc import errors
from partdisc.data.bit_depth import (
    deep_colours,
    is_whole,
    of_grey,
    of_halves,
    of_upper,
    read_lower,
    read_upper,
)
from partdisc.data.png import has_late_metadata, sound_png

# An image of more pixels is refused before it is decompressed, where no other limit is given.
# From twice 89 million on Pillow refuses by itself.
MAX_PIXELS = 80_000_000
LARGEST_LIMIT = 170_000_000
# Larger ones are decoded one at a time, for each takes some 10 bytes a pixel.
_LARGE = 16_000_000

# Endings lie: a ".jpg" from the web is at times one of the others. Everything
# else stays closed (some of Pillow's plugins run external programs).
_FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]
with contextlib.suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()
    _FORMATS.append("HEIF")
READS_HEIF = "HEIF" in _FORMATS

# What is wrong with a file is said in one line of ours.
logging.getLogger("PIL").setLevel(logging.CRITICAL + 1)

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Orientations that swap height and width.
_TURNED = (5, 6, 7, 8)

# What Pillow finds odd about metadata is of no use to who looks for parts.
warnings.filterwarnings("ignore", module=r"PIL\..*")

_one_large = threading.RLock()  # An image may be read twice.


class Frame(NamedTuple):
    """The size of an image file, and how it is turned.

    Attributes:
        stored: height and width as they are stored, pixels.
        orientation: of EXIF, 1 (upright) to 8.
    """

    stored: tuple[int, int]
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width of the upright image."""
        return self.stored[::-1] if self.orientation in _TURNED else self.stored


class Decoded(NamedTuple):
    """An image, and what had to be done to read it.

    Attributes:
        pixels: upright RGB, uint8 [H, W, 3].
        note: says it; "" for nothing.
    """

    pixels: np.ndarray
    note: str = ""


class Checked(NamedTuple):
    """The height and width of an upright image, and what has to be done to read it."""

    size: tuple[int, int]
    note: str


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode the bytes of an image file to upright RGB.

    Applies the EXIF orientation, composites transparency on white, and reads
    grey, 16-bit, CMYK and palette images.

    Args:
        data: the file's content: JPEG, PNG, WebP, GIF (first frame), BMP, TIFF, AVIF; HEIC
            where pillow-heif is installed.
        max_pixels: of an image that is read.

    Returns:
        The image, uint8 [H, W, 3].

    Raises:
        errors.DataError: the bytes are no such image, are damaged, or hold more
            than `max_pixels` pixels. Gives the reason, not the file's name.
    """
    return examine(data, max_pixels=max_pixels).pixels


def examine(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode an image as `decode` does, and say what had to be done to read it."""
    return _read(data, 1, max_pixels)


def decode_smaller(data: bytes, divisor: int, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an image at a fraction of its size, where its format does that at once (JPEG).

    Args:
        data: the file's content.
        divisor: 1, 2, 4 or 8.
        max_pixels: of an image that is read, as it is stored.

    Returns:
        The image, uint8, [H, W, 3] or about H / divisor by W / divisor.

    Raises:
        errors.DataError: as of `decode`.
    """
    return _read(data, divisor, max_pixels).pixels


def check(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Checked:
    """Check that all of an image can be decoded.

    Raises:
        errors.DataError: as of `decode`.
    """
    with _opened(data, max_pixels) as image:
        stored, deep = image.size[::-1], image.mode[0] in "IF" or deep_colours(image)
        # All of it is read, and a JPEG not spread out to all its pixels.
        _draft(image, (1, 1))
        _load(image)
        size = Frame(stored, _orientation(image, type(image).getexif)).upright
    return Checked(size, examine(data, max_pixels=max_pixels).note if deep else "")


def read_frame(data: bytes) -> Frame:
    """Read the size of an image, and how it is turned, from the header of its file.

    Raises:
        errors.DataError: the bytes are no image.
    """
    with _opened(data, math.inf) as image:
        # Of a PNG Pillow reads all pixels in search of metadata, which stands before them.
        before = isinstance(image, PngImagePlugin.PngImageFile) and not has_late_metadata(data)
        exif = Image.Image.getexif if before else type(image).getexif
        size = image.size[::-1]
        if isinstance(image, TiffImagePlugin.TiffImageFile):  # Pillow gives the upright size.
            sides = TiffImagePlugin.IMAGELENGTH, TiffImagePlugin.IMAGEWIDTH
            size = tuple(image.tag_v2[side] for side in sides)
        return Frame(size, _orientation(image, exif))


def upright_rgb(image: Image.Image) -> np.ndarray:
    """Return an opened image upright and in RGB, as `decode` does: uint8 [H, W, 3]."""
    return _rgb(_upright(image)).pixels


@contextlib.contextmanager
def _opened(data: bytes, max_pixels: float) -> Iterator[Image.Image]:
    """Open an image, and turn whatever goes wrong with it into one line."""
    if not data:
        raise errors.DataError("the file is empty")
    try:
        with Image.open(io.BytesIO(sound_png(data)), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise errors.DataError(f"{height} x {width}: more than {max_pixels:,} pixels")
            large = width * height > _LARGE
            with _one_large if large else contextlib.nullcontext():
                yield image
    except errors.DataError:
        raise
    except Image.UnidentifiedImageError:
        reason = f"not an image of a known format ({', '.join(_FORMATS)})"
        if data[4:8] == b"ftyp" and not READS_HEIF:
            reason = "HEIC or another format of that family: pip install 'partdisc[heif]' reads it"
        raise errors.DataError(reason) from None
    except Image.DecompressionBombError:
        raise errors.DataError(f"more than {LARGEST_LIMIT:,} pixels") from None
    except Exception as error:  # Pillow's readers raise nearly anything on damaged bytes.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise errors.DataError(f"damaged: {reason}") from None


def _draft(image: Image.Image, size: tuple[int, int]) -> None:
    """Have a JPEG decoded at the fraction of its size that is next above the one given."""
    # Of others a draft is a thumbnail: another picture, whatever becomes of this one.
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        image.draft(None, size)


def _load(image: Image.Image) -> None:
    said = image.size
    image.load()
    if image.size != said:
        height, width = image.height, image.width
        raise errors.DataError(f"damaged: it says {said[1]} x {said[0]}, and is {height} x {width}")


def _upright(image: Image.Image) -> Image.Image:
    _load(image)
    turn = _UPRIGHT.get(_orientation(image, type(image).getexif))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image, exif: Callable[[Image.Image], Image.Exif]) -> int:
    try:
        found = exif(image).get(_EXIF_ORIENTATION)
    except Exception:  # Damaged EXIF spoils no pixel.
        found = 1
    return found if found in _UPRIGHT else 1


def _read(data: bytes, divisor: int, max_pixels: int) -> Decoded:
    """Decode an image, at a fraction of its size where its format does that at once."""
    with _opened(data, max_pixels) as image:
        if divisor > 1:
            _draft(image, tuple(-(-side // divisor) for side in image.size))
        raw_mode = deep_colours(image)
        if not raw_mode:
            return _rgb(_upright(image))
        read_upper(image, raw_mode)
        upper = _upright(image)
        if is_whole(upper):
            return _rgb(of_upper(upper, raw_mode))
        with _opened(data, max_pixels) as again:
            read_lower(again, raw_mode)
            found, note = of_halves(upper, _upright(again), raw_mode)
        return _rgb(found)._replace(note=note)


def _rgb(image: Image.Image) -> Decoded:
    note = ""
    if image.mode[0] in "IF":  # Pillow's own conversion would clip it.
        image, note = of_grey(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        image = white
    return Decoded(np.array(image.convert("RGB")), note)
