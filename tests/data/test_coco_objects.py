"""Objects of COCO files: keypoints that are malformed, and boxes that are of no use."""

import numpy as np
import pytest
from coco_files import IMAGES, PEOPLE, keypoints, part, read, write

from partdisc import errors

GOOD = [5, 6, 2, 7, 8, 2]
NAN = np.nan
SIZED = [{**one, "width": 40, "height": 30} for one in IMAGES]
MALFORMED = {
    "keypoints must be 6 numbers, x, y and visibility of each, not [5, 6, 7, 8]": [5, 6, 7, 8],
    "keypoints must be 6 numbers, x, y and visibility of each, not 'left'": "left",
    "not [[5, 6, 2], [7, 8, 2]]": [[5, 6, 2], [7, 8, 2]],
    "x and y of a keypoint must be 2 finite numbers, not [nan, 6]": [NAN, 6, 2, 7, 8, 2],
    "x and y of a keypoint must be 2 finite numbers, not [7, None]": [5, 6, 2, 7, None, 1],
    "x and y of a keypoint must be 2 finite numbers, not ['5', 6]": ["5", 6, 2, 7, 8, 2],
    "a keypoint's visibility is 3, not 0, 1 or 2": [5, 6, 3, 7, 8, 2],
    "a keypoint's visibility is -1, not 0, 1 or 2": [5, 6, -1, 7, 8, 2],
    "a keypoint's visibility is True, not 0, 1 or 2": [5, 6, True, 7, 8, 2],
    "a keypoint's visibility is 0.9, not 0, 1 or 2": [5, 6, 0.9, 7, 8, 2],
    "a keypoint's visibility is None, not 0, 1 or 2": [5, 6, None, 7, 8, 2],
}


@pytest.mark.parametrize("reason", MALFORMED)
def test_malformed_keypoints_are_named_and_their_box_is_used(tmp_path, reason):
    odd = keypoints(2, id=9)
    odd["keypoints"] = MALFORMED[reason]
    write(tmp_path / "all.json", IMAGES, PEOPLE, [keypoints(1, *GOOD), odd])
    listing = read(tmp_path, "all.json", "")
    (one,) = listing.odd
    assert one.name == "all.json: annotation 9 (b.jpg)" and listing.annotations == 2
    assert reason in one.reason and one.reason.endswith("; only its box is used")
    assert np.isnan(listing.records[1].points).all()
    np.testing.assert_array_equal(listing.records[1].box, [-0.5, -0.5, 19.5, 9.5])


@pytest.mark.parametrize("reason", MALFORMED)
def test_a_file_of_malformed_keypoints_alone_says_why(tmp_path, reason):
    given = part(1, 1, [0, 0, 2, 2], keypoints=MALFORMED[reason])
    write(tmp_path / "all.json", IMAGES, PEOPLE, [given])
    with pytest.raises(errors.DataError) as caught:
        read(tmp_path, "all.json", "")
    assert reason in str(caught.value) and "no part is annotated" in str(caught.value)


@pytest.mark.parametrize("place", [[NAN, NAN], [None, None], ["", ""], [-7, 1e9], [0, 0]])
@pytest.mark.parametrize("seen", [0, 0.0])
def test_the_place_of_a_point_that_is_not_labelled_is_not_read(tmp_path, place, seen):
    annotations = [keypoints(1, *GOOD), keypoints(2, *place, seen, 7, 8, 2)]
    write(tmp_path / "all.json", IMAGES, PEOPLE, annotations)
    listing = read(tmp_path, "all.json", "")
    assert not listing.odd and "1 not labelled (0)" in listing.notes[0]
    np.testing.assert_array_equal(listing.records[1].points, [[(NAN, NAN)], [(8, 7)]])


@pytest.mark.parametrize("absent", [None, []])
def test_keypoints_that_are_absent_are_counted_alone(tmp_path, absent):
    annotations = [keypoints(1, *GOOD), {**keypoints(2), "keypoints": absent}]
    write(tmp_path / "all.json", IMAGES, PEOPLE, annotations)
    listing = read(tmp_path, "all.json", "")
    assert not listing.odd
    assert listing.notes[1].startswith("objects without keypoints: 1, such as annot")


OUTSIDE = {"right": [50, 2, 5, 5], "below": [2, 50, 5, 5], "left": [-9, 2, 5, 5],
           "above": [2, -9, 5, 5], "touching": [40, 0, 5, 5], "far": [1e6, 1e6, 5, 5]}  # fmt: skip


