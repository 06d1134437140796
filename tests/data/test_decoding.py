"""Decoding of every kind of file: what is sound is read, and what is not says so in one line."""

import concurrent.futures
import io
import subprocess
import sys
import time

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from image_files import chunk, encode
from PIL import Image, PngImagePlugin

from partdisc import errors
from partdisc.data import decoding


@pytest.fixture
def pixels(rng) -> np.ndarray:
    return rng.integers(0, 256, (5, 7, 3), np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_decode_to_the_same_pixels(pixels, kind):
    decoded = decoding.decode(encode(Image.fromarray(pixels), kind))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95}), ("AVIF", {"quality": 95})],
)
def test_lossy_formats_decode_near(kind, options):
    ramp = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[:, None, None], (60, 40, 3))
    decoded = decoding.decode(encode(Image.fromarray(ramp.copy()), kind, **options))
    assert np.abs(decoded.astype(int) - ramp).max() < 12


# What a viewer does to the stored pixels, per orientation of the EXIF standard.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", [*UPRIGHT, 0, 99])
def test_exif_orientation_is_applied(pixels, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decoding.decode(encode(Image.fromarray(pixels), "PNG", exif=exif))
    np.testing.assert_array_equal(decoded, UPRIGHT.get(orientation, UPRIGHT[1])(pixels))


def test_damaged_exif_spoils_no_pixel(pixels):
    good = encode(Image.fromarray(pixels), "JPEG")
    bad = encode(Image.fromarray(pixels), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(decoding.decode(bad), decoding.decode(good))


def test_grey_becomes_three_equal_channels(pixels):
    grey = pixels[:, :, 0]
    decoded = decoding.decode(encode(Image.fromarray(grey), "PNG"))
    np.testing.assert_array_equal(decoded, np.repeat(grey[:, :, None], 3, axis=2))


def test_one_bit_is_black_and_white():
    bits = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    decoded = decoding.decode(encode(bits, "PNG"))
    np.testing.assert_array_equal(decoded[:, :, 1], [[0, 255], [255, 0]])


def test_cmyk_jpeg_has_its_colours():
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[:, :, 0] = 255  # Full cyan: no red.
    decoded = decoding.decode(encode(Image.fromarray(ink, "CMYK"), "JPEG", quality=95))
    np.testing.assert_allclose(decoded.mean((0, 1)), (0, 255, 255), atol=6)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(mode):
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, :, 3] = 255
    image = Image.fromarray(rgba).convert("LA" if mode == "LA" else "RGBA")
    if mode == "P":
        image = Image.fromarray(np.array([[0, 0], [1, 1]], np.uint8), "P")
        image.putpalette([0, 0, 0, 9, 9, 9])
        data = encode(image, "PNG", transparency=1)
    else:
        data = encode(image, "PNG")
    np.testing.assert_array_equal(decoding.decode(data)[:, :, 0], [[0, 0], [255, 255]])


def test_half_transparency_is_blended():
    rgba = np.full((1, 1, 4), (100, 0, 200, 128), np.uint8)
    expected = np.array([100, 0, 200]) * 128 / 255 + 255 * 127 / 255
    decoded = decoding.decode(encode(Image.fromarray(rgba), "PNG"))
    np.testing.assert_allclose(decoded[0, 0], expected, atol=1.01)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"no image at all", "known format"), (b"%!PS-Adobe-3.0\n", "known format")],
)
def test_what_is_no_image_says_so(data, reason):
    with pytest.raises(errors.DataError, match=reason):
        decoding.decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_every_truncation_is_a_one_line_data_error(rng, kind):
    data = encode(Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)), kind)
    for length in range(0, int(0.9 * len(data)), 13):
        with pytest.raises(errors.DataError) as caught:
            decoding.decode(data[:length])
        assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
