"""What is wrong with the annotation of a set is one line, before any work: file and place."""

import json

import pytest
from PIL import Image

from partdisc import errors
from partdisc.config import base_config
from partdisc.discovery.inputs import list_data, open_data
from partdisc.workdir import Workdir

IMAGES = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
PARTS = [{"id": 1, "name": "wheel"}, {"id": 2, "name": "horn"}]
FACE = "10 20 15 11 19 10 10 15 20 20 1 2 2 3"
NAN_FACE = FACE.replace("15 11", "nan 11")


def refused(tmp_path, **data):
    """Open a set that must be refused; returns the line."""
    config = base_config()
    config.data.update(data)
    with Workdir(tmp_path / "run") as workdir, pytest.raises(errors.DataError) as caught:
        open_data(config, workdir, list_data(config, workdir))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def save(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 40), "red").save(folder / name)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (["a.png " + FACE + " 7"], ["b.png " + FACE], "a.png: {root}/training.txt, line 1: 16 col"),
        (["", "a.png 1 2"], ["b.png " + FACE], "a.png: {root}/training.txt, line 2: 3 columns in"),
        (["a.png " + FACE], ["b.png " + NAN_FACE], "b.png: {root}/testing.txt, line 1: 'nan' is"),
        (
            ["a.png " + FACE, "a.png 7" + FACE],
            ["b.png " + FACE],
            "line 2: 'a.png' is in line 1 too",
        ),
        (["a.png " + FACE, "b.png " + FACE], [], "testing.txt: no row in it"),
        (["a.png " + FACE], ["b.png " + FACE.replace("1", "x", 1)], "line 1: 'x0' is no finite"),
        (["a.png " + FACE], ["a.png " + FACE], "a.png is there twice, for train, fit, test"),
    ],
)
def test_a_list_of_rows(tmp_path, train, test, message):
    root = tmp_path / "MTFL"
    for name in ("a.png", "b.png"):
        save(root, name)
    for name, rows in (("training.txt", train), ("testing.txt", test)):
        (root / name).write_text("\n".join(rows) + "\n")
    line = refused(tmp_path, name="mtfl", root=str(root))
    assert message.format(root=root) in line and str(root / "t") in line


def save_coco(root, train, test):
    """Save a set of two files; one whose annotations are None lists no images."""
    for split, annotations in (("train", train), ("test", test)):
        for one in IMAGES:
            save(root / split, one["file_name"])
        content = {
            "images": [] if annotations is None else IMAGES,
            "categories": PARTS,
            "annotations": annotations or [],
        }
        (root / split / "annotations.json").write_text(json.dumps(content))
    return {
        "name": "coco", "root": str(root),
        "coco_train": "train/annotations.json", "coco_test": "test/annotations.json",
    }  # fmt: skip


def wheel(number=1, image=1, **rest):
    return {"id": number, "image_id": image, "category_id": 1, "bbox": [5, 5, 9, 9], **rest}


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([wheel(bbox=[float("nan"), 5, 9, 9])], [wheel()], "annotation 1 (a.png): bbox must be"),
        ([wheel(bbox=[5, 5, 9])], [wheel()], "annotation 1 (a.png): bbox must be 4 finite"),
        ([None, wheel()], [wheel()], "annotations[0]: must be an annotation, not None"),
        ([], [], "no part is annotated in any image"),
        ([wheel(iscrowd=1)], [], "train/annotations.json: 1 crowd regions left out"),
        ([wheel()], [], "split 'test' of coco shows no part, or none just once, in 2 images"),
        ([wheel()], [wheel(iscrowd=1)], "split 'test' of coco shows no part"),
        ([wheel()], [wheel(), wheel(2)], "split 'test' of coco shows no part, or none just once"),
        ([wheel()], None, "split 'test' of coco has no images here"),
    ],
)
def test_a_coco_file(tmp_path, train, test, message):
    root = tmp_path / "set"
    line = refused(tmp_path, **save_coco(root, train, test))
    assert message in line
    where = "test" if "'test'" in message else "train"
    assert str(root / where / "annotations.json") in line or "annotations cannot be used" in line


def test_crowds_and_parts_without_annotation_are_left_out_and_said(tmp_path, capsys):
    root = tmp_path / "set"
    annotations = [wheel(), wheel(2, image=2, iscrowd=1)]
    config = base_config()
    config.data.update(save_coco(root, annotations, annotations))
    with Workdir(tmp_path / "run") as workdir:
        open_data(config, workdir, list_data(config, workdir))
    said = capsys.readouterr().out
    assert f"{root / 'train' / 'annotations.json'}: 1 crowd regions left out" in said
    assert "parts without any annotation left out: horn" in said
