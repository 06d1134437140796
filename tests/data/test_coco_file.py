"""COCO files that are listed oddly: ids, entries and encodings."""

import gzip
import json

import numpy as np
import pytest
from coco_files import IMAGES, PARTS, part, read, write

from partdisc import errors
from partdisc.data.coco_ids import Entries

BOX, OTHER = [0, 0, 2, 2], [4, 4, 2, 2]
A, B = IMAGES


def points(listing):
    return [one.points[np.isfinite(one.points)].tolist() for one in listing.records]


@pytest.mark.parametrize(
    ("ids", "given", "meant"),
    [
        ([1, 2], 1, 1),
        ([1, 2], 1.0, 1),
        ([1, 2], "1", 1),
        ([1, 2], "002", 2),
        ([1.0, 2.0], 2, 2),
        (["1", "2"], 2, "2"),
        (["1", "2"], 2.0, "2"),
        (["0001", "x"], 1, "0001"),
        (["a", "b"], "b", "b"),
        ([0, 10], "000", 0),
        ([10**30], str(10**30), 10**30),
        # Two may be meant, or none.
        (["1", "01"], 1, None),
        (["1", "01"], "01", "01"),
        ([1, "1"], "1", "1"),
        ([1], 1.5, None),
        ([1], "1.5", None),
        ([1], True, None),
        ([1], None, None),
        ([1], [1], None),
        ([1], float("nan"), None),
        ([1], float("inf"), None),
        ([1], "", None),
        ([1], "\u00b9", None),
    ],
)
def test_an_id_may_be_written_otherwise(ids, given, meant):
    assert Entries((one, {}) for one in ids).meant(given) == meant


@pytest.mark.parametrize("image", [float, str, int])
@pytest.mark.parametrize("annotation", [float, str, int])
def test_ids_of_two_types_are_the_same(tmp_path, image, annotation):
    images = [{**one, "id": image(one["id"])} for one in IMAGES]
    categories = [{**one, "id": image(one["id"])} for one in PARTS]
    annotations = [
        part(annotation(2), annotation(7), BOX),
        part(annotation(1), annotation(8), OTHER),
    ]
    write(tmp_path / "all.json", images, categories, annotations)
    listing = read(tmp_path, "all.json", "")
    assert not listing.odd and listing.landmark_names == ("wheel", "hood")
    assert points(listing) == [[4.5, 4.5], [0.5, 0.5]]


ODD_IMAGES = {
    "images[1]: needs an id and a file_name, not None": [A, None],
    "images[1]: needs an id and a file_name, not 'b.jpg'": [A, "b.jpg"],
    "images[1]: needs an id and a file_name, not {'id': 2}": [A, {"id": 2}],
    "images[0]: needs an id and a file_name, not {'file_n": [{"file_name": "b.jpg"}, A],
    "images[1]: needs an id and a file_name, not {'id': 1.5": [A, {**B, "id": 1.5}],
    "images[1]: needs an id and a file_name, not {'id': True": [A, {**B, "id": True}],
    "images[1]: needs an id and a file_name, not {'id': 2, 'file_name': ''}": [
        A, {"id": 2, "file_name": ""}
    ],
    "a.jpg: has id 1 and 2 in all.json; the first one is used": [A, {**A, "id": 2}],
}  # fmt: skip


@pytest.mark.parametrize("reason", ODD_IMAGES)
def test_one_odd_image_costs_itself_alone(tmp_path, reason):
    images = ODD_IMAGES[reason]
    (tmp_path / "a.jpg").write_bytes(b"x")
    lists = {"images": images, "categories": PARTS,
             "annotations": [part(1, 7, BOX), part(2, 7, OTHER)]}  # fmt: skip
    (tmp_path / "all.json").write_text(json.dumps(lists))
    listing = read(tmp_path, "all.json", "")
    (problem,) = listing.problems
    assert reason in f"{problem.name}: {problem.reason}"
    assert [one.key for one in listing.records] == ["a.jpg"] and points(listing) == [[0.5, 0.5]]


@pytest.mark.parametrize(
    "again", [A, {**A, "license": 3}, {**A, "id": 1.0}], ids=["equal", "licence", "float"]
)
def test_an_image_that_is_listed_twice_is_one(tmp_path, again):
    write(tmp_path / "all.json", [A, B, again], PARTS, [part(1, 7, BOX)])
    listing = read(tmp_path, "all.json", "")
    assert [one.key for one in listing.records] == ["a.jpg", "b.jpg"] and not listing.problems


@pytest.mark.parametrize("other", [{"file_name": "c.jpg"}, {"width": 5, "height": 4}])
def test_an_id_of_two_images_says_nothing(tmp_path, other):
    annotations = [part(1, 7, BOX), part(2, 7, BOX)]
    write(tmp_path / "all.json", [A, {**A, **other}, B], PARTS, annotations)
    listing = read(tmp_path, "all.json", "")
    assert [one.key for one in listing.records] == ["b.jpg"]
    assert {one.reason for one in listing.problems} == {"its id 1 is that of another image too"}
    assert len(listing.problems) == 2 and len(listing.odd) == 1


def test_annotations_that_share_an_id_are_used(tmp_path):
    annotations = [part(1, 7, BOX, id=1), part(1, 8, OTHER, id=2), part(2, 7, OTHER, id=1)]
    write(tmp_path / "all.json", IMAGES, PARTS, annotations)
    listing = read(tmp_path, "all.json", "")
    assert not listing.odd and points(listing) == [[0.5, 0.5, 4.5, 4.5], [4.5, 4.5]]
    (note,) = (note for note in listing.notes if "share" in note)
    assert note.endswith(
        "all.json: 2 annotations share their ids with others, such as annotation 1 (a.jpg); all "
        "of them are used"
    )


