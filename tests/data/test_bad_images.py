"""Bad images: how many are too many, and what is said of them."""

import pytest

from partdisc.data.bad_images import REASONS, SHOWN, BadImage, check_few, reasons, report
from partdisc.errors import DataError


def bad(count):
    return [BadImage(f"{n}.jpg", "the file is empty") for n in range(count)]


def test_none_are_passed_over_in_silence():
    assert report([]) == []
    check_few([], 1, 0.0)


@pytest.mark.parametrize("count", [1, SHOWN, SHOWN + 1, 57])
def test_each_is_named_up_to_a_number_and_all_are_counted(count):
    lines = report(bad(count))
    named = min(count, SHOWN)
    assert lines[:named] == [f"skipped {n}.jpg: the file is empty" for n in range(named)]
    assert lines[-1].startswith(f"{count} image")
    more = [line for line in lines if "more" in line]
    assert len(more) == (count > SHOWN)
    if more:
        assert more[0].startswith(f"and {count - SHOWN} more")


@pytest.mark.parametrize(
    ("count", "total", "fraction", "allowed"),
    [(1, 10, 0.1, True), (2, 10, 0.1, False), (1, 1, 1.0, False), (3, 4, 1.0, True)],
)
def test_too_many_are_an_error_that_names_three(count, total, fraction, allowed):
    if allowed:
        check_few(bad(count), total, fraction)
        return
    with pytest.raises(DataError, match=f"{count} of {total} images.*max_bad_fraction.*0.jpg") as e:
        check_few(bad(count), total, fraction)
    assert ("..." in str(e.value)) == (count > 3)


def test_no_image_at_all_is_an_error():
    with pytest.raises(DataError, match="no images to use"):
        check_few([], 0, 1.0)


def test_reasons_are_said_by_their_count_not_by_the_order_of_names():
    heic = [BadImage(f"{n}.heic", "HEIC: install it") for n in range(200)]
    large = [BadImage(f"{n}.png", f"{n}000 x 9,000: more than 80 pixels") for n in (7, 8, 9)]
    lone = [BadImage("a.png", "damaged")]
    assert reasons(lone + large + heic) == (
        "0.heic and 199 others: HEIC: install it; 7.png and 2 others: 7000 x 9,000: more than 80 "
        "pixels; a.png: damaged"
    )
    assert reasons(lone) == "a.png: damaged"
    assert reasons(lone * 2) == "a.png and 1 other: damaged"
    many = [BadImage("a.png", word) for word in ("a", "b", "c", "d")]
    assert reasons(many).endswith("; ...") and reasons(many).count("a.png") == REASONS
    assert not reasons(many[:3]).endswith("...")
