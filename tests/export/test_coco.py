"""The COCO file of predictions, as pycocotools reads it."""

import numpy as np
import pytest
from detectors import small_detector
from PIL import Image
from pycocotools.coco import COCO

from partdisc.detector import Source
from partdisc.export.coco import run_lengths, write
from partdisc.export.predictions import LINES, Extras, read_lines, write_predictions


@pytest.fixture
def written(tmp_path, rng):
    """The folder of photos, and that of their predictions."""
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for name, size in {"a.png": (60, 91), "b.png": (203, 97), "c.png": (48, 48)}.items():
        picture = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / name)
    (folder / "bad.png").write_text("no image")
    names = ["a.png", "bad.png", "b.png", "c.png"]
    detector = small_detector()
    sources = [Source(name, folder / name) for name in names]
    write_predictions(out, detector, sources, Extras(("coco",)))
    return folder, out, detector


def test_pycocotools_reads_what_was_found(written):
    folder, out, detector = written
    rows = [row for row in read_lines(out / LINES) if "parts" in row]
    found = COCO(str(out / "predictions.coco.json"))
    assert [one["file_name"] for one in found.loadImgs(found.getImgIds())] == [
        row["image"] for row in rows
    ]
    (category,) = found.loadCats(found.getCatIds())
    assert category["keypoints"] == [part.title for part in detector.parts]
    assert category["skeleton"] == [[1, 1], [1, 2], [1, 3]]
    for image, row in zip(found.loadImgs(found.getImgIds()), rows, strict=True):
        (annotation,) = found.loadAnns(found.getAnnIds(imgIds=image["id"]))
        (prediction,) = detector.predict([folder / row["image"]])
        points = np.reshape(annotation["keypoints"], (-1, 3))
        for (x, y, visible), part in zip(points, prediction.parts, strict=True):
            np.testing.assert_allclose([y, x], part.point, atol=0.006)
            assert visible == (2 if part.present else 1)
        mask = found.annToMask(annotation).astype(bool)
        np.testing.assert_array_equal(mask, prediction.object_mask)
        assert annotation["area"] == mask.sum() and (image["height"], image["width"]) == mask.shape
        x, y, width, height = annotation["bbox"]
        inside = np.argwhere(mask)
        # The mask has whole pixels of the original, the box is exact: less than one apart.
        assert np.all(np.abs(inside.min(axis=0) - [y, x]) <= 1)
        assert np.all(np.abs(inside.max(axis=0) + 1 - [y + height, x + width]) <= 1)


def test_parts_of_one_name_are_keypoints_of_two(tmp_path):
    first, second, third = small_detector().parts
    parts = (first._replace(name="wing"), second._replace(name="wing"), third)
    write(tmp_path / "empty.json", lambda: iter(()), parts)
    (category,) = COCO(str(tmp_path / "empty.json")).loadCats([1])
    assert category["keypoints"] == ["wing 1", "wing 2", "part 3"]


def test_run_lengths_are_those_of_pycocotools(rng):
    from pycocotools import mask as tools

    for shape in ((5, 7), (1, 1), (9, 1), (3, 40)):
        for mask in (rng.random(shape) < 0.5, np.ones(shape, bool), np.zeros(shape, bool)):
            found = run_lengths(mask)
            assert sum(found["counts"]) == mask.size
            decoded = tools.decode(tools.frPyObjects(found, *shape))
            np.testing.assert_array_equal(decoded.astype(bool), mask)
