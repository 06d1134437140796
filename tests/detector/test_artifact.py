"""An exported detector against the detector itself, here and in a process without partdisc."""

import dataclasses
import hashlib
import json
import runpy
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from detectors import small_choices, small_detector
from detectors_planted import BLUE, RED, photo, planted_detector
from jax import export
from program import ROOT

from partdisc.backbones import backbone, load_weights, unit_features
from partdisc.data import images
from partdisc.detector.parts import NO_PARTS
from partdisc.errors import ConfigError, WorkdirError
from partdisc.method.factors import FactorLayer
from partdisc.method.part_layer import PartLayer

EXAMPLE = ROOT / "examples" / "run_artifact.py"
# Of a probability, and of a point as a share of the longer side.
CLOSE = 1e-5


def factors(detector, rng):
    """Return the detector with a factor layer."""
    basis = np.abs(rng.normal(size=(detector.layer.parts, detector.backbone.channels)))
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)
    params = {"basis": jnp.asarray(basis, jnp.float32), "scale": jnp.float32(2.0)}
    return dataclasses.replace(
        detector, layer=FactorLayer(detector.layer.parts), params=params, offset=0 * detector.offset
    )


def whole_cells(detector, rng):
    """Return the detector without the cells between."""
    return dataclasses.replace(detector, settings=detector.settings._replace(half_stride=False))


def load(folder):
    """Return the exported function and what the other file says."""
    about = json.loads((folder / "model.json").read_text())
    program = bytearray((folder / "model.jaxexport").read_bytes())
    return export.deserialize(program).call, about


def read(detector, pixels):
    """Read images of one size, which is the network's, in the detector's own way."""
    geometry = detector.geometry(pixels.shape[1:3])
    assert tuple(geometry.working) == pixels.shape[1:3]
    features = unit_features(
        detector.backbone, detector.weights, pixels, half_stride=detector.settings.half_stride
    )
    geometry = images.Geometry(*(np.stack([field] * len(pixels)) for field in geometry))
    return detector.read(np.asarray(features), geometry)


def check(detector, call, pixels):
    """Compare what the exported function and the detector find in images of one size."""
    found, own = jax.tree.map(np.asarray, call(pixels)), read(detector, pixels)
    np.testing.assert_allclose(found["maps"], own.maps, rtol=0, atol=CLOSE)
    np.testing.assert_allclose(found["scores"], own.scores, rtol=0, atol=CLOSE)
    close = CLOSE * max(pixels.shape[1:3])
    np.testing.assert_allclose(found["points"], own.points, rtol=0, atol=close)
    for n, one in enumerate(detector.predict(pixels)):
        points, scores, present = zip(
            *((part.point, part.score, part.present) for part in one.parts), strict=True
        )
        np.testing.assert_allclose(found["points"][n], points, rtol=0, atol=close)
        np.testing.assert_allclose(found["scores"][n], scores, rtol=0, atol=CLOSE)
        np.testing.assert_array_equal(found["present"][n], present)
    return found


@pytest.mark.parametrize("changed", [None, factors, whole_cells])
def test_one_artifact_finds_what_the_detector_finds_in_images_of_any_size(tmp_path, rng, changed):
    detector = small_detector()
    detector = changed(detector, rng) if changed else detector
    # Some parts are there, and some are not.
    pixels = rng.integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    # Between two scores: none of them may reach it by its last digit.
    threshold = float(np.sort(read(detector, pixels).scores, axis=None)[4:6].mean())
    parts = tuple(part._replace(threshold=threshold) for part in detector.parts)
    detector = dataclasses.replace(detector, chosen=detector.chosen._replace(parts=parts))

    detector.export(tmp_path)
    call, _ = load(tmp_path)
    found = check(detector, call, pixels)
    assert 0 < found["present"].sum() < found["present"].size
    others = ((2, 96, 48, 3), (1, 48, 48, 3), (5, 48, 72, 3))
    for shape in others[:1] if changed else others:
        check(detector, call, rng.integers(0, 256, shape, dtype=np.uint8))


def test_images_of_one_colour_and_of_one_cell(tmp_path, rng):
    detector = dataclasses.replace(small_detector(), framing=images.Framing(8, 2.0))
    detector.export(tmp_path)
    call, _ = load(tmp_path)
    for value in (0, 255):
        found = check(detector, call, np.full((2, 8, 8, 3), value, np.uint8))
        assert found["maps"].shape == (2, 1, 1, 4)
        # The only cell's centre.
        np.testing.assert_allclose(found["points"], 3.5)


