"""Annotation made before an image was turned by EXIF, and after."""

import io
import json

import numpy as np
import pytest
from data_files import options
from PIL import Image

from partdisc import data, errors
from partdisc.data import decoding
from partdisc.data.decoding import Frame
from partdisc.data.frames import settle, to_upright
from partdisc.data.record import Record

HEIGHT, WIDTH = 20, 32
LOSSLESS = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}


def record(key, declared, y=3.0, x=5.0):
    points, box = np.array([[[y, x]]]), np.array([1.0, 2.0, 6.0, 9.0])
    return Record(key, ("train",), (), None, "", points, box, declared)


def photo(orientation, mark=(3, 5), size=(HEIGHT, WIDTH), kind="PNG"):
    """Return the bytes of a photo that is stored with one white pixel."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[mark] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, exif=exif, **LOSSLESS.get(kind, {}))
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_point_goes_where_its_pixel_goes(orientation, kind):
    for mark in ((3, 5), (0, 0), (19, 31), (7, 30)):
        content = photo(orientation, mark, kind=kind)
        frame = decoding.read_frame(content)
        assert frame == Frame((HEIGHT, WIDTH), orientation)
        upright = decoding.decode(content)
        assert upright.shape[:2] == frame.upright
        (there,) = np.argwhere(upright[..., 0] > 128)
        np.testing.assert_array_equal(to_upright(np.array(mark, float), frame), there)
    nothing = to_upright(np.full((2, 3, 2), np.nan), frame)
    assert nothing.shape == (2, 3, 2) and np.isnan(nothing).all()


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("stored", [True, False])
def test_the_declared_size_tells_the_frame(orientation, stored):
    frame = Frame((HEIGHT, WIDTH), orientation)
    one = record("a", frame.stored if stored else frame.upright)
    found = settle([one], {"a": frame})
    assert not found.problems and bool(found.notes) == stored
    expected = to_upright(one.points, frame) if stored else one.points
    np.testing.assert_array_equal(found.records[0].points, expected)
    box = found.records[0].box
    assert (box[:2] < box[2:]).all() and stored == (box.tolist() != one.box.tolist())
    if stored:
        assert found.notes == [
            "1 images were annotated before they were turned by EXIF, such as a: their "
            "annotation is turned too"
        ]


def test_the_turned_annotation_is_what_is_loaded(tmp_path):
    (tmp_path / "a.png").write_bytes(photo(6))
    lists = {
        "images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 1, "name": "dot", "keypoints": ["dot"]}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [5, 3, 2],
             "bbox": [5, 3, 1, 1]}
        ],
    }  # fmt: skip
    (tmp_path / "all.json").write_text(json.dumps(lists))
    wanted = options(tmp_path, name="coco", coco_train="all.json")
    for _ in range(2):  # The second time from what was kept of the first.
        opened = data.open_dataset(wanted, tmp_path / "cache", seed=0)
        (there,) = np.argwhere(opened.image(0)[..., 0] > 128)
        np.testing.assert_array_equal(opened.points[0, 0], there)
        np.testing.assert_array_equal(opened.boxes[0], [*(there - 0.5), *(there + 0.5)])
    lists["images"][0].update(width=WIDTH + 1)
    (tmp_path / "all.json").write_text(json.dumps(lists))
    message = "annotated as 20 x 33 pixels, but it is 32 x 20"
    with pytest.raises(errors.DataError, match=f"1 of 1 images cannot be used .*{message}"):
        data.open_dataset(wanted, tmp_path / "cache", seed=0)


def test_where_the_size_cannot_tell_the_others_decide():
    square, half = Frame((30, 30), 6), Frame((HEIGHT, WIDTH), 3)
    clear = Frame((HEIGHT, WIDTH), 6)
    frames = {"square": square, "half": half, "clear": clear, "plain": Frame((20, 32), 1)}
    doubtful = [record("square", (30, 30)), record("half", (HEIGHT, WIDTH))]
    plain = record("plain", (20, 32))
    by_stored = settle([*doubtful, plain, record("clear", clear.stored)], frames)
    assert by_stored.notes[0].startswith("3 images were annotated before")
    for one, before in zip(by_stored.records[:2], doubtful, strict=True):
        np.testing.assert_array_equal(one.points, to_upright(before.points, frames[one.key]))
    np.testing.assert_array_equal(by_stored.records[2].points, plain.points)
    for others in ([record("clear", clear.upright)], []):
        found = settle([*doubtful, plain, *others], frames)
        assert "taken to be annotated upright" in found.notes[0] and len(found.notes) == 1
        for one, before in zip(found.records, [*doubtful, plain, *others], strict=True):
            np.testing.assert_array_equal(one.points, before.points)


def test_the_files_of_the_test_split_and_of_the_others_decide_apart():
    half, clear = Frame((HEIGHT, WIDTH), 3), Frame((HEIGHT, WIDTH), 6)
    frames = {"half": half, "half again": half, "clear": clear, "clear again": clear}
    for stored in (("train",), ("test",)):
        upright = ("test",) if stored == ("train",) else ("train", "fit")
        records = [
            record("half", half.stored)._replace(splits=stored),
            record("clear", clear.stored)._replace(splits=stored),
            record("half again", half.upright)._replace(splits=upright),
            record("clear again", clear.upright)._replace(splits=upright),
        ]
        found = settle(records, frames)
        assert found.notes[0].startswith("2 images were annotated before")
        assert found.notes[1].startswith("1 images are turned by EXIF")
        changed = [
            one.key
            for one, before in zip(found.records, records, strict=True)
            if not np.array_equal(one.points, before.points)
        ]
        assert changed == ["half", "clear"]


def test_another_size_is_a_problem_and_an_unknown_one_is_not():
    records = [record("a", (10, 16)), record("b", None), record("c", (1, 1)), record("d", (20, 32))]
    frames = {"a": Frame((20, 32), 1), "b": Frame((9, 9), 1), "c": None, "d": Frame((20, 32), 1)}
    found = settle(records, frames)
    assert [one.key for one in found.records] == ["b", "c", "d"]
    assert found.problems == [("a", "annotated as 10 x 16 pixels, but it is 20 x 32")]
    assert not found.notes
