"""Presence and boxes of objects, against loops and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from partdisc.evaluation.presence import box_overlap, object_quality, ranking_auc


@pytest.mark.parametrize("levels", [2, 5, None])
def test_the_ranking_is_that_of_scikit_learn(rng, levels):
    scores = rng.random((40, 3)) if levels is None else rng.integers(0, levels, (40, 3)) / levels
    positive = rng.random(40) < 0.4
    expected = [roc_auc_score(positive, column) for column in scores.T]
    np.testing.assert_allclose(ranking_auc(scores, positive), expected)
    np.testing.assert_allclose(ranking_auc(-scores, positive), 1 - np.array(expected))


def test_what_was_not_found_ranks_last():
    scores = np.array([[-np.inf], [0.1], [0.2], [-np.inf]])
    assert ranking_auc(scores, np.array([False, True, True, False])) == 1.0
    assert ranking_auc(scores[[0, 3]], np.array([False, True])) == 0.5


def test_one_kind_of_image_alone_has_no_ranking():
    for positive in (np.zeros(3, bool), np.ones(3, bool), np.zeros(0, bool)):
        assert np.isnan(ranking_auc(np.zeros((len(positive), 2)), positive)).all()


def test_overlap_is_the_share_of_pixels(rng):
    for _ in range(50):
        first, second = (np.sort(rng.integers(0, 9, (2, 2)), axis=0) for _ in range(2))
        grid = np.zeros((2, 9, 9), bool)
        for mask, ((y0, x0), (y1, x1)) in zip(grid, (first, second), strict=True):
            mask[y0:y1, x0:x1] = True
        union = (grid[0] | grid[1]).sum()
        expected = (grid[0] & grid[1]).sum() / union if union else 0.0
        assert box_overlap(first.ravel(), second.ravel()) == pytest.approx(expected)


def test_quality_leaves_out_what_is_not_annotated_and_counts_what_is_not_found():
    nan = [np.nan] * 4
    true = np.array([[0, 0, 10, 10], [0, 0, 10, 10], nan, [0, 0, 4, 4]])
    found = np.array([[0, 0, 10, 10], nan, [0, 0, 1, 1], [0, 0, 4, 2]])
    quality = object_quality(found, true)
    assert quality.items == 3
    assert quality.iou == pytest.approx(100 * (1 + 0 + 0.5) / 3)
    assert quality.corloc == pytest.approx(100 / 3)  # One half is not above one half.
    assert object_quality(found[2:3], true[2:3]).items == 0
