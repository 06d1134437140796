"""Figures: the drawn geometry against brute force, and pages that no input breaks."""

import math
import os
import subprocess
import sys

import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from PIL import Image

from partdisc.report import figures
from partdisc.report.figures import Aligned, Page, charts, maps, pairs, sheet

MARK = "random backbone weights"


def photo(height, width, rng):
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.fixture
def drawn(monkeypatch):
    """The matplotlib figures that were written, in order."""
    written = []
    write = sheet._write

    def keep(figure, path):
        written.append(figure)
        write(figure, path)

    monkeypatch.setattr(sheet, "_write", keep)
    return written


def open_png(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def texts(figure):
    """All visible texts of a figure."""
    found = figure.findobj(matplotlib.text.Text)
    return [text for text in found if text.get_text().strip() and text.get_visible()]


def said(figure):
    return " ".join(text.get_text().replace("\n", " ") for text in texts(figure))


# Kernels.


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 4), (14, 18)])
@pytest.mark.parametrize("shape", [(1, 1), (5, 30), (28, 36)])
def test_upsample_is_bilinear_between_cell_centres(size, shape, rng):
    values = rng.random(size)
    expected = np.empty(shape)
    for y in range(shape[0]):
        for x in range(shape[1]):
            cell_y = min(max((y + 0.5) * size[0] / shape[0] - 0.5, 0), size[0] - 1)
            cell_x = min(max((x + 0.5) * size[1] / shape[1] - 0.5, 0), size[1] - 1)
            total = 0.0
            for i in range(size[0]):
                for j in range(size[1]):
                    share = max(0, 1 - abs(cell_y - i)) * max(0, 1 - abs(cell_x - j))
                    total += share * values[i, j]
            expected[y, x] = total
    np.testing.assert_allclose(maps.upsample(values, shape), expected, atol=1e-12)


def test_upsample_puts_a_peak_on_the_cell_s_centre():
    values = np.zeros((14, 18))
    values[3, 5] = 1.0
    # Stride 15, odd: cell i has its centre at pixel 15 i + 7.
    peak = np.unravel_index(np.argmax(maps.upsample(values, (14 * 15, 18 * 15))), (210, 270))
    assert peak == (3 * 15 + 7, 5 * 15 + 7)


def brute_warp(image, transform, shape):
    back = np.linalg.inv(transform)
    height, width = image.shape[:2]
    colours, covered = np.zeros((*shape, 3)), np.zeros(shape, dtype=bool)
    for y in range(shape[0]):
        for x in range(shape[1]):
            v, u, w = back @ (y, x, 1.0)
            if w <= 0:
                continue
            v, u = v / w, u / w
            if not (-0.5 <= v <= height - 0.5 and -0.5 <= u <= width - 0.5):
                continue
            covered[y, x] = True
            v, u = min(max(v, 0), height - 1), min(max(u, 0), width - 1)
            for i in range(height):
                for j in range(width):
                    colours[y, x] += max(0, 1 - abs(v - i)) * max(0, 1 - abs(u - j)) * image[i, j]
    return colours, covered


@pytest.mark.parametrize(
    "transform",
    [
        [[1.0, 0.0, 2.31], [0.0, 1.0, -1.17]],
        [[0.83, -0.41, 3.07], [0.37, 1.19, -0.23]],
        [[-1.0, 0.13, 5.0], [0.0, 1.3, 0.2]],
    ],
)
def test_warp_is_the_brute_force_one(transform, rng):
    image, transform = photo(7, 9, rng), np.array([*transform, [0.0, 0.0, 1.0]])
    colours, covered = pairs.warp(image, transform, (8, 6))
    expected, expected_cover = brute_warp(image, transform, (8, 6))
    np.testing.assert_array_equal(covered, expected_cover)
    assert 0 < covered.sum() < covered.size
    np.testing.assert_allclose(colours, expected, atol=1e-9)