def test_sides_that_are_no_multiple_of_the_stride_are_refused(tmp_path):
    planted_detector().export(tmp_path)
    call, _ = load(tmp_path)
    with pytest.raises(ValueError, match="remainder 2 when computing the value of 'c'"):
        call(np.zeros((1, 48, 50, 3), np.uint8))


def with_network(name, layer, source, pixels, rng):
    """Return a detector of a real network, whose channels are some cells of images."""
    network = backbone(name, layer)
    weights = load_weights(network, source, seed=0)
    features = np.asarray(unit_features(network, weights, pixels, half_stride=True), np.float32)
    features = features.reshape(-1, network.channels)
    params = {
        "centres": jnp.asarray(features[rng.choice(len(features), 6, replace=False)]),
        "background": jnp.asarray(np.mean(features, axis=0)),
    }
    return dataclasses.replace(
        small_detector(),
        backbone=network, weights=weights, framing=images.Framing(pixels.shape[1], 2.0),
        layer=PartLayer(6, 30.0, "mean"), params=params,
        offset=np.zeros(network.channels, np.float32),
        choices=(choices := small_choices(params["centres"], features)), chosen=choices[3],
    )  # fmt: skip


def test_real_weights(tmp_path, rng, real_weights):
    with np.load(real_weights / "golden_backbones.npz") as golden:
        photo = golden["image"]
    pixels = np.stack([photo[:96, :128], photo[64:160, 96:]])
    detector = with_network("googlenet", "inception_4b", str(real_weights), pixels, rng)
    detector.export(tmp_path)
    call, about = load(tmp_path)
    found = check(detector, call, pixels)
    assert found["scores"].max() > 0.5
    assert about["backbone"]["weights"]["origin"].startswith("googlenet_bvlc.npz, sha256 6dd63fa6")


@pytest.mark.parametrize("name", ["dinov2_vits14", "dinov2_vits14_reg"])
def test_a_transformer_takes_images_of_any_size(tmp_path, rng, name):
    """Its position embeddings are resampled inside of the program."""
    coarse = rng.integers(0, 256, (2, 8, 12, 3), dtype=np.uint8)
    pixels = coarse.repeat(7, axis=1).repeat(7, axis=2)
    detector = with_network(name, "block1", "random", pixels, rng)
    detector.export(tmp_path)
    call, _ = load(tmp_path)
    check(detector, call, pixels)
    check(detector, call, pixels[:1, :, :70])