@hypothesis.given(st.integers(0, 10**9))
@hypothesis.settings(max_examples=60, deadline=None)
def test_random_damage_never_raises_anything_else(seed):
    rng = np.random.default_rng(seed)
    kind = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")[seed % 6]
    data = bytearray(encode(Image.fromarray(rng.integers(0, 256, (9, 8, 3), np.uint8)), kind))
    for at in rng.integers(0, len(data), 5):
        data[at] = rng.integers(256)
    try:
        decoded = decoding.decode(bytes(data))
    except errors.DataError:
        return
    assert decoded.dtype == np.uint8 and decoded.ndim == 3 and decoded.shape[2] == 3


def test_a_bomb_is_refused_before_it_is_decoded(pixels):
    data = encode(Image.fromarray(pixels), "PNG")
    with pytest.raises(errors.DataError, match="5 x 7: more than 34 pixels"):
        decoding.decode(data, max_pixels=34)
    assert decoding.decode(data, max_pixels=35).shape == (5, 7, 3)


def test_pillows_own_bomb_guard_is_reported(pixels, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(errors.DataError, match="pixels"):
        decoding.decode(encode(Image.fromarray(pixels), "PNG"))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_in_the_header_is_that_of_the_decoded_image(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.new("RGB", (30, 20)), "JPEG", exif=exif)
    assert decoding.read_frame(data) == decoding.Frame((20, 30), orientation)
    upright = decoding.decode(data).shape[:2]
    assert decoding.read_frame(data).upright == upright == decoding.check(data).size
    with pytest.raises(errors.DataError, match="known format"):
        decoding.read_frame(b"x")


@pytest.mark.parametrize("late", [True, False])
def test_the_frame_of_a_png_is_read_without_its_pixels(pixels, monkeypatch, late):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(pixels), "PNG", exif=exif)
    if late:  # Some write it behind the pixels.
        at = data.index(b"eXIf") - 4
        size = 12 + int.from_bytes(data[at : at + 4], "big")
        data = data[:at] + data[at + size : -12] + data[at : at + size] + data[-12:]
    else:
        monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: 1 / 0)
    assert decoding.read_frame(data) == decoding.Frame((5, 7), 6)


@pytest.mark.parametrize("name", [b"tEXt", b"iCCP", b"eXIf", b"pHYs", b"zzZz"])
@pytest.mark.parametrize("place", ["before", "behind"])
def test_damaged_metadata_of_a_png_spoils_no_pixel(pixels, name, place):
    sound = encode(Image.fromarray(pixels), "PNG")
    bad = chunk(name, b"Title\0garbage", 12345)
    at = 33 if place == "before" else len(sound) - 12
    found = decoding.examine(sound[:at] + bad + sound[at:])
    np.testing.assert_array_equal(found.pixels, pixels)
    assert decoding.check(sound[:at] + bad + sound[at:]).size == (5, 7)
    assert decoding.read_frame(sound[:at] + bad + sound[at:]).stored == (5, 7)


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT", b"tRNS"])
def test_damage_that_spoils_pixels_is_refused(pixels, name):
    sound = bytearray(encode(Image.fromarray(pixels), "PNG"))
    if name == b"tRNS":
        sound[33:33] = chunk(b"tRNS", b"\0" * 6, 12345)
    else:
        at = bytes(sound).index(name) + 4
        sound[at : at + 8] = bytes(8)
    for read in (decoding.decode, decoding.check):
        with pytest.raises(errors.DataError, match="damaged|known format"):
            read(bytes(sound))


