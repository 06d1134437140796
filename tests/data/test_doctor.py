"""The examination of data sets: each kind of fault is found, named, and graded."""

import json
import pathlib
import time

import numpy as np
import pytest
from data_files import options, save

from partdisc import data
from partdisc.data import doctor, readers, record
from partdisc.data.bad_images import BadImage

NAN = np.nan


def examined(wanted):
    return doctor.examine(data.list_dataset(wanted, "none", seed=0)).findings


@pytest.fixture
def findings(tmp_path, monkeypatch, rng):
    """Examine records made of (splits, points, box) and pictures; returns by what was examined."""

    monkeypatch.setattr(doctor, "SMALL", 4)

    def examine(images, problems=(), name="cub", names=("beak", "tail"), **changes):
        records = []
        for i, (splits, points, box) in enumerate(images):
            key = f"{i}.png"
            if not (tmp_path / key).exists():
                save(tmp_path / key, rng.integers(0, 255, (20, 30, 3), np.uint8))
            points = np.array(points, float).reshape(-1, 2)
            records.append(
                record.file_record(
                    tmp_path, key, (tmp_path / key).stat(), splits, points, np.array(box, float)
                )
            )
        listing = record.Listing(records, list(problems), names, notes=("a note",))
        monkeypatch.setattr(readers, "read", lambda config, seed: listing)
        found = examined(options("", name=name, **changes))
        return {one.what: one for one in found}, doctor.worst(found)

    examine.folder = tmp_path
    return examine


GOOD = [(5, 6), (7, 8)]
BOX = (0, 0, 19, 29)
SOUND = [(("train", "fit"), GOOD, BOX), (("train", "fit"), GOOD, BOX), (("test",), GOOD, BOX)]


def test_a_sound_set(findings):
    found, worst = findings(SOUND, name="folder")
    assert worst == "note" and found["left out"].found == "a note"
    assert found["images of the splits"].found == "2 train, 2 fit, 1 test"
    assert found["sizes"].found == "20 to 20 x 30 to 30, median 20 x 30 pixels"
    assert found["coordinates"].found == "6 are too few to tell whether they are pixels"
    few = ("left out", "coordinates", "coordinates of boxes")
    rest = [one for what, one in found.items() if what not in few]
    assert {one.severity for one in rest} == {"ok"}


def test_counts_are_compared_with_the_official_ones(findings, monkeypatch):
    found, worst = findings(SOUND)
    assert worst == "warning"
    assert found["images of the splits"].found.endswith("official: 5,994, 5,994, 5,794")
    assert findings(SOUND, category="1")[1] == "note"
    monkeypatch.setitem(doctor.OFFICIAL, ("cub", "official"), (2, 2, 1))
    assert "the official numbers" in findings(SOUND)[0]["images of the splits"].found


def test_an_empty_test_split_is_an_error(findings):
    found, worst = findings(SOUND[:2])
    assert worst == "error" and found["images of the splits"].found == "no test images"


@pytest.mark.parametrize(
    ("image", "what", "severity"),
    [
        ((("test",), [(5, 6), (22, 8)], BOX), "images with landmarks outside", "warning"),
        ((("test",), [(-3, 6), (2, 8)], BOX), "images with landmarks outside", "warning"),
        ((("test",), GOOD, (0, 0, 19, 33)), "images with boxes that reach outside", "note"),
        ((("test",), GOOD, (NAN,) * 4), "images without a box", "warning"),
        ((("test",), [(NAN, NAN)] * 2, BOX), "fit and test images without any landmark", "warning"),
    ],
)
def test_annotation_outside_or_absent(findings, image, what, severity):
    found, _ = findings([*SOUND, image])
    assert found[what].severity == severity and found[what].names == ("3.png",)
    assert findings(SOUND)[0][what].severity == "ok"


def test_a_split_without_any_landmark_is_an_error(findings):
    found, worst = findings([*SOUND[:2], (("test",), [(NAN, NAN)] * 2, BOX)])
    assert worst == "error"
    assert found["fit and test images without any landmark"].severity == "error"


