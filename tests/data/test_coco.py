"""COCO files: keypoints and parts, instances, crops to objects, and what is malformed."""

import json

import numpy as np
import pytest

from partdisc import errors
from partdisc.data import coco

NAN = np.nan
IMAGES = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
PARTS = [{"id": 7, "name": "wheel"}, {"id": 8, "name": "hood"}, {"id": 9, "name": "horn"}]
PEOPLE = [{"id": 1, "name": "person", "keypoints": ["head", "foot"]}, {"id": 2, "name": "dog"}]


def part(image, category, bbox=None, **rest):
    made = {"image_id": image, "category_id": category, "iscrowd": 0, **rest}
    return made if bbox is None else {**made, "bbox": bbox}


def write(path, images, categories, annotations):
    path.parent.mkdir(parents=True, exist_ok=True)
    for one in images:
        (path.parent / one.get("file_name", "unnamed")).write_bytes(b"x")
    content = {"images": images, "categories": categories, "annotations": annotations}
    path.write_text(json.dumps(content))
    return path


TWO_WHEELS = [[0, 10, 4, 10, 4, 14, 0, 14], [20, 10, 24, 10, 24, 14]]


@pytest.fixture
def root(tmp_path):
    """Two cars; the wheels of the first are one annotation of two polygons."""
    write(
        tmp_path / "train" / "annotations.json", IMAGES, PARTS,
        [
            part(1, 7, [0, 10, 24, 4], segmentation=TWO_WHEELS),
            part(1, 8, [10, 0, 6, 2]),
            part(2, 7, iscrowd=1, segmentation={"counts": [1], "size": [1, 1]}),
        ],
    )  # fmt: skip
    write(tmp_path / "test" / "annotations.json", IMAGES[:1], PARTS, [part(1, 8, [2, 2, 4, 4])])
    return tmp_path


def read(root, **options):
    return coco.read(root, "train/annotations.json", "test/annotations.json", **options)


def test_parts_are_centres_of_boxes(root):
    listing = read(root)
    assert [(one.key, one.splits) for one in listing.records] == [
        ("train/a.jpg", ("train", "fit")),
        ("train/b.jpg", ("train", "fit")),
        ("test/a.jpg", ("test",)),
    ]
    assert listing.landmark_names == ("wheel", "hood") and listing.instances == 1
    first, second, third = (one.load() for one in listing.records)
    np.testing.assert_array_equal(first.points, [[(11.5, 11.5)], [(0.5, 12.5)]])
    np.testing.assert_array_equal(first.box, [-0.5, -0.5, 13.5, 23.5])
    assert np.isnan(second.points).all() and np.isnan(second.box).all()
    np.testing.assert_array_equal(third.points, [[(NAN, NAN)], [(3.5, 3.5)]])
    assert listing.notes == (
        f"{root / 'train' / 'annotations.json'}: 1 crowd regions left out",
        "parts without any annotation left out: horn",
    )


def test_polygons_can_be_instances(root):
    listing = read(root, split_polygons="wheel")
    assert listing.instances == 2
    points = listing.records[0].load().points
    np.testing.assert_array_equal(points[0], [(11.5, 1.5), (11.5, 21.5)])
    np.testing.assert_array_equal(points[1], [(0.5, 12.5), (NAN, NAN)])
    with pytest.raises(errors.DataError, match="names 'wheels'; the parts are wheel, hood, horn"):
        read(root, split_polygons="wheels")


def keypoints(image, *values, **rest):
    return part(image, 1, [0, 0, 10, 20], keypoints=list(values), **rest)