def test_warp_follows_a_homography_and_stops_at_its_horizon(rng):
    image = photo(7, 9, rng)
    back = np.array([[1.0, -0.8, 0.1], [0.0, -0.75, 2.0], [0.0, -0.26, 1.0]])
    transform = np.linalg.inv(back)
    colours, covered = pairs.warp(image, transform, (9, 10))
    expected, expected_cover = brute_warp(image, transform, (9, 10))
    np.testing.assert_array_equal(covered, expected_cover)
    assert covered.any() and not covered[:, 4:].any()
    # A pixel beyond the horizon would fall on the image, if it were not for w < 0.
    y, x, w = back @ (3, 8, 1)
    assert w < 0 and 0 < y / w < 6 and 0 < x / w < 8
    np.testing.assert_allclose(colours, expected, atol=1e-9)


def test_warp_by_identity_changes_nothing_and_a_shift_shifts(rng):
    image = photo(6, 5, rng)
    colours, covered = pairs.warp(image, np.eye(3), (6, 5))
    assert covered.all()
    np.testing.assert_array_equal(colours, image)
    shift = np.array([[1, 0, 2], [0, 1, -1], [0, 0, 1]])
    colours, covered = pairs.warp(image, shift, (6, 5))
    np.testing.assert_array_equal(colours[2:, :4], image[:4, 1:])
    assert covered[2:, :4].all() and covered.sum() == 16


def test_scaling_keeps_borders_on_borders():
    big, small = np.zeros((1600, 1200, 3)), np.zeros((640, 480, 3))
    corners = np.array([[-0.5, 1599.5], [-0.5, 1199.5], [1, 1]])
    moved = pairs._scaling(big, small) @ corners
    np.testing.assert_allclose(moved, [[-0.5, 639.5], [-0.5, 479.5], [1, 1]])


@pytest.mark.parametrize("transform", [np.zeros((3, 3)), np.full((3, 3), np.nan)])
def test_warp_without_inverse_covers_nothing(transform, rng):
    colours, covered = pairs.warp(photo(4, 4, rng), transform, (3, 5))
    assert colours.shape == (3, 5, 3) and not colours.any() and not covered.any()


@pytest.mark.parametrize("count", [1, 2, 9, 40])
@pytest.mark.parametrize("reach", [0, 1, 4, 100])
def test_smooth_is_the_mean_of_the_window(count, reach, rng):
    values = rng.normal(size=count)
    expected = [values[max(i - reach, 0) : i + reach + 1].mean() for i in range(count)]
    np.testing.assert_allclose(charts.smooth(values, reach), expected, atol=1e-12)


def test_colours_are_stable_valid_and_apart():
    colours = np.array([sheet.colour(i) for i in range(513)])
    assert ((colours >= 0) & (colours <= 1)).all()
    np.testing.assert_array_equal(colours[37], sheet.colour(37))
    for start in range(0, 500, 7):
        run = colours[start : start + 12]
        gaps = np.linalg.norm(run[:, None] - run[None], axis=2) + 9 * np.eye(12)
        assert gaps.min() > 0.12, start


@pytest.mark.parametrize("text", ["nose", "W" * 90, "the left wing " * 9, "", "a_b_$x$_{"])
@pytest.mark.parametrize("width", [0.5, 1.35, 3.0])
def test_wrap_keeps_to_width_and_lines(text, width):
    lines = sheet.wrap(text, width, 7.5, "bold").split("\n")
    assert len(lines) <= 3
    assert all(sheet._text_width(line, 7.5, "bold") <= width for line in lines)
    if text == "nose":
        assert lines == ["nose"]


def test_seen_knows_the_border_pixels_outer_edge():
    points = [[-0.5, -0.5], [9.5, 19.5], [9.6, 3], [3, -0.6], [np.nan, 3], [3, np.inf]]
    assert sheet.seen(points, (10, 20)).tolist() == [True, True, False, False, False, False]
    assert sheet.seen(np.zeros((0, 2)), (10, 20)).shape == (0,)


# Every figure, with an ordinary input.


