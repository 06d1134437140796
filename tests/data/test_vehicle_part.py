"""VehiclePart's layout, made here: MATLAB files, instances, objects of one image."""

import numpy as np
import pytest
from scipy import io

from partdisc import errors
from partdisc.data import vehicle_part


def cell(*rows):
    """A MATLAB cell array of one column."""
    made = np.empty((len(rows), 1), object)
    made[:, 0] = rows
    return made


def row(x0, y0, x1, y1, part):
    return [1, 1, 2, 2, x0, y0, x1, y1, part]


def save_parts(path, *objects):
    anno = np.empty((len(objects), 2), object)
    for i, parts in enumerate(objects):
        arrays = [np.array(one, float).reshape(-1, 9) if one else np.zeros((0, 0)) for one in parts]
        anno[i] = "car", cell(*arrays)
    io.savemat(path, {"anno": anno})


def save_boxes(path, *boxes):
    objects = np.array([tuple([np.array([box], float)]) for box in boxes], [("bbox", object)])
    io.savemat(path, {"record": {"objects": objects.reshape(1, -1)}})


@pytest.fixture
def root(tmp_path):
    """Two images; the first has two cars, of which the second has two of its part 1."""
    for folder in (
        "sp/file_list/train_list", "sp/file_list/test_list", "p3d/Images/car_imagenet",
        "p3d/Annotations/car_imagenet", "sp/car_imagenet/transfered",
    ):  # fmt: skip
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "sp/file_list/train_list/car_train.txt").write_text("n01_1 1\nn01_1 2\n")
    (tmp_path / "sp/file_list/test_list/car_test.txt").write_text("n01_2 1\ngone 1\n")
    for name in ("n01_1", "n01_2"):
        (tmp_path / f"p3d/Images/car_imagenet/{name}.JPEG").write_bytes(b"x")
    parts = tmp_path / "sp/car_imagenet/transfered"
    two = [row(1, 1, 3, 5, 1), row(11, 21, 13, 25, 1)]
    save_parts(parts / "n01_1.mat", ([row(5, 3, 7, 9, 1)], []), (two, [row(2, 2, 2, 2, 2)]))
    save_parts(parts / "n01_2.mat", ([], [row(1, 1, 1, 1, 2)]))
    boxes = tmp_path / "p3d/Annotations/car_imagenet"
    save_boxes(boxes / "n01_1.mat", (1, 1, 10, 20), (5, 6, 7, 8))
    save_boxes(boxes / "n01_2.mat", (1, 2, 30, 40))
    return tmp_path


def test_objects_boxes_and_instances(root):
    listing = vehicle_part.read(root, "car")
    assert [(one.key, one.splits) for one in listing.records] == [
        ("n01_1#1", ("train", "fit")), ("n01_1#2", ("train", "fit")), ("n01_2#1", ("test",)),
    ]  # fmt: skip
    assert listing.landmark_names == ("part 1", "part 2") and listing.instances == 2
    first, second, third = (one.load() for one in listing.records)
    # MATLAB counts from 1: columns 5 to 7 have their centre at 5 from 0.
    np.testing.assert_array_equal(first.points[0, 0], (5, 5))
    assert np.isnan(first.points[0, 1]).all() and np.isnan(first.points[1]).all()
    np.testing.assert_array_equal(second.points[0], [(2, 1), (22, 11)])
    np.testing.assert_array_equal(third.points[1, 0], (0, 0))
    # Columns 1 to 10 and rows 1 to 20 with their edges.
    np.testing.assert_array_equal(first.box, [-0.5, -0.5, 19.5, 9.5])
    np.testing.assert_array_equal(second.box, [4.5, 3.5, 7.5, 6.5])
    assert dict(listing.problems) == {"gone#1": "in car_test.txt, but gone.JPEG: no such file"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n01_1 1\nn01_3 1 2\n", "car_train.txt, line 2: 3 columns instead of 2"),
        ("n01_1 1\nn01_3\n", "car_train.txt, line 2: 1 columns instead of 2"),
    ],
)
def test_a_row_of_no_use_costs_its_image_alone(root, text, message):
    (root / "sp/file_list/train_list/car_train.txt").write_text(text)
    listing = vehicle_part.read(root, "car")
    assert [one.key for one in listing.records] == ["n01_1#1", "n01_2#1"]
    assert dict(listing.problems)["n01_3"].endswith(message)


