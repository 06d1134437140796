"""What CONTRIBUTING.md says of adding things: a toy backbone, data set, metric and format.

Each toy is one function or class here, and the lines in registries that make it known.
"""

import inspect
import types

import numpy as np
import pytest
from PIL import Image

from partdisc import export
from partdisc.backbones import network, unit_features
from partdisc.backbones.layers import Conv, MaxPool, outputs
from partdisc.backbones.weights import load_weights
from partdisc.config import KEYS, base_config
from partdisc.data import DataSettings, open_dataset, readers, record
from partdisc.data.files import find_files
from partdisc.data.lists import List
from partdisc.export import Detection, write_detections
from partdisc.scoring import extras
from partdisc.scoring.extras import Found, measure_extras
from partdisc.scoring.settings import scoring_settings
from partdisc.validation import validate

LINES = 40


def lines(*toys) -> int:
    return sum(len(inspect.getsource(toy).splitlines()) for toy in toys)


@pytest.fixture
def known(monkeypatch):
    """Add a name to the choices, or to the names, of a key of the config."""

    def add(key: str, name: str) -> None:
        old = KEYS[key]
        more = {
            field: (*getattr(old, field), name)
            for field in ("choices", "names")
            if getattr(old, field)
        }
        monkeypatch.setitem(KEYS, key, old._replace(**more))

    return add


class ToyBackbone:
    """As a module `partdisc/backbones/toy.py` would be."""

    LAYERS = (Conv("conv1", 8, 3), MaxPool("pool1", 2, 2))
    OUTPUTS = outputs(LAYERS, ("pool1",))


def test_a_backbone(monkeypatch, known, rng):
    monkeypatch.setitem(network.ARCHITECTURES, "toy", ToyBackbone.OUTPUTS)
    known("backbone.name", "toy")
    assert lines(ToyBackbone) + 2 <= LINES
    config = base_config()
    config.backbone.update({"name": "toy", "layer": "pool1", "weights": "random"})
    validate(config)
    toy = network.backbone(config.backbone.name, config.backbone.layer)
    weights = load_weights(toy, config.backbone.weights, seed=0)
    pixels = rng.integers(0, 256, (2, 6, 8, 3), np.uint8)
    features = unit_features(toy, weights, pixels, half_stride=False)
    assert toy.stride == 2 and features.shape == (2, 3 * 4, 8)
    norms = np.linalg.norm(np.asarray(features, float), axis=-1)
    np.testing.assert_allclose(norms[norms > 0], 1, rtol=2**-11)  # that of halves


def read_toy(root) -> record.Listing:
    """Read `toy.txt`, rows of `file y x`, as a module `partdisc/data/toy.py` would."""
    files = find_files(root)
    rows = List(root / "toy.txt", ("file", "y", "x"))
    records = [
        record.file_record(root, name, files[name], ("train", "fit"), point[None])
        for name, point in rows.numbers(("y", "x")).items()
    ]
    return record.Listing(records, [], ("tip",), sources=(root / "toy.txt",))


def test_a_data_set(monkeypatch, known, tmp_path):
    monkeypatch.setitem(readers.SOURCES, "toy", readers.Source(lambda root, wanted: read_toy(root)))
    known("data.name", "toy")
    assert lines(read_toy) + 2 <= LINES
    (tmp_path / "toy.txt").write_text("a.png 3 5\nb.png 4 6\n")
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / name)
    config = base_config()
    config.data.update({"name": "toy", "root": str(tmp_path)})
    validate(config)
    opened = open_dataset(DataSettings(**config.data), tmp_path / "cache", seed=0)
    assert opened.keys == ["a.png", "b.png"] and opened.landmark_names == ("tip",)
    np.testing.assert_array_equal(opened.points, [[[3, 5]], [[4, 6]]])


def share_found(found: Found) -> float:
    """Return the share of parts that are found in a test image, %."""
    return 100 * float(np.isfinite(found.test.scores[:, :, 0]).mean())


def test_a_metric(monkeypatch, known):
    monkeypatch.setitem(extras.EXTRAS, "share_found", share_found)
    known("evaluation.extras", "share_found")
    assert lines(share_found) + 2 <= LINES
    config = base_config()
    config.evaluation.extras = "share_found"
    validate(config)
    scores = np.array([[[0.5], [-np.inf]], [[0.2], [0.1]]])
    test = types.SimpleNamespace(scores=scores)
    found = Found(scoring_settings(config), None, None, None, test)
    assert measure_extras(found) == {"share_found": 75.0}


def write_toy(path, detections: list[Detection]) -> None:
    """Write a line `image part` a detection, as a module `partdisc/export/toy.py` would."""
    path.write_text("".join(f"{one.image} {one.part}\n" for one in detections))


def test_an_output_format(monkeypatch, tmp_path):
    monkeypatch.setitem(export.FORMATS, "toy", write_toy)
    assert lines(write_toy) + 1 <= LINES
    one = Detection("a.png", "tip", 3, 0.5, [1.0, 2.0], [0.0, 1.0, 2.0, 3.0])
    written = write_detections(tmp_path, [one])
    assert tmp_path / "detections.toy" in written
    assert (tmp_path / "detections.toy").read_text() == "a.png tip\n"