def aligned_pairs(targets, neighbours, here, there, fits, moves, page):
    pairs = zip(targets, neighbours, here, there, fits, moves, strict=True)
    figures.aligned_pairs([Aligned(*pair) for pair in pairs], page)


def heat(path, rng, **more):
    images = [photo(40, 30, rng), photo(30, 50, rng)]
    values = [rng.random((3, 5, 4)), rng.random((3, 4, 6))]
    points = [rng.uniform(0, 29, (3, 2)) for _ in images]
    titles = ["nose", "left $_{$ wing", "a_very_long_landmark_name_without_any_blank"]
    figures.heat_maps(images, values, titles, Page(path, **more), points=points, truth=points)


def gallery(path, rng, **more):
    patches = [[photo(20, 20, rng) for _ in range(count)] for count in (4, 0, 2)]
    figures.part_gallery(patches, ["nose", "the $_{$ of the tail", "eye"], Page(path, **more))


def parts(path, rng, **more):
    images = [photo(40, 30, rng) for _ in range(7)]
    points = [rng.uniform(0, 29, (2, 2)) for _ in images]
    scores = [rng.random(2) for _ in images]
    labels = ["_the outermost feather of the left wing or what is left of it", "$_{$" * 15]
    figures.detections(images, points, scores, labels, Page(path, **more))


def pools(path, rng, **more):
    images = [photo(40, 30, rng), photo(30, 50, rng)]
    neighbours = [[photo(30, 30, rng) for _ in range(count)] for count in (3, 1)]
    figures.similar_pools(images, neighbours, [[0.1, 0.2, np.nan], [0.25]], Page(path, **more))


def aligned(path, rng, **more):
    images = [photo(40, 30, rng), photo(30, 50, rng)]
    points = [rng.uniform(0, 29, (count, 2)) for count in (90, 5)]
    fits = [np.arange(len(p)) % 2 == 0 for p in points]
    moves = [np.eye(3), np.array([[1, 0, 5], [0, 1, 3], [0, 0, 1]])]
    aligned_pairs(images, images[::-1], points, points, fits, moves, Page(path, **more))


def pseudo(path, rng, **more):
    images = [photo(40, 30, rng), photo(30, 50, rng)]
    labels = [rng.integers(-1, 9, (5, 4)), rng.integers(-1, 9, (4, 6))]
    figures.pseudo_ground_truth(images, labels, Page(path, **more), background=8)


def curves(path, rng, **more):
    records = [{"step": i, "loss": 3.0 - i / 9, "identity_share": 0.25} for i in range(20)]
    records += [{"step": 20, "loss": float("nan"), "inliers": 12}]
    figures.training_curves(records, Page(path, **more))


def scores(path, rng, **more):
    rows = [("clustering", {"mAP [%]": 44.0, "NME [%]": 9.65}), ("mean $_{$", {"NME [%]": 24.3})]
    figures.scores_chart(rows, Page(path, **more))


EVERY = [heat, gallery, parts, pools, aligned, pseudo, curves, scores]


@pytest.mark.parametrize("draw", EVERY)
def test_figure_is_written_whole_with_caption_and_note(draw, tmp_path, drawn, rng):
    path = tmp_path / "new folder" / "figure.png"
    settings = dict(matplotlib.rcParams)
    draw(path, rng, caption="A caption of its own", note=MARK)
    assert [p.name for p in path.parent.iterdir()] == ["figure.png"]
    assert dict(matplotlib.rcParams) == settings
    picture = open_png(path)
    assert picture.std() > 5
    assert "A caption of its own" in said(drawn[0]) and MARK in said(drawn[0])
    # Nothing was cut: the outermost pixels are all page.
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert (edge == 255).all()


