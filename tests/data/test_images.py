"""Decoding of every kind of file, and the geometry between original and working image."""

import io

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image

from partdisc import errors
from partdisc.data import images


def encode(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def pixels(rng) -> np.ndarray:
    return rng.integers(0, 256, (5, 7, 3), np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_lossless_formats_decode_to_the_same_pixels(pixels, kind):
    decoded = images.decode(encode(Image.fromarray(pixels), kind))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95})]
)
def test_lossy_formats_decode_near(kind, options):
    ramp = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[:, None, None], (60, 40, 3))
    decoded = images.decode(encode(Image.fromarray(ramp.copy()), kind, **options))
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
    decoded = images.decode(encode(Image.fromarray(pixels), "PNG", exif=exif))
    np.testing.assert_array_equal(decoded, UPRIGHT.get(orientation, UPRIGHT[1])(pixels))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_spoils_no_pixel(pixels):
    good = encode(Image.fromarray(pixels), "JPEG")
    bad = encode(Image.fromarray(pixels), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(images.decode(bad), images.decode(good))


def test_grey_becomes_three_equal_channels(pixels):
    grey = pixels[:, :, 0]
    decoded = images.decode(encode(Image.fromarray(grey), "PNG"))
    np.testing.assert_array_equal(decoded, np.repeat(grey[:, :, None], 3, axis=2))


def test_sixteen_bit_grey_keeps_its_high_byte(rng):
    deep = rng.integers(0, 65536, (4, 6), np.uint16)
    decoded = images.decode(encode(Image.fromarray(deep), "PNG"))
    np.testing.assert_array_equal(decoded, np.repeat((deep // 256)[:, :, None], 3, axis=2))


def test_one_bit_is_black_and_white():
    bits = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    decoded = images.decode(encode(bits, "PNG"))
    np.testing.assert_array_equal(decoded[:, :, 1], [[0, 255], [255, 0]])


def test_cmyk_jpeg_has_its_colours():
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[:, :, 0] = 255  # Full cyan: no red.
    decoded = images.decode(encode(Image.fromarray(ink, "CMYK"), "JPEG", quality=95))
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
    np.testing.assert_array_equal(images.decode(data)[:, :, 0], [[0, 0], [255, 255]])


def test_half_transparency_is_blended():
    rgba = np.full((1, 1, 4), (100, 0, 200, 128), np.uint8)
    expected = np.array([100, 0, 200]) * 128 / 255 + 255 * 127 / 255
    decoded = images.decode(encode(Image.fromarray(rgba), "PNG"))
    np.testing.assert_allclose(decoded[0, 0], expected, atol=1.01)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"no image at all", "known format"), (b"%!PS-Adobe-3.0\n", "known format")],
)
def test_what_is_no_image_says_so(data, reason):
    with pytest.raises(errors.DataError, match=reason):
        images.decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_every_truncation_is_a_one_line_data_error(rng, kind):
    data = encode(Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)), kind)
    for length in range(0, int(0.9 * len(data)), 13):
        with pytest.raises(errors.DataError) as caught:
            images.decode(data[:length])
        assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
@hypothesis.given(st.integers(0, 10**9))
@hypothesis.settings(max_examples=60, deadline=None)
def test_random_damage_never_raises_anything_else(seed):
    rng = np.random.default_rng(seed)
    kind = ("JPEG", "PNG", "WEBP", "GIF", "BMP")[seed % 5]
    data = bytearray(encode(Image.fromarray(rng.integers(0, 256, (9, 8, 3), np.uint8)), kind))
    for at in rng.integers(0, len(data), 5):
        data[at] = rng.integers(256)
    try:
        decoded = images.decode(bytes(data))
    except errors.DataError:
        return
    assert decoded.dtype == np.uint8 and decoded.ndim == 3 and decoded.shape[2] == 3


def test_a_bomb_is_refused_before_it_is_decoded(pixels, monkeypatch):
    data = encode(Image.fromarray(pixels), "PNG")
    monkeypatch.setattr(images, "MAX_PIXELS", 34)
    with pytest.raises(errors.DataError, match="5 x 7: more than 34 pixels"):
        images.decode(data)
    monkeypatch.setattr(images, "MAX_PIXELS", 35)
    assert images.decode(data).shape == (5, 7, 3)


