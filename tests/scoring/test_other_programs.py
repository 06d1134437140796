"""Scores of other programs: only their order counts, whatever their unit."""

import numpy as np

from partdisc.evaluation.precision import firing_channels, part_average_precision
from partdisc.scoring.other_programs import ranks


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
