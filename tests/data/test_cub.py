"""CUB's official layout: boxes, parts, ids with gaps, and lists that disagree."""

import numpy as np
import pytest

from partdisc import errors
from partdisc.data import cub

KEYS = ("a/one.jpg", "a/two.jpg", "b/one.jpg")


@pytest.fixture
def root(tmp_path):
    """Images 3, 7 and 20, two parts; nothing but image 3 has its part 1 visible."""
    root = tmp_path
    (root / "parts").mkdir()
    for key in KEYS:
        (root / "images" / key).parent.mkdir(parents=True, exist_ok=True)
        (root / "images" / key).write_bytes(b"x")
    write = {
        "images.txt": "3 a/one.jpg\n7 a/two.jpg\n20 b/one.jpg\n",
        "train_test_split.txt": "3 1\n7 0\n20 1\n",
        "bounding_boxes.txt": "3 70.0 50.0 134.0 303.0\n7 0.0 0.0 5.0 6.0\n20 1 1 2 2\n",
        "parts/parts.txt": "1 back\r\n2 left eye\r\n",
        "parts/part_locs.txt": "3 1 4.0 9.0 1\n3 2 0.0 0.0 0\n7 1 0.0 0.0 0\n7 2 8.0 2.0 1\n"
        "20 1 0 0 0\n20 2 0 0 0\n",
    }
    for path, text in write.items():
        (root / path).write_text(text, newline="")
    return root


def test_splits_parts_and_boxes(root):
    listing = cub.read(root)
    assert [(one.key, one.splits) for one in listing.records] == [
        ("a/one.jpg", ("train", "fit")),
        ("a/two.jpg", ("test",)),
        ("b/one.jpg", ("train", "fit")),
    ]
    assert listing.landmark_names == ("back", "left eye")
    assert listing.eyes is None and not listing.problems
    first, second, third = (one.load() for one in listing.records)
    np.testing.assert_array_equal(first.points, [(9, 4), (np.nan, np.nan)])
    np.testing.assert_array_equal(second.points, [(np.nan, np.nan), (2, 8)])
    assert np.isnan(third.points).all()
    # 134 columns from the outer edge of column 70.
    np.testing.assert_array_equal(first.box, [49.5, 69.5, 352.5, 203.5])


@pytest.mark.parametrize(
    ("path", "old", "new", "problem"),
    [
        ("images.txt", "7 a/two.jpg", "7 a/gone.jpg", ("a/gone.jpg", "no such file")),
        ("images.txt", "7 a/two.jpg\n", "", ("a/two.jpg", "not in images.txt")),
        ("bounding_boxes.txt", "20 1 1 2 2\n", "", ("b/one.jpg", "id 20 is not in bounding_boxes")),
        ("train_test_split.txt", "20 1\n", "", ("b/one.jpg", "id 20 is not in train_test_split")),
        ("parts/part_locs.txt", "20 1 0 0 0\n20 2 0 0 0\n", "", ("b/one.jpg", "part_locs.txt")),
        ("images.txt", "7 a", "7 b/one.jpg\n7 a", ("7", "line 3: '7' is in line 2 too, otherwise")),
        ("images.txt", "7 a/two.jpg", "7", ("7", "images.txt, line 2: 1 columns instead of 2")),
        ("bounding_boxes.txt", "20 1 1 2 2", "20 1 1 2", ("b/one.jpg", "line 3: 4 columns")),
        ("bounding_boxes.txt", "20 1 1", "20 1 wide", ("b/one.jpg", "'wide' is no finite number")),
        ("bounding_boxes.txt", "20 1", "20 nan", ("b/one.jpg", "line 3: 'nan' is no finite")),
        ("bounding_boxes.txt", "134.0 303", "134.0 0", ("a/one.jpg", "134 wide and 0 high, with")),
        ("bounding_boxes.txt", "134.0", "-134.0", ("a/one.jpg", "its box is -134 wide and 303")),
        (
            "bounding_boxes.txt",
            "20 1 1 2 2",
            "20 1 1 2 2\n3 1 1 2 2",
            ("a/one.jpg", "line 4: '3' is in line 1"),
        ),
        ("parts/part_locs.txt", "7 2 8.0", "7 2 nan", ("a/two.jpg", "line 4: 'nan' is no finite")),
        ("parts/part_locs.txt", "7 2 8.0", "7 9 8.0", ("a/two.jpg", "'9' is none of 1, 2")),
        ("parts/part_locs.txt", "7 2 8.0", "7 1 8.0", ("a/two.jpg", "'7 1' is in line 3 too")),
        ("train_test_split.txt", "7 0", "7 yes", ("a/two.jpg", "line 2: 'yes' is none of 0, 1")),
    ],
)
def test_a_row_of_no_use_costs_its_image_alone(root, path, old, new, problem):
    text = (root / path).read_text()
    assert old in text
    (root / path).write_text(text.replace(old, new))
    listing = cub.read(root)
    name, reason = problem
    assert any(one.name == name and reason in one.reason for one in listing.problems)
    keys = [one.key for one in listing.records]
    lost = name if name in KEYS else "a/two.jpg"
    assert keys == [key for key in KEYS if key != lost]


