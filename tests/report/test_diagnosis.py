"""Pairs in pixels against a point mapped by hand, and the groups of a diagnosis."""

from types import SimpleNamespace

import numpy as np
import pytest

from partdisc.data import images
from partdisc.evaluation import alignment_quality, longer_side, pair_distances
from partdisc.report.diagnosis import _groups
from partdisc.scoring.alignment import LabelledPools, in_pixels

STRIDE, ORIGIN = 16, 7.5


def to_cell(point, geometry):
    """A pixel's centre lies half a pixel past its index, in the original and the working image."""
    start, end = geometry.crop[:2], geometry.crop[2:]
    working = (point + 0.5 - start) * geometry.working / (end - start) - 0.5
    return (working - ORIGIN) / STRIDE


def labelled(rng, number=6, landmarks=4):
    size = rng.integers(200, 400, (number, 2))
    start = rng.integers(0, 50, (number, 2))
    crop = np.c_[start, size - rng.integers(0, 50, (number, 2))]
    geometry = images.Geometry(size, crop, rng.integers(10, 20, (number, 2)) * STRIDE)
    points = rng.uniform(60, 140, (number, landmarks, 2))
    points[1, 2] = np.nan
    corners = rng.uniform([0, 0, 150, 150], [50, 50, 200, 200], (number, 4))
    dataset = SimpleNamespace(points=points, boxes=corners, crops=crop, eyes=None)
    inputs = SimpleNamespace(
        dataset=dataset,
        geometry=geometry,
        backbone=SimpleNamespace(stride=STRIDE, origin=ORIGIN),
    )
    # Rows of the labelled images are not those of the data set.
    index = np.array([5, 1, 4, 2, 0])
    pools = LabelledPools(None, index, np.array([0, 3]), np.array([[1, 2, 4], [4, 0, 1]]))
    return inputs, pools


def test_pairs_in_pixels_agree_with_points_mapped_by_hand(rng):
    inputs, pools = labelled(rng)
    transforms = np.tile(np.eye(3), (2, 3, 1, 1))
    transforms[..., :2, :] += rng.normal(size=(2, 3, 2, 3)) * [0.1, 0.1, 2.0]
    got = in_pixels(inputs, pools, transforms)
    dataset = inputs.dataset
    for i, target in enumerate(pools.index[pools.targets]):
        there = inputs.geometry.take(target)
        np.testing.assert_array_equal(got.targets[i], dataset.points[target])
        assert got.lengths[i] == longer_side(dataset.boxes[target][None])[0]
        for j, neighbour in enumerate(pools.index[pools.members[i]]):
            here = inputs.geometry.take(neighbour)
            for k, point in enumerate(dataset.points[neighbour]):
                cell = to_cell(point, here)
                source = got.sources[i, j, k]
                # Untransformed, a landmark lies in the target where its cell does.
                np.testing.assert_allclose(to_cell(source, there), cell)
                moved = (got.transforms[i, j] @ [*source, 1])[:2]
                np.testing.assert_allclose(
                    to_cell(moved, there), (transforms[i, j] @ [*cell, 1])[:2]
                )


def test_flat_pairs_keep_each_source_with_its_target(rng):
    inputs, pools = labelled(rng)
    pairs = in_pixels(inputs, pools, np.tile(np.eye(3), (2, 3, 1, 1)))
    before, after = (array.reshape(2, 3) for array in pair_distances(*pairs.flat()))
    expected = np.linalg.norm(pairs.sources - pairs.targets[:, None], axis=-1)
    np.testing.assert_allclose(before, np.nanmean(expected, axis=2) / pairs.lengths[:, None])
    np.testing.assert_allclose(after, before)
    assert alignment_quality(*pairs.flat()).identity_share == 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (7, 5), (20, 15)])
def test_every_pair_is_in_one_group_by_place_and_one_by_score(shape):
    rng = np.random.default_rng(shape[1])
    scores = rng.integers(0, 10, shape) / 10  # with ties
    rows = np.arange(scores.size)
    groups = {name: rows[group] for name, group in _groups(scores).items()}
    places = [found for name, found in groups.items() if name.startswith("neighbours")]
    quarters = [found for name, found in groups.items() if name.startswith("score")]
    for parts in (places, quarters):
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)), rows)
    # The names say which places are meant, counted from 1.
    for name, found in groups.items():
        if name.startswith("neighbours"):
            first, last = int(name.split()[1]), int(name.split()[3])
            assert set(found % shape[1]) == set(range(first - 1, last))
    lows = [scores.flat[quarter].min() for quarter in quarters]
    highs = [scores.flat[quarter].max() for quarter in quarters]
    assert all(low >= high for low, high in zip(lows[:-1], highs[1:], strict=True))
    if scores.size >= 4:
        assert len(quarters) == 4