@pytest.mark.parametrize("draw", EVERY)
def test_texts_of_the_page_do_not_overlap(draw, tmp_path, drawn, rng):
    draw(tmp_path / "figure.png", rng, note=MARK)
    figure = drawn[0]
    renderer = figure.canvas.get_renderer()
    written = [*figure.texts, *figure.legends]
    boxes = [artist.get_window_extent(renderer).padded(-1.5) for artist in written]
    frames = [axes.get_window_extent(renderer) for axes in figure.axes]
    for i, box in enumerate(boxes):
        for other in boxes[:i] + frames:
            assert not box.overlaps(other), written[i]


@pytest.mark.parametrize("draw", EVERY)
def test_same_arrays_give_the_same_bytes(draw, tmp_path):
    for name in ("a.png", "b.png"):
        draw(tmp_path / name, np.random.default_rng(3))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_failed_write_leaves_the_old_figure(tmp_path, monkeypatch, rng):
    path = tmp_path / "figure.png"
    scores(path, rng)
    old = path.read_bytes()

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        curves(path, rng)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["figure.png"]


def test_figures_leave_pyplot_alone_and_import_matplotlib_late(tmp_path):
    code = (
        "import pathlib, sys, partdisc.report.figures as f; assert 'matplotlib' not in sys.modules;"
        "f.scores_chart([('a', {'b': 1.0})], f.Page(pathlib.Path(sys.argv[1])));"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True)


# What is drawn where.


def test_heat_map_marks_lie_on_their_pixels(tmp_path, drawn, rng):
    image = photo(40, 30, rng)
    points = np.array([[0.0, 29.0], [np.nan, 3.0], [12.25, 7.5]])
    truth = [[[1.0, 2.0], [3.0, 4.0]], [[50.0, 5.0], [np.nan, np.nan]], [[39.0, 0.0]]]
    figures.heat_maps(
        [image],
        [np.ones((3, 5, 4))],
        "abc",
        Page(tmp_path / "a.png"),
        points=[points],
        truth=[truth],
    )
    found = []
    for axes in drawn[0].axes[1:4]:
        # Each mark is drawn twice, on its rim.
        marks = {
            (line.get_marker(), *map(float, (*line.get_ydata(), *line.get_xdata())))
            for line in axes.lines
        }
        assert len(axes.lines) == 2 * len(marks)
        found.append(marks)
        assert axes.get_xlim() == (-0.5, 29.5) and axes.get_ylim() == (39.5, -0.5)
        assert all(image.get_extent() == [-0.5, 29.5, 39.5, -0.5] for image in axes.images)
    assert found == [
        {("x", 0, 29), ("o", 1, 2), ("o", 3, 4)},
        set(),
        {("x", 12.25, 7.5), ("o", 39, 0)},
    ]


def test_marks_are_seen(tmp_path, rng):
    image = photo(40, 30, rng) // 2
    cyan = []
    for name, point in (("none", np.nan), ("one", 15.0)):
        path = tmp_path / f"{name}.png"
        figures.heat_maps(
            [image], [np.zeros((1, 5, 4))], "a", Page(path), points=[[[point, point]]]
        )
        cyan.append((open_png(path) == (0, 229, 255)).all(axis=2).sum())
    # The one in the key is always there.
    assert cyan[1] >= 1.8 * cyan[0] > 0


def test_heat_is_transparent_at_zero_and_scaled_by_the_channel(tmp_path, drawn, rng):
    values = np.zeros((2, 2, 1, 2))
    values[:, :, 0, 1] = [[1.0, 0.0], [0.5, np.nan]]
    images = [photo(8, 8, rng)] * 2
    figures.heat_maps(images, values, ["seen", "silent"], Page(tmp_path / "a.png"))
    alphas = [axes.images[1].get_array()[..., 3] for axes in drawn[0].axes if len(axes.images) > 1]
    tops = [alpha[:, -1].max() for alpha in alphas]
    assert tops[0] == pytest.approx(0.75) and tops[2] == pytest.approx(0.65)
    assert not alphas[1].any() and not alphas[3].any()
    assert not alphas[0][:, 0].any() and (np.diff(alphas[0], axis=1) >= 0).all()


