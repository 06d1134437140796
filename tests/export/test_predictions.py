"""Predictions in files: a line an image, taken up after a kill, tables, overlays and masks."""

import csv
import dataclasses
import fcntl
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from detectors import small_detector
from PIL import Image

from partdisc.detector import FoundObject, Source, keep, rgb
from partdisc.errors import ConfigError, WorkdirError
from partdisc.export.command import Asked, predict
from partdisc.export.overlays import draw_overlay
from partdisc.export.pictures import REPORT, Extras, is_ours, picture_names
from partdisc.export.predictions import ABOUT, LINES, read_lines, write_predictions
from partdisc.scoring.prediction_files import read_points
from partdisc.workdir import Workdir

EVERYTHING = Extras(("csv",), overlays=True, masks=True, report=True)


@pytest.fixture(scope="module")
def detector():
    return small_detector()


@pytest.fixture
def sources(tmp_path, rng):
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    sizes = {"a.png": (60, 90), "b.jpg": (48, 48), "deep/c.png": (200, 100), "d.png": (48, 60)}
    for name, size in sizes.items():
        picture = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / name)
    (folder / "bad.jpg").write_text("no image")
    return [Source(name, folder / name) for name in ("a.png", "b.jpg", "bad.jpg", "deep/c.png")]


def test_a_line_an_image_with_all_that_was_found(tmp_path, detector, sources):
    count = write_predictions(tmp_path / "out", detector, sources, Extras())
    rows = list(read_lines(tmp_path / "out" / LINES))
    assert [row["image"] for row in rows] == [one.name for one in sources]
    assert count.images == 4 and [one.name for one in count.bad] == ["bad.jpg"]
    assert rows[2].keys() == {"image", "problem"}
    found = detector.predict([one.picture for one in sources if one.name != "bad.jpg"])
    for row, prediction in zip(rows[:2] + rows[3:], found, strict=True):
        assert tuple(row["size"]) == prediction.size
        for part, expected in zip(row["parts"], prediction.parts, strict=True):
            assert part["name"] == expected.name and part["present"] == expected.present
            np.testing.assert_allclose(part["point"], expected.point, atol=0.006)
            assert part["score"] == pytest.approx(expected.score, abs=6e-5)
        assert len(row["detections"]) == len(prediction.detections)


@pytest.fixture
def looked(detector, monkeypatch):
    """A detector, and the names of the images in each of its predictions."""
    seen = []
    predict = type(detector).predict

    def recorded(self, given, on_bad=None):
        given = list(given)
        seen.append([one.name for one in given])
        return predict(self, given, on_bad)

    monkeypatch.setattr(type(detector), "predict", recorded)
    return detector, seen


@pytest.mark.parametrize("lost", [0, 1, 30])
def test_what_was_stopped_goes_on_after_its_last_whole_line(tmp_path, looked, sources, lost):
    detector, seen = looked
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    write_predictions(whole, detector, sources, EVERYTHING)
    write_predictions(cut, detector, sources, EVERYTHING)
    lines = (cut / LINES).read_text().splitlines(keepends=True)
    (cut / LINES).write_text("".join(lines[:2]) + lines[2][:lost])
    (cut / "masks" / "deep" / "c.png").unlink()
    seen.clear()
    write_predictions(cut, detector, sources, EVERYTHING)
    # The last two, by their places among these; and the first two, once more for the page.
    assert seen == [["0", "1"], ["0", "1"]]
    files = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
    assert len(files) == 4 + 2 * 3
    for file in files:
        assert (cut / file).read_bytes() == (whole / file).read_bytes(), file


DAMAGED_LINES = {
    "garbage": lambda line: b"garbage",
    "no text": lambda line: b"\xff\xfe" + line,
    "no object": lambda line: b"[1]",
    "empty": lambda line: b"",
    "of another image": lambda line: line.replace(b'"b.jpg"', b'"c.jpg"'),
    "cut": lambda line: line[:40],
    **{
        f"without {name}": lambda line, name=name: line.replace(f'"{name}"'.encode(), b'"x"')
        for name in ("image", "size", "object", "parts", "point", "present", "box", "counts")
    },
    "a text for numbers": lambda line: line.replace(b'"point": [', b'"point": "", "x": ['),
}


