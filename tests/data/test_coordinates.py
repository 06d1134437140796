"""Coordinates that are no pixels of their images are found by looking at all of them."""

import numpy as np
import pytest

from partdisc.data.coordinates import what_is_wrong


@pytest.fixture
def points(rng):
    """Points all over landscape images of two sizes, and these sizes."""
    sizes = np.repeat([[100, 300], [240, 320]], 100, axis=0)
    return rng.uniform(0, 1, (200, 2)) * (sizes - 1), sizes


def test_pixels_make_sense(points):
    assert what_is_wrong(*points) is None
    # A few that are wrong in their own way do not make all of them wrong.
    where, sizes = points
    where[:3] = 5000
    assert what_is_wrong(where, sizes) is None


@pytest.mark.parametrize(
    ("change", "words", "sure"),
    [
        (lambda p, s: p / s, "shares of the sides; multiply", True),
        (lambda p, s: p[:, ::-1], "x and y exchanged", True),
        (lambda p, s: 2.5 * p, "images 2.5 times as large", True),
        (lambda p, s: 0.3 * p, "no point lies beyond 30%", False),
    ],
)
def test_what_they_seem_to_be_is_said(points, change, words, sure):
    where, sizes = points
    found = what_is_wrong(change(where, sizes), sizes)
    assert words in found.text and found.sure == sure and "\n" not in found.text


def test_few_points_say_nothing(points):
    where, sizes = points
    assert what_is_wrong(where[:19] / sizes[:19], sizes[:19]) is None
    assert what_is_wrong(where[:0], sizes[:0]) is None


def test_tiny_images_may_have_coordinates_below_one():
    assert what_is_wrong(np.zeros((50, 2)), np.full((50, 2), 2)) is None
