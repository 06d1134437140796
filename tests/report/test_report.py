"""The pictures of a run: what they show against loops, and whole reports of tiny runs."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from partdisc import report
from partdisc.config import base_config
from partdisc.data import images
from partdisc.detector import Detector, on_pixels
from partdisc.discovery.images import Images
from partdisc.discovery.inputs import Inputs
from partdisc.discovery.settings import step_settings
from partdisc.experiment import discover, look
from partdisc.report import figures, pairs, parts
from partdisc.report.figures import sheet
from partdisc.validation import validate
from partdisc.workdir import Workdir

PICTURES = [
    "heat_maps",
    "heat_maps_untrained",
    "part_gallery",
    "detections",
    "similar_pools",
    "aligned_pairs",
    "pseudo_ground_truth",
    "training_curves",
]


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(1, 12), st.integers(0, 5))
def test_rows_are_spread_evenly(size, count, seed):
    rows = report.spread(size, count, seed)
    assert len(rows) == min(size, count)
    for run, row in zip(np.array_split(np.arange(size), max(len(rows), 1)), rows, strict=False):
        assert row in run
    np.testing.assert_array_equal(rows, report.spread(size, count, seed))


def test_rows_depend_on_the_seed():
    assert len({tuple(report.spread(1000, 4, seed)) for seed in range(5)}) == 5


def test_a_channel_is_shown_once_with_all_its_names():
    shown = parts.shown_parts({"b": 7, "a": 2, "c": 7, "part 9": 9}, ("a", "b", "c"))
    np.testing.assert_array_equal(shown.channels, [7, 2, 9])
    assert shown.titles == ["b, c", "a", "part 9"]
    assert shown.landmarks == [[1, 2], [0], []]
    assert shown.first(1).titles == ["b, c"]
    nothing = parts.shown_parts({}, ())
    assert len(nothing.channels) == 0 and nothing.titles == []


def test_packed_cells_become_a_map():
    maps = parts.unpacked(np.arange(16).reshape(2, 8), np.array([2, 3]))
    np.testing.assert_array_equal(maps[1], [[8, 9, 10], [11, 12, 13]])


@pytest.mark.parametrize("side", [1.0, 4.0, 5.0, 30.0])
def test_a_patch_is_centred_and_grey_beyond_the_image(rng, side):
    image = rng.integers(0, 200, (9, 12, 3), dtype=np.uint8)
    for point in ([4.0, 6.0], [0.0, 11.0], [8.4, -0.4]):
        got = parts.patch(image, np.array(point), side)
        assert got.shape == (side, side, 3)
        # The middle of the window is the point, to half a pixel.
        start = [np.floor(p - side / 2 + 1) for p in point]
        assert all(abs(s + (side - 1) / 2 - p) <= 0.5 for s, p in zip(start, point, strict=True))
        for i, j in np.ndindex(got.shape[:2]):
            y, x = int(start[0]) + i, int(start[1]) + j
            inside = 0 <= y < 9 and 0 <= x < 12
            np.testing.assert_array_equal(got[i, j], image[y, x] if inside else 238)


def stub_inputs(pictures, points=None, crops=None, working=None, stride=8, origin=3.5):
    """Inputs of given images [N, H, W, 3], cropped to `crops`, with a stand-in of a network."""
    size = np.array([picture.shape[:2] for picture in pictures], np.int32)
    crop = np.c_[np.zeros_like(size), size] if crops is None else np.asarray(crops, np.int32)
    geometry = images.Geometry(size, crop, size if working is None else np.asarray(working))
    dataset = types.SimpleNamespace(
        working_image=lambda i, how: images.prepare(pictures[i], how), points=points
    )
    network = types.SimpleNamespace(stride=stride, origin=origin)
    return Inputs(dataset, network, None, None, geometry, "")


def test_patches_are_the_strongest_of_their_images():
    pictures = [np.full((8, 8, 3), value, np.uint8) for value in range(12)]
    indices = np.arange(12)[::-1]
    scores = np.array([0.1, 0.9, -np.inf, 0.5, *[-np.inf] * 8])
    points = np.where(np.isfinite(scores)[:, None], np.full((12, 2), 4.0), np.nan)
    found = parts.strongest_patches(stub_inputs(pictures), indices, points, scores, 4.0)
    assert [patch[0, 0, 0] for patch in found] == [10, 8, 11]
    every = parts.strongest_patches(
        stub_inputs(pictures), indices, np.full((12, 2), 4.0), np.linspace(0, 1, 12), 4.0
    )
    assert [patch[0, 0, 0] for patch in every] == list(range(parts.PATCHES))
    nothing = np.full(12, -np.inf)
    assert not parts.strongest_patches(stub_inputs(pictures), indices, points, nothing, 4.0)


def test_ground_truth_moves_with_the_crop():
    points = np.array([[[10.0, 20.0], [np.nan, np.nan], [15.0, 30.0]]])
    inputs = stub_inputs(
        [np.zeros((40, 60, 3), np.uint8)], points, crops=[[5, 10, 25, 50]], working=[[40, 40]]
    )
    both, none, hidden = parts.ground_truth(inputs, np.array([0]), [[0, 2], [], [1]])[0]
    # Twice as high, as wide as before; pixel centres lie half a pixel from the border.
    np.testing.assert_allclose(both, [[(10.5 - 5) * 2 - 0.5, 10.0], [(15.5 - 5) * 2 - 0.5, 20.0]])
    assert none.shape == (0, 2) and np.isnan(hidden).all()


def test_the_neighbour_moved_most_is_shown_in_pixels(rng):
    """The pool holds the target itself, and its crop moved by (1, 2) cells."""
    channels, (rows, columns) = 40, (6, 7)
    scene = rng.standard_normal((rows + 1, columns + 2, channels))
    here, moved = scene[1:, 2:], scene[:-1, :-2]
    features = np.stack([here, here, moved]).reshape(3, rows * columns, channels)
    features /= np.linalg.norm(features, axis=-1, keepdims=True)
    train_images = Images(
        jnp.asarray(features, jnp.float16),
        jnp.full((3, 2), jnp.array([rows, columns])),
        jnp.ones((3, rows * columns)),
        jnp.zeros(channels),
    )
    config = base_config()
    config.parts.update({"count": channels, "kappa": 10.0})
    config.alignment.update({"transform": "translation", "hypotheses": 64})
    settings = step_settings(config)
    centres = np.linalg.qr(rng.standard_normal((channels, channels)))[0]
    params = {
        "centres": jnp.asarray(centres, jnp.float32),
        "background": jnp.ones(channels, jnp.float32),
    }
    inputs = stub_inputs([np.zeros((48, 56, 3), np.uint8)], stride=8, origin=5.0)
    pools = np.array([[1, 2], [0, 2], [0, 1]], np.int32)
    detector = Detector(
        inputs.backbone, None, None, settings.layer, params, np.zeros(channels), None, 1
    )

    def show(row, **options):
        members = np.array([row, *pools[row]])
        return pairs.show_pair(detector, settings, train_images, members, seed=0, **options)

    pair = show(0)
    assert pair.neighbour == 2
    # Cell (y, x) of the target is cell (y + 1, x + 2) of the neighbour: 8 and 16 pixels.
    np.testing.assert_allclose(pair.transform, [[1, 0, -8], [0, 1, -16], [0, 0, 1]], atol=1e-4)
    assert pair.fits.sum() >= 0.8 * (rows - 1) * (columns - 2)
    off = pair.source - pair.target - [8, 16]
    np.testing.assert_array_equal(pair.fits, np.hypot(*off.T) <= 8.0)
    assert np.all((pair.target - 5.0) % 8 == 0) and pair.target.min() >= 5.0
    assert pair.labels.shape == (rows, columns) and (pair.labels >= 0).all()
    pools[1] = 0  # a pool that lies on its target
    unmoved = show(1)
    assert unmoved.neighbour == 0 and unmoved.fits.all()
    np.testing.assert_allclose(unmoved.transform, np.eye(3), atol=1e-4)
    first = show(0, neighbour=0)
    assert first.neighbour == 1 and first.fits.all()


@pytest.fixture
def drawn(monkeypatch):
    """The matplotlib figures that were drawn, in order."""
    written, write = [], sheet._write
    monkeypatch.setattr(
        sheet,
        "_write",
        lambda figure, path: (
            written.append(figure),
            write(figure, path),
        ),
    )
    return written


def test_labels_lie_around_the_centres_of_their_cells(tmp_path, drawn):
    labels, picture = np.array([[0, 1, 2], [3, -1, 4]]), np.zeros((16, 24, 3), np.uint8)
    centres = [np.array([6.0, 14.0]), np.array([6.0, 14.0, 22.0])]
    figures.pseudo_ground_truth(
        [picture], [labels], figures.Page(tmp_path / "a.png"), background=9, centres=[centres]
    )
    axes = drawn[0].axes[1]
    # Borders lie half way between the centres; a cell the image cuts short has no number.
    numbers = {text.get_position(): text.get_text() for text in axes.texts}
    assert numbers == {(4.75, 4.75): "0", (14.0, 4.75): "1"}
    assert axes.get_xlim() == (-0.5, 23.5) and axes.get_ylim() == (15.5, -0.5)
    with Image.open(tmp_path / "a.png") as file:
        page = np.asarray(file.convert("RGB")).astype(float)
    # On the page as well, inside the panel: the colours change at the borders.
    box = axes.get_tightbbox(drawn[0].canvas.get_renderer())
    whole = drawn[0].get_tightbbox(drawn[0].canvas.get_renderer())
    left, top = (box.x0 / 200 - whole.x0 + 0.1) * 200, (whole.y1 - box.y1 / 200 + 0.1) * 200

    def at(y, x):
        row, column = top + (y + 0.5) * box.height / 16, left + (x + 0.5) * box.width / 24
        return page[int(row), int(column)]

    def same(a, b):
        return np.abs(at(*a) - at(*b)).max() < 8

    assert same((1, 0), (8, 8)) and not same((1, 8), (1, 12)) and not same((8, 2), (12, 2))
    assert same((2, 12), (8, 16))


def tiny_config(name: str, root: str = ""):
    config = base_config()
    config.data.update(
        {
            "name": name,
            "root": root,
            "short_side": 64,
            "shapes_train": 8,
            "shapes_fit": 3,
            "shapes_test": 3,
            "shapes_size": 80,
            "crop_margin": 0.2 if name == "shapes" else -1.0,
        }
    )
    config.backbone.update({"layer": "pool3", "weights": "random", "center": True, "batch": 2})
    config.parts.update({"count": 6})
    config.clusters.update({"iterations": 5})
    config.pools.update({"size": 3, "grid": 4, "similarity": "spatial_js"})
    config.matching.update({"slots": 64, "threshold": 0.2})
    config.alignment.hypotheses = 16
    config.train.update({"steps": 3, "batch": 2})
    config.detection.box = 24.0
    config.report.update({"images": 2, "channels": 3})
    validate(config)
    return config


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """The arguments of `write_report` for a run on drawn objects with landmarks."""
    config = tiny_config("shapes")
    with Workdir(tmp_path_factory.mktemp("labelled")) as workdir:
        run = discover(config, workdir, look(config, workdir))
        names = run.inputs.dataset.landmark_names
        yield config, workdir, run, {name: n % 4 for n, name in enumerate(names)}


def said(figure) -> str:
    texts = [*figure.texts, *(text for key in figure.legends for text in key.get_texts())]
    return " ".join(text.get_text().replace("\n", " ") for text in texts)


@pytest.mark.runs
def test_a_labelled_run_is_drawn(labelled, drawn):
    written = report.write_report(*labelled)
    assert [path.stem for path in written] == PICTURES
    folder = labelled[1].path / "report"
    assert sorted(folder.iterdir()) == sorted(written)
    for path, figure in zip(written, drawn, strict=True):
        with Image.open(path) as file:
            assert np.asarray(file.convert("L")).std() > 10
        assert report.RANDOM_NOTE in said(figure) and "nothing to show" not in said(figure)
    heat, untrained, gallery, detections, near, aligned, pseudo, curves = drawn
    assert "after training" in said(heat) and "before training" in said(untrained)
    # 2 images beside 3 channels each; the channels are told apart by training.
    assert len(heat.axes) == 2 * (1 + 3) + 1
    pages = [Image.open(path).tobytes() for path in written[:2]]
    assert pages[0] != pages[1]
    assert "test images" in said(heat) and "ground truth" in said(heat)
    # The four channels answer for all landmarks; the gallery shows the first three.
    assert all(name in said(detections) for name in labelled[3])
    assert len(gallery.axes) == 3 * 3 and len(near.axes) == 2 * (1 + 3)
    assert len(aligned.axes) == 2 * 4 and len(pseudo.axes) == 2 * 2
    assert curves.axes[0].get_xlim() == (1, 3)
    assert "Jensen-Shannon" in said(near)


@pytest.mark.runs
def test_peaks_lie_on_the_maxima_of_the_maps(labelled):
    run = labelled[2]
    inputs, features = run.inputs, run.features
    test, channels = inputs.dataset.splits["test"], np.array([4, 0, 2])
    points, scores = parts.strongest(run.detector, features, test, channels)
    maps = parts.part_maps(run.detector, features, test, channels)
    # The crops differ, so that a mix-up of the coordinates would show.
    assert len(np.unique(inputs.geometry.take(test).crop, axis=0)) > 1
    for n, k in np.ndindex(len(test), len(channels)):
        assert maps[n].shape == (3, *inputs.geometry.working[test[n]])
        # The cell of the detection, centred between four pixels, has the part's largest value.
        y, x = 4 * np.rint((points[n, k] - 3.5) / 4).astype(int)
        around = maps[n][k][y + 3 : y + 5, x + 3 : x + 5]
        # Half a pixel off either way, of the 4 to the next cell, leaves 0.875^2 of a peak.
        assert 0.76 * scores[n, k] <= around.mean() <= scores[n, k] + 1e-6
        assert maps[n][k].max() <= scores[n, k] + 1e-6


@pytest.mark.runs
def test_maps_are_the_softmax_of_cosines(labelled):
    run = labelled[2]
    inputs, features, detector = run.inputs, run.features, run.detector
    params = detector.params
    index = inputs.dataset.splits["test"][:1]
    taken, grid = features.take_fine(index)
    vectors = taken[0, : grid[0].prod()].astype(np.float64) - detector.offset
    rows = np.concatenate([params["centres"], params["background"][None]])
    cosine = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)) @ (
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
    ).T
    probs = np.exp(detector.layer.kappa * cosine)
    probs /= probs.sum(axis=1, keepdims=True)
    want = on_pixels(probs[:, 2].reshape(grid[0]), inputs.geometry.working[index[0]], 4, 3.5)
    got = parts.part_maps(detector, features, index, np.array([2]))
    np.testing.assert_allclose(got[0][0], want, atol=2e-3)


@pytest.mark.runs
def test_without_landmarks_training_images_are_drawn(tmp_path, drawn, rng):
    photos = tmp_path / "photos"
    photos.mkdir()
    for n in range(6):
        picture = rng.integers(0, 60, (80, 80 + 16 * (n % 2), 3), dtype=np.uint8)
        picture[20 + 3 * n : 50 + 3 * n, 30:60] += np.array([150, 40, 20], np.uint8)
        Image.fromarray(picture).save(photos / f"{n}.png")
    config = tiny_config("folder", str(photos))
    config.pools.similarity = "position_free"
    config.report.images = 3
    with Workdir(tmp_path / "work") as workdir:
        run = discover(config, workdir, look(config, workdir))
        written = report.write_report(config, workdir, run, {"part 5": 5, "part 1": 1})
    assert [path.stem for path in written] == PICTURES
    assert all(path.stat().st_size > 5000 for path in written)
    heat, near = drawn[0], drawn[4]
    assert "training images" in said(heat) and "part 5" in said(heat)
    assert "ground truth" not in said(heat) and "predicted peak" in said(heat)
    assert len(heat.axes) == 3 * (1 + 2) + 1
    assert "1 - cosine" in said(near) and "Jensen" not in said(near)


@pytest.mark.runs
def test_a_report_repeats_itself(labelled, monkeypatch):
    """The same run gives the same arrays to every figure, whatever JAX did in between."""
    calls = []
    for name in (
        "heat_maps",
        "part_gallery",
        "detections",
        "similar_pools",
        "aligned_pairs",
        "pseudo_ground_truth",
        "training_curves",
    ):
        monkeypatch.setattr(figures, name, lambda *arrays, **_: calls.append(arrays[:-1]))
    report.write_report(*labelled)
    jax.random.normal(jax.random.key(3))
    report.write_report(*labelled)
    half = len(calls) // 2
    assert half == len(PICTURES)
    first, second = (jax.tree.leaves(part) for part in (calls[:half], calls[half:]))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
