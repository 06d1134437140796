"""NMI and ARI against scikit-learn, and what stands at keypoints."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from partdisc.errors import DataError
from partdisc.evaluation.segmentation import keypoint_agreement, label_agreement

pytestmark = pytest.mark.filterwarnings("error")


def test_it_is_scikit_learns_on_random_labels(rng):
    for _ in range(300):
        n, kinds = rng.integers(1, 60), rng.integers(1, 8, 2)
        first, second = (rng.integers(0, k, n) * 7 - 3 for k in kinds)
        if rng.random() < 0.2:
            second = (first + 3) // 7 % max(kinds[1] // 2, 1)
        got = label_agreement(first, second)
        assert got.nmi == pytest.approx(100 * normalized_mutual_info_score(first, second), abs=1e-9)
        assert got.ari == pytest.approx(100 * adjusted_rand_score(first, second), abs=1e-9)
        assert got.items == n


def test_names_of_labels_do_not_matter(rng):
    first, second = rng.integers(0, 5, 200), rng.integers(0, 4, 200)
    base = label_agreement(first, second)
    np.testing.assert_allclose(label_agreement(rng.permutation(5)[first], 9 - second), base)
    np.testing.assert_allclose(label_agreement(second, first), base)
    same = label_agreement(first, rng.permutation(5)[first])
    assert same.nmi == pytest.approx(100) and same.ari == pytest.approx(100)


def test_pair_counts_of_many_pixels_do_not_overflow(rng):
    labels = rng.integers(0, 3, 5_000_000)
    got = label_agreement(labels, labels)
    assert got.ari == pytest.approx(100) and got.nmi == pytest.approx(100)


def test_keypoints_are_compared_where_visible_and_covered(rng):
    probs = rng.dirichlet(np.ones(6), (30, 4))
    visible = rng.random((30, 4)) < 0.7
    probs[0, visible[0]] = np.nan
    for foreground in (True, False):
        ids, parts = [], []
        for n in range(1, 30):
            for mark in range(4):
                if visible[n, mark]:
                    values = probs[n, mark, :5] if foreground else probs[n, mark]
                    ids.append(mark)
                    parts.append(int(np.argmax(values)))
        got = keypoint_agreement(probs, visible, foreground=foreground)
        assert got == label_agreement(np.array(ids), np.array(parts))


def test_the_background_counts_in_full_and_never_in_the_foreground():
    probs = np.tile([0.2, 0.1, 0.7], (8, 2, 1))
    probs[:, 1, :2] = [0.1, 0.2]
    seen = np.ones((8, 2), bool)
    assert keypoint_agreement(probs, seen, foreground=True).nmi == pytest.approx(100)
    assert keypoint_agreement(probs, seen, foreground=False).nmi == pytest.approx(0)


def test_errors_name_what_is_wrong():
    with pytest.raises(DataError, match="none of 6 is visible"):
        keypoint_agreement(np.ones((2, 3, 4)), np.zeros((2, 3)), foreground=True)
    with pytest.raises(DataError, match="no item"):
        label_agreement(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match=r"labels \(3,\) and \(2,\)"):
        label_agreement(np.zeros(3), np.zeros(2))