def problem(root):
    return dict(vehicle_part.read(root, "car").problems)


def test_malformed_annotation_is_a_problem_of_its_image(root):
    parts = root / "sp/car_imagenet/transfered/n01_2.mat"
    io.savemat(parts, {"other": 1})
    assert problem(root)["n01_2#1"].endswith("n01_2.mat: has no variable 'anno'")
    parts.write_bytes(b"x")
    assert "not a MATLAB file" in problem(root)["n01_2#1"]
    parts.unlink()
    assert problem(root)["n01_2#1"].endswith("n01_2.mat: no such file")
    anno = np.empty((1, 2), object)
    anno[0] = "car", cell(np.zeros((1, 8)), np.zeros((0, 0)))
    io.savemat(parts, {"anno": anno})
    assert "part 1 of object 1 is (1, 8), not rows of 9" in problem(root)["n01_2#1"]
    save_boxes(root / "p3d/Annotations/car_imagenet/n01_1.mat", (1, 1, 10, 20))
    assert "no record.objects(2).bbox" in problem(root)["n01_1#2"]
    save_boxes(root / "p3d/Annotations/car_imagenet/n01_1.mat", (1, np.nan, 10, 20))
    assert "no record.objects(1).bbox" in problem(root)["n01_1#1"]


def test_objects_are_counted_from_1(root):
    path = root / "sp/file_list/train_list/car_train.txt"
    path.write_text("n01_1 1\nn01_1 0\nn01_1 x\n")
    found = problem(root)
    assert found["n01_1#0"].endswith("car_train.txt, line 2: '0' is no number of an object")
    assert found["n01_1#x"].endswith("line 3: 'x' is no number of an object")


def test_a_row_of_parts_is_read_as_a_column_is(root):
    path = root / "sp/car_imagenet/transfered/n01_2.mat"
    before = [one.load().points for one in vehicle_part.read(root, "car").records]
    anno = io.loadmat(path)["anno"]
    anno[0, 1] = anno[0, 1].T
    io.savemat(path, {"anno": anno})
    after = [one.load().points for one in vehicle_part.read(root, "car").records]
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("odd", ["n01_1", "n01_2"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_objects_have_as_many_parts_as_most(root, odd, count):
    """Whether the odd file comes first or last."""
    parts = root / "sp/car_imagenet/transfered"
    for name in ("n01_3", "n01_4"):
        (root / f"p3d/Images/car_imagenet/{name}.JPEG").write_bytes(b"x")
        save_boxes(root / f"p3d/Annotations/car_imagenet/{name}.mat", (1, 2, 30, 40))
        save_parts(parts / f"{name}.mat", ([row(5, 3, 7, 9, 1)], []))
    with (root / "sp/file_list/test_list/car_test.txt").open("a") as lists:
        lists.write("n01_3 1\nn01_4 1\n")
    save_parts(parts / f"{odd}.mat", *2 * [[[row(1, 1, 1, 1, 1)] for _ in range(count)]])
    listing = vehicle_part.read(root, "car")
    assert listing.landmark_names == ("part 1", "part 2")
    assert not [one for one in listing.records if odd in one.key] and len(listing.records) >= 3
    bad = {name: reason for name, reason in listing.problems if odd in name}
    assert set(bad) == ({"n01_1#1", "n01_1#2"} if odd == "n01_1" else {"n01_2#1"})
    for reason in bad.values():
        assert reason == f"{parts / odd}.mat: {count} parts, where most objects have 2"


def test_unknown_category(root):
    with pytest.raises(errors.ConfigError, match="config.data.category is 'boat'; allowed: aero"):
        vehicle_part.read(root, "boat")
    with pytest.raises(errors.DataError, match="Images/bus_imagenet: no such folder"):
        vehicle_part.read(root, "bus")
