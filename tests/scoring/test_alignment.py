"""Alignment quality against loops, np.linalg.lstsq and scipy's optimiser."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from partdisc.errors import ConfigError
from partdisc.evaluation.agreement import FAMILIES, alignment_quality, pair_distances

pytestmark = pytest.mark.filterwarnings("error")
IDENTITY = np.eye(3)


def pairs(rng, count, landmarks=8, hidden=0.0, noise=0.5):
    """Draw landmarks, an affine transform for each pair, and what it makes of them."""
    source = rng.uniform(0, 14, (count, landmarks, 2))
    transforms = np.tile(IDENTITY, (count, 1, 1))
    transforms[:, :2] += rng.normal(size=(count, 2, 3)) * [0.2, 0.2, 3.0]
    target = source @ transforms[:, :2, :2].swapaxes(1, 2) + transforms[:, None, :2, 2]
    target += noise * rng.normal(size=target.shape)
    for points in (source, target):
        points[rng.random(points.shape[:2]) < hidden] = np.nan
    return source, target, transforms, rng.uniform(5, 20, count)


def move(matrix, points):
    moved = np.c_[points, np.ones(len(points))] @ matrix.T
    return moved[:, :2] / moved[:, 2:]


def mean_distance(a, b):
    return np.mean([np.linalg.norm(p - q) for p, q in zip(a, b, strict=True)])


def loop_oracle(source, target, family):
    """Score the best least-squares map of one pair of fully visible landmarks."""
    found = [mean_distance(source, target)]
    if family != "none":
        found.append(mean_distance(source + (target - source).mean(0), target))
    if family == "affine" and len(source) >= 3:
        design = np.c_[source, np.ones(len(source))]
        found.append(mean_distance(design @ np.linalg.lstsq(design, target, rcond=None)[0], target))
    return min(found)


@pytest.mark.parametrize("family", ["none", "translation", "affine"])
def test_it_equals_a_loop(rng, family):
    source, target, transforms, normaliser = pairs(rng, 300, landmarks=6, hidden=0.45)
    transforms[::5] = IDENTITY
    source[7], normaliser[8], normaliser[9] = np.nan, np.nan, 0.0
    got = alignment_quality(source, target, transforms, normaliser, family=family)
    before, after, oracle, same, counts = [], [], [], [], []
    for s, t, matrix, length in zip(source, target, transforms, normaliser, strict=True):
        both = ~np.isnan(s[:, 0]) & ~np.isnan(t[:, 0])
        if not both.any() or not length > 0:
            continue
        counts.append(both.sum())
        before.append(mean_distance(s[both], t[both]) / length)
        after.append(mean_distance(move(matrix, s[both]), t[both]) / length)
        oracle.append(loop_oracle(s[both], t[both], family) / length)
        same.append((matrix == IDENTITY).all())
    assert got.n_pairs == len(before) < 298 and {1, 2, 3} <= set(counts)
    np.testing.assert_allclose(got.before, np.mean(before))
    np.testing.assert_allclose(got.after, np.mean(after))
    np.testing.assert_allclose(got.oracle, np.mean(oracle))
    np.testing.assert_allclose(got.improved, np.mean(np.less(after, before)))
    np.testing.assert_allclose(got.identity_share, np.mean(same))
    assert got.degenerate_share == 0 and 0.5 < got.improved < 0.9


def test_a_true_transform_is_perfect(rng):
    source, target, transforms, normaliser = pairs(rng, 50, noise=0.0)
    got = alignment_quality(source, target, transforms, normaliser)
    assert got.after < 1e-12 and got.oracle < 1e-12 and got.before > 0.1
    assert got.improved == 1 and got.identity_share == 0
    wrong = alignment_quality(source, target, np.linalg.inv(transforms), normaliser)
    assert wrong.after > got.before  # the direction matters: source to target


def test_the_order_of_coordinates_and_the_units():
    source, target = np.array([[[1.0, 2.0]]]), np.array([[[4.0, 2.0]]])
    down = np.array([[[1.0, 0, 3], [0, 1, 0], [0, 0, 1]]])
    got = alignment_quality(source, target, down, np.array([6.0]), family="none")
    assert (got.before, got.after, got.oracle) == (0.5, 0.0, 0.5)


def test_the_oracles_are_nested(rng):
    source, target, transforms, normaliser = pairs(rng, 200, landmarks=7, hidden=0.3, noise=3.0)
    got = [
        alignment_quality(source, target, transforms, normaliser, family=family)
        for family in FAMILIES
    ]
    assert got[0].oracle == got[0].before
    assert got[0].oracle > got[1].oracle > got[2].oracle
    full = pairs(rng, 200, landmarks=7, noise=3.0)
    none, shift, affine, homography = (
        alignment_quality(*full, family=family).oracle for family in FAMILIES
    )
    assert none > shift > affine > homography > 0


def test_the_homography_is_recovered_and_its_fit_is_near_the_geometric_one(rng):
    matrix = np.array([[1.1, 0.2, 30.0], [-0.1, 0.9, 20.0], [2e-3, -1e-3, 1.0]])
    source = rng.uniform(0, 200, (20, 8, 2))
    exact = np.array([move(matrix, s) for s in source])
    normaliser = np.full(20, 200.0)
    transforms = np.tile(-3 * matrix, (20, 1, 1))  # up to scale and sign
    got = alignment_quality(source, exact, transforms, normaliser, family="homography")
    assert got.oracle < 1e-10 and got.after < 1e-12 and got.degenerate_share == 0
    assert alignment_quality(source, exact, transforms, normaliser).oracle > 1e-3
    for s, clean in zip(source[:5], exact[:5], strict=True):
        noisy = clean + rng.normal(size=clean.shape)

        def residuals(h, s=s, noisy=noisy):
            return (move(np.append(h, 1.0).reshape(3, 3), s) - noisy).ravel()

        best = least_squares(residuals, matrix.ravel()[:8], x_scale="jac")
        fitted = mean_distance(move(np.append(best.x, 1.0).reshape(3, 3), s), noisy)
        oracle = alignment_quality(
            s[None], noisy[None], IDENTITY[None], np.ones(1), family="homography"
        ).oracle
        assert 0.8 * fitted < oracle < 1.2 * fitted


@pytest.mark.parametrize("family", ["affine", "homography"])
def test_too_few_landmarks_fall_back_to_translation(rng, family):
    source, target, transforms, normaliser = pairs(rng, 30, landmarks=6, noise=2.0)
    source[:, FAMILIES[family] - 1 :] = np.nan
    few = alignment_quality(source, target, transforms, normaliser, family=family)
    shift = alignment_quality(source, target, transforms, normaliser, family="translation")
    assert few.oracle == shift.oracle > 0


def test_landmarks_on_a_line_or_at_one_point_are_fitted(rng):
    line = np.linspace(0, 10, 5)[:, None] * [1.0, 2.0]
    point = np.full((5, 2), 4.0)
    source = np.stack([line, point])
    target = np.stack([3 * line + [1, 2], point + 5])
    for family in ("affine", "homography"):
        got = alignment_quality(
            source, target, np.tile(IDENTITY, (2, 1, 1)), np.ones(2), family=family
        )
        assert got.oracle < 1e-9 < got.before
    apart = target + rng.normal(size=target.shape)
    got = alignment_quality(source, apart, np.tile(IDENTITY, (2, 1, 1)), np.ones(2))
    expected = []
    for s, t in zip(source, apart, strict=True):
        expected.append(loop_oracle(s, t, "affine"))
    np.testing.assert_allclose(got.oracle, np.mean(expected))


def test_degenerate_transforms_move_nothing_and_are_counted(rng):
    source, target, transforms, normaliser = pairs(rng, 6, noise=0.0)
    good = alignment_quality(source, target, transforms, normaliser)
    transforms[0] = np.nan
    transforms[1, 0, 0] = np.inf
    transforms[2] = 0
    transforms[3, 2] = [1.0, 0.0, -7.0]  # the horizon runs between the landmarks
    got = alignment_quality(source, target, transforms, normaliser)
    assert got.degenerate_share == 4 / 6 and got.improved == 2 / 6 and got.identity_share == 0
    distances = np.hypot(*np.moveaxis(source - target, -1, 0)).mean(1) / normaliser
    np.testing.assert_allclose(got.after, distances[:4].sum() / 6)
    assert got.oracle == good.oracle


def test_what_counts_as_the_identity(rng):
    source, target, _, normaliser = pairs(rng, 4)
    transforms = np.tile(IDENTITY, (4, 1, 1))
    transforms[1, 0, 2] = 9e-7
    transforms[2, 0, 2] = 2e-6
    transforms[3] *= -2
    got = alignment_quality(source, target, transforms, normaliser)
    assert got.identity_share == 3 / 4
    np.testing.assert_allclose(got.after, got.before, rtol=1e-5)
    assert alignment_quality(source, target, np.tile(IDENTITY, (4, 1, 1)), normaliser).improved == 0


def test_no_pairs_and_wrong_arguments():
    none = np.zeros((0, 3, 2)), np.zeros((0, 3, 2)), np.zeros((0, 3, 3)), np.zeros(0)
    got = alignment_quality(*none)
    assert got.n_pairs == 0 and np.isnan(got[:6]).all()
    apart = np.array([[[1.0, 1], [np.nan, 1]]])
    assert alignment_quality(apart, apart[:, ::-1], IDENTITY[None], np.ones(1)).n_pairs == 0
    with pytest.raises(ConfigError, match="family: 'rigid' is unknown, allowed: none, translation"):
        alignment_quality(*none, family="rigid")
    with pytest.raises(ValueError, match=r"transforms \(3, 3\)"):
        alignment_quality(*none[:2], IDENTITY, none[3])
    with pytest.raises(ValueError, match="normaliser"):
        alignment_quality(*none[:3], np.ones(2))


def test_the_distances_of_pairs_are_what_the_quality_averages(rng):
    source, target, transforms, normaliser = pairs(rng, 300, landmarks=5, hidden=0.6)
    transforms[3] = np.nan
    normaliser[4], normaliser[5] = 0.0, np.nan
    before, after = pair_distances(source, target, transforms, normaliser)
    got = alignment_quality(source, target, transforms, normaliser)
    assert 0 < np.isnan(before).sum() == np.isnan(after).sum() == 300 - got.n_pairs
    np.testing.assert_allclose([np.nanmean(before), np.nanmean(after)], [got.before, got.after])
    for row in range(300):
        one = slice(row, row + 1)
        alone = alignment_quality(source[one], target[one], transforms[one], normaliser[one])
        np.testing.assert_allclose([before[row], after[row]], [alone.before, alone.after])
    assert before[3] == after[3] and np.isnan(before[[4, 5]]).all()
    none = pair_distances(source[:0], target[:0], transforms[:0], normaliser[:0])
    assert none[0].shape == none[1].shape == (0,)