def test_a_rounded_landmark_on_the_edge_is_inside(findings):
    image = (("test",), [(20, 30), (-1, 0)], (-1, -1, 20.5, 30.5))
    found, _ = findings([*SOUND, image])
    assert found["images with landmarks outside"].severity == "ok"
    assert found["images with boxes that reach outside"].severity == "ok"


def test_a_landmark_that_no_image_shows(findings):
    images = [(splits, [(5, 6), (NAN, NAN)], box) for splits, _, box in SOUND]
    assert findings(images)[0]["landmarks that no image shows"].names == ("tail",)


def test_images_in_two_splits_leak(findings, rng):
    findings(SOUND)
    twin = (findings.folder / "0.png").read_bytes()
    (findings.folder / "2.png").write_bytes(twin)  # the test image
    found, worst = findings(SOUND)
    assert worst == "error"
    assert found["the same image in test and another split"].names == ("0.png = 2.png",)
    assert found["the same image twice"].severity == "ok"
    (findings.folder / "1.png").write_bytes(twin)
    save(findings.folder / "2.png", rng.integers(0, 255, (20, 30, 3), np.uint8))
    found, worst = findings(SOUND)
    assert worst == "warning" and found["the same image twice"].names == ("0.png = 1.png",)


def test_objects_of_one_image_are_no_duplicates(findings, tmp_path, monkeypatch):
    findings(SOUND)
    one = record.file_record(
        tmp_path, "0.png", (tmp_path / "0.png").stat(), ("train",), np.zeros((0, 2))
    )
    listing = record.Listing([one._replace(key="0.png#0"), one._replace(key="0.png#1")], [])
    monkeypatch.setattr(readers, "read", lambda config, seed: listing)
    found = examined(options("", name="coco"))
    assert doctor.worst(found) == "ok"


def test_bad_files_are_named_and_graded_by_their_share(findings):
    problems = [BadImage("gone.png", "no such file")]
    found, worst = findings(SOUND, problems, max_bad_fraction=0.3, name="folder")
    assert worst == "warning"
    assert found["listed, but unusable or absent"].found == "1, such as gone.png: no such file"
    assert findings(SOUND, problems, max_bad_fraction=0.2, name="folder")[1] == "error"
    (findings.folder / "1.png").write_bytes(b"x")
    found, worst = findings(SOUND, max_bad_fraction=0.5, name="folder")
    assert worst == "warning"
    assert found["unreadable images"].names[0].startswith("1.png: not an image")


def test_nothing_readable_is_an_error(findings):
    findings(SOUND)
    for i in range(3):
        (findings.folder / f"{i}.png").write_bytes(b"x")
    found, worst = findings(SOUND)
    assert worst == "error" and found["sizes"].found == "no image could be read"


def test_small_images_and_those_of_few_bits_are_named(findings, rng):
    deep = rng.integers(0, 4000, (20, 30), np.uint16)
    save(findings.folder / "0.png", deep)
    save(findings.folder / "2.png", rng.integers(0, 255, (3, 30, 3), np.uint8))
    found, _ = findings([*SOUND[:2], (("test",), [(1, 6), (2, 8)], (0, 0, 2, 29))])
    small = found["images under 4 pixels on a side"]
    assert (small.severity, small.names) == ("warning", ("2.png",))
    odd = found["images read in a way of their own"]
    assert odd.severity == "note" and "0.png: 16-bit, of which 12 are used" in odd.names[0]


def test_coordinates_that_are_no_pixels_are_an_error(findings):
    good = [(("train", "fit"), [(5, 29), (19, 28)], BOX)] * 12
    assert findings(good, name="folder")[0]["coordinates"].severity == "ok"
    turned = [(splits, [point[::-1] for point in points], box) for splits, points, box in good]
    found = findings(turned, name="folder")[0]["coordinates"]
    assert found.severity == "error" and "exchange them" in found.found


