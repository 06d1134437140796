"""Predictions in files: a line an image, taken up after a kill, tables, overlays and masks."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
from detectors import small_detector
from PIL import Image

from partdisc.detector import Source, keep, rgb
from partdisc.errors import ConfigError, WorkdirError
from partdisc.export.command import Asked, predict
from partdisc.export.predictions import LINES, REPORT, Extras, read_lines, write_predictions
from partdisc.scoring.prediction_files import read_points

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


@pytest.mark.parametrize("lost", [0, 1, 30])
def test_what_was_stopped_goes_on_after_its_last_whole_line(tmp_path, detector, sources, lost):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    write_predictions(whole, detector, sources, EVERYTHING)
    write_predictions(cut, detector, sources, EVERYTHING)
    lines = (cut / LINES).read_text().splitlines(keepends=True)
    (cut / LINES).write_text("".join(lines[:2]) + lines[2][:lost])
    told = []
    write_predictions(cut, detector, sources, EVERYTHING, told.append)
    assert told == [2, 1, 1]
    files = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
    assert len(files) == 4 + 2 * 3
    for file in files:
        assert (cut / file).read_bytes() == (whole / file).read_bytes(), file


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
    ],
)
def test_what_is_asked_wrongly_is_one_line(tmp_path, sources, changes, words):
    with pytest.raises(ConfigError, match=words):
        predict("run", asked(tmp_path, **changes))
    with pytest.raises(ConfigError, match="--workdir"):
        predict("", asked(tmp_path))
