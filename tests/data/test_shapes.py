"""The drawn data set: deterministic, exact, and worth looking at."""

import numpy as np
import pytest

from partdisc.data import decoding, drawing, excavator, record, shapes

SIDE = 96


def test_a_picture_depends_on_seed_and_number_only():
    first = shapes.draw(3, 5, SIDE)
    shapes.draw(3, 6, SIDE)
    for again, value in zip(shapes.draw(3, 5, SIDE), first, strict=True):
        np.testing.assert_array_equal(again, value)
    for other in ((3, 6), (4, 5)):
        assert np.any(shapes.draw(*other, SIDE)[0] != first[0])


def test_the_scene_is_the_same_at_any_size():
    _, small, _ = shapes.draw(0, 1, 64)
    _, large, _ = shapes.draw(0, 1, 128)
    np.testing.assert_allclose(2 * (small + 0.5), large + 0.5, atol=1e-6)


def test_listing_puts_the_test_first_so_that_it_never_changes():
    few = shapes.read({"train": 2, "fit": 1, "test": 2}, SIDE, 0)
    more = shapes.read({"train": 5, "fit": 1, "test": 2}, SIDE, 0)
    assert [one.splits for one in few.records] == [("test",)] * 2 + [("fit",)] + [("train",)] * 2
    assert [one.key for one in few.records] == [one.key for one in more.records[:5]]
    assert [one.stamp for one in few.records] == [one.stamp for one in more.records[:5]]
    assert few.landmark_names == excavator.LANDMARKS and len(few.landmark_names) >= 8


def test_a_record_loads_the_picture():
    one = shapes.read(dict.fromkeys(record.SPLITS, 1), SIDE, 7).records[1]
    sample = one.load()
    picture, points, box = shapes.draw(7, 1, SIDE)
    decoded = decoding.decode(sample.data)
    assert decoded.shape == (SIDE, SIDE, 3)
    assert np.abs(decoded.astype(int) - picture).mean() < 6
    np.testing.assert_array_equal(sample.points, points)
    np.testing.assert_array_equal(sample.box, box)


def test_points_lie_in_the_box_and_most_are_visible():
    drawn = [shapes.draw(0, number, SIDE)[1:] for number in range(60)]
    visible = np.array([np.isfinite(points).all(axis=1) for points, _ in drawn])
    assert 0.75 < visible.mean() < 0.99
    assert visible.any(axis=0).all() and (~visible).any(axis=0).sum() > len(excavator.LANDMARKS) / 2
    for points, box in drawn:
        seen = points[np.isfinite(points).all(axis=1)]
        assert ((seen >= box[:2]) & (seen <= box[2:])).all()
        assert (box[:2] >= -0.5).all() and (box[2:] <= SIDE - 0.5).all()
    longest = [max(box[2:] - box[:2]) / SIDE for _, box in drawn]
    assert min(longest) > 0.5 and max(longest) - min(longest) > 0.25


def test_landmarks_are_exact_to_a_pixel():
    """Find the beacon's disc, drawn alone, by its colour."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        machine = excavator.make(rng)
        matrix = shapes._place(rng, machine)
        where = excavator.LANDMARKS.index("beacon")
        beacon = next(one for one in machine.shapes if one.fill == (255, 120, 30))
        canvas = drawing.Canvas(SIDE, (0, 0, 0), (0, 0, 0))
        canvas.draw([beacon._replace(inked=False)], drawing.OBJECT, matrix)
        red = canvas.finish()[0][:, :, 0]
        rows, columns = np.indices(red.shape)
        found = np.array([(red * rows).sum(), (red * columns).sum()]) / red.sum()
        point = drawing.transform(machine.landmarks, matrix)[where] * SIDE - 0.5
        np.testing.assert_allclose(found, point, atol=0.2)


def test_the_box_is_the_extent_of_the_labels():
    canvas = drawing.Canvas(90, (0, 0, 0), (0, 0, 0))
    rectangle = drawing.box(0.2, 0.3, 0.6, 0.9, (255, 255, 255), inked=False)
    canvas.draw([rectangle], drawing.OBJECT)
    np.testing.assert_allclose(canvas.box(), [0.2, 0.3, 0.6, 0.9], atol=0.5 / 90)


def test_what_is_covered_is_labelled_so():
    canvas = drawing.Canvas(60, (0, 0, 0), (0, 0, 0))
    body = drawing.Shape(np.array([(0.1, 0.1), (0.1, 0.9), (0.9, 0.9)]), (9, 9, 9), painted=True)
    canvas.draw([body], drawing.OBJECT)
    points = np.array([(0.3, 0.7), (0.9, 0.1), (0.3, 0.5)])
    assert canvas.labels_at(points).tolist() == [drawing.PAINTED, drawing.GROUND, drawing.PAINTED]
    canvas.draw([drawing.disc(0.3, 0.7, 0.1, (1, 2, 3))], drawing.COVER)
    assert canvas.labels_at(points).tolist() == [drawing.COVER, drawing.GROUND, drawing.PAINTED]


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_shades_stay_colours(factor):
    shaded = drawing.shade((0, 100, 255), factor)
    assert all(0 <= channel <= 255 for channel in shaded)
    assert np.sign(shaded[1] - 100) == np.sign(factor - 1)


def test_all_have_the_wheels_left_to_right_and_face_right():
    names = excavator.LANDMARKS
    for seed in range(30):
        machine = excavator.make(np.random.default_rng(seed))
        x = dict(zip(names, machine.landmarks[:, 1], strict=True))
        y = dict(zip(names, machine.landmarks[:, 0], strict=True))
        assert x["counterweight"] < x["rear wheel"] < x["front wheel"] < x["elbow"]
        assert y["elbow"] < y["boom joint"] < y["rear wheel"]
