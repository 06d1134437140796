"""Pixels of more than 8 bits: each format, order of bytes and alpha, by the bits that are used."""

import struct

import numpy as np
import pytest
from image_files import chunk, encode, png, tiff
from PIL import Image

from partdisc import errors
from partdisc.data import decoding, images

BITS = [8, 10, 12, 14, 16]
NOTE = "16-bit, of which {} are used: it is scaled by these"


def note(bits: int) -> str:
    return NOTE.format(bits) * (bits < 16)


def seen(data: bytes) -> np.ndarray:
    """Decode a file in every way that there is, which must agree, and as the network sees it."""
    found = decoding.examine(data)
    for divisor in (1, 2, 8):
        np.testing.assert_array_equal(decoding.decode_smaller(data, divisor), found.pixels)
    np.testing.assert_array_equal(decoding.decode(data), found.pixels)
    assert decoding.check(data) == (found.pixels.shape[:2], found.note)
    made = images.geometry(np.array(found.pixels.shape[:2]), None, 16, 8, 1.5)
    np.testing.assert_array_equal(images.read(data, made), images.prepare(found.pixels, made))
    return found.pixels


def on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return np.rint(share * colours + (1 - share) * 255)


WRITERS = {
    "png": png,
    "tiff <": lambda values: tiff(values, "<"),
    "tiff >": lambda values: tiff(values, ">"),
    "tiff < packed": lambda values: tiff(values, "<", packed=True),
    "tiff > packed": lambda values: tiff(values, ">", packed=True),
}


def drawn(rng, bits: int, count: int) -> np.ndarray:
    """Draw values [16, 24, count] that use so many bits."""
    values = rng.integers(0, 1 << bits, (16, 24, count)).astype(np.uint16)
    values[0, 0] = (1 << bits) - 1
    return values


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kind", WRITERS)
def test_sixteen_bits_are_scaled_by_those_that_are_used(rng, bits, count, kind):
    values = drawn(rng, bits, count)
    data = WRITERS[kind](values)
    np.testing.assert_array_equal(seen(data), np.broadcast_to(values >> (bits - 8), (16, 24, 3)))
    assert decoding.examine(data).note == note(bits)


@pytest.mark.parametrize("alpha_bits", ["those of the colours", 16])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("count,kind", [(2, "png"), *((4, kind) for kind in WRITERS)])
def test_an_alpha_does_not_darken_its_colours(rng, bits, alpha_bits, count, kind):
    deep = 16 if alpha_bits == 16 else bits
    values = drawn(rng, bits, count)
    values[..., -1] = drawn(rng, deep, 1)[..., 0]
    data = WRITERS[kind](values)
    colours = np.broadcast_to(values[..., :-1] >> (bits - 8), (16, 24, 3))
    expected = on_white(colours, values[..., -1] >> (deep - 8))
    assert np.abs(seen(data) - expected).max() <= 1
    assert decoding.examine(data).note == note(bits)


def test_a_faint_alpha_of_full_colours_stays_faint(rng):
    values = drawn(rng, 16, 4)
    values[..., 3] = 3000
    assert seen(png(values)).min() > 240


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
def test_colours_with_their_alpha_in_them(rng, bits, order, packed):
    colours = drawn(rng, bits, 3)
    alpha = rng.integers(1 << (bits - 2), 1 << bits, (16, 24, 1))
    alpha[0, 0] = (1 << bits) - 1
    stored = (colours.astype(float) * alpha / ((1 << bits) - 1)).astype(np.uint16)
    data = tiff(np.concatenate([stored, alpha.astype(np.uint16)], -1), order, packed, alpha=1)
    expected = on_white(colours >> (bits - 8), alpha[..., 0] >> (bits - 8))
    assert np.abs(seen(data) - expected).max() <= 3


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_fourth_value_may_be_nothing_or_an_ink(rng, bits, order, packed):
    values = drawn(rng, bits, 4)
    nothing = seen(tiff(values, order, packed, alpha=0))
    np.testing.assert_array_equal(nothing, values[..., :3] >> (bits - 8))
    values[..., 3] = 0
    inks = seen(tiff(values, order, packed, alpha="inks"))
    np.testing.assert_array_equal(inks, 255 - (values[..., :3] >> (bits - 8)))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("count", [1, 3])
