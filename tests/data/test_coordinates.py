"""Coordinates that are no pixels of their images are found by looking at all of them."""

import numpy as np
import pytest

from partdisc.data.coordinates import Images, suspect_boxes, suspect_points

SIDES = np.array([100, 300, 240, 320]).reshape(2, 2)


def of_images(sizes, stored=None, test=None):
    """Return the images of these sizes; none of the test split and none turned, if not said."""
    return Images(
        sizes,
        sizes if stored is None else stored,
        np.zeros(len(sizes), bool) if test is None else test,
    )


@pytest.fixture
def points(rng):
    """Two points in each of a hundred landscape images of two sizes, and these sizes."""
    sizes = np.repeat(SIDES, 50, axis=0)
    return rng.uniform(0, 1, (100, 2, 2)) * (sizes[:, None] - 1), sizes


@pytest.fixture
def boxes(rng):
    """Boxes (y0, x0, y1, x1) in such images, and these sizes."""
    sizes = np.repeat(SIDES, 50, axis=0)
    start = rng.uniform(0.3, 0.5, (100, 2)) * sizes
    return np.concatenate([start, start + rng.uniform(0.2, 0.45, (100, 2)) * sizes], 1), sizes


def one_of(found):
    (one,) = found
    assert "\n" not in one.text
    return one


def test_pixels_make_sense(points, boxes):
    where, sizes = points
    assert not suspect_points(where, of_images(sizes))
    assert not suspect_points(where.reshape(100, 1, 2, 2), of_images(sizes))
    assert not suspect_boxes(boxes[0], of_images(boxes[1]))
    # Whole images are boxes too.
    whole = np.concatenate([np.full_like(sizes, -0.5, float), sizes - 0.5], axis=1)
    assert not suspect_boxes(whole, of_images(sizes))
    # A few that are wrong in their own way do not make all of them wrong.
    where[:2, 0] = 5000
    assert not suspect_points(where, of_images(sizes))
    where[:, 0], where[5:, 1] = np.nan, np.nan
    assert not suspect_points(where, of_images(sizes))
    assert not suspect_points(where[:0], of_images(sizes[:0]))
    assert not suspect_boxes(np.full((100, 4), np.nan), of_images(sizes))


CHANGES = {
    "shares": (lambda p, s: p / s, "shares of the sides; bring them", True),
    "shares, half a pixel off": (lambda p, s: p / s - 0.5, "shares of the sides", True),
    "shares from -1 to 1": (lambda p, s: 2 * p / s - 1, "shares of the sides", True),
    "exchanged": (lambda p, s: p[..., ::-1], "x and y exchanged", True),
    "larger": (lambda p, s: 2.5 * p, "images 2.5 times as large", True),
    "smaller": (lambda p, s: 0.3 * p, "lies beyond 30%", False),
    "of square images": (lambda p, s: 300 * p / s, "are no pixels of these images", True),
    "some far away": (lambda p, s: np.where(p[..., :1] % 1 < 0.1, 5000.0, p), "outside", False),
    "some nowhere": (lambda p, s: np.where(p[..., :1] % 1 < 0.1, 0.0, p), "nowhere", False),
}


@pytest.mark.parametrize(("change", "words", "sure"), CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("few", [0, 1])
def test_what_they_seem_to_be_is_said(points, change, words, sure, few):
    where, sizes = points
    changed = change(where, sizes[:, None])
    changed[:few, 0] = where[:few, 0]  # One that is right does not hide the others.
    found = one_of(suspect_points(changed, of_images(sizes)))
    assert words in found.text and found.sure == sure
    assert not found.text.startswith("of ")


@pytest.mark.parametrize("wrong", [True, False], ids=["test", "train and fit"])
@pytest.mark.parametrize("name", ["shares", "exchanged", "larger"])
def test_the_test_split_is_looked_at_for_itself(points, name, wrong):
    where, sizes = points
    test = np.arange(100) % 3 == 0
    change, words, _ = CHANGES[name]
    where[test == wrong] = change(where, sizes[:, None])[test == wrong]
    found = one_of(suspect_points(where, of_images(sizes, test=test)))
    assert words in found.text and found.sure
    assert found.text.startswith("of test images" if wrong else "of train and fit images")


def test_what_is_true_of_both_splits_is_said_once(points):
    where, sizes = points
    images = of_images(sizes, test=np.arange(100) % 3 == 0)
    found = one_of(suspect_points(where[..., ::-1], images))
    assert found.sure and not found.text.startswith("of ")
    # Each in its own way.
    other = np.where(images.test[:, None, None], where / sizes[:, None], 2.5 * where)
    found = suspect_points(other, images)
    assert found and all(one.sure for one in found)


def test_few_points_tell_little(points):
    where, sizes = points
    where, sizes = where[:9], sizes[:9]  # 18 points.
    images = of_images(sizes)
    assert not suspect_points(where[..., ::-1], images)
    assert not suspect_points(0.1 * where, images)
    assert one_of(suspect_points(where / sizes[:, None], images)).sure
    assert not suspect_points(where[:1] / 300, of_images(sizes[:1]))


def test_few_of_both_splits_tell_together(points):
    where, sizes = points
    test = np.arange(18) % 2 == 0
    found = one_of(suspect_points(where[-18:, :, ::-1] * 1.5, of_images(sizes[-18:], test=test)))
    assert found.sure and not found.text.startswith("of ")


def test_tiny_images_may_have_coordinates_below_one():
    assert not suspect_points(np.zeros((50, 1, 2)), of_images(np.full((50, 2), 2)))


@pytest.mark.parametrize("every", [1, 2, 5])
def test_points_of_the_stored_images_are_told_from_others(points, every):
    """Images that EXIF turns, all or some of them: by the sizes alone."""
    where, stored = points
    turned = np.arange(100) % every == 0
    sizes = np.where(turned[:, None], stored[:, ::-1], stored)
    found = one_of(suspect_points(where, of_images(sizes, stored)))
    assert found.sure and "pixels of the stored images" in found.text
    assert ("exchanged" in found.text) == (every == 1)
    upright = np.where(turned[:, None, None], where[..., ::-1], where)
    assert not suspect_points(upright, of_images(sizes, stored))


BOXES = {
    "two corners": (
        lambda b: np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], 1), "(x0, y0, x1, y1)", True,
    ),
    "from the centre": (
        lambda b: b + np.tile(b[:, 2:] - b[:, :2], 2) / 2, "(centre, width, height)", True,
    ),
    "exchanged": (lambda b: b[:, [1, 0, 3, 2]], "x and y exchanged", True),
    "shares": (lambda b: b / np.tile(SIDES[1], 2) - 0.5, "shares of the sides", True),
    "smaller": (lambda b: 0.4 * b, "none of the boxes", False),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words", "sure"), BOXES.values(), ids=BOXES)
def test_what_boxes_seem_to_be_is_said(boxes, change, words, sure):
    where, sizes = boxes
    found = one_of(suspect_boxes(change(where), of_images(sizes)))
    assert words in found.text and found.sure == sure
