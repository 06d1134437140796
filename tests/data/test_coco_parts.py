"""What COCO files annotate: most annotations say it, and the others are named."""

import numpy as np
import pytest
from coco_files import IMAGES, PARTS, PEOPLE, keypoints, part, read, write

from partdisc import errors

BOX = [0, 0, 2, 2]


def boxes(count, category=7):
    return [part(1 + i % 2, category, BOX) for i in range(count)]


STRAY = {
    "one": ([part(2, 8, BOX, keypoints=[5, 5, 2])], PARTS),
    "several": ([part(2, 8, BOX, keypoints=[5, 5, 2])] * 3, PARTS),
    "of a category of its own": ([part(2, 9, BOX, keypoints=[5, 5, 2])], PARTS),
    "of a category with names": (
        [part(2, 7, BOX, keypoints=[5, 5, 2])], [{**PARTS[0], "keypoints": ["hub"]}, *PARTS[1:]]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STRAY)
def test_a_few_keypoints_do_not_take_the_boxes_of_all(tmp_path, case):
    stray, categories = STRAY[case]
    write(tmp_path / "all.json", IMAGES, categories, [*boxes(6), part(1, 8, BOX), *stray])
    listing = read(tmp_path, "all.json", "")
    assert {"wheel", "hood"} <= set(listing.landmark_names)
    assert len(listing.odd) == len(stray)
    name = next(one["name"] for one in categories if one["id"] == stray[0]["category_id"])
    assert listing.odd[0] == (
        "all.json: annotations[7] (b.jpg)",
        "has keypoints, and most annotations have none: only its box is used; "
        f"data.category={name} takes keypoints",
    )
    taken = read(tmp_path, "all.json", "", category=name, crop_margin=0)
    known = [one.points[0, 0].tolist() for one in taken.records if np.isfinite(one.points).any()]
    assert len(taken.landmark_names) == 1 and known == [[5, 5]] * len(stray)


NOTHING = {
    "zeros": ({"keypoints": [0, 0, 0]}, {}),
    "nulls": ({"keypoints": [None, None, 0]}, {}),
    "empty": ({"keypoints": []}, {}),
    "null": ({"keypoints": None}, {}),
    "names alone": ({}, {"keypoints": ["hub"]}),
}


@pytest.mark.parametrize("case", NOTHING)
def test_keypoints_that_say_nothing_leave_the_boxes(tmp_path, case):
    rest, names = NOTHING[case]
    categories = [{**PARTS[0], **names}, *PARTS[1:]]
    annotations = [{**one, **rest} for one in [*boxes(4), *boxes(2, 8)]]
    write(tmp_path / "all.json", IMAGES, categories, annotations)
    listing = read(tmp_path, "all.json", "")
    assert listing.landmark_names == ("wheel", "hood") and not listing.odd


@pytest.mark.parametrize("count", [1, 5])
def test_named_keypoints_are_wanted_whatever_else_there_is(tmp_path, count):
    others = [part(1, 2, BOX)] * count
    write(tmp_path / "all.json", IMAGES, PEOPLE, [keypoints(1, 5, 6, 2, 7, 8, 2), *others])
    listing = read(tmp_path, "all.json", "")
    assert listing.landmark_names == ("head", "foot")
    assert listing.notes[1:] == (
        f"annotations that are not of 'person' left out: {count}, such as annotations[1] (a.jpg): "
        "of 'dog'",
    )


def test_objects_whose_keypoints_nobody_labelled_do_not_decide(tmp_path):
    unlabelled = [keypoints(2, *[0] * 6)] * 5
    write(tmp_path / "all.json", IMAGES, PEOPLE, [keypoints(1, 5, 6, 2, 7, 8, 2), *unlabelled])
    listing = read(tmp_path, "all.json", "", crop_margin=0)
    assert listing.landmark_names == ("head", "foot") and len(listing.records) == 6


@pytest.mark.parametrize("values", [[0] * 6, [5, 6, 0, 7, 8, 0]])
def test_a_file_without_a_labelled_keypoint_says_their_counts(tmp_path, values):
    write(tmp_path / "all.json", IMAGES, PEOPLE, [keypoints(1, *values), keypoints(2, *values)])
    with pytest.raises(errors.DataError, match=r"no part.* 0 visible.* 4 not labelled \(0\)"):
        read(tmp_path, "all.json", "")


def test_a_category_that_nothing_is_of_is_said(tmp_path):
    write(tmp_path / "all.json", IMAGES, PEOPLE, [part(1, 2, BOX, keypoints=[5, 5, 2])])
    with pytest.raises(errors.DataError, match="no part.*not of 'person' left out: 1, .* of 'dog'"):
        read(tmp_path, "all.json", "", category="person")