def test_detections_number_each_part_in_its_colour(tmp_path, drawn, rng):
    images = [photo(40, 30, rng)] * 2
    points = [[[5.0, 6.0], [np.nan, np.nan]], [[7.0, 8.0], [9.0, 10.0]]]
    score = [[1.0, np.nan], [0.5, 0.25]]
    figures.detections(images, points, score, ["nose", "tail"], Page(tmp_path / "a.png"))
    first, second = drawn[0].axes[:2]
    assert [text.get_text() for text in first.texts] == ["1"]
    assert [text.get_text() for text in second.texts] == ["1", "2"]
    dots = {float(line.get_ydata()[0]): line.get_markerfacecolor() for line in second.lines}
    assert dots[7.0][:3] == sheet.colour(0) and dots[9.0][:3] == sheet.colour(1)
    best = first.lines[0].get_markerfacecolor()
    assert best[3] == 1.0 and dots[7.0][3] == pytest.approx(0.675) and dots[9.0][3] == 1.0
    assert "1 nose" in " ".join(said(drawn[0]).split())


def test_matches_join_the_same_places_of_both_images(tmp_path, drawn, rng):
    target, neighbour = photo(40, 30, rng), photo(20, 25, rng)
    here = np.array([[4.0, 5.0], [9.0, 9.0], [np.nan, 1.0]])
    there = np.array([[0.0, 0.0], [19.0, 24.0], [2.0, 2.0]])
    fits = np.array([True, False, True])
    aligned_pairs(
        [target], [neighbour], [here], [there], [fits], [np.eye(3)], Page(tmp_path / "a.png")
    )
    axes = drawn[0].axes[0]
    shown = axes.images[0].get_extent()
    # The neighbour is drawn twice as large, at the target's height, right of it.
    assert shown[0] > 29.5 and shown[1] - shown[0] == pytest.approx(50)
    faint, bright = (collection.get_segments() for collection in axes.collections[:2])
    assert len(faint) == len(bright) == 1
    # The centre of a corner pixel: half a (doubled) pixel inside the corner.
    np.testing.assert_allclose(bright[0], [[5, 4], [shown[0] + 1, 0.5]])
    np.testing.assert_allclose(faint[0], [[9, 9], [shown[1] - 1, 38.5]])
    assert "2 of 3 matches fit" in said(drawn[0])


def test_many_matches_are_thinned_and_said_so(tmp_path, drawn, rng):
    points = rng.uniform(0, 20, (500, 2))
    image = photo(21, 21, rng)
    aligned_pairs(
        [image],
        [image],
        [points],
        [points],
        [np.arange(500) < 450],
        [np.eye(3)],
        Page(tmp_path / "a.png"),
    )
    assert len(drawn[0].axes[0].collections[1].get_segments()) == 60
    assert "450 of 500 matches fit (at most 60 of each drawn)" in said(drawn[0])


def test_mixed_after_a_true_transform_is_the_target(tmp_path, drawn, rng):
    target = photo(20, 20, rng)
    neighbour = np.roll(target, (2, 3), axis=(0, 1))
    back = np.array([[1, 0, -2], [0, 1, -3], [0, 0, 1]])
    none = np.zeros((0, 2))
    aligned_pairs(
        [target], [neighbour], [none], [none], [np.zeros(0, bool)], [back], Page(tmp_path / "a.png")
    )
    warped, before, after = (axes.images[0].get_array() for axes in drawn[0].axes[1:4])
    np.testing.assert_array_equal(after[:18, :17], target[:18, :17])
    np.testing.assert_array_equal(warped[:18, :17], target[:18, :17])
    assert (warped[18:] == 238).all()
    assert np.abs(before.astype(float) - target).mean() > 10