@pytest.mark.parametrize("damage", DAMAGED_LINES.values(), ids=DAMAGED_LINES)
def test_a_damaged_line_and_what_follows_is_made_again(tmp_path, looked, sources, damage, capsys):
    detector, seen = looked
    write_predictions(tmp_path, detector, sources, Extras())
    whole = (tmp_path / LINES).read_bytes()
    lines = whole.splitlines()
    lines[1] = damage(lines[1])
    (tmp_path / LINES).write_bytes(b"\n".join(lines) + b"\n")
    assert (tmp_path / LINES).read_bytes() != whole
    seen.clear()
    write_predictions(tmp_path, detector, sources, Extras(("csv", "coco")))
    assert (tmp_path / LINES).read_bytes() == whole
    assert seen == [["0", "1", "2"], []]
    assert f"{tmp_path / LINES}: line 2 is damaged: it and what" in capsys.readouterr().out


@pytest.mark.parametrize("about", [None, b"", b"garbage", b"\xff", b"[1]", b"{}"])
def test_lines_of_nobody_knows_what_are_left_alone(tmp_path, detector, sources, about):
    write_predictions(tmp_path, detector, sources, Extras())
    before = (tmp_path / LINES).read_bytes()
    (tmp_path / ABOUT).unlink()
    if about is not None:
        (tmp_path / ABOUT).write_bytes(about)
    with pytest.raises(WorkdirError, match=r"predictions\.json is absent or damaged.*or remove"):
        write_predictions(tmp_path, detector, sources, Extras())
    assert (tmp_path / LINES).read_bytes() == before
    (tmp_path / LINES).unlink()
    write_predictions(tmp_path, detector, sources, Extras())
    assert (tmp_path / LINES).read_bytes() == before


def test_predictions_of_others_are_not_mixed_in(tmp_path, detector, sources):
    write_predictions(tmp_path / "out", detector, sources, Extras())
    before = (tmp_path / "out" / LINES).read_bytes()
    for other, images in ((detector, sources[:2]), (detector.with_parts(2), sources)):
        with pytest.raises(WorkdirError, match="--out another folder"):
            write_predictions(tmp_path / "out", other, images, Extras())
    assert (tmp_path / "out" / LINES).read_bytes() == before


def test_the_table_has_a_row_for_each_part_and_scoring_reads_it(tmp_path, detector, sources):
    write_predictions(tmp_path / "out", detector, sources, EVERYTHING)
    path = tmp_path / "out" / "predictions.csv"
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [row for row in read_lines(tmp_path / "out" / LINES) if "parts" in row]
    expected = [(row["image"], part) for row in lines for part in row["parts"]]
    assert len(rows) == len(expected) == 9
    for row, (image, part) in zip(rows, expected, strict=True):
        assert row["image"] == image and row["part"] == part["name"]
        assert [float(row["y"]), float(row["x"])] == part["point"]
        assert float(row["score"]) == part["score"] and row["present"] == str(int(part["present"]))
    frame = pd.read_csv(path)
    assert len(frame) == 9 and set(frame.present) <= {0, 1}
    assert frame.dtypes[["y", "x", "score", "area"]].eq("float64").all()
    np.testing.assert_array_equal(frame[["y", "x"]], [part["point"] for _, part in expected])
    points = read_points(path, [one.name for one in sources])
    assert points.parts == ("part 1", "part 2", "part 3") and points.rows == 9


def test_overlays_and_masks_have_the_parts_in_their_colours(tmp_path, detector, sources):
    write_predictions(tmp_path / "out", detector, sources, EVERYTHING)
    predicted = next(detector.predict([sources[3].picture]))
    with Image.open(tmp_path / "out" / "masks" / "deep" / "c.png") as mask:
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.asarray(mask), predicted.mask)
        colours = np.asarray(mask.convert("RGB"))
    for part in detector.parts:
        there = colours[predicted.mask == part.id]
        assert not len(there) or np.all(there == rgb(part.colour))
    assert not colours[predicted.mask == 0].any()
    with Image.open(tmp_path / "out" / "overlays" / "deep" / "c.png") as overlay:
        assert overlay.size == (100, 200)
    assert not (tmp_path / "out" / "overlays" / "bad.png").exists()