def test_keypoints_are_parts_of_objects(tmp_path):
    annotations = [
        keypoints(1, 5, 6, 2, 7, 8, 1),
        keypoints(2, 1, 2, 2, 3, 4, 2),
        {**keypoints(2, 0, 0, 0, 9, 9, 2), "bbox": [20, 0, 4, 4]},
        part(1, 2, [0, 0, 1, 1]),
    ]
    write(tmp_path / "all.json", IMAGES, PEOPLE, annotations)
    listing = coco.read(tmp_path, "all.json", "", cropped=True)
    assert [one.key for one in listing.records] == ["a.jpg", "b.jpg#0", "b.jpg#1"]
    first, second, third = (one.load() for one in listing.records)
    np.testing.assert_array_equal(first.points, [[(6, 5)], [(NAN, NAN)]])  # 1 is hidden.
    np.testing.assert_array_equal(second.points, [[(2, 1)], [(4, 3)]])
    np.testing.assert_array_equal(third.box, [-0.5, 19.5, 3.5, 23.5])
    whole = coco.read(tmp_path, "all.json", "")
    assert [one.key for one in whole.records] == ["a.jpg"]
    assert whole.problems[0].name == "b.jpg" and "shows 2 objects" in whole.problems[0].reason


def test_images_may_lie_in_another_folder(root):
    (root / "pictures").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (root / "train" / name).rename(root / "pictures" / name)
    listing = coco.read(root, "train/annotations.json:pictures", "test/annotations.json")
    keys = [one.key for one in listing.records]
    assert keys == ["pictures/a.jpg", "pictures/b.jpg", "test/a.jpg"]
    absent = read(root).problems
    assert ("train/a.jpg", "in annotations.json, but no such file") in absent


def test_an_image_in_both_files_is_an_error(root):
    message = r"test/annotations.json: train/a.jpg is in .*train/annotations.json too"
    with pytest.raises(errors.DataError, match=message):
        coco.read(root, "train/annotations.json", "test/annotations.json:train")


BOX = [0, 0, 2, 2]
MALFORMED = {
    "no list of 'images'": [],
    "no list of 'annotations'": {"images": [], "categories": []},
    r"images\[1\]: id 1 is there twice": (2 * IMAGES[:1], PARTS, []),
    r"images\[0\]: needs an id and a file_name": ([{"id": 1}], PARTS, []),
    r"categories\[0\]: needs an id and a name": (IMAGES, [{"id": 1}], []),
    r"annotations\[0\]: image_id 5 is not": (IMAGES, PARTS, [part(5, 7, BOX)]),
    r"annotations\[0\]: image_id \[1\] is not": (IMAGES, PARTS, [part([1], 7, BOX)]),
    r"annotations\[2\]: id 4 is that of \[1\] too": (
        IMAGES, PARTS, [part(1, 7, BOX), part(1, 7, BOX, id=4), part(2, 7, BOX, id=4)]
    ),
    r"categories\[0\]: keypoints must be a list": (IMAGES, [{**PARTS[0], "keypoints": 2}], []),
    r"images\[1\]: file_name 'a.jpg' is there twice": (
        [IMAGES[0], {**IMAGES[0], "id": 5}], PARTS, []
    ),
    r"categories\[0\]: a name is twice": (IMAGES, [{**PARTS[0], "keypoints": ["a", "a"]}], []),
    r"annotations\[0\]: bbox must be 4 finite n": (IMAGES, PARTS, [part(1, 7, [0, 0, 10**400, 1])]),
    r"annotations\[1\]: category_id 5 is": (IMAGES, PARTS, [part(1, 7, BOX), part(1, 5, BOX)]),
    r"annotations\[0\]: bbox must be 4 finite": (IMAGES, PARTS, [part(1, 7, [0, 0, 1])]),
    r"annotations\[0\]: bbox must be 4": (IMAGES, PARTS, [part(1, 7, [0, 0, NAN, 1])]),
    r"annotations\[0\]: bbox .* has no area": (IMAGES, PARTS, [part(1, 7, [0, 0, 0, 1])]),
    r"annotations\[0\]: needs a bbox or polygons": (IMAGES, PARTS, [part(1, 7)]),
    r"annotations\[0\]: segmentation must be pairs": (
        IMAGES, PARTS, [part(1, 7, segmentation=[[0, 0, 1, 1, 2]])]
    ),
    r"annotations\[0\]: keypoints must be 6": (IMAGES, PEOPLE, [part(1, 1, keypoints=[1, 1, 2])]),
    "no part is annotated in any image": (IMAGES, PARTS, []),
}  # fmt: skip


