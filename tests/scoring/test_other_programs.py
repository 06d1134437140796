"""Scores of other programs: only their order counts, and their points must be pixels."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from partdisc.config import base_config
from partdisc.errors import DataError
from partdisc.evaluation.precision import firing_channels, part_average_precision
from partdisc.scoring.other_programs import ranks, score
from partdisc.workdir import Workdir


def test_ranks_keep_the_order_of_each_part_and_ties(rng):
    scores = rng.integers(-5, 5, (20, 4, 3)).astype(float)
    scores[rng.random(scores.shape) < 0.4] = -np.inf
    ranked = ranks(scores)
    np.testing.assert_array_equal(np.isfinite(ranked), np.isfinite(scores))
    for part in range(4):
        before, after = scores[:, part].ravel(), ranked[:, part].ravel()
        np.testing.assert_array_equal(before[:, None] < before, after[:, None] < after)
        used = after[np.isfinite(after)]
        assert ((used > 1) & (used <= 2)).all()


def test_precision_and_firing_do_not_depend_on_the_unit(rng):
    points = rng.uniform(0, 30, (40, 3, 2, 2))
    marks = points[:, :, 0] + rng.normal(0, 2, (40, 3, 2))
    probs = rng.random((40, 3, 2))
    units = (probs, np.log(probs), 1000 * probs, -1 / probs)
    found = [
        part_average_precision(ranks(scores), points, marks, np.full(40, 30.0)) for scores in units
    ]
    for other in found:
        np.testing.assert_array_equal(other, found[0])
    for scores in units:
        best = ranks(scores).max(axis=2)
        assert firing_channels(best, min_firing=0.05).all()


def test_a_part_that_is_hardly_ever_found_does_not_fire():
    scores = np.full((100, 3, 1), -np.inf)
    scores[:, 0], scores[:2, 1] = -7.0, 900.0
    assert firing_channels(ranks(scores)[:, :, 0], min_firing=0.05).tolist() == [True, False, False]
    assert (ranks(np.full((2, 1, 1), -np.inf)) == -np.inf).all()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Thirty photos of 40 x 64, every other one turned by EXIF, in two COCO files; all upright."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    where = {}
    for split, count in (("train", 20), ("test", 10)):
        images, annotations = [], []
        for number in range(count):
            turned = number % 2
            height, width = (64, 40) if turned else (40, 64)
            exif = Image.Exif()
            exif[0x0112] = 6 if turned else 1
            name = f"{split}{number}.png"
            Image.new("RGB", (64, 40)).save(root / name, exif=exif)
            points = rng.uniform(0.05, 0.95, (3, 2)) * (height - 1, width - 1)
            where[name] = points
            images.append({"id": number, "file_name": name, "width": width, "height": height})
            keypoints = [float(value) for y, x in points for value in (x, y, 2)]
            annotations.append(
                {
                    "id": number,
                    "image_id": number,
                    "category_id": 1,
                    "keypoints": keypoints,
                    "bbox": [0, 0, width, height],
                }
            )
        category = {"id": 1, "name": "thing", "keypoints": ["a", "b", "c"]}
        whole = {"images": images, "annotations": annotations, "categories": [category]}
        (root / f"{split}.json").write_text(json.dumps(whole))
    return root, where


def scored(photos, tmp_path, change):
    """Score points that are those of the photos, changed."""
    root, where = photos
    config = base_config()
    with config.unlocked():
        config.data.name, config.data.root = "coco", str(root)
        config.data.coco_train, config.data.coco_test = "train.json", "test.json"
    path = tmp_path / "points.json"
    rows = [
        {"image": name, "part": part, "y": y, "x": x}
        for name, points in where.items()
        for part, (y, x) in zip("abc", change(name, points).tolist(), strict=True)
    ]
    path.write_text(json.dumps(rows))
    with Workdir(tmp_path / "run") as workdir:
        score(config, workdir, str(path))


def as_stored(name, points):
    """Return the points in the photo as it is stored."""
    if int(re.sub(r"\D", "", name)) % 2 == 0:
        return points
    return np.stack([39 - points[:, 1], points[:, 0]], axis=1)


WRONG = {
    "stored": (as_stored, "pixels of the stored images"),
    "shares": (lambda name, points: points / 64, "shares of the sides"),
    "shares from -1": (lambda name, points: points / 32 - 1, "shares of the sides"),
    "shares, test": (
        lambda name, points: points / 64 if "test" in name else points,
        "of test images, .*shares of the sides",
    ),
    "exchanged, test": (
        lambda name, points: points[:, ::-1] if "test" in name else points,
        "of test images, .*x and y exchanged",
    ),
    "larger": (lambda name, points: 2 * points, "1.[89] times as large"),
}


@pytest.mark.parametrize(("change", "words"), WRONG.values(), ids=WRONG)
def test_points_that_are_no_pixels_of_the_photos_are_refused(photos, tmp_path, change, words):
    with pytest.raises(DataError, match=f"points.json: .*({words})"):
        scored(photos, tmp_path, change)
    assert not (tmp_path / "run" / "scores.json").exists()


def test_an_annotation_that_is_no_pixels_is_refused(photos, tmp_path):
    root, where = photos
    copy = shutil.copytree(root, tmp_path / "copy")
    for split in ("train", "test"):
        whole = json.loads((copy / f"{split}.json").read_text())
        for one in whole["annotations"]:
            one["keypoints"] = [value / 64 if value != 2 else 2 for value in one["keypoints"]]
        (copy / f"{split}.json").write_text(json.dumps(whole))
    with pytest.raises(DataError, match="the annotation, .*train.json.*shares of the sides"):
        scored((copy, where), tmp_path, lambda name, points: points)


def test_some_points_outside_are_warned_of(photos, tmp_path, capsys):
    def change(name, points):
        return np.where(np.arange(3)[:, None] == 1, 500.0, points) if "5" in name else points

    scored(photos, tmp_path, change)
    said = capsys.readouterr().out
    assert re.search("warning: .*points.json: .*% of the points lie outside", said)
    assert json.loads((tmp_path / "run" / "scores.json").read_text())["predictions"]["n_test"] == 10