def test_the_page_shows_the_photos_and_names_those_that_are_bad(tmp_path, detector, sources):
    write_predictions(tmp_path / "out", detector, sources, Extras(report=True))
    page = (tmp_path / "out" / REPORT).read_text()
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert [one["name"] for one in data["photos"]] == ["a.png", "b.jpg", "deep/c.png"]
    assert "<li>bad.jpg: not an image" in page and "3 of 4 photos" in page
    rows = [row for row in read_lines(tmp_path / "out" / LINES) if "parts" in row]
    for photo, row in zip(data["photos"], rows, strict=True):
        for part, found in zip(photo["parts"], row["parts"], strict=True):
            shares = (np.array(found["point"]) + 0.5) / row["size"]
            np.testing.assert_allclose(part["point"], shares, atol=2e-4)


def asked(tmp_path, **changes):
    given = {"images": str(tmp_path / "photos"), "out": str(tmp_path / "out")}
    return Asked(**given | changes)


def test_the_command_says_what_it_did(tmp_path, detector, sources, capsys):
    (tmp_path / "run").mkdir()
    keep(tmp_path / "run", detector)
    run = str(tmp_path / "run")
    assert predict(run, asked(tmp_path, formats="jsonl,csv")) == 0
    said = capsys.readouterr()
    assert "bad.jpg: not an image" in said.out and "4 of 5 images" in said.out
    rows = list(read_lines(tmp_path / "out" / LINES))
    assert [row["image"] for row in rows] == ["a.png", "b.jpg", "bad.jpg", "d.png", "deep/c.png"]
    # Shards are shares of the same order, each in a folder of its own.
    seen = []
    for shard in ("1/2", "2/2"):
        out = tmp_path / shard.replace("/", "-")
        predict(run, asked(tmp_path, shard=shard, out=str(out)))
        seen.append([json.dumps(row) for row in read_lines(out / LINES)])
    assert [len(one) for one in seen] == [3, 2]
    assert sorted(sum(seen, [])) == sorted(json.dumps(row) for row in rows)
    only_bad = asked(tmp_path, images=str(tmp_path / "photos" / "bad.jpg"), out=str(tmp_path / "x"))
    assert predict(run, only_bad) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": ""}, "--images"),
        ({"out": ""}, "--out"),
        ({"formats": "xml"}, "'xml'; allowed, by commas: jsonl, csv, coco"),
        ({"shard": "3/2"}, "i/n"),
        ({"shard": "0/2"}, "i/n"),
        ({"shard": "half"}, "i/n"),
        ({"out": "held"}, "--out is 'held', a run's own work directory; give another folder"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(tmp_path, sources, changes, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Workdir("held"):
        pass
    with pytest.raises(ConfigError, match=words):
        predict("run", asked(tmp_path, **changes))
    with pytest.raises(ConfigError, match="--workdir"):
        predict("", asked(tmp_path))


def test_pictures_that_are_wanted_later_are_drawn_for_all_images(tmp_path, looked, sources):
    detector, seen = looked
    out = tmp_path / "out"
    write_predictions(out, detector, sources, Extras(overlays=True))
    lines = (out / LINES).read_bytes()
    (out / "overlays" / "a.png").unlink()
    seen.clear()
    write_predictions(out, detector, sources, Extras(overlays=True, masks=True))
    assert seen == [[], ["0", "1", "3"]] and (out / LINES).read_bytes() == lines
    for kind in ("overlays", "masks"):
        found = sorted(str(one.relative_to(out / kind)) for one in (out / kind).rglob("*.png"))
        assert found == ["a.png", "b.png", "deep/c.png"]


def test_pictures_lie_in_their_folder_and_none_takes_the_place_of_another(tmp_path):
    given = [
        "a.jpg",
        "b/c.png",
        "../x/d.jpg",
        "/abs/e.webp",
        "b/c.jpg",
        "f.png",
        "f.png",
        "../f.png",
    ]
    names = picture_names([Source(name, tmp_path / name) for name in given])
    assert [str(name) for name in names] == [
        "a.png", "b/c.png.png", "x/d.png", "abs/e.png", "b/c.jpg.png",
        "f.png.5.png", "f.png.6.png", "f.png.7.png",
    ]  # fmt: skip
    assert picture_names([]) == []


def test_long_names_have_pictures_too(tmp_path, detector, rng):
    """As long as the file system has them, with endings shorter than a picture's, and twice."""
    folder = tmp_path / "photos"
    folder.mkdir()
    names = ["a" * 251 + ".png", "a" * 250 + ".webp", "é" * 125 + ".jpg", "b" * 247 + ".png"]
    for name in names:
        picture = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / "x", Path(name).suffix[1:].replace("jpg", "jpeg"))
        (folder / "x").rename(folder / name)
    given = [Source(name, folder / name) for name in names]
    write_predictions(tmp_path / "out", detector, given, EVERYTHING)
    for kind in ("overlays", "masks"):
        assert len(list((tmp_path / "out" / kind).iterdir())) == len(names)
    longer = picture_names([Source("c" * 253 + ending, folder) for ending in (".x", ".y")])
    assert len({*longer}) == 2 and all(len(str(name)) < 255 for name in longer)


def test_photos_or_settings_that_changed_are_others(tmp_path, detector, sources):
    out = tmp_path / "out"
    write_predictions(out, detector, sources, Extras())
    settings = detector.settings._replace(min_score=0.9)
    with pytest.raises(WorkdirError, match="--out another folder"):
        write_predictions(out, dataclasses.replace(detector, settings=settings), sources, Extras())
    Image.new("RGB", (60, 60)).save(tmp_path / "photos" / "b.jpg")
    with pytest.raises(WorkdirError, match="--out another folder"):
        write_predictions(out, detector, sources, Extras())


def test_two_do_not_write_one_folder(tmp_path, detector, sources):
    write_predictions(tmp_path, detector, sources, Extras())
    before = (tmp_path / LINES).read_bytes()
    with open(tmp_path / LINES, "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(WorkdirError, match="another process writes predictions there"):
            write_predictions(tmp_path, detector, sources, Extras())
    assert (tmp_path / LINES).read_bytes() == before


def test_what_was_written_is_not_looked_at(tmp_path, detector, sources, capsys):
    (tmp_path / "run").mkdir()
    keep(tmp_path / "run", detector)
    inside = asked(tmp_path, out=str(tmp_path / "photos" / "found"), overlays=True, masks=True)
    for _ in range(2):
        assert predict(str(tmp_path / "run"), inside) == 0
        assert "4 of 5 images" in capsys.readouterr().out
    folder = tmp_path / "photos"
    assert is_ours(folder, Source("x", folder / "masks" / "deep" / "x.png"))
    assert not is_ours(folder, Source("a", folder / "a.png"))


def test_a_share_without_images_is_no_failure(tmp_path, detector, sources):
    (tmp_path / "run").mkdir()
    keep(tmp_path / "run", detector)
    assert predict(str(tmp_path / "run"), asked(tmp_path, shard="9/9")) == 0
    assert (tmp_path / "out" / LINES).read_text() == ""


def test_a_name_that_is_no_text_is_written_and_shown(tmp_path, detector, sources, capsys):
    (tmp_path / "run").mkdir()
    keep(tmp_path / "run", detector)
    odd = os.fsdecode(b"bird \xff.png")
    os.rename(tmp_path / "photos" / "a.png", tmp_path / "photos" / odd)
    os.rename(tmp_path / "photos" / "bad.jpg", tmp_path / "photos" / os.fsdecode(b"bad \xfe.jpg"))
    given = asked(tmp_path, formats="jsonl,csv,coco", report=True)
    assert predict(str(tmp_path / "run"), given) == 0
    assert "bad \\udcfe.jpg" in capsys.readouterr().out
    assert odd in [row["image"] for row in read_lines(tmp_path / "out" / LINES)]
    assert b"bird \xff.png" in (tmp_path / "out" / "predictions.csv").read_bytes()
    assert "bird \\udcff.png" in (tmp_path / "out" / REPORT).read_text()


def test_the_box_of_a_small_object_is_drawn(tmp_path, detector, rng):
    photo = rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)
    (found,) = detector.predict([photo])
    small = FoundObject((20.0, 30.0, 20.3, 30.2), 0.9, 0.01)
    found = dataclasses.replace(found, object=small)
    drawn = np.asarray(draw_overlay(detector.parts, photo, found))
    assert (drawn[20, 30] == 255).all()