@pytest.mark.parametrize("row", ["3 2 nan nan 0", "3 2 x y 0", "3 2 1e308 -1 0"])
def test_where_an_unseen_part_lies_is_not_read(root, row):
    path = root / "parts/part_locs.txt"
    path.write_text(path.read_text().replace("3 2 0.0 0.0 0", row))
    listing = cub.read(root)
    assert len(listing.records) == 3 and not listing.problems
    assert np.isnan(listing.records[0].points[1]).all()


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("bounding_boxes.txt", "", "no row in it"),
        ("images.txt", "\n\n", "no row in it"),
        ("parts/parts.txt", "1 back\n\n2\n", "line 3: needs a number and a name"),
        ("parts/parts.txt", "1 back\n1 tail\n", "line 2: '1 tail' is there twice"),
        ("parts/parts.txt", "1 back\n2\tback\n", "line 2: .* is there twice"),
    ],
)
def test_malformed_lists_are_named(root, path, text, message):
    (root / path).write_text(text)
    with pytest.raises(errors.DataError, match=message) as caught:
        cub.read(root)
    assert path in str(caught.value)


def test_a_mark_of_byte_order_is_no_part_of_a_list(root):
    before = cub.read(root)
    for path in ("images.txt", "train_test_split.txt", "parts/parts.txt"):
        (root / path).write_text("\ufeff" + (root / path).read_text(), encoding="utf-8")
    after = cub.read(root)
    assert [one.key for one in after.records] == [one.key for one in before.records]
    assert after.landmark_names == before.landmark_names and not after.problems


def test_an_absent_list_is_named(root):
    (root / "parts" / "part_locs.txt").unlink()
    with pytest.raises(errors.DataError, match="part_locs.txt"):
        cub.read(root)


def test_one_species_alone(root):
    (root / "image_class_labels.txt").write_text("3 1\n7 1\n20 2\n")
    assert [one.key for one in cub.read(root, "001").records] == ["a/one.jpg", "a/two.jpg"]
    assert len(cub.read(root, "1,").records) == 2
    assert len(cub.read(root, ",").records) == len(cub.read(root).records)
    listing = cub.read(root, "2, 1")
    assert len(listing.records) == 3 and not listing.problems
    with pytest.raises(errors.ConfigError, match="has no species '3'; it numbers 2 from 1 to 2"):
        cub.read(root, "3")
    (root / "image_class_labels.txt").write_text("3 001\n7 001\n20 002\n")
    assert len(cub.read(root, "1").records) == 2
    (root / "image_class_labels.txt").write_text("3 1\n7 sparrow\n20 2\n")
    listing = cub.read(root, "1")
    assert [one.key for one in listing.records] == ["a/one.jpg"]
    assert [one.name for one in listing.problems] == ["a/two.jpg"]
    for text, message in (("", "no row in it"), ("3 sparrow\n", "line 1: 'sparrow' is no")):
        (root / "image_class_labels.txt").write_text(text)
        with pytest.raises(errors.DataError, match=message):
            cub.read(root, "1")


def test_real_cub(real_data):
    root = real_data / "CUB_200_2011"
    if not root.is_dir():
        pytest.skip("no CUB here")
    listing = cub.read(root)
    assert len(listing.landmark_names) == 15 and not listing.problems
    samples = [one.load() for one in listing.records[:50]]
    inside = [
        ((sample.points >= sample.box[:2]) & (sample.points <= sample.box[2:])).all(axis=1)
        for sample in samples
    ]
    visible = [np.isfinite(sample.points).all(axis=1) for sample in samples]
    assert sum(map(np.sum, inside)) > 0.97 * sum(map(np.sum, visible)) > 300


def test_the_outer_folder_of_the_archive_may_be_named(root, tmp_path):
    expected = [one.key for one in cub.read(root).records]
    outer = tmp_path / "downloads"
    outer.mkdir()
    for path in list(root.iterdir()):
        if path != outer:
            (outer / "CUB_200_2011").mkdir(exist_ok=True)
            path.rename(outer / "CUB_200_2011" / path.name)
    (outer / "attributes.txt").write_text("")
    assert [one.key for one in cub.read(outer).records] == expected
    # In two folders it is not told which one is meant.
    (outer / "copy").mkdir()
    (outer / "copy" / "images.txt").write_text("")
    with pytest.raises(errors.DataError, match="images.txt: no such file"):
        cub.read(outer)


def test_letter_case_does_not_count_and_another_name_is_said(root):
    expected = [one.key for one in cub.read(root).records]
    (root / "images.txt").rename(root / "Images.TXT")
    (root / "parts").rename(root / "Parts")
    assert [one.key for one in cub.read(root).records] == expected
    (root / "images").rename(root / "images_v2")
    with pytest.raises(errors.DataError, match=r"images: no such folder; there is .*images_v2"):
        cub.read(root)
    (root / "train_test_split.txt").rename(root / "train_test_splits.txt")
    with pytest.raises(errors.DataError, match=r"split.txt: no such file; there is .*_splits.txt"):
        cub.read(root)
