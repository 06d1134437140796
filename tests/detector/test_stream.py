"""Images through a detector: their order, their sizes, bad ones, and one alone."""

import dataclasses
from contextlib import nullcontext

import numpy as np
import pytest
from detectors import small_detector
from PIL import Image

from partdisc.detector import stream
from partdisc.errors import DataError

SIZES = [(48, 48), (60, 90), (48, 48), (200, 100), (90, 60), (48, 48), (60, 90)]


@pytest.fixture(scope="module")
def detector():
    return small_detector()


@pytest.fixture
def pictures(rng):
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


def same(first, second):
    """Check that two predictions are equal, bit for bit."""
    for field in dataclasses.fields(first):
        if field.name not in ("image", "geometry", "labels"):
            assert getattr(first, field.name) == getattr(second, field.name), field.name
    np.testing.assert_array_equal(first.labels, second.labels)


def test_predictions_come_in_the_order_of_the_images(detector, pictures):
    found = list(detector.predict(pictures))
    assert [one.image for one in found] == [str(n) for n in range(len(SIZES))]
    assert [one.size for one in found] == SIZES
    for one in found:
        assert [part.id for part in one.parts] == [1, 2, 3]
        assert one.mask.shape == one.size and one.mask.max() <= 3


def test_one_image_alone_gives_what_it_gives_among_others(detector, pictures):
    together = list(detector.predict(pictures))
    for place in (0, 3, 6):
        (alone,) = detector.predict([pictures[place]])
        same(alone, together[place])


def test_each_batch_is_the_next_device_s(detector, pictures, monkeypatch):
    turns = []
    monkeypatch.setattr(stream.devices, "turn", lambda n: turns.append(n) or nullcontext())
    list(detector.predict(pictures * 3))
    assert sorted(turns) == list(range(len(turns))) and len(turns) > 3


@pytest.mark.parametrize("place", [0, 1, 3])
def test_maps_of_one_image_say_what_its_prediction_says(detector, pictures, place):
    """The most probable part of a pixel, but where the nearest pixel is not the one between."""
    maps = detector.maps(pictures[place])
    (found,) = detector.predict([pictures[place]])
    assert maps.shape == (*SIZES[place], 4) and maps.dtype == np.float32
    np.testing.assert_allclose(maps.sum(axis=-1), 1, rtol=1e-5)
    best = np.sort(maps, axis=-1)
    labels = np.where(maps[..., -1] >= 0.5, 0, 1 + np.argmax(maps[..., :-1], axis=-1))
    clear = (best[..., -1] - best[..., -2] > 0.06) & (np.abs(maps[..., -1] - 0.5) > 0.06)
    assert clear.mean() > 0.5 and len(np.unique(labels[clear])) > 1
    # A photo of the network's own size has no pixel between others.
    most = 0.0 if SIZES[place] == (48, 48) else 0.005
    assert np.mean(labels[clear] != found.mask[clear]) <= most
    assert np.mean(labels != found.mask) < 0.05
    for part in found.parts:
        # A part's score is of the cell where it is most probable: no pixel beats it.
        assert maps[..., part.id - 1].max() <= part.score + 1e-5


def test_maps_take_a_path_and_a_picture_and_name_a_bad_one(detector, pictures, tmp_path):
    Image.fromarray(pictures[0]).save(tmp_path / "a.png")
    maps = detector.maps(pictures[0])
    for picture in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(pictures[0])):
        np.testing.assert_array_equal(detector.maps(picture), maps)
    with pytest.raises(DataError, match=r"none\.png: No such file"):
        detector.maps("none.png")


def test_images_do_not_wait_longer_than_the_window(detector, pictures, monkeypatch):
    """A size that never fills a batch is looked at before the end."""
    monkeypatch.setattr(stream, "WINDOW", 2)
    read = []

    def given():
        for place, picture in enumerate([pictures[3], *[pictures[0]] * 30]):
            read.append(place)
            yield picture

    first = next(detector.predict(given()))
    assert first.size == (200, 100)
    # Two batches and the readers ahead, what the window holds, and what is looked at.
    at_once = (stream.LOOKERS + 2) * detector.batch
    assert len(read) <= 2 * detector.batch + stream.READERS + 2 + 2 + at_once


def test_memory_holds_few_batches_where_nobody_takes_what_is_found(detector, pictures):
    """The reading stops where the user does."""
    read = []

    def given():
        for place in range(200):
            read.append(place)
            yield pictures[0]

    found = detector.predict(given())
    next(found)
    next(found)
    assert len(read) <= (2 + stream.LOOKERS + 2) * detector.batch + stream.READERS + 2
    found.close()


def test_what_fails_in_the_network_is_raised(detector, pictures):
    broken = dataclasses.replace(detector, offset=np.zeros(3, np.float32))
    with pytest.raises((TypeError, ValueError)):
        list(broken.predict(pictures))


def test_a_bad_image_is_told_and_left_out(detector, pictures, tmp_path):
    (tmp_path / "bad.jpg").write_text("no image")
    given = [pictures[0], tmp_path / "bad.jpg", np.zeros((2, 90, 3), np.uint8), pictures[2]]
    bad = []
    found = list(detector.predict(given, bad.append))
    assert [one.image for one in found] == ["0", "3"]
    assert [one.name for one in bad] == [str(tmp_path / "bad.jpg"), "2"]
    assert "not an image" in bad[0].reason and "longer than" in bad[1].reason
    with pytest.raises(DataError, match=r"bad\.jpg: not an image"):
        list(detector.predict(given))


def test_no_image_and_none_that_is_good(detector):
    assert list(detector.predict([])) == []
    assert list(detector.predict([np.zeros((2, 90), np.uint8)], lambda one: None)) == []


def test_a_turned_photo_is_predicted_upright(detector, pictures):
    photo = Image.fromarray(pictures[1])
    turned = photo.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6
    upright, again = detector.predict([photo, turned])
    assert again.size == (60, 90)
    same(upright, again)