@pytest.mark.parametrize("times", [2, 3])
def test_a_copy_of_an_annotation_is_left_out(tmp_path, times):
    annotations = [part(1, 7, BOX, id=1)] * times + [part(2, 7, OTHER, id=2)]
    write(tmp_path / "all.json", IMAGES, PARTS, annotations)
    listing = read(tmp_path, "all.json", "")
    assert listing.instances == 1 and listing.annotations == 2 and not listing.odd
    assert listing.notes[0].endswith(
        f"all.json: {times - 1} copies of annotations left out, such as of annotation 1 (a.jpg)"
    )
    assert not any("share" in note for note in listing.notes)


@pytest.mark.parametrize(
    ("crowd", "used"),
    [(0, True), ("0", True), (False, True), (None, True), (1, False), ("1", False), (True, False)],
)
def test_what_a_crowd_region_is(tmp_path, crowd, used):
    annotations = [part(1, 7, BOX), part(2, 7, OTHER, iscrowd=crowd)]
    write(tmp_path / "all.json", IMAGES, PARTS, annotations)
    listing = read(tmp_path, "all.json", "")
    assert points(listing)[1] == ([4.5, 4.5] if used else [])
    assert any("1 crowd regions left out" in note for note in listing.notes) != used


def test_a_file_of_crowd_regions_alone_says_so(tmp_path):
    write(tmp_path / "all.json", IMAGES, PARTS, [part(1, 7, BOX, iscrowd=1)] * 3)
    with pytest.raises(errors.DataError, match="no part is annotated.*: 3 crowd regions left out"):
        read(tmp_path, "all.json", "")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_any_encoding_of_json_is_read(tmp_path, encoding):
    path = write(tmp_path / "all.json", IMAGES, PARTS, [part(1, 7, BOX)])
    path.write_text(path.read_text(), encoding=encoding)
    assert len(read(tmp_path, "all.json", "").records) == 2


UNREADABLE = {
    "all.json: is compressed; unpack it": gzip.compress(b"{}"),
    "all.json: not a text file; save it as UTF-8": '{"images": ["\u00e9"]}'.encode("latin-1"),
    "all.json, line 2: more follows the first value; a COCO file is one object, not one a line": (
        b'{"id": 1}\n{"id": 2}\n'
    ),
    "all.json: a number has too many digits": b"[1" + b"0" * 5000 + b"]",
    "all.json: nested too deeply": b"[" * 100_000,
    "all.json, line 1: Expecting value": b"",
}


@pytest.mark.parametrize("message", UNREADABLE)
def test_what_cannot_be_read_says_what_mends_it(tmp_path, message):
    (tmp_path / "all.json").write_bytes(UNREADABLE[message])
    with pytest.raises(errors.DataError) as caught:
        read(tmp_path, "all.json", "")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(errors.DataError, match=f"{tmp_path}: is a folder, and must be a COCO file"):
        read(tmp_path, ".", "")


@pytest.mark.parametrize("side", [20, 20.0, "20"])
def test_a_size_may_be_written_in_other_ways(tmp_path, side):
    images = [{**A, "width": side, "height": 30}, B]
    write(tmp_path / "all.json", images, PARTS, [part(1, 7, BOX)])
    assert read(tmp_path, "all.json", "").records[0].declared == (30, 20)


@pytest.mark.parametrize("side", [True, 0, -3, None, "", "30 px", "-3", 1.5, float("inf")])
def test_a_size_that_is_none_is_not_declared(tmp_path, side):
    images = [{**A, "width": side, "height": 30}, {**B, "width": 40, "height": 30}]
    write(tmp_path / "all.json", images, PARTS, [part(1, 7, BOX)])
    declared = [one.declared for one in read(tmp_path, "all.json", "").records]
    assert declared == [None, (30, 40)]


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("train/al.json", "train/all.json"),
        ("train/All.json", "train/all.json"),
        ("trian/all.json", "train"),
        ("Train/all.json", "train"),
    ],
)
def test_the_nearest_file_is_named(tmp_path, given, near):
    write(tmp_path / "train" / "all.json", IMAGES, PARTS, [part(1, 7, BOX)])
    with pytest.raises(errors.DataError) as caught:
        read(tmp_path, given, "")
    assert str(caught.value) == f"{tmp_path / given}: no such file; there is {tmp_path / near}"


@pytest.mark.parametrize("name", ["a\nb.jpg", "a\rb.jpg", "a\x1b[31mb.jpg"])
def test_messages_are_one_line_whatever_the_name(tmp_path, name):
    images = [A, {"id": 2, "file_name": name}]
    lists = {"images": images, "categories": PARTS,
             "annotations": [part(1, 7, BOX), part(2, 7)]}  # fmt: skip
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "all.json").write_text(json.dumps(lists))
    listing = read(tmp_path, "all.json", "")
    (problem,), (odd,) = listing.problems, listing.odd
    for one in (*problem, *odd):
        assert one.isprintable()
    assert repr(name)[1:-1] in problem.name and repr(name)[1:-1] in odd.name


@pytest.mark.parametrize("odd", [[1], {}, None, True, 1.5, float("nan")])
def test_an_annotation_needs_no_id(tmp_path, odd):
    annotations = [{**part(1, 7, BOX), "id": odd}, {**part(2, 7, BOX), "id": odd}]
    write(tmp_path / "all.json", IMAGES, PARTS, annotations)
    listing = read(tmp_path, "all.json", "")
    assert [np.isfinite(one.points).any() for one in listing.records] == [True, True]
    assert not listing.odd and not [note for note in listing.notes if "share" in note]
