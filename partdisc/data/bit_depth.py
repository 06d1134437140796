"""Pixels of more than 8 bits a colour: read whole, and scaled to 8 by the bits that they use."""

import sys

import numpy as np
from PIL import Image, TiffImagePlugin

from partdisc import errors

# How many bits of 16 cameras and instruments use.
_BITS = (8, 10, 12, 14, 16)
# Floating point pixels go from 0 to 1, at times a little beyond; or to as much as some bits hold.
_BEYOND_ONE = 16
# Of 16-bit colours Pillow gives one byte, which the end of the raw mode names: the upper one. The
# raw modes that give the lower one end in the other order of bytes.
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_GREY_ALPHA = "LA;16B"  # It has no other order.
_PLANES = (
    "16-bit colours, each in a plane of its own; save it with the colours of a pixel side by side"
)


def deep_colours(image: Image.Image) -> str:
    """Return the raw mode of an opened image of 16 bits a colour; "" for any other, or a grey one.

    Raises:
        errors.DataError: each colour lies in a plane of its own, which Pillow misreads.
    """
    if not image.tile or image.mode[0] in "IF":
        return ""
    raw_mode = _raw_mode(image.tile[0].args)
    if len(raw_mode) == 1 and _has_deep_planes(image):
        raise errors.DataError(_PLANES)
    return raw_mode if raw_mode[:-1].endswith(";16") else ""


def read_upper(image: Image.Image, raw_mode: str) -> None:
    """Have an opened image of deep colours give the upper bytes as they are stored."""
    # Pillow would divide colours by their alpha byte by byte.
    _replace(image, raw_mode.replace("a", "A"))


def read_lower(image: Image.Image, raw_mode: str) -> None:
    """Have an opened image of deep colours give the lower bytes as they are stored.

    Raises:
        errors.DataError: each colour lies in a plane of its own, of which there is no lower byte.
    """
    if _has_deep_planes(image):
        raise errors.DataError(_PLANES)
    if raw_mode == _GREY_ALPHA:
        _replace(image, "RGBA")  # Its four bytes, the lower ones second and last.
    else:
        _replace(image, raw_mode[:-1].replace("a", "A") + _OTHER_ORDER[raw_mode[-1]])


def is_whole(upper: Image.Image) -> bool:
    """Say whether the upper bytes are all that is needed: the colours use all of 16 bits."""
    colours = np.asarray(upper)[..., : _colours(upper.mode)]
    return colours.max() >= 1 << (_BITS[-2] - 8) and "transparency" not in upper.info


def of_upper(upper: Image.Image, raw_mode: str) -> Image.Image:
    """Return the image of 8 bits a colour of which these are the upper bytes."""
    if "a" in raw_mode:
        return Image.frombytes("RGBa", upper.size, upper.tobytes()).convert("RGBA")
    return upper


def of_halves(upper: Image.Image, lower: Image.Image, raw_mode: str) -> tuple[Image.Image, str]:
    """Return the image of 8 bits a colour of which these are the bytes, and what was done."""
    low = np.asarray(lower)
    if raw_mode == _GREY_ALPHA:
        low = low[..., [1, 1, 1, 3]]
    values = np.asarray(upper).astype(np.uint16) << 8 | low
    colours, alpha = np.split(values, [_colours(upper.mode)], axis=-1)
    bits = _bits_used(colours)
    # An alpha is as deep as its colours, or deeper where it is larger than they could be.
    alpha = alpha >> (max(bits, _bits_used(alpha)) - 8)
    mode = upper.mode
    if "transparency" in upper.info:
        seen = (colours != upper.info["transparency"]).any(axis=-1, keepdims=True)
        alpha, mode = 255 * seen, "RGBA"
    pixels = np.concatenate([colours >> (bits - 8), alpha], axis=-1).astype(np.uint8)
    scaled = Image.frombytes(mode, upper.size, pixels.tobytes())
    return of_upper(scaled, raw_mode), _note(16, bits)


def of_grey(image: Image.Image) -> tuple[Image.Image, str]:
    """Return a loaded grey image of mode I or F in 8 bits, and what was done.

    Raises:
        errors.DataError: its pixels are no whole numbers of 16 bits, nor from 0 to 1.
    """
    values, key = np.asarray(image), image.info.get("transparency")
    if not np.isfinite(values).all():
        raise errors.DataError("its pixels are not all finite numbers")
    least, most = values.min(), values.max()
    if least < 0 or most >= 1 << _BITS[-1]:
        raise errors.DataError(
            f"its pixels go from {least:g} to {most:g}; allowed are 0 to {(1 << _BITS[-1]) - 1}"
        )
    to_one = image.mode == "F" and most <= _BEYOND_ONE
    values = (65535 * values.clip(0, 1) if to_one else values).astype(np.uint16)
    bits = _bits_used(values)
    scaled = Image.fromarray((values >> (bits - 8)).astype(np.uint8))
    if key is not None:
        alpha = np.where(values == key, 0, 255).astype(np.uint8)
        scaled = Image.merge("LA", [scaled, Image.fromarray(alpha)])
    if to_one and most > 1:
        return scaled, f"floating point, up to {most:.3g}: above 1 all is white"
    return scaled, _note(16 if ";16" in image.mode else 32, bits)


def _has_deep_planes(image: Image.Image) -> bool:
    """Say whether the file has more than 8 bits a colour, and the colours one after the other."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    planes = image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION)
    return planes == 2 and max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) > 8


def _raw_mode(args: object) -> str:
    """Return what the arguments of a tile of Pillow begin with, where it is a raw mode."""
    first = args if isinstance(args, str) else args and args[0]
    return first if isinstance(first, str) else ""


def _replace(image: Image.Image, raw_mode: str) -> None:
    def changed(args: str | tuple) -> str | tuple:
        return raw_mode if isinstance(args, str) else (raw_mode, *args[1:])

    image.tile = [tile._replace(args=changed(tile.args)) for tile in image.tile]


def _colours(mode: str) -> int:
    return 4 if mode == "CMYK" else 3


def _bits_used(values: np.ndarray) -> int:
    most = int(values.max(initial=0))
    return next(bits for bits in _BITS if most < 1 << bits)


def _note(stored: int, bits: int) -> str:
    return f"{stored}-bit, of which {bits} are used: it is scaled by these" if bits < 16 else ""
