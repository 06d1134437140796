"""What images hold, and whether they are of use: found once, and the same for identity and data."""

import io
import json
import os

import numpy as np
import pytest
from data_files import options, save
from PIL import Image

from partdisc import data, errors
from partdisc.data import contents, decoding

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def encoded(kind, pixels=PIXELS):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


BAD = {
    "garbage.png": b"no image at all",
    "empty.jpg": b"",
    "cut.png": encoded("PNG")[:-900],
    "cut.jpg": encoded("JPEG")[:-400],
    "large.png": encoded("PNG", np.zeros((60, 60, 3), np.uint8)),
    "strip.png": encoded("PNG", np.zeros((2, 50, 3), np.uint8)),
}
LIMIT = {"max_pixels": 3000}


@pytest.fixture
def root(tmp_path):
    for number in range(6):
        save(tmp_path / "photos" / f"{number}.png", np.roll(PIXELS, number, axis=0))
    for path in (tmp_path / "photos").iterdir():
        os.utime(path, ns=(1, 1))
    return tmp_path / "photos"


def put(root, name):
    (root / name).write_bytes(BAD[name])
    os.utime(root / name, ns=(1, 1))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("names", [[name] for name in BAD] + [list(BAD)[:5]])
def test_an_image_that_is_of_no_use_is_of_no_training(root, tmp_path, names, flip):
    wanted = options(root, flip=flip, max_bad_fraction=0.9, **LIMIT)
    before = data.list_dataset(wanted, tmp_path / "cache", seed=0).training
    assert len(before) == (12 if flip else 6)
    for name in names:
        put(root, name)
    listed = data.list_dataset(wanted, tmp_path / "cache", seed=0)
    assert listed.training == before
    # What is prepared is of the same images.
    opened = data.prepare_dataset(listed, tmp_path / "cache")
    assert [opened.keys[i] for i in opened.splits["train"]] == list(before)
    assert {one.name.removesuffix(" mirrored") for one in opened.problems} == set(names)
    # So it is when their contents are known, and when they are gone, as the docs advise.
    again = data.list_dataset(wanted, tmp_path / "cache", seed=0)
    assert again.training == before and again.fingerprint == listed.fingerprint
    for name in names:
        (root / name).unlink()
    assert data.list_dataset(wanted, tmp_path / "cache", seed=0).training == before


def test_a_box_off_the_image_is_of_no_training_either(tmp_path):
    made = [[2, 2, 9, 9], [60, 2, 9, 9], [2, 55, 4, 4], [45, 35, 9, 9]]
    for number in range(len(made)):
        save(tmp_path / f"{number}.png", np.roll(PIXELS, number, axis=0))
    lists = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in range(len(made))],
        "categories": [{"id": 7, "name": "wheel"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 7, "bbox": box} for i, box in enumerate(made)
        ],
    }
    (tmp_path / "all.json").write_text(json.dumps(lists))
    wanted = options(tmp_path, name="coco", coco_train="all.json", max_bad_fraction=0.9)
    listed = data.list_dataset(wanted, tmp_path / "cache", seed=0)
    opened = data.prepare_dataset(listed, tmp_path / "cache")
    assert [opened.keys[i] for i in opened.splits["train"]] == list(listed.training)
    assert len(listed.training) == 2


@pytest.mark.parametrize("most", [1999, 2000, 3599, 3600])
def test_a_larger_limit_is_another_training_if_it_lets_in_images(root, tmp_path, most):
    put(root, "large.png")
    wanted = options(root, max_bad_fraction=0.9, **LIMIT)
    first = data.list_dataset(wanted, tmp_path / "cache", seed=0)
    data.prepare_dataset(first, tmp_path / "cache")
    wanted.max_pixels = most
    other = data.list_dataset(wanted, tmp_path / "cache", seed=0)
    sizes = dict.fromkeys(first.training, 2000) | {"large.png": 3600}
    assert set(other.training) == {name for name, size in sizes.items() if size <= most}
    assert other.fingerprint != first.fingerprint


def test_a_format_that_can_be_read_from_now_on_is_tried_again(root, tmp_path, monkeypatch):
    put(root, "garbage.png")
    wanted = options(root, max_bad_fraction=0.9)
    real = decoding.check

    def without(*_, **__):
        raise errors.DataError("HEIC: pip install reads it")

    def extended(data, **limit):
        return decoding.Checked((40, 50), "") if data == BAD["garbage.png"] else real(data, **limit)

    for module in (contents, decoding):
        monkeypatch.setattr(module, "check", without)
    monkeypatch.setattr(contents, "READS_HEIF", False)
    with pytest.raises(errors.DataError, match="7 of 7 images"):
        data.open_dataset(wanted, tmp_path / "cache", seed=0)
    before = data.list_dataset(wanted, tmp_path / "cache", seed=0)
    for module in (contents, decoding):
        monkeypatch.setattr(module, "check", extended)
    monkeypatch.setattr(contents, "READS_HEIF", True)
    after = data.list_dataset(wanted, tmp_path / "cache", seed=0)
    assert not before.training and "garbage.png" in after.training and len(after.training) == 7
    # The name of what is prepared, and with it the seal of a run, is another one.
    assert before.fingerprint != after.fingerprint


def test_an_image_is_decoded_once(root, tmp_path, monkeypatch):
    decoded = []
    real = decoding.check

    def counted(data, **limit):
        decoded.append(data)
        return real(data, **limit)

    for module in (contents, decoding):
        monkeypatch.setattr(module, "check", counted)
    data.open_dataset(options(root), tmp_path / "cache", seed=0)
    assert len(decoded) == 6
    os.utime(root / "1.png", ns=(2, 2))  # Another time alone: it is read, and known again.
    data.open_dataset(options(root), tmp_path / "cache", seed=0)
    assert len(decoded) == 6
    save(root / "new.png", PIXELS[::-1])
    data.list_dataset(options(root), tmp_path / "cache", seed=0)
    assert len(decoded) == 7


def test_a_file_that_changed_since_it_was_listed_is_checked_again(root, tmp_path):
    listed = data.list_dataset(options(root, max_bad_fraction=0.9), tmp_path / "cache", seed=0)
    (root / "2.png").write_bytes(BAD["cut.png"])
    gathered = listed.gather()
    for _ in gathered.look_at_all(listed.records):
        pass
    assert [one.name for one in gathered.problems] == ["2.png"]


@pytest.mark.parametrize(
    "damage", ["", "[]", "{}", '{"by": 3}', '{"by": [1, 2, 3], "images": {}}', "none", "short"]
)
def test_damaged_contents_are_found_again(root, tmp_path, damage):
    put(root, "cut.png")
    wanted = options(root, max_bad_fraction=0.9)
    before = data.open_dataset(wanted, tmp_path / "cache", seed=0)
    path = tmp_path / "cache" / "contents.json"
    kept = json.loads(path.read_text())
    if damage == "none":
        damage = json.dumps(kept | {"images": [1]})
    elif damage == "short":
        rows = {
            name: row[: place % len(row)]
            for place, (name, row) in enumerate(kept["images"].items())
        }
        damage = json.dumps(kept | {"images": rows})
    path.write_text(damage)
    listed = data.list_dataset(wanted, tmp_path / "cache", seed=0)
    assert listed.fingerprint == before.fingerprint
    assert list(listed.training) == [f"{number}.png" for number in range(6)]