def test_the_transparent_colour_is_the_one_of_16_bits(rng, bits, count):
    values = drawn(rng, bits, count)
    values[1, 1] = values[2, 2] ^ 1  # Almost it: the same in its upper byte.
    key = struct.pack(f">{count}H", *values[2, 2].tolist())
    pixels = seen(png(values, before=chunk(b"tRNS", key)))
    expected = np.broadcast_to(values >> (bits - 8), (16, 24, 3)).copy()
    expected[(values == values[2, 2]).all(axis=-1)] = 255
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("orientation,turned", [(1, 0), (6, -1), (8, 1)])
def test_deep_colours_are_upright(rng, orientation, turned):
    values = drawn(rng, 12, 3)
    exif = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    pixels = seen(png(values, before=chunk(b"eXIf", exif)))
    np.testing.assert_array_equal(pixels, np.rot90(values >> 4, turned))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("packed", [False, True])
def test_colours_in_planes_are_refused_where_they_would_be_wrong(rng, bits, packed):
    values = drawn(rng, bits, 3)
    data = tiff(values, separate=True, packed=packed)
    if packed and bits == 16:  # Of these Pillow has all that is needed.
        np.testing.assert_array_equal(seen(data), values >> 8)
        return
    for read in (decoding.decode, decoding.check):
        with pytest.raises(errors.DataError, match="16-bit colours, each in a plane of its own"):
            read(data)


def test_deep_colours_of_a_large_image_are_read_too(rng, monkeypatch):
    """They are read twice, which must not wait for itself."""
    monkeypatch.setattr(decoding, "_LARGE", 10)
    values = drawn(rng, 12, 3)
    np.testing.assert_array_equal(decoding.decode(png(values)), values >> 4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [np.int32, np.float32])
@pytest.mark.parametrize("bits", BITS)
def test_numbers_of_32_bits_are_scaled_alike(rng, kind, bits, order):
    values = drawn(rng, bits, 1)
    data = tiff(values.astype(kind), order)
    np.testing.assert_array_equal(seen(data), np.broadcast_to(values >> (bits - 8), (16, 24, 3)))
    assert decoding.examine(data).note == note(bits).replace("16-bit", "32-bit")


@pytest.mark.parametrize("most", [0.5, 1.0, 1.02, 2.0, 12.0])
def test_floating_point_pixels_go_from_0_to_1_or_a_little_beyond(rng, most):
    values = rng.uniform(0, most, (16, 24)).astype(np.float32)
    values[0, 0] = most
    data = encode(Image.fromarray(values), "TIFF")
    np.testing.assert_allclose(seen(data)[..., 0], 255 * values.clip(0, 1), atol=1)
    assert ("above 1 all is white" in decoding.examine(data).note) == (most > 1)


@pytest.mark.parametrize(
    ("kind", "wrong", "reason"),
    [
        (np.float32, np.nan, "not all finite"),
        (np.float32, np.inf, "not all finite"),
        (np.float32, -1.5, "from -1.5 to 9; allowed are 0 to 65535"),
        (np.float32, 65536, "from 0 to 65536; allowed are 0 to 65535"),
        (np.int32, -50, "from -50 to 9; allowed are 0 to 65535"),
        (np.int32, 70000, "from 0 to 70000; allowed are 0 to 65535"),
        (np.int16, -3, "from -3 to 9; allowed are 0 to 65535"),
    ],
)
def test_other_pixels_are_refused_by_what_they_are(kind, wrong, reason):
    values = np.array([[0, 9], [0, wrong]], kind)[..., None]
    for read in (decoding.decode, decoding.check):
        with pytest.raises(errors.DataError, match=reason):
            read(tiff(values))
