"""Chunks of a PNG: metadata costs no image whatever is in it, and damaged pixels are refused."""

import struct
import zlib

import numpy as np
import pytest
from image_files import chunk, encode
from PIL import Image

from partdisc import errors
from partdisc.data import decoding

LARGE = zlib.compress(b"a" * 2_000_000)
EXIF = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
XMP = b'<x tiff:Orientation="6"/>'
RAW = b"\nexif\n  26\n" + EXIF.hex().encode()


@pytest.fixture
def pixels(rng) -> np.ndarray:
    return rng.integers(0, 256, (12, 17, 3), np.uint8)


def file(pixels: np.ndarray, *metadata: bytes, place: str = "before") -> bytes:
    """Return a PNG with chunks before its pixels or behind them."""
    sound = encode(Image.fromarray(pixels), "PNG")
    at = 33 if place == "before" else len(sound) - 12
    return sound[:at] + b"".join(metadata) + sound[at:]


ODD = {
    "large": [
        chunk(b"zTXt", b"k\0\0" + LARGE),
        chunk(b"iTXt", b"k\0\1\0\0\0" + LARGE),
        chunk(b"iCCP", b"k\0\0" + LARGE),
        chunk(b"tEXt", b"k\0" + bytes(70_000_000)),
        # Of what could say how the image is turned, too.
        chunk(b"zTXt", b"Raw profile type exif\0\0" + LARGE),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LARGE),
    ],
    "packed in an unknown way": [
        chunk(b"zTXt", b"k\0\5x"),
        chunk(b"zTXt", b"exif\0\5x"),
        chunk(b"iCCP", b"k\0\3x"),
    ],
    "short": [
        chunk(name, content)
        for name in (b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"acTL", b"fcTL", b"fdAT", b"iCCP",
                     b"tIME", b"bKGD", b"hIST", b"sPLT", b"zTXt", b"iTXt", b"tEXt", b"eXIf")
        for content in (b"", b"\0\0\0")
    ],
    "of a meaning to Pillow alone": [
        chunk(b"tEXt", b"transparency\0" + b"1"),
        chunk(b"tEXt", b"interlace\0" + b"1"),
        chunk(b"tEXt", b"bbox\0" + b"1"),
        chunk(b"fcTL", struct.pack(">5I2H2B", 0, 3, 3, 1, 1, 1, 1, 0, 0)),
        chunk(b"acTL", struct.pack(">2I", 3, 0)),
    ],
    "of an unknown name": [chunk(b"zzZz", b"x"), chunk(b"\xe4bcd", b"x")],
    "damaged": [chunk(name, b"exif\0x", 5) for name in (b"tEXt", b"zTXt", b"iTXt", b"eXIf")],
}  # fmt: skip


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("kind", ODD)
def test_odd_metadata_costs_no_image(pixels, kind, place):
    for odd in ODD[kind]:
        data = file(pixels, odd, place=place)
        np.testing.assert_array_equal(decoding.decode(data), pixels)
        assert decoding.check(data) == ((12, 17), "")
        assert decoding.read_frame(data) == decoding.Frame((12, 17), 1)


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize(
    "told",
    [
        chunk(b"eXIf", EXIF),
        chunk(b"tEXt", b"exif\0Exif\0\0" + EXIF),
        chunk(b"tEXt", b"Raw profile type exif\0" + RAW),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(RAW)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
    ],
)
def test_how_an_image_is_turned_is_read_wherever_it_stands(pixels, told, place):
    """Also among metadata that cannot be read."""
    data = file(pixels, chunk(b"pHYs", b""), told, ODD["large"][0], place=place)
    np.testing.assert_array_equal(decoding.decode(data), np.rot90(pixels, -1))
    assert decoding.read_frame(data) == decoding.Frame((12, 17), 6)


def test_every_change_of_the_pixels_is_found(pixels):
    data = file(pixels)
    for at in range(data.index(b"IDAT"), len(data) - 12):
        changed = bytearray(data)
        changed[at] ^= 0x55
        for read in (decoding.decode, decoding.check, decoding.read_frame):
            with pytest.raises(errors.DataError, match=r"^damaged: "):
                read(bytes(changed))


@pytest.mark.parametrize("behind", [b"garbage" * 9, chunk(b"IDAT", b"old", 5), b"\0" * 20])
def test_what_stands_behind_the_end_is_no_part_of_it(pixels, behind):
    np.testing.assert_array_equal(decoding.decode(file(pixels) + behind), pixels)


@pytest.mark.parametrize("name", [b"tEXt", b"eXIf", b"zzZz"])
def test_metadata_behind_the_pixels_may_break_off(pixels, name):
    data = file(pixels, chunk(name, bytes(90)), place="behind")[:-60]
    np.testing.assert_array_equal(decoding.decode(data), pixels)


@pytest.mark.parametrize("without,reason", [(b"PLTE", "no palette"), (b"IDAT", "no pixels")])
def test_what_is_absent_is_named(pixels, without, reason):
    data = encode(Image.fromarray(pixels).quantize(8), "PNG")
    at = data.index(without) - 4
    size = 12 + int.from_bytes(data[at : at + 4], "big")
    assert decoding.decode(data).shape == (12, 17, 3)
    for read in (decoding.decode, decoding.check):
        with pytest.raises(errors.DataError, match=f"damaged: it has {reason}"):
            read(data[:at] + data[at + size :])
    late = data[:at] + data[at + size : -12] + data[at : at + size] + data[-12:]
    if without == b"PLTE":
        with pytest.raises(errors.DataError, match=f"damaged: it has {reason}"):
            decoding.decode(late)


def test_a_transparent_colour_is_no_metadata(pixels):
    told = chunk(b"tRNS", struct.pack(">3H", *pixels[3, 4].tolist()))
    expected = pixels.copy()
    expected[(pixels == pixels[3, 4]).all(axis=-1)] = 255
    np.testing.assert_array_equal(decoding.decode(file(pixels, told)), expected)
