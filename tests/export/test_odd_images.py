"""Images that are none, or odd ones: a right answer or one clear line each, and nothing lost."""

import numpy as np
import pytest
from detectors_planted import BLUE, RED, photo, planted_detector
from PIL import Image

from partdisc.detector import find_sources
from partdisc.export.pictures import Extras
from partdisc.export.predictions import read_lines, write_predictions

GOOD = {
    # Name -> size, red and blue disc (y, x, radius).
    "plain.png": ((120, 160), (40.0, 50.0, 14), (80.0, 120.0, 16)),
    "panorama.jpg": ((1200, 20_000), (500.0, 4000.0, 380), (700.0, 15000.0, 400)),
    "tiny.png": ((9, 12), (3.0, 3.0, 2), (6.0, 9.0, 2)),
    "moving.gif": ((120, 160), (40.0, 50.0, 14), (80.0, 120.0, 16)),
    "grey with alpha.png": ((90, 90), None, None),
}
BAD = {
    "a text.jpg": "not an image",
    "cut.jpg": "damaged",
    "empty.png": "the file is empty",
    "strip.png": "longer than 20 to 1",
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    for name, (size, red, blue) in GOOD.items():
        if red is None:
            Image.new("LA", size[::-1], (90, 120)).save(folder / name)
        elif name.endswith("gif"):
            frames = [photo(size, {RED: red, BLUE: blue}), photo(size, {RED: (9.0, 9.0, 5)})]
            frames[0].save(folder / name, save_all=True, append_images=frames[1:])
        elif max(size) > 5000:
            tenth = {RED: np.array(red) / 10, BLUE: np.array(blue) / 10}
            small = photo((size[0] // 10, size[1] // 10), tenth)
            small.resize(size[::-1], Image.Resampling.NEAREST).save(folder / name)
        else:
            photo(size, {RED: red, BLUE: blue}).save(folder / name)
    (folder / "a text.jpg").write_text("this is a text")
    (folder / "empty.png").touch()
    whole = (folder / "panorama.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    Image.new("RGB", (900, 12)).save(folder / "strip.png")
    sources = find_sources(str(folder))
    extras = Extras(("csv", "coco"), overlays=True, masks=True, report=True)
    count = write_predictions(folder / "out", planted_detector(), sources, extras)
    assert {one.name for one in count.bad} == set(BAD)
    return {row["image"]: row for row in read_lines(folder / "out" / "predictions.jsonl")}


@pytest.mark.parametrize("name", sorted(GOOD))
def test_what_can_be_read_has_the_right_answer(rows, name):
    size, red, blue = GOOD[name]
    row = rows[name]
    assert row["size"] == list(size)
    if red is None:
        assert row["object"] is None and not any(part["present"] for part in row["parts"])
        return
    for part, (y, x, radius) in zip(row["parts"], (red, blue), strict=True):
        assert part["present"] and part["name"] == f"part {part['id']}"
        # A wide photo is squeezed along its length: a step between cells is longer there.
        off = np.abs(np.subtract(part["point"], (y, x)))
        assert off.max() <= max(1.0, 0.2 * radius), off


@pytest.mark.parametrize("name", sorted(BAD))
def test_what_cannot_be_read_is_named_with_its_reason(rows, name):
    assert rows[name].keys() == {"image", "problem"}
    assert BAD[name] in rows[name]["problem"] and "\n" not in rows[name]["problem"]
    assert 5 < len(rows[name]["problem"]) < 200