def test_large_photos_are_shrunk_before_they_are_warped(tmp_path, drawn):
    # A smooth picture, so that shrinking it keeps its colours.
    ramp = np.indices((1600, 1200)).sum(axis=0) * 255 / 2800
    target = np.repeat(ramp[..., None], 3, axis=2).round().astype(np.uint8)
    neighbour = target[200:, 100:]
    back = np.array([[1, 0, 200], [0, 1, 100], [0, 0, 1]])
    none = np.zeros((0, 2))
    aligned_pairs(
        [target], [neighbour], [none], [none], [np.zeros(0, bool)], [back], Page(tmp_path / "a.png")
    )
    before, after = (axes.images[0].get_array().astype(float) for axes in drawn[0].axes[2:4])
    small = np.asarray(Image.fromarray(target).resize((480, 640), Image.Resampling.BOX), float)
    assert after.shape == (640, 480, 3)
    assert np.abs(after - small)[85:, 45:].max() < 2
    assert np.abs(before - small)[85:500, 45:400].mean() > 10


def test_cells_have_their_channel_s_colour_and_number(tmp_path, drawn, rng):
    labels = np.array([[0, 3, -1], [8, 3, 0]])
    figures.pseudo_ground_truth(
        [photo(20, 30, rng)], [labels], Page(tmp_path / "a.png"), background=8
    )
    axes = drawn[0].axes[1]
    cells = axes.images[1].get_array()
    np.testing.assert_allclose(cells[0, 1, :3], sheet.colour(3))
    np.testing.assert_allclose(cells[0, 0], cells[1, 2])
    assert cells[0, 2, 3] == 0 and cells[1, 0, 3] > 0
    assert not np.allclose(cells[1, 0, :3], sheet.colour(8))
    numbers = {text.get_position(): text.get_text() for text in axes.texts}
    # Cells are 10 pixels wide and high: the centre of the first is pixel 4.5.
    assert numbers == {(4.5, 4.5): "0", (14.5, 4.5): "3", (14.5, 14.5): "3", (24.5, 14.5): "0"}


def test_curves_are_in_the_units_of_their_titles(tmp_path, drawn):
    records = [{"step": 10 * i, "loss": 2.0 - i, "identity_share": 0.5} for i in (1, 0)]
    figures.training_curves(records, Page(tmp_path / "a.png"))
    loss, share = drawn[0].axes
    assert "nats" in loss.get_title(loc="left") and "%" in share.get_title(loc="left")
    np.testing.assert_array_equal(loss.lines[0].get_xdata(), [0, 10])
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), [2, 1])
    np.testing.assert_array_equal(share.lines[0].get_ydata(), [50, 50])


def test_bars_have_the_length_of_their_scores(tmp_path, drawn):
    rows = [("a", {"mAP": 44.0, "gain": -1.5}), ("b", {"mAP": math.nan}), ("c", {"gain": 0.25})]
    figures.scores_chart(rows, Page(tmp_path / "a.png"))
    first, second = drawn[0].axes
    assert [bar.get_width() for bar in first.patches] == [44.0, 0.0, 0.0]
    assert [bar.get_width() for bar in second.patches] == [-1.5, 0.0, 0.25]
    assert [text.get_text() for text in first.texts] == ["44.0", "not measured", "not measured"]
    assert [text.get_text() for text in second.texts] == ["-1.5", "not measured", "0.25"]