def test_pillows_own_bomb_guard_is_reported(pixels, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(errors.DataError, match="pixels"):
        images.decode(encode(Image.fromarray(pixels), "PNG"))


@pytest.mark.parametrize(
    ("size", "crop", "working"),
    [
        ((218, 178), None, (272, 224)),
        ((178, 218), None, (224, 272)),
        ((300, 300), None, (224, 224)),
        ((1, 1), None, (224, 224)),
        ((100, 1000), None, (224, 448)),
        ((333, 500), (10, 20, 110, 170), (224, 336)),
        ((100, 100), (-50, 60, 50, 900), (288, 224)),
        ((100, 100), (200, 200, 300, 300), (224, 224)),
    ],
)
def test_working_size(size, crop, working):
    crop = None if crop is None else np.array(crop)
    made = images.geometry(np.array(size), crop, 224, 16, 2.0)
    assert tuple(made.working) == working


def test_a_crop_is_clipped_to_the_image():
    made = images.geometry(np.array([100, 90]), np.array([-5, 60, 50, 900]), 64, 16, 2.0)
    assert tuple(made.crop) == (0, 60, 50, 90)


geometries = st.builds(
    lambda height, width, short, stride, aspect: images.geometry(
        np.array([height, width]), None, short, stride, aspect
    ),
    st.integers(1, 3000), st.integers(1, 3000), st.integers(16, 300),
    st.sampled_from([8, 16, 32]), st.floats(1, 20),
)  # fmt: skip


@hypothesis.given(geometries, st.sampled_from([8, 16, 32]))
def test_working_sides_are_whole_cells_of_bounded_aspect(made, stride):
    made = images.geometry(made.size, made.crop, 100, stride, 2.5)
    short, long = sorted(made.working)
    assert short == stride * max(1, round(100 / stride + 1e-9))
    assert short % stride == long % stride == 0
    assert short <= long <= 2.5 * short
    assert (made.working[0] >= made.working[1]) == (made.size[0] >= made.size[1]) or short == long


@hypothesis.given(geometries, st.floats(0, 1), st.floats(0, 1))
def test_points_go_there_and_back(made, down, right):
    point = np.array([down, right]) * made.size - 0.5
    back = images.to_original(images.to_working(point, made), made)
    np.testing.assert_allclose(back, point, rtol=0, atol=1e-9)


def test_corners_of_the_crop_are_corners_of_the_working_image():
    made = images.geometry(np.array([100, 200]), np.array([10, 30, 70, 190]), 64, 16, 2.0)
    corners = np.array([[9.5, 29.5], [69.5, 189.5]])
    expected = np.stack([[-0.5, -0.5], made.working - 0.5])
    np.testing.assert_allclose(images.to_working(corners, made), expected)


def test_a_batch_of_geometries_is_a_loop_and_nan_stays(rng):
    sizes = rng.integers(50, 400, (6, 2))
    crops = np.concatenate([np.zeros((6, 2), int), sizes - rng.integers(0, 40, (6, 2))], axis=1)
    batch = images.geometry(sizes, crops, 112, 16, 2.0)
    points = rng.uniform(0, 50, (6, 4, 2))
    points[2, 1] = np.nan
    for convert in (images.to_working, images.to_original):
        together = convert(points, batch)
        for i in range(6):
            alone = images.geometry(sizes[i], crops[i], 112, 16, 2.0)
            assert all(np.array_equal(*pair) for pair in zip(alone, batch.take(i), strict=True))
            np.testing.assert_array_equal(together[i], convert(points[i], alone))
        assert np.isnan(together[2, 1]).all() and np.isnan(together).sum() == 2


def test_prepare_shows_the_pixels_where_the_points_say():
    image = np.zeros((120, 90, 3), np.uint8)
    image[70:75, 40:45] = 255  # Centre (72, 42).
    made = images.geometry(np.array([120, 90]), np.array([30, 10, 110, 80]), 160, 16, 2.0)
    prepared = images.prepare(image, made)
    assert prepared.shape == (*made.working, 3) and prepared.dtype == np.uint8
    weight = prepared[:, :, 0] / prepared[:, :, 0].sum()
    rows, columns = np.indices(weight.shape)
    centre = np.array([(weight * rows).sum(), (weight * columns).sum()])
    expected = images.to_working(np.array([72.0, 42.0]), made)
    np.testing.assert_allclose(centre, expected, atol=0.05)


def test_prepare_antialiases_when_it_shrinks():
    checks = np.indices((256, 256)).sum(axis=0) % 2 * 255
    image = np.repeat(checks[:, :, None], 3, axis=2).astype(np.uint8)
    prepared = images.prepare(image, images.geometry(np.array([256, 256]), None, 32, 16, 2.0))
    assert np.abs(prepared.astype(int) - 127).max() <= 8


def test_prepare_of_one_pixel_and_of_another_image():
    made = images.geometry(np.array([1, 1]), None, 32, 16, 2.0)
    prepared = images.prepare(np.full((1, 1, 3), 7, np.uint8), made)
    assert prepared.shape == (32, 32, 3) and (prepared == 7).all()
    with pytest.raises(ValueError, match="geometry"):
        images.prepare(np.zeros((2, 1, 3), np.uint8), made)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_in_the_header_is_that_of_the_decoded_image(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (30, 20)).save(path, exif=exif)
    assert images.read_frame(path).upright == images.decode(path.read_bytes()).shape[:2]
    assert images.read_frame(path) == images.Frame((20, 30), orientation)


def test_the_size_of_what_is_no_image(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(errors.DataError, match="photo.jpg"):
        images.read_frame(tmp_path / "photo.jpg")
    with pytest.raises(errors.DataError, match="gone.jpg: No such file"):
        images.read_frame(tmp_path / "gone.jpg")
