"""Photos of a page: what is kept of them, spread and small."""

import numpy as np
import pytest
from pages import PARTS, SIZES, pixels, planted, planted_album

from partdisc.detector import rgb
from partdisc.page import Album
from partdisc.page.album import opened


def test_photos_keep_their_order_and_shape():
    photos = planted_album().photos
    assert [photo.name for photo in photos] == [f"photo {n}.jpg" for n in range(len(SIZES))]
    for photo, size in zip(photos, SIZES, strict=True):
        assert photo.original == photo.size == size
        assert opened(photo.picture).size == opened(photo.overlay).size == size[::-1]
        assert (
            np.abs(np.asarray(opened(photo.picture).convert("RGB"), int) - pixels(size)).mean() < 12
        )
    assert photos[-1].object is None and photos[-1].places is None


def test_an_overlay_has_the_colour_of_each_part_and_nothing_elsewhere():
    album = planted_album()
    for photo, (_, width) in zip(album.photos, SIZES, strict=True):
        overlay = np.asarray(opened(photo.overlay).convert("RGBA"))
        assert (overlay[:3, :, 3] == 0).all() and (overlay[3:, :, 3] == 255).all()
        half = width // 2
        assert (overlay[3:, :half, :3] == rgb(PARTS[0].colour)).all()
        assert (overlay[3:, half:, :3] == rgb(PARTS[1].colour)).all()


@pytest.mark.parametrize(("count", "longest"), [(3, 512), (301, 352), (801, 240)])
def test_the_more_photos_the_smaller_each(count, longest):
    album = Album(PARTS, count)
    size = (600, 1201)
    album.add(0, lambda: pixels(size), planted("wide", size))
    (photo,) = album.photos
    assert photo.size == (round(600 * longest / 1201), longest)
    assert photo.original == size


def test_a_page_shows_an_even_spread_of_many():
    album = Album(PARTS, 10_000, 5)
    assert sorted(album.wanted) == [0, 2500, 5000, 7499, 9999]
    album.add(1, lambda: pixels((50, 50)), planted("unwanted", (50, 50)))
    assert album.photos == [] and album.missing == sorted(album.wanted)
    album.add(9999, lambda: pixels((50, 50)), planted("last", (50, 50)))
    assert 9999 not in album.missing and len(album.missing) == 4


def test_no_image_at_all():
    assert Album(PARTS, 0).photos == [] and Album(PARTS, 0).missing == []


def test_places_are_those_of_the_objects_box():
    photo = planted_album().photos[0]  # 61 x 83, its object below row 2
    assert (photo.places[:, :11] == 1).all() and (photo.places[:, 13:] == 2).all()


def test_certainty_is_the_mean_score_of_an_object():
    photos = planted_album().photos
    assert photos[0].certainty == pytest.approx((0.8 + 0.8 + 0.01) / 3)
    assert photos[1].certainty == pytest.approx((0.8 + 0.01 + 0.01) / 3)
    assert photos[-1].certainty == 0.0


def test_what_is_seen_is_said_in_words():
    photos = planted_album().photos
    assert photos[0].seen == "photo 0.jpg: part 1, part 2"
    assert photos[-1].seen == "photo 4.jpg: no part"