@pytest.mark.parametrize(
    ("box", "what", "severity", "words"),
    [
        (BOX, "coordinates of boxes", "ok", "make sense"),
        (BOX, "inside the objects' boxes", "ok", "100% of the points"),
        ((0, 0, 39, 59), "coordinates of boxes", "error", "images 2.0 times as large"),
        ((0, 0, 0.6, 0.9), "coordinates of boxes", "error", "shares of the sides"),
        ((0, 0, 4, 9), "coordinates of boxes", "warning", "pixels of smaller images"),
        ((0, 0, 4, 9), "inside the objects' boxes", "warning", "0% of the points: points or"),
    ],
)
def test_boxes_that_are_no_pixels_are_found(findings, box, what, severity, words):
    images = [(("train", "fit"), [(11, 29), (19, 28)], box)] * 24
    found = findings(images, name="folder")[0][what]
    assert found.severity == severity and words in found.found


def test_findings_become_json(findings):
    found, _ = findings(SOUND)
    json.dumps([one._asdict() for one in found.values()])


def test_progress_wraps_the_records(tmp_path, monkeypatch):
    calls = []

    def progress(records, total, label):
        calls.append((total, label))
        return records

    listing = record.Listing([], [])
    monkeypatch.setattr(readers, "read", lambda config, seed: listing)
    listed = data.list_dataset(options("", name="folder"), "none", seed=0)
    doctor.examine(listed, progress=progress)
    assert calls == [(0, "examining")]


@pytest.mark.parametrize("name", ["celeba", "mtfl", "cub", "coco"])
def test_the_real_sets_have_no_errors(real_data, name):
    places = {"celeba": "celeba", "mtfl": "MTFL", "cub": "CUB_200_2011", "coco": "car_parts"}
    root = real_data / places[name]
    if not root.is_dir():
        pytest.skip(f"no {name} here")
    changes = {
        "celeba": {"splits": "subset"},
        "coco": {"coco_train": "train/annotations.json", "coco_test": "test/annotations.json"},
    }.get(name, {})
    found = examined(options(root, name=name, **changes))
    bad = {one.what: one.found for one in found if one.severity == "error"}
    assert not bad


def test_findings_are_in_the_order_of_the_images_whoever_is_faster(tmp_path, monkeypatch, rng):
    names = [f"{n:02d}.png" for n in range(12)]
    for n, name in enumerate(names):
        save(tmp_path / name, rng.integers(0, 255, (20 + n, 30, 3), np.uint8))
    for name in names[::3]:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-40])
    read = pathlib.Path.read_bytes

    def slowly(path):
        time.sleep(0.02 * (path.name < "06"))
        return read(path)

    monkeypatch.setattr(pathlib.Path, "read_bytes", slowly)
    found, table = doctor.examine(
        data.list_dataset(options(tmp_path, max_bad_fraction=1.0), "no", seed=0)
    )
    assert table.keys.tolist() == [name for n, name in enumerate(names) if n % 3]
    assert table.sizes[:, 0].tolist() == [20 + n for n in range(12) if n % 3]
    (bad,) = (one for one in found if one.what == "unreadable images")
    assert [text.partition(":")[0] for text in bad.names] == names[::3]


def test_what_is_known_is_not_read_again(tmp_path, monkeypatch, rng):
    for n in range(3):
        save(tmp_path / f"{n}.png", rng.integers(0, 255, (20, 30, 3), np.uint8))
    wanted, read = options(tmp_path), []
    load = pathlib.Path.read_bytes
    monkeypatch.setattr(pathlib.Path, "read_bytes", lambda one: read.append(one.name) or load(one))
    first = data.list_dataset(wanted, "none", seed=0)
    assert sorted(read) == ["0.png", "1.png", "2.png"]
    some = {key: first.contents[key] for key in ("0.png", "2.png")}
    again = data.list_dataset(wanted, "none", seed=0, known=some)
    assert read[3:] == ["1.png"] and again.contents == first.contents