# Runs the example where partdisc and what it is made of cannot be imported.
ALONE = """
import runpy, sys
for name in ("partdisc", "flax", "optax", "PIL", "h5py"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def example(environment, *arguments):
    """Run the example, alone; return the ended process."""
    return subprocess.run(
        [sys.executable, "-c", ALONE, str(EXAMPLE), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
    )


def test_the_example_needs_no_partdisc(tmp_path, environment):
    detector = planted_detector()
    parts = (detector.parts[0]._replace(name="nose"), *detector.parts[1:])
    dataclasses.replace(detector, chosen=detector.chosen._replace(parts=parts)).export(
        tmp_path / "model"
    )
    # Red and no blue. 98 rows, of which 96 are looked at.
    pixels = np.asarray(photo((98, 120), {RED: (40, 70, 12)}))
    np.save(tmp_path / "photo.npy", pixels)
    ended = example(environment, tmp_path / "model", tmp_path / "photo.npy")
    assert ended.returncode == 0, ended.stderr
    (line,) = ended.stdout.splitlines()
    name, _, rest = line.partition(": (")
    y, x = (float(number) for number in rest.partition(")")[0].split(", "))
    assert name == "nose" and abs(y - 40) < 1 and abs(x - 70) < 1

    np.save(tmp_path / "photo.npy", np.asarray(photo((96, 96), {BLUE: (30, 30, 12)})))
    ended = example(environment, tmp_path / "model", tmp_path / "photo.npy")
    assert ended.stdout.startswith("part 2: (")


def test_the_example_says_what_it_cannot_use(tmp_path, monkeypatch):
    planted_detector().export(tmp_path)
    main = runpy.run_path(str(EXAMPLE))["main"]
    for pixels, message in (
        (np.zeros((3, 96, 3), np.uint8), r"\[3, 96\] pixels; each side needs 4"),
        (np.zeros((96, 96, 3), np.float32), r"float32 \[96, 96, 3\]; allowed is uint8"),
        (np.zeros((96, 96), np.uint8), "allowed is uint8"),
    ):
        np.save(tmp_path / "photo.npy", pixels)
        with pytest.raises(SystemExit, match=message):
            main(tmp_path, tmp_path / "photo.npy")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    for folder, image in (("none", "photo.npy"), (".", "none.npy"), (".", "photo.jpg")):
        with pytest.raises(SystemExit, match="FOLDER is what Detector.export writes, IMAGE what"):
            main(tmp_path / folder, tmp_path / image)
    assert len(EXAMPLE.read_text().partition("import json")[2].splitlines()) <= 30


def test_the_other_file_says_what_a_program_has_to_know(tmp_path):
    detector = small_detector()
    detector.export(tmp_path / "new" / "model")
    folder = tmp_path / "new" / "model"
    assert sorted(path.name for path in folder.iterdir()) == ["model.jaxexport", "model.json"]
    call, about = load(folder)
    assert about["format"] == 1
    program = (folder / "model.jaxexport").read_bytes()
    assert about["model"] == {
        "file": "model.jaxexport",
        "sha256": hashlib.sha256(program).hexdigest(),
        "platforms": list(export.deserialize(bytearray(program)).platforms),
    }
    assert about["model"]["platforms"] == ["cpu", "cuda"]
    taken = about["input"]
    assert (taken["dtype"], taken["shape"]) == ("uint8", "[b, 8*r, 8*c, 3]")
    assert taken["multiple"] == 8 and "RGB" in taken["layout"]
    assert (taken["framing"]["short_side"], taken["framing"]["max_aspect"]) == (48, 2.0)
    geometry = about["geometry"]
    assert (geometry["stride"], geometry["origin"]) == (4.0, detector.backbone.origin)
    assert geometry["half_stride"] is True
    outputs = {name: (one["dtype"], one["shape"]) for name, one in about["outputs"].items()}
    assert outputs == {
        "maps": ("float32", "[b, 2*r - 1, 2*c - 1, 4]"),
        "points": ("float32", "[b, 3, 2]"),
        "scores": ("float32", "[b, 3]"),
        "present": ("bool", "[b, 3]"),
    }
    assert about["outputs"].keys() == call(np.zeros((1, 8, 8, 3), np.uint8)).keys()
    for one, part in zip(about["parts"], detector.parts, strict=True):
        assert one.pop("title") == part.title
        assert one == json.loads(json.dumps(part._asdict()))
    assert about["backbone"] == {
        "name": "vgg16",
        "layer": "pool3",
        "weights": {"sha256": detector.weights.digest, "origin": "random, seed 0"},
    }
    assert "Apache-2.0" in about["licence"] and "ImageNet" in about["licence"]
    assert about["versions"]["jax"] == jax.__version__
    assert about["versions"].keys() == {"partdisc", "jax", "calling_convention"}


@pytest.mark.parametrize("size", [(60, 80), (300, 100), (7, 900), (33, 31), (1, 1), (100, 149)])
def test_a_photo_becomes_the_input_as_the_other_file_says(tmp_path, size):
    """Follow the sentence of `framing`, and compare with the detector's geometry."""
    detector = dataclasses.replace(small_detector(), framing=images.Framing(100, 1.6))
    short = max(1, np.floor(100 / 8 + 0.5))
    longest = max(short, np.floor(short * 1.6))
    cells = [np.floor(min(short * side / min(size), longest) + 0.5) for side in size]
    geometry = detector.geometry(size)
    np.testing.assert_array_equal(geometry.working, 8 * np.array(cells))
    point = np.array([3.0, 5.0])
    back = (point + 0.5) * size / geometry.working - 0.5
    np.testing.assert_allclose(images.to_original(point, geometry), back)


def test_no_parts_and_no_folder_are_one_line(tmp_path):
    detector = small_detector()
    with pytest.raises(ConfigError, match="this detector has none; train it to the end"):
        dataclasses.replace(detector, chosen=NO_PARTS, choices={}).export(tmp_path / "model")
    with pytest.raises(ConfigError, match="allowed: 2 to 3"):
        dataclasses.replace(detector, chosen=NO_PARTS).export(tmp_path / "model")
    assert not any(tmp_path.iterdir())
    file = tmp_path / "file"
    file.write_text("mine")
    for path in (file, file / "below"):
        with pytest.raises(WorkdirError, match=r"file.*no folder can be made there"):
            detector.export(path)
    assert file.read_text() == "mine"


def test_an_export_that_fails_loses_nothing(tmp_path, monkeypatch):
    detector = small_detector()
    detector.export(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        detector.with_parts(2).export(tmp_path)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
