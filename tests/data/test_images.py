"""The geometry between original and working image, and how one becomes the other."""

import io

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image

from partdisc.data import decoding, images


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


@pytest.mark.parametrize("size", [(720, 1000), (1000, 720), (225, 300), (2000, 2400)])
@pytest.mark.parametrize("crop", [None, (10, 20, 215, 225)])
def test_a_file_is_read_as_it_would_be_whole(rng, size, crop):
    coarse = Image.fromarray(rng.integers(0, 256, (12, 15, 3), np.uint8))
    picture = coarse.resize(size[::-1], Image.Resampling.BICUBIC)
    crop = None if crop is None else np.array(crop)
    made = images.geometry(np.array(size), crop, 64, 16, 1.5)
    for kind in ("JPEG", "PNG"):
        file = io.BytesIO()
        picture.save(file, kind)
        found = images.read(file.getvalue(), made)
        whole = images.prepare(decoding.decode(file.getvalue()), made)
        assert found.shape == whole.shape == (*made.working, 3)
        difference = np.abs(found.astype(int) - whole)
        sides = made.crop[2:] - made.crop[:2]
        if kind == "PNG" or (sides < 4 * made.working).any():
            np.testing.assert_array_equal(found, whole)
        else:
            assert difference.mean() < 1.5 and difference.max() < 30


def test_a_smaller_image_is_upright_where_its_points_are(rng):
    """A bright spot of a large turned JPEG stays where its place is mapped to."""
    pixels = np.zeros((1200, 1600, 3), np.uint8)
    pixels[300:420, 1000:1120] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", exif=exif)
    upright = decoding.decode(file.getvalue())
    made = images.geometry(
        np.array(upright.shape[:2]), np.array([100, 50, 1600, 1150]), 64, 16, 2.0
    )
    spot = np.argwhere(upright[..., 0] > 128).mean(axis=0)
    found = images.read(file.getvalue(), made)
    weights = found[..., 0].astype(float)
    where = (np.indices(weights.shape) * weights).sum(axis=(1, 2)) / weights.sum()
    np.testing.assert_allclose(where, images.to_working(spot, made), atol=0.3)