@pytest.mark.parametrize("side", OUTSIDE)
def test_a_box_outside_of_its_image_is_of_no_use(tmp_path, side):
    bad = {**keypoints(2, *GOOD, id=9), "bbox": OUTSIDE[side]}
    write(tmp_path / "all.json", SIZED, PEOPLE, [keypoints(1, *GOOD), bad])
    listing = read(tmp_path, "all.json", "")
    assert not listing.odd and not listing.problems
    np.testing.assert_array_equal(listing.records[1].points, [[(6, 5)], [(8, 7)]])
    np.testing.assert_array_equal(listing.records[1].box, [6, 5, 8, 7])
    (note,) = (one for one in listing.notes if "box" in one)
    assert "annotation 9 (b.jpg): bbox lies outside of its image of 30 x 40 pixels" in note


@pytest.mark.parametrize("side", OUTSIDE)
def test_nothing_else_to_say_makes_it_odd(tmp_path, side):
    bad = part(2, 1, OUTSIDE[side], id=9)
    write(tmp_path / "all.json", SIZED, PEOPLE, [keypoints(1, *GOOD), bad])
    (odd,) = read(tmp_path, "all.json", "").odd
    assert odd.name == "all.json: annotation 9 (b.jpg)"
    assert odd.reason.startswith("no keypoints, and bbox lies outside of its image")


@pytest.mark.parametrize("box", [[-9, -9, 10, 10], [39, 29, 50, 50], [-9, -9, 100, 100]])
def test_a_box_that_reaches_outside_stays(tmp_path, box):
    write(tmp_path / "all.json", SIZED, PEOPLE, [{**keypoints(1, *GOOD), "bbox": box}])
    found = read(tmp_path, "all.json", "").records[0].box
    x, y, width, height = box
    np.testing.assert_array_equal(found, [y - 0.5, x - 0.5, y + height - 0.5, x + width - 0.5])


def test_polygons_outside_are_of_no_use_either(tmp_path):
    polygon = [[50, 0, 60, 0, 60, 9]]
    bad = part(1, 1, keypoints=GOOD, segmentation=polygon)
    write(tmp_path / "all.json", SIZED, PEOPLE, [bad])
    np.testing.assert_array_equal(read(tmp_path, "all.json", "").records[0].box, [6, 5, 8, 7])


STANDING_IN = {
    "two": ([5, 6, 2, 7, 9, 2], [6, 5, 9, 7]),
    "hidden": ([5, 6, 1, 7, 9, 2], [6, 5, 9, 7]),
    "one": ([5, 6, 2, 7, 9, 0], None),
    "in a row": ([5, 6, 2, 7, 6, 2], None),
    "in a column": ([5, 6, 2, 5, 9, 2], None),
    "outside": ([50, 60, 2, 57, 69, 2], None),
}


@pytest.mark.parametrize("case", STANDING_IN)
@pytest.mark.parametrize("visibility", ["labelled", "visible"])
def test_the_box_around_keypoints_stands_in(tmp_path, case, visibility):
    values, expected = STANDING_IN[case]
    bare = part(1, 1, keypoints=values)
    write(tmp_path / "all.json", SIZED, PEOPLE, [bare, keypoints(2, *GOOD)])
    listing = read(tmp_path, "all.json", "", crop_margin=0.1, visibility=visibility)
    np.testing.assert_array_equal(listing.records[0].box, expected or [NAN] * 4)
    (note,) = (one for one in listing.notes if "without box of use" in one)
    assert ("stands in: 1, such as" in note) == bool(expected)


def test_two_objects_without_a_box_are_cropped_to_their_keypoints(tmp_path):
    annotations = [part(1, 1, keypoints=GOOD), part(1, 1, keypoints=[20, 20, 2, 25, 28, 2])]
    write(tmp_path / "all.json", IMAGES, PEOPLE, annotations)
    listing = read(tmp_path, "all.json", "", crop_margin=0.1)
    assert [one.key for one in listing.records] == ["a.jpg#0", "a.jpg#1", "b.jpg"]
    assert [one.box.tolist() for one in listing.records[:2]] == [[6, 5, 8, 7], [20, 20, 28, 25]]


def test_an_image_is_not_given_twice_where_an_object_has_no_box(tmp_path):
    single = part(1, 1, keypoints=[5, 6, 2, 0, 0, 0])
    write(tmp_path / "all.json", IMAGES, PEOPLE, [single, single, keypoints(2, *GOOD)])
    listing = read(tmp_path, "all.json", "", crop_margin=0.1)
    assert [one.key for one in listing.records] == ["b.jpg"]
    assert listing.problems == [("a.jpg", "shows 2 objects, and not all have a box to crop to")]