@pytest.mark.parametrize("message", MALFORMED)
def test_malformed_files_are_named(tmp_path, message):
    given = MALFORMED[message]
    if isinstance(given, tuple):
        write(tmp_path / "all.json", *given)
    else:
        (tmp_path / "all.json").write_text(json.dumps(given))
    with pytest.raises(errors.DataError, match=message) as caught:
        coco.read(tmp_path, "all.json", "")
    assert str(tmp_path / "all.json") in str(caught.value)


def test_a_test_file_without_keypoints_is_named(tmp_path):
    write(tmp_path / "all.json", IMAGES, PEOPLE, [keypoints(1, 5, 6, 2, 7, 8, 2)])
    write(tmp_path / "test.json", IMAGES, [{"id": 1, "name": "person"}], [])
    with pytest.raises(errors.DataError, match="keypoints of 'person' are not those of"):
        coco.read(tmp_path, "all.json", "test.json", category="person")


def test_objects_of_one_image_in_both_files_are_an_error(tmp_path):
    one, two = (keypoints(1, 5, 6, 2, 7, 8, 2), keypoints(1, 1, 2, 2, 3, 4, 2))
    for name, annotations in (("train.json", [one]), ("test.json", [one, two])):
        write(tmp_path / name, IMAGES[:1], PEOPLE, annotations)
    with pytest.raises(errors.DataError, match="a.jpg is in .*train.json too"):
        coco.read(tmp_path, "train.json", "test.json", cropped=True)


def test_names_of_files_may_be_written_otherwise(root):
    path = root / "train" / "annotations.json"
    content = json.loads(path.read_text())
    content["images"][0]["file_name"] = "./a.jpg"
    (root / "train" / "more").mkdir()
    (root / "train" / "b.jpg").rename(root / "train" / "more" / "b.jpg")
    content["images"][1]["file_name"] = "more\\b.jpg"
    path.write_text("\ufeff" + json.dumps(content))
    listing = read(root)
    assert [one.key for one in listing.records][:2] == ["train/a.jpg", "train/more/b.jpg"]
    assert not listing.problems


def test_what_is_no_json_is_named_with_its_line(tmp_path):
    (tmp_path / "all.json").write_text('{\n"images": [,]}')
    with pytest.raises(errors.DataError, match="all.json, line 2: "):
        coco.read(tmp_path, "all.json", "")
    with pytest.raises(errors.DataError, match="gone.json: No such file"):
        coco.read(tmp_path, "gone.json", "")
    with pytest.raises(errors.DataError, match="data.coco_train is empty"):
        coco.read(tmp_path, "", "")


def test_categories_of_keypoints(tmp_path):
    people = [PEOPLE[0], {"id": 2, "name": "dog", "keypoints": ["tail"]}]
    write(tmp_path / "all.json", IMAGES, people, [keypoints(1, 5, 6, 2, 7, 8, 2)])
    with pytest.raises(errors.DataError, match="must name one of person, dog"):
        coco.read(tmp_path, "all.json", "")
    with pytest.raises(errors.DataError, match="'cat'; with keypoints are: person, dog"):
        coco.read(tmp_path, "all.json", "", category="cat")
    assert coco.read(tmp_path, "all.json", "", category="person").landmark_names == ("head", "foot")
    write(tmp_path / "test.json", IMAGES, [{**people[0], "keypoints": ["foot", "head"]}], [])
    with pytest.raises(errors.DataError, match="keypoints of 'person' are not those of"):
        coco.read(tmp_path, "all.json", "test.json", category="person")


def test_real_car_parts(real_data):
    root = real_data / "car_parts"
    if not root.is_dir():
        pytest.skip("no car parts here")
    listing = read(root, split_polygons="wheel")
    assert len(listing.landmark_names) == 18 and len(listing.records) == 500
    assert not listing.problems and listing.instances >= 2
    for one in listing.records[:50]:
        sample = one.load()
        points = sample.points[np.isfinite(sample.points).all(-1)]
        assert ((points >= sample.box[:2]) & (points <= sample.box[2:])).all()
