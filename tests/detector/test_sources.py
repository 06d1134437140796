"""The images that a user names, and pictures of every kind."""

import io
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from partdisc.data.decoding import MAX_PIXELS
from partdisc.detector import Source, find_sources
from partdisc.detector.sources import load as load_within
from partdisc.detector.sources import sources_of
from partdisc.errors import DataError


def load(picture):
    return load_within(picture, MAX_PIXELS)


@pytest.fixture
def folder(tmp_path, rng):
    (tmp_path / "b").mkdir()
    for name in ("z.png", "b/a.jpg", "c.JPEG"):
        picture = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / name)
    (tmp_path / "notes.md").write_text("no image")
    return tmp_path


def names(given):
    return [one.name for one in find_sources(str(given))]


def test_a_folder_is_all_images_below_it_in_the_order_of_their_names(folder):
    assert names(folder) == ["b/a.jpg", "c.JPEG", "z.png"]
    assert [one.picture for one in find_sources(str(folder))] == [
        folder / name for name in ("b/a.jpg", "c.JPEG", "z.png")
    ]


def test_a_pattern_a_list_and_one_image(folder):
    assert names(folder / "*.png") == [str(folder / "z.png")]
    assert names(folder / "**" / "*.jpg") == [str(folder / "b" / "a.jpg")]
    (folder / "list.txt").write_text("z.png  # the last first\n\nb/a.jpg\n")
    found = find_sources(str(folder / "list.txt"))
    assert found == [Source("z.png", folder / "z.png"), Source("b/a.jpg", folder / "b/a.jpg")]
    assert names(folder / "z.png") == ["z.png"]


def test_a_broken_link_is_not_passed_over(folder):
    for name in ("gone.jpg", "b/card", "b/notes.md"):
        (folder / name).symlink_to("nowhere")
    assert names(folder) == ["b/a.jpg", "b/card", "c.JPEG", "gone.jpg", "z.png"]
    assert names(folder / "*.jpg") == names(folder / "gone.jpg") == [str(folder / "gone.jpg")]
    with pytest.raises(DataError, match="No such file"):
        load(find_sources(str(folder / "gone.jpg"))[0].picture)


def test_a_list_is_utf_8_with_or_without_its_mark(folder):
    os.rename(folder / "z.png", folder / "zü.png")
    (folder / "list.txt").write_text("zü.png\nb/a.jpg\n", encoding="utf-8-sig")
    assert names(folder / "list.txt") == ["zü.png", "b/a.jpg"]
    (folder / "list.txt").write_text("zü.png\n", encoding="utf-16")
    with pytest.raises(DataError, match=r"list\.txt: not a text file"):
        names(folder / "list.txt")


def test_a_picture_that_breaks_off_is_named(folder, rng):
    pixels = rng.integers(0, 256, (90, 90, 3), dtype=np.uint8)
    whole = io.BytesIO()
    Image.fromarray(pixels).save(whole, "PNG")
    cut = Image.open(io.BytesIO(whole.getvalue()[: len(whole.getvalue()) // 2]))
    with pytest.raises(DataError, match="damaged"):
        load(cut)


@pytest.mark.parametrize("given", ["none", "*.gif", "empty"])
def test_nothing_there_is_said_with_what_is_allowed(folder, given):
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"no image there.*pattern.*\.txt"):
        find_sources(str(folder / given))


def test_the_home_folder_may_be_a_tilde(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert names("~/z.png") == ["z.png"]


def test_pictures_of_every_kind_are_upright_rgb(folder, rng):
    grey = rng.integers(0, 256, (5, 7), dtype=np.uint8)
    np.testing.assert_array_equal(load(grey), np.repeat(grey[..., None], 3, axis=2))
    colour = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(load(colour), colour)
    np.testing.assert_array_equal(load(Image.fromarray(colour)), colour)
    assert load(Image.fromarray(grey)).shape == (5, 7, 3)
    assert load(folder / "z.png").shape == load(str(folder / "z.png")).shape == (20, 30, 3)
    turned = Image.fromarray(colour)
    turned.getexif()[0x0112] = 6
    np.testing.assert_array_equal(load(turned), np.rot90(colour, -1))


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((4, 4, 4), np.uint8), "4, 4, 4"),
        (np.zeros((0, 4, 3), np.uint8), "0, 4, 3"),
        (np.zeros((2, 90, 3), np.uint8), "longer than"),
        ("/no/such.jpg", "No such file"),
    ],
)
def test_what_is_no_picture_says_why(picture, words):
    with pytest.raises(DataError, match=words):
        load(picture)


def test_pictures_are_named_by_path_or_place():
    grey = np.zeros((4, 4), np.uint8)
    found = [one.name for one in sources_of(["a.png", grey, Source("b", grey), grey])]
    assert found == ["a.png", "1", "b", "3"]


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        ("new/a.jpg", "new/a.jpg is one picture or folder; give a list"),
        (pathlib.Path("new"), "new is one picture or folder"),
        (Image.new("RGB", (40, 30)), "is one picture or folder"),
        (np.zeros((30, 40, 3), np.uint8), r"an array of uint8 \[30, 40, 3\] is one picture"),
    ],
)
def test_one_picture_is_no_list_of_them(picture, words):
    with pytest.raises(DataError, match=words):
        list(sources_of(picture))
    assert [one.picture for one in sources_of([picture])] == [picture]


def test_several_arrays_in_one_are_several_pictures():
    assert len(list(sources_of(np.zeros((2, 30, 40, 3), np.uint8)))) == 2


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((30, 40, 4), np.uint8), r"an array of uint8 \[30, 40, 4\]; allowed is a path"),
        (np.zeros((30, 40)), r"an array of float64 \[30, 40\]; .* or \[H, W\]"),
        (3, "3 of type int; allowed is a path"),
        (None, "None of type NoneType"),
    ],
)
def test_what_is_no_picture_says_what_one_is(picture, words):
    with pytest.raises(DataError, match=words):
        load(picture)
