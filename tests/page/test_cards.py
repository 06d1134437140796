"""The card of a part: patches around its point, where in the object it lies."""

import dataclasses

import numpy as np
from pages import PARTS, planted, planted_album

from partdisc.detector import rgb
from partdisc.page import Album
from partdisc.page.album import PLACES, opened
from partdisc.page.cards import PATCHES, SIDE, make_cards


def dotted(size, point):
    """Return a black photo with a white dot of 3 x 3 pixels."""
    photo = np.zeros((*size, 3), np.uint8)
    y, x = map(int, point)
    photo[y - 1 : y + 2, x - 1 : x + 2] = 255
    return photo


def test_a_patch_has_the_point_in_its_centre():
    size = (101, 83)
    points = [(20.0, 13.0), (1.0, 1.0), (99.0, 81.0), (57.0, 80.0)]
    album = Album(PARTS, len(points))
    for place, point in enumerate(points):
        found = planted(f"{place}", size, point=point)
        album.add(place, lambda point=point: dotted(size, point), found)
    card = make_cards(PARTS, album.photos)[0]
    assert [patch.photo for patch in card.patches] == [0, 1, 2, 3]
    for patch in card.patches:
        bright = np.asarray(opened(patch.picture).convert("L"), float)
        assert bright.shape == (SIDE, SIDE)
        # Grey is what lies outside of the photo.
        weight = np.where(bright > 170, bright, 0.0)
        rows, columns = np.mgrid[:SIDE, :SIDE]
        centre = [(weight * axis).sum() / weight.sum() for axis in (rows, columns)]
        np.testing.assert_allclose(centre, (SIDE - 1) / 2, atol=0.6)


def test_patches_come_from_the_better_half_of_the_photos_with_the_part():
    album = Album(PARTS, 40)
    for place in range(40):
        found = planted(f"{place}", (50, 50))
        score = place / 40
        parts = (found.parts[0]._replace(score=score, present=score > 0.3), *found.parts[1:])
        found = dataclasses.replace(found, parts=parts)
        album.add(place, lambda: np.zeros((50, 50, 3), np.uint8), found)
    first, second, third = make_cards(PARTS, album.photos)
    assert first.seen == 27 and len(first.patches) == PATCHES
    shown = [patch.photo for patch in first.patches]
    assert shown == sorted(shown, reverse=True) and shown[0] == 39 and min(shown) >= 26
    assert second.seen == 40 and third.seen == 0 and third.patches == []


def test_a_photo_is_read_once_for_all_its_patches():
    reads = []
    album = Album(PARTS, 1)
    album.add(0, lambda: reads.append(1) or np.zeros((50, 50, 3), np.uint8), planted("a", (50, 50)))
    reads.clear()
    cards = make_cards(PARTS, album.photos)
    assert sum(len(card.patches) for card in cards) == 2 and len(reads) == 1


def test_places_are_dense_where_the_part_is():
    cards = make_cards(PARTS, planted_album().photos)
    for card, columns in zip(cards, (slice(0, 11), slice(13, None), slice(0, 0)), strict=True):
        heat = np.asarray(opened(card.places))
        assert heat.shape == (PLACES, PLACES, 4)
        assert (heat[..., :3] == rgb(card.part.colour)).all()
        assert (heat[:, columns, 3] == 255).all()
    assert (heat[..., 3] == 0).all()  # part 3 is nowhere


def test_no_photo_at_all():
    cards = make_cards(PARTS, [])
    assert [card.seen for card in cards] == [0, 0, 0] and all(not card.patches for card in cards)
