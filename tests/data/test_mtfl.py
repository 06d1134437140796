"""MTFL's official layout: backslashes, coordinates from 1, images in neither list."""

import numpy as np
import pytest

from partdisc import errors
from partdisc.data import mtfl

POINTS = "10 20 30 40 50 1 2 3 4 5"


@pytest.fixture
def root(tmp_path):
    for key in ("lfw_5590/a.jpg", "net_7876/b.jpg", "net_7876/c.jpg", "AFLW/d.jpg"):
        (tmp_path / key).parent.mkdir(exist_ok=True)
        (tmp_path / key).write_bytes(b"x")
    (tmp_path / "training.txt").write_text(
        f" lfw_5590\\a.jpg {POINTS} 1 2 2 3\r\n net_7876\\b.jpg {POINTS} 2 2 2 3\r\n"
        f" net_7876\\gone.jpg {POINTS} 2 2 2 3\r\n \r\n"
    )
    (tmp_path / "testing.txt").write_text(f" AFLW\\d.jpg {POINTS} 1 1 1 1\n\n")
    return tmp_path


def test_splits_and_points(root):
    listing = mtfl.read(root)
    assert [(one.key, one.splits) for one in listing.records] == [
        ("lfw_5590/a.jpg", ("train", "fit")),
        ("net_7876/b.jpg", ("train", "fit")),
        ("AFLW/d.jpg", ("test",)),
    ]
    expected = [(0, 9), (1, 19), (2, 29), (3, 39), (4, 49)]
    np.testing.assert_array_equal(listing.records[0].load().points, expected)
    np.testing.assert_array_equal(listing.records[0].load().box, [-10, -1, 14, 59])
    assert dict(listing.problems) == {"net_7876/gone.jpg": "in training.txt, but no such file"}
    assert listing.notes[1:] == ("1 images are in neither list",)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("1 2 2 3\r\n", "1 2 2\r\n", "line 1: 14 columns instead of 15"),
        ("2 2 3\r\n", "2 2 3\r\n lfw_5590\\a.jpg 7" + POINTS[1:] + " 1 2 2 3\r\n", "line 2: TWICE"),
        ("10 20", "inf 20", "line 1: 'inf' is no finite number"),
        ("10 20", "10 left", "line 1: 'left' is no finite number"),
    ],
)
def test_a_row_of_no_use_costs_its_image_alone(root, old, new, reason):
    path = root / "training.txt"
    path.write_text(path.read_bytes().decode().replace(old, new, 1), newline="")
    listing = mtfl.read(root)
    assert [one.key for one in listing.records] == ["net_7876/b.jpg", "AFLW/d.jpg"]
    assert dict(listing.problems)["lfw_5590/a.jpg"] == f"{path}, {reason}".replace(
        "TWICE", "'lfw_5590\\a.jpg' is in line 1 too, otherwise"
    )
    assert listing.notes[1:] == ("1 images are in neither list",)


def test_an_empty_list_is_named(root):
    (root / "testing.txt").write_text(" \n")
    with pytest.raises(errors.DataError, match="testing.txt: no row in it"):
        mtfl.read(root)


def test_real_mtfl(real_data):
    root = real_data / "MTFL"
    if not root.is_dir():
        pytest.skip("no MTFL here")
    listing = mtfl.read(root)
    assert len(listing.records) == 2400 and not listing.problems
    points = np.array([one.load().points for one in listing.records[:200]])
    left_eye, right_eye, nose, left_mouth, right_mouth = np.swapaxes(points, 0, 1)
    assert (right_eye[:, 1] > left_eye[:, 1]).mean() > 0.95
    assert (left_mouth[:, 0] > left_eye[:, 0]).mean() > 0.95