def test_a_jpeg_can_be_decoded_smaller(rng):
    smooth = Image.fromarray(rng.integers(0, 256, (9, 13, 3), np.uint8))
    data = encode(smooth.resize((260, 180), Image.Resampling.BICUBIC), "JPEG", quality=95)
    whole = decoding.decode(data)
    np.testing.assert_array_equal(decoding.decode_smaller(data, 1), whole)
    for divisor in (2, 4):
        smaller = decoding.decode_smaller(data, divisor)
        assert smaller.shape == (180 // divisor, 260 // divisor, 3)
        blocks = whole.reshape(180 // divisor, divisor, 260 // divisor, divisor, 3)
        assert np.abs(blocks.mean(axis=(1, 3)) - smaller).mean() < 2
    image = encode(smooth, "PNG")
    np.testing.assert_array_equal(decoding.decode_smaller(image, 4), decoding.decode(image))


def test_large_images_are_decoded_one_at_a_time(pixels, monkeypatch):
    monkeypatch.setattr(decoding, "_LARGE", 30)
    running, most = 0, 0
    real = decoding._rgb

    def slow(image):
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.01)
        running -= 1
        return real(image)

    monkeypatch.setattr(decoding, "_rgb", slow)
    data = encode(Image.fromarray(pixels), "PNG")
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        found = list(threads.map(decoding.decode, [data] * 8))
    assert most == 1
    for one in found:
        np.testing.assert_array_equal(one, pixels)


def test_heic_says_what_to_install(monkeypatch):
    monkeypatch.setattr(decoding, "READS_HEIF", False)
    data = b"\0\0\0\x18ftypheic" + bytes(40)
    with pytest.raises(errors.DataError, match="pip install 'partdisc\\[heif\\]'"):
        decoding.decode(data)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_heic_is_read_where_the_plugin_is(pixels, mode, orientation):
    """Such a file says in its own way how it is turned; what its EXIF says is not asked."""
    smooth = np.repeat(np.repeat(pixels, 16, axis=0), 16, axis=1)
    stored = Image.fromarray(smooth).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(stored, "HEIF", quality=95, exif=exif)
    decoded, expected = decoding.decode(data), np.asarray(stored.convert("RGB"), int)
    assert decoded.shape == smooth.shape == (*decoding.read_frame(data).upright, 3)
    assert decoding.check(data).size == decoded.shape[:2]
    assert np.abs(decoded - expected).mean() < 12
    with pytest.raises(errors.DataError, match="damaged|not an image"):
        decoding.decode(data[: len(data) // 2])


@pytest.mark.parametrize("place,value", [(0, 127), (8, 127), (16, 40), (24, 1)])
def test_an_image_that_is_not_as_large_as_it_says(pixels, place, value):
    """Of a HEIC the cut of the coded picture can be damaged."""
    data = bytearray(encode(Image.fromarray(pixels).resize((64, 48)), "HEIF", quality=95))
    data[data.index(b"clap") + 4 + place + 3] = value
    for read in (decoding.decode, decoding.check):
        with pytest.raises(errors.DataError, match="damaged: it says .* x .*, and is"):
            read(bytes(data))


def test_a_thumbnail_is_not_the_image():
    """A draft of a HEIC is its thumbnail, which is not as sharp and may be whole alone."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (64, 96, 3), np.uint8)).resize((384, 256))
    data = encode(image, "HEIF", quality=95, thumbnails=[64])
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.info["thumbnails"]
    whole = decoding.decode(data)
    np.testing.assert_array_equal(decoding.decode_smaller(data, 8), whole)
    assert decoding.check(data).size == (256, 384)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_pillow_says_nothing_on_the_screen(pixels, tmp_path, kind):
    if kind == "JPEG":
        bad = encode(Image.fromarray(pixels), kind, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    else:
        # Entry 277 says how many samples a pixel has.
        sound = encode(Image.fromarray(pixels), kind)
        bad = sound.replace(b"\x15\x01\x03\0\x01\0\0\0\x03", b"\x15\x01\x03\0\x01\0\0\0\x5a")
        assert bad != sound
    (tmp_path / "odd").write_bytes(bad)
    code = (
        "import pathlib, sys\nfrom partdisc.data import decoding\n"
        "data = pathlib.Path(sys.argv[1]).read_bytes()\n"
        "try:\n  decoding.decode(data), decoding.read_frame(data), decoding.check(data)\n"
        "except decoding.errors.DataError: pass"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "odd")]
    ended = subprocess.run(arguments, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
