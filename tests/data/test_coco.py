"""COCO files: keypoints and parts, instances, crops to objects, and what is malformed."""

import json

import numpy as np
import pytest
from coco_files import IMAGES, PARTS, PEOPLE, keypoints, part, read, write
from data_files import options, save

from partdisc import data, errors

NAN = np.nan
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


def test_keypoints_are_parts_of_objects(tmp_path):
    annotations = [
        keypoints(1, 5, 6, 2, 7, 8, 1),
        keypoints(2, 1, 2, 2, 3, 4, 2),
        {**keypoints(2, 0, 0, 0, 9, 9, 2), "bbox": [20, 0, 4, 4]},
        part(1, 2, [0, 0, 1, 1]),
    ]
    write(tmp_path / "all.json", IMAGES, PEOPLE, annotations)
    listing = read(tmp_path, "all.json", "", crop_margin=0.1)
    assert [one.key for one in listing.records] == ["a.jpg", "b.jpg#0", "b.jpg#1"]
    first, second, third = (one.load() for one in listing.records)
    np.testing.assert_array_equal(first.points, [[(6, 5)], [(8, 7)]])
    np.testing.assert_array_equal(second.points, [[(2, 1)], [(4, 3)]])
    np.testing.assert_array_equal(third.box, [-0.5, 19.5, 3.5, 23.5])
    whole = read(tmp_path, "all.json", "")
    assert [one.key for one in whole.records] == ["a.jpg"]
    assert whole.problems[0].name == "b.jpg" and "shows 2 objects" in whole.problems[0].reason


def test_images_may_lie_in_another_folder(root):
    (root / "pictures").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (root / "train" / name).rename(root / "pictures" / name)
    listing = read(root, "train/annotations.json:pictures", "test/annotations.json")
    keys = [one.key for one in listing.records]
    assert keys == ["pictures/a.jpg", "pictures/b.jpg", "test/a.jpg"]
    reasons = {one.name: one.reason for one in read(root).problems}
    assert reasons["train/a.jpg"].startswith("in annotations.json, but no such file")
    # A folder elsewhere does not come into the names, which stay when it moves.
    (root / "pictures").rename(root.parent / "elsewhere")
    listing = read(root, f"train/annotations.json:{root.parent / 'elsewhere'}", "")
    assert [one.key for one in listing.records] == ["a.jpg", "b.jpg"]


def test_an_image_in_both_files_is_an_error(root):
    message = r"test/annotations.json: train/a.jpg is in .*train/annotations.json too"
    with pytest.raises(errors.DataError, match=message):
        read(root, "train/annotations.json", "test/annotations.json:train")


