"""Errors against the number of fit images, and cumulative errors."""

import numpy as np
import pytest

from partdisc.errors import ConfigError
from partdisc.evaluation import regression_error
from partdisc.evaluation.curves import cumulative_errors, error_by_fit_size

pytestmark = pytest.mark.filterwarnings("error")


def scene(rng, images):
    factors = rng.normal(size=(images, 4)) * 20
    values = 100 + factors @ rng.normal(size=(4, 16)) + rng.normal(size=(images, 16)) * 3
    return values[:, :10].reshape(images, 5, 2), values[:, 10:].reshape(images, 3, 2)


def test_every_row_is_the_mean_of_its_draws(rng):
    points, marks = scene(rng, 90)
    split = points[:60], marks[:60], points[60:], marks[60:]
    rows = error_by_fit_size(*split, seed=3, sizes=(30, 5, 60, 500), draws=4, eyes=(0, 1))
    assert [(row.images, row.draws) for row in rows] == [(5, 4), (30, 4), (60, 1)]
    for row in rows[:2]:
        errors = []
        for draw in range(4):
            chosen = np.random.default_rng([3, row.images, draw]).permutation(60)[: row.images]
            errors.append(
                regression_error(
                    points[chosen], marks[chosen], points[60:], marks[60:], eyes=(0, 1)
                ).error
            )
        assert row.mean == pytest.approx(sum(errors) / 4)
        assert row.deviation == pytest.approx(np.std(errors, ddof=1)) and row.deviation > 0
    assert rows[2] == (60, pytest.approx(regression_error(*split, eyes=(0, 1)).error), 0.0, 1)
    assert rows[0].mean > rows[2].mean
    assert rows == error_by_fit_size(*split, seed=3, sizes=(30, 5), draws=4, eyes=(0, 1))


def test_boxes_and_sizes_follow_the_draws(rng):
    points, marks = scene(rng, 40)
    boxes = np.concatenate([marks.min(1) - 9, marks.max(1) + rng.uniform(5, 50, (40, 2))], axis=1)
    rows = error_by_fit_size(
        points[:30],
        marks[:30],
        points[30:],
        marks[30:],
        seed=0,
        sizes=(20,),
        draws=1,
        protocol="cub_box",
        boxes=(boxes[:30], boxes[30:]),
        image_size=(300, 300),
    )
    chosen = np.random.default_rng([0, 20, 0]).permutation(30)[:20]
    expected = regression_error(
        points[chosen],
        marks[chosen],
        points[30:],
        marks[30:],
        protocol="cub_box",
        boxes=(boxes[chosen], boxes[30:]),
    )
    assert rows[0].mean == expected.error


def test_images_without_a_landmark_are_never_drawn(rng):
    points, marks = scene(rng, 60)
    hidden = marks.copy()
    hidden[:30:2] = np.nan
    rows = error_by_fit_size(
        points[:40], hidden[:40], points[40:], marks[40:], seed=0, sizes=(1,), draws=20, eyes=(0, 1)
    )
    assert [row.images for row in rows] == [1, 25]


def test_sizes_and_draws_below_one_are_refused(rng):
    points, marks = scene(rng, 10)
    for options in ({"sizes": (0, 5)}, {"draws": 0}):
        with pytest.raises(ConfigError, match="at least 1"):
            error_by_fit_size(points, marks, points, marks, seed=0, eyes=(0, 1), **options)


def test_cumulative_errors_are_counts(rng):
    errors = rng.uniform(0, 20, 50).round(1)
    errors[:5] = np.nan
    thresholds = np.sort(rng.uniform(-1, 25, 30).round(1))
    expected = [100 * sum(e <= t for e in errors[5:]) / 45 for t in thresholds]
    np.testing.assert_allclose(cumulative_errors(errors, thresholds), expected)
    assert np.isnan(cumulative_errors([np.nan], [1.0, 2.0])).all()
