"""Planted parts have the right pixels in every file, whatever the photo's size and turn."""

import csv
import json

import numpy as np
import pytest
from detectors_planted import BLUE, RED, STRIDE, photo, planted_detector
from PIL import Image
from pycocotools.coco import COCO

from partdisc.detector import Source, rgb
from partdisc.export.pictures import Extras
from partdisc.export.predictions import read_lines, write_predictions

# Stored turned by EXIF's orientation 6: a quarter to the left of upright.
TURN = Image.Transpose.ROTATE_90
# Name -> height and width of the upright photo, red and blue disc (y, x, radius), stored how.
PHOTOS = {
    "odd.png": ((131, 173), (40.0, 50.0, 14), (90.0, 120.0, 16), None),
    "small.png": ((61, 83), (20.0, 24.0, 9), (44.0, 60.0, 9), None),
    "upright.jpg": ((301, 203), (80.0, 61.0, 30), (220.0, 140.0, 32), TURN),
    "wide.png": ((150, 1131), (70.0, 200.0, 24), (80.0, 900.0, 28), None),
    "tall.jpg": ((777, 101), (150.0, 50.0, 18), (600.0, 48.0, 18), None),
}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    for name, (size, red, blue, turned) in PHOTOS.items():
        image = photo(size, {RED: red, BLUE: blue}, turned)
        exif = Image.Exif()
        if turned is not None:
            exif[0x0112] = 6
        image.save(folder / name, quality=95, exif=exif)
    sources = [Source(name, folder / name) for name in PHOTOS]
    extras = Extras(("csv", "coco"), overlays=True, masks=True, report=True)
    write_predictions(folder / "out", planted_detector(), sources, extras)
    return folder / "out"


def near(size):
    """Return what counts as right, pixels: half a step between cells, at the photo's scale."""
    return max(0.75, 0.25 * STRIDE * min(size) / 96) + 0.25


def check(name, points):
    size, red, blue, _ = PHOTOS[name]
    for found, (y, x, _) in zip(points, (red, blue), strict=True):
        assert np.abs(np.subtract(found, (y, x))).max() <= near(size), (name, found, (y, x))


def rows(out):
    return {row["image"]: row for row in read_lines(out / "predictions.jsonl")}


def test_lines(out):
    assert list(rows(out)) == list(PHOTOS)
    for name, row in rows(out).items():
        size, red, blue, _ = PHOTOS[name]
        assert row["size"] == list(size)
        check(name, [part["point"] for part in row["parts"]])
        for colour, (y, x, radius) in zip(("red", "blue"), (red, blue), strict=True):
            # A disc is red everywhere alike: its detection may be on any cell of it.
            detections = [one for one in row["detections"] if one["part"] == colour]
            assert detections and np.hypot(*np.subtract(detections[0]["point"], (y, x))) < radius
        for part, (y, x, radius) in zip(row["parts"], (red, blue), strict=True):
            disc = np.array([y - radius, x - radius, y + radius, x + radius])
            step = STRIDE * min(size) / 96
            assert part["present"] and np.abs(np.subtract(part["box"], disc)).max() <= step + 1


def test_table(out):
    with open(out / "predictions.csv", newline="") as file:
        table = list(csv.DictReader(file))
    for name in PHOTOS:
        check(name, [(float(r["y"]), float(r["x"])) for r in table if r["image"] == name])


def test_coco(out):
    coco = COCO(str(out / "predictions.coco.json"))
    assert [image["file_name"] for image in coco.dataset["images"]] == list(PHOTOS)
    for image in coco.dataset["images"]:
        name = image["file_name"]
        size, red, blue, _ = PHOTOS[name]
        assert (image["height"], image["width"]) == size
        found = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        # The object is its largest piece, so either disc: its mask covers that one.
        for one in found:
            x, y = one["keypoints"][0::3], one["keypoints"][1::3]
            check(name, list(zip(y, x, strict=True)))
            mask = coco.annToMask(one)
            assert mask.shape == size
            inside = [mask[int(y), int(x)] for y, x, _ in (red, blue)]
            assert sum(map(int, inside)) == 1
        assert len(found) == 1


def test_masks_and_overlays(out):
    for name, (size, red, blue, _) in PHOTOS.items():
        file = name.rsplit(".")[0] + ".png"
        with Image.open(out / "masks" / file) as image:
            mask = np.asarray(image)
        assert mask.shape == size
        step = STRIDE * min(size) / 96
        for part, (y, x, radius) in ((1, red), (2, blue)):
            # Its middle of mass is the disc's; its area that of the disc, to a step at its rim.
            place = np.argwhere(mask == part).mean(axis=0)
            assert np.abs(place - (y, x)).max() <= near(size), (name, place)
            side = np.sqrt((mask == part).sum() / np.pi)
            assert abs(side - radius) <= 0.75 * step + 0.5
        with Image.open(out / "overlays" / file) as image:
            overlay = np.asarray(image.convert("RGB"), float)
        assert overlay.shape[:2] == size
        # Off the mark in its middle, a disc is half of its own colour, half of the part's.
        colours = [rgb(colour) for colour in ("#e6194b", "#f58231")]
        for (y, x, radius), own, part in zip((red, blue), (RED, BLUE), colours, strict=True):
            pixel = overlay[int(y + 0.8 * radius), int(x)]
            assert np.abs(pixel - (np.array(own) + part) / 2).max() < 25, name


def test_page(out):
    page = (out / "report" / "index.html").read_text()
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert [shown["name"] for shown in data["photos"]] == list(PHOTOS)
    for shown in data["photos"]:
        size = np.array(PHOTOS[shown["name"]][0])
        check(shown["name"], [np.array(one["point"]) * size - 0.5 for one in shown["parts"]])