# Inputs that break things.


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: figures.heat_maps([], [], ["nose"], Page(path, note=MARK)),
        lambda path: figures.part_gallery([], [], Page(path, note=MARK)),
        lambda path: figures.detections([], [], [], ["nose"], Page(path, note=MARK)),
        lambda path: figures.similar_pools([], [], [], Page(path, note=MARK)),
        lambda path: aligned_pairs([], [], [], [], [], [], Page(path, note=MARK)),
        lambda path: figures.pseudo_ground_truth([], [], Page(path, note=MARK), background=3),
        lambda path: figures.training_curves([], Page(path, note=MARK)),
        lambda path: figures.training_curves(
            [{"step": 1, "loss": math.nan}], Page(path, note=MARK)
        ),
        lambda path: figures.scores_chart([], Page(path, note=MARK)),
        lambda path: figures.scores_chart([("a", {})], Page(path, note=MARK)),
    ],
)
def test_nothing_to_show_is_said(draw, tmp_path, drawn):
    draw(tmp_path / "a.png")
    assert "nothing to show" in said(drawn[0]) and MARK in said(drawn[0])
    assert open_png(tmp_path / "a.png").size


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (700, 3), (1500, 1000)])
def test_extreme_images_and_single_cells(shape, tmp_path, rng):
    image = photo(*shape, rng)
    none = np.zeros((0, 2))
    path = tmp_path / "a.png"
    figures.heat_maps([image], [np.full((1, 1, 1), np.nan)], ["x"], Page(path), points=[[[0, 0]]])
    figures.heat_maps([image], [np.zeros((0, 1, 1))], [], Page(path))
    figures.pseudo_ground_truth([image], [np.array([[2]])], Page(path), background=2)
    figures.part_gallery([[image]], ["long name " * 20], Page(path))
    figures.part_gallery([[]], ["none"], Page(path))
    figures.detections([image], [[[0, 0]]], [[0.0]], ["W" * 80], Page(path))
    figures.detections([image], [none], [[]], [], Page(path))
    figures.similar_pools([image], [[]], [[]], Page(path))
    aligned_pairs(
        [image],
        [photo(9, 9, rng)],
        [none],
        [none],
        [np.zeros(0, bool)],
        [np.zeros((3, 3))],
        Page(path),
    )
    picture = open_png(path)
    assert max(picture.shape) < 3000


def test_jax_arrays_are_drawn_as_they_are(tmp_path, rng):
    image = photo(20, 30, rng)
    points = jnp.ones((3, 2))
    path = tmp_path / "a.png"
    values, where = jnp.ones((2, 3, 2), jnp.bfloat16), jnp.ones((2, 2))
    figures.heat_maps([image], [values], ["a", "b"], Page(path), points=[where], truth=[where])
    figures.detections([image], [where], [jnp.ones(2)], ["a", "b"], Page(path))
    figures.similar_pools([image], [[image]], jnp.ones((1, 1)), Page(path))
    fits, moves = [jnp.ones(3, bool)], [jnp.eye(3)]
    aligned_pairs([image], [image], [points], [points], fits, moves, Page(path))
    figures.pseudo_ground_truth([image], [jnp.zeros((2, 3), jnp.int32)], Page(path), background=2)
    figures.training_curves([{"step": jnp.int32(1), "loss": jnp.float32(2)}], Page(path))
    assert open_png(path).std() > 5


def test_one_record_and_one_score(tmp_path, drawn):
    figures.training_curves([{"step": 0, "loss": 1.0}], Page(tmp_path / "a.png"))
    figures.scores_chart([("only", {"mAP": 0.0})], Page(tmp_path / "b.png"))
    assert "only" in said(drawn[1]) and [t.get_text() for t in drawn[1].axes[0].texts] == ["0"]


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_other_than_an_image_is_refused(image, tmp_path):
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\], got"):
        figures.part_gallery([[image]], ["a"], Page(tmp_path / "a.png"))
    assert not list(tmp_path.iterdir())


def test_long_lists_stay_within_the_largest_page(tmp_path, rng):
    image = photo(10, 10, rng)
    figures.part_gallery([[image]] * 90, [str(i) for i in range(90)], Page(tmp_path / "a.png"))
    assert max(open_png(tmp_path / "a.png").shape) < 16_000


def test_real_photos_are_drawn(real_data, tmp_path):
    found = sorted((real_data / "celeba" / "img_align_celeba").glob("*.jpg"))[:2]
    images = [np.asarray(Image.open(path).convert("RGB")) for path in found]
    points = [np.array([[112.0, 70.0], [112.0, 107.0]])] * 2
    figures.detections(
        images, points, [[1.0, 0.5]] * 2, ["left eye", "right eye"], Page(tmp_path / "a.png")
    )
    assert len(np.unique(open_png(tmp_path / "a.png").reshape(-1, 3), axis=0)) > 5000