BOX = [0, 0, 2, 2]
MALFORMED = {
    "no list of 'images'": [],
    "no list of 'annotations'": {"images": [], "categories": []},
    r"categories\[0\]: needs an id and a name": (IMAGES, [{"id": 1}], []),
    r"categories\[1\]: needs an id and a name": (IMAGES, [PARTS[0], {"id": 1, "name": ""}], []),
    r"categories\[0\]: needs an id and a n": (IMAGES, [None], []),
    r"categories\[1\]: id 7 is there twice": (IMAGES, 2 * PARTS[:1], []),
    r"no part .*; images that are not listed as they must be: 1, such as all.json: images\[0\]": (
        [{"id": True, "file_name": "a.jpg"}], PARTS, []
    ),
    r"categories\[0\]: keypoints must be a list": (IMAGES, [{**PARTS[0], "keypoints": 2}], []),
    r"categories\[0\]: a name is twice": (IMAGES, [{**PARTS[0], "keypoints": ["a", "a"]}], []),
    "no part is annotated in any image": (IMAGES, PARTS, []),
    r"no part .*; annotations with a fault: 1, such as annotation 4 \(a.jpg\): no bbox, and": (
        IMAGES, PARTS, [part(1, 7, id=4)]
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", MALFORMED)
def test_malformed_files_are_named(tmp_path, message):
    given = MALFORMED[message]
    if isinstance(given, tuple):
        write(tmp_path / "all.json", *given)
    else:
        (tmp_path / "all.json").write_text(json.dumps(given))
    with pytest.raises(errors.DataError, match=message) as caught:
        read(tmp_path, "all.json", "")
    assert str(tmp_path / "all.json") in str(caught.value)


LINE = [3, 3, 9, 3, 20, 3]
ODD_PARTS = {
    "image_id 5 is not among the ids": part(5, 7, BOX),
    "image_id [1] is not among the ids": part([1], 7, BOX),
    "category_id 5 is not among the ids": part(1, 5, BOX),
    "category_id None is not among the ids": {"image_id": 1, "bbox": BOX},
    "must be an annotation, not None": None,
    "must be an annotation, not [1, 7]": [1, 7],
    "bbox must be 4 finite numbers, not [0, 0, 1]": part(1, 7, [0, 0, 1]),
    "bbox must be 4 finite numbers, not [0, 0, nan, 1]": part(1, 7, [0, 0, NAN, 1]),
    "bbox must be 4 finite numbers, not 'left'": part(1, 7, "left"),
    "bbox must be 4 finite numbers, not [[0, 0], [1, 1]]": part(1, 7, [[0, 0], [1, 1]]),
    "bbox must be 4 finite numbers, not [0, 0, 1000": part(1, 7, [0, 0, 10**400, 1]),
    "bbox [3, 3, 17, 0] has no area": part(1, 7, [3, 3, 17, 0]),
    "bbox [0, 0, -2, 2] has no area": part(1, 7, [0, 0, -2, 2]),
    "no bbox, and no polygons as segmentation": part(1, 7),
    "no bbox, and segmentation is a mask (RLE), of which no box is made: give its bbox": part(
        1, 7, segmentation={"counts": [1], "size": [1, 1]}
    ),
    "no bbox, and a polygon of segmentation has 2 points, and needs 3 points": part(
        1, 7, segmentation=[[0, 0, 1, 1]]
    ),
    "a polygon of segmentation has an odd number of coordinates": part(
        1, 7, segmentation=[[0, 0, 1, 1, 2, 2, 3]]
    ),
    "a polygon of segmentation has no area": part(1, 7, [3, 3, 17, 0], segmentation=[LINE]),
    "a polygon of segmentation must be a list of finite numbers, not 4": part(
        1, 7, segmentation=[4]
    ),
}


@pytest.mark.parametrize("reason", ODD_PARTS)
def test_one_odd_part_costs_itself_alone(tmp_path, reason):
    sound = [part(1, 7, BOX, id=1), part(2, 8, BOX, id=2)]
    write(tmp_path / "all.json", IMAGES, PARTS, [*sound, ODD_PARTS[reason]])
    listing = read(tmp_path, "all.json", "")
    assert len(listing.records) == 2 and listing.annotations == 3
    (odd,) = listing.odd
    assert odd.name.startswith("all.json: annotation") and reason in odd.reason
    assert len(odd.reason) < 250
    points = [one.points[np.isfinite(one.points)].tolist() for one in listing.records]
    assert points == [[0.5, 0.5], [0.5, 0.5]]


ODD_OBJECTS = {
    "no keypoints, and no bbox, and no polygons": {},
    "keypoints must be 6 numbers, x, y and visibility of each, not [1, 1, 2]": {
        "keypoints": [1, 1, 2]
    },
    "a keypoint's visibility is None, not 0, 1 or 2": {"keypoints": [None] * 6},
    "a keypoint's visibility is 7, not 0, 1 or 2": {"keypoints": [1, 1, 2, 3, 3, 7]},
}


@pytest.mark.parametrize("reason", ODD_OBJECTS)
@pytest.mark.parametrize("bbox", [None, [1, 1, 5, 0]])
def test_one_odd_object_costs_itself_alone(tmp_path, reason, bbox):
    odd = {"image_id": 2, "category_id": 1, "bbox": bbox, "id": 9, **ODD_OBJECTS[reason]}
    write(tmp_path / "all.json", IMAGES, PEOPLE, [keypoints(1, 5, 6, 2, 7, 8, 2), odd])
    listing = read(tmp_path, "all.json", "")
    if bbox is None or reason[:2] != "no":
        assert reason in listing.odd[0].reason
    assert [one.name for one in listing.odd] == ["all.json: annotation 9 (b.jpg)"]
    assert np.isnan(listing.records[1].points).all()


ANSWERED = {
    "bbox for two points": part(1, 7, [0, 0, 4, 8], segmentation=[[0, 0, 1, 1]]),
    "bbox for null": part(1, 7, [0, 0, 4, 8], segmentation=None),
    "bbox for none": part(1, 7, [0, 0, 4, 8], segmentation=[]),
    "bbox for a mask": part(1, 7, [0, 0, 4, 8], segmentation={"counts": [1], "size": [1, 1]}),
    "polygon for null": dict(part(1, 7), bbox=None, segmentation=[[0, 0, 4, 0, 4, 8]]),
    "polygon for no area": part(1, 7, [0, 0, 4, 0], segmentation=[[0, 0, 4, 0, 4, 8]]),
    "polygon beside an odd one": part(1, 7, segmentation=[[9, 9], [0, 0, 4, 0, 4, 8]]),
}


@pytest.mark.parametrize("case", ANSWERED)
def test_another_field_answers(tmp_path, case):
    write(tmp_path / "all.json", IMAGES, PARTS, [ANSWERED[case]])
    listing = read(tmp_path, "all.json", "")
    assert not listing.odd
    np.testing.assert_array_equal(listing.records[0].points, [[(3.5, 1.5)]])


def test_an_object_needs_keypoints_or_a_box(tmp_path):
    points = [5, 6, 2, 7, 8, 2]
    annotations = [
        {**keypoints(1, *points), "bbox": [5, 6, 2, 0]},
        {**keypoints(2, *points), "keypoints": None},
        {**keypoints(3, *points), "bbox": None, "segmentation": [[0, 0, 4, 0, 4, 8]]},
    ]
    images = [*IMAGES, {"id": 3, "file_name": "c.jpg"}]
    write(tmp_path / "all.json", images, PEOPLE, annotations)
    listing = read(tmp_path, "all.json", "")
    first, second, third = listing.records
    np.testing.assert_array_equal(first.points, [[(6, 5)], [(8, 7)]])
    np.testing.assert_array_equal(first.box, [6, 5, 8, 7])
    assert np.isnan(second.points).all()
    np.testing.assert_array_equal(second.box, [-0.5, -0.5, 19.5, 9.5])
    np.testing.assert_array_equal(third.box, [-0.5, -0.5, 7.5, 3.5])
    assert not listing.odd
    assert listing.notes[1:] == (
        "objects without box of use, for which the one around their keypoints stands in: 1, "
        "such as annotations[0] (a.jpg): bbox [5, 6, 2, 0] has no area, and no polygons as "
        "segmentation",
        "objects without keypoints: 1, such as annotations[1] (b.jpg): only its box is used",
    )


def test_too_many_odd_annotations_are_an_error(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        save(tmp_path / name, np.zeros((20, 30, 3), np.uint8))
    lists = {"images": IMAGES, "categories": PARTS, "annotations": [part(1, 7, BOX)] * 3}
    lists["annotations"] += [part(1, 7, [3, 3, 17, 0])]
    (tmp_path / "all.json").write_text(json.dumps(lists))
    wanted = {"name": "coco", "coco_train": "all.json"}
    opened = data.open_dataset(options(tmp_path, max_bad_fraction=0.25, **wanted), tmp_path, seed=0)
    assert [one.reason for one in opened.odd] == [
        "bbox [3, 3, 17, 0] has no area, and no polygons as segmentation"
    ]
    with pytest.raises(errors.DataError, match="1 of 4 annotations cannot be used .*all.json: ann"):
        data.open_dataset(options(tmp_path, max_bad_fraction=0.2, **wanted), tmp_path, seed=0)


@pytest.mark.parametrize(
    ("visibility", "known"), [("labelled", [True, True, False]), ("visible", [True, False, False])]
)
def test_which_keypoints_count_is_said(tmp_path, visibility, known):
    people = [{"id": 1, "name": "person", "keypoints": ["head", "foot", "hand"]}]
    values = [5, 6, 2, 7, 8, 1, 9, 9, 0]
    annotations = [keypoints(1, *values), keypoints(2, *[5, 6, 2] * 3)]
    write(tmp_path / "all.json", IMAGES, people, annotations)
    listing = read(tmp_path, "all.json", "", visibility=visibility)
    assert np.isfinite(listing.records[0].points[:, 0, 0]).tolist() == known
    (note,) = (note for note in listing.notes if note.startswith("keypoints"))
    assert "4 visible (2), 1 hidden (1), 1 not labelled (0)" in note
    assert f"config.data.visibility is {visibility}" in note


def test_only_hidden_keypoints_say_what_to_set(tmp_path):
    write(tmp_path / "all.json", IMAGES, PEOPLE, [keypoints(1, 5, 6, 1, 7, 8, 1)])
    with pytest.raises(
        errors.DataError, match=r"; keypoints: 0 visible \(2\), 2 hidden.* to labelled"
    ):
        read(tmp_path, "all.json", "", visibility="visible")
    assert np.isfinite(read(tmp_path, "all.json", "").records[0].points).all()


@pytest.mark.parametrize("names", [{}, {"keypoints": None}, {"keypoints": []}])
def test_keypoints_without_names_are_numbered(tmp_path, names):
    horses = [{"id": 1, "name": "horse", **names}]
    annotations = [keypoints(1, *[5, 6, 2] * 3), keypoints(2, *[7, 8, 2] * 3)]
    write(tmp_path / "all.json", IMAGES, horses, annotations)
    listing = read(tmp_path, "all.json", "")
    assert listing.landmark_names == ("keypoint 1", "keypoint 2", "keypoint 3")
    np.testing.assert_array_equal(listing.records[1].points, [[(8, 7)]] * 3)
    write(tmp_path / "test.json", IMAGES, horses, [keypoints(1, *[5, 6, 2] * 4)])
    with pytest.raises(errors.DataError, match="keypoints of 'horse' are not those of"):
        read(tmp_path, "all.json", "test.json")


NAMES = {
    "a/b.jpg": "a/b.jpg",
    "A/B.JPG": "a/b.jpg",
    "a\\b.jpg": "a/b.jpg",
    "./a//b.jpg": "a/b.jpg",
    "/data/somewhere/a/b.jpg": "a/b.jpg",
    "C:\\photos\\a\\b.jpg": "a/b.jpg",
    "../../other/a/b.jpg": "a/b.jpg",
    "cafe\u0301.jpg": "caf\u00e9.jpg",
    "caf%C3%A9.jpg": "caf\u00e9.jpg",
    "a%2Fb.jpg": "a/b.jpg",
    "100%25.jpg": "100%25.jpg",
    "b.jpg": "a/b.jpg",
    "c/a/b.jpg": "a/b.jpg",
    "c/b.jpg": None,
    "twice.jpg": "twice.jpg",
    "TWICE.JPG": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_means_the_only_file_that_it_can(tmp_path, name):
    for file in ("pictures/a/b.jpg", "pictures/caf\u00e9.jpg", "pictures/twice.jpg",
                 "pictures/Twice.jpg", "pictures/100%25.jpg", "pictures/100%.jpg"):  # fmt: skip
        save(tmp_path / file, np.zeros((4, 4, 3), np.uint8))
    lists = {"images": [{"id": 1, "file_name": name}], "categories": PARTS,
             "annotations": [part(1, 7, BOX)]}  # fmt: skip
    (tmp_path / "all.json").write_text(json.dumps(lists))
    listing = read(tmp_path, "all.json:pictures", "")
    expected = NAMES[name]
    assert [one.key for one in listing.records] == ([f"pictures/{expected}"] if expected else [])
    if not expected:
        (problem,) = listing.problems
        near = "pictures/twice.jpg" if "WICE" in name else "a/b.jpg"
        assert near.rpartition("/")[2] in problem.reason


@pytest.mark.parametrize(
    ("train", "name", "there"),
    [
        ("annotations/all.json", "a.jpg", "train/a.jpg"),
        ("annotations/all.json", "other/a.jpg", "train/a.jpg"),
        ("annotations/all.json", "other\\a.jpg", "train/a.jpg"),
        ("annotations/all.json:val", "a.jpg", "train/a.jpg"),
        ("annotations/all.json", "gone.jpg", ""),
        ("annotations/all.json:.", "gone.jpg", ""),
    ],
)
def test_images_of_another_folder_are_said_to_be_there(tmp_path, train, name, there):
    for file in ("train/a.jpg", "val/b.jpg"):
        save(tmp_path / file, np.zeros((4, 4, 3), np.uint8))
    images = [{"id": 1, "file_name": name}, {"id": 2, "file_name": "../val/b.jpg"}]
    lists = {"images": images, "categories": PARTS, "annotations": [part(1, 7, BOX)]}
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "all.json").write_text(json.dumps(lists))
    problem, *_ = read(tmp_path, train, "").problems
    cure = "give the COCO file as FILE:FOLDER, with the folder of its images"
    assert problem.reason.endswith(f"; there is {there}: {cure}") == bool(there)
    assert ("FILE:FOLDER" in problem.reason) == bool(there)


def test_names_may_lead_beside_the_folder_of_the_file(tmp_path):
    save(tmp_path / "images" / "a.jpg", np.zeros((4, 4, 3), np.uint8))
    lists = {"images": [{"id": 1, "file_name": "../images/a.jpg"}], "categories": PARTS,
             "annotations": [part(1, 7, BOX)]}  # fmt: skip
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "all.json").write_text(json.dumps(lists))
    listing = read(tmp_path, "annotations/all.json", "")
    assert [one.key for one in listing.records] == ["images/a.jpg"] and not listing.problems


@pytest.mark.parametrize("name", ["{0}/full/a.jpg", "../../full/a.jpg"])
def test_a_path_outside_of_the_root_is_no_namesake_of_it(tmp_path, name):
    for file in ("full/a.jpg", "root/set/a.jpg", "root/set/b.jpg"):
        save(tmp_path / file, np.zeros((4, 4, 3), np.uint8))
    names = [name.format(tmp_path), "/gone/b.jpg"]
    lists = {"images": [{"id": i, "file_name": one} for i, one in enumerate(names)],
             "categories": PARTS, "annotations": [part(1, 7, BOX)]}  # fmt: skip
    (tmp_path / "root" / "set" / "all.json").write_text(json.dumps(lists))
    listing = read(tmp_path / "root", "set/all.json", "")
    assert [one.key for one in listing.records] == ["set/b.jpg"]
    (problem,) = listing.problems
    assert problem.reason.startswith("in all.json, but that file lies outside of")
    assert "found: 1, such as '/gone/b.jpg', taken as b.jpg" in listing.notes[-1]


def test_a_test_file_without_keypoints_is_named(tmp_path):
    write(tmp_path / "all.json", IMAGES, PEOPLE, [keypoints(1, 5, 6, 2, 7, 8, 2)])
    write(tmp_path / "test.json", IMAGES, [{"id": 1, "name": "person"}], [])
    with pytest.raises(errors.DataError, match="keypoints of 'person' are not those of"):
        read(tmp_path, "all.json", "test.json", category="person")


def test_objects_of_one_image_in_both_files_are_an_error(tmp_path):
    one, two = (keypoints(1, 5, 6, 2, 7, 8, 2), keypoints(1, 1, 2, 2, 3, 4, 2))
    for name, annotations in (("train.json", [one]), ("test.json", [one, two])):
        write(tmp_path / name, IMAGES[:1], PEOPLE, annotations)
    with pytest.raises(errors.DataError, match="a.jpg is in .*train.json too"):
        read(tmp_path, "train.json", "test.json", crop_margin=0.1)


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
        read(tmp_path, "all.json", "")
    with pytest.raises(errors.DataError, match="data.coco_train is empty"):
        read(tmp_path, "", "")


def test_categories_of_keypoints(tmp_path):
    people = [PEOPLE[0], {"id": 2, "name": "dog", "keypoints": ["tail"]}]
    write(tmp_path / "all.json", IMAGES, people, [keypoints(1, 5, 6, 2, 7, 8, 2)])
    with pytest.raises(errors.DataError, match="must name one of person, dog"):
        read(tmp_path, "all.json", "")
    with pytest.raises(errors.DataError, match="'cat'; with keypoints are: person, dog"):
        read(tmp_path, "all.json", "", category="cat")
    assert read(tmp_path, "all.json", "", category="person").landmark_names == ("head", "foot")
    write(tmp_path / "test.json", IMAGES, [{**people[0], "keypoints": ["foot", "head"]}], [])
    with pytest.raises(errors.DataError, match="keypoints of 'person' are not those of"):
        read(tmp_path, "all.json", "test.json", category="person")


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
