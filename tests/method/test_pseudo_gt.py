"""Pseudo ground truth against Algorithm 1, as the paper prints it, in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels import jitted

from partdisc.method.pseudo_gt import (
    BACKGROUNDS,
    CONTRAST,
    background_cells,
    channel_capacity,
    deferred_acceptance,
    generate,
    otsu_threshold,
    printed_algorithm,
)

background_cells, deferred_acceptance, generate, otsu_threshold, printed_algorithm = jitted(
    background_cells, deferred_acceptance, generate, otsu_threshold, printed_algorithm
)

# (cells, channels) of the random maps; a shape is one compilation.
SHAPES = [(1, 1), (1, 4), (5, 1), (2, 2), (3, 7), (6, 3), (9, 4), (12, 12), (20, 5), (30, 9)]
MAPS = 1000
LEVELS = (1, 2, 3, 5, 9, None)

deferred = jax.jit(jax.vmap(deferred_acceptance))


@functools.partial(jax.jit, static_argnames="suppression")
def printed(scores, open_cells, capacity, grid, suppression=0):
    one = functools.partial(printed_algorithm, suppression=suppression)
    return jax.vmap(one)(scores, open_cells, capacity, grid)


def as_in_the_paper(scores):
    """Algorithm 1 line by line: every cell is open, 3 cells a part, the background uncapped."""
    mean = scores.copy()
    cells, channels = mean.shape
    labels, count = -np.ones(cells, int), np.zeros(channels, int)
    for _ in range(cells):
        cell, channel = np.unravel_index(mean.argmax(), mean.shape)
        labels[cell] = channel
        mean[cell, :] = -1
        count[channel] += 1
        if count[channel] == 3 and channel < channels - 1:
            mean[:, channel] = -1
    return labels


def loop_algorithm(scores, open_cells, capacity, columns=1, radius=0):
    """Algorithm 1 with closed cells, any capacities, and suppression of neighbours."""
    mean = np.where(open_cells[:, None] & (capacity > 0), scores, -1)
    cells, channels = mean.shape
    labels, count = -np.ones(cells, int), np.zeros(channels, int)
    for _ in range(cells):
        cell, channel = divmod(int(mean.argmax()), channels)
        if mean[cell, channel] < 0:
            break
        labels[cell] = channel
        mean[cell] = -1
        count[channel] += 1
        if count[channel] == capacity[channel]:
            mean[:, channel] = -1
        if radius and channel < channels - 1:
            row, column = divmod(cell, columns)
            for other in range(cells):
                far = max(abs(other // columns - row), abs(other % columns - column))
                if far <= radius:
                    mean[other, channel] = -1
    return labels


def random_maps(rng, count, cells, channels):
    """Draw maps of few or many levels, with cells closed and any capacities."""
    levels = rng.integers(0, len(LEVELS), count)
    scores = rng.random((count, cells, channels)).astype(np.float32)
    for index, level in enumerate(levels):
        if LEVELS[level]:
            scores[index] = np.floor(scores[index] * LEVELS[level]) / LEVELS[level]
    scores[rng.random(count) < 0.05] = 0.5
    # A third of the maps are open everywhere, a few nowhere.
    open_share = rng.choice([0, 0.3, 0.8, 1, 1], count, p=[0.04, 0.3, 0.33, 0.3, 0.03])
    open_cells = rng.random((count, cells)) < open_share[:, None]
    capacity = rng.integers(0, cells + 1, (count, channels))
    small = rng.random(count) < 0.6
    capacity[small] = np.minimum(capacity[small], rng.integers(0, 4, (small.sum(), channels)))
    uncapped = rng.random(count) < 0.5
    capacity[uncapped, -1] = 2**30
    return scores, open_cells, capacity.astype(np.int32)


@pytest.mark.parametrize("cells, channels", SHAPES)
def test_deferred_acceptance_is_algorithm_1(rng, cells, channels):
    scores, open_cells, capacity = random_maps(rng, MAPS, cells, channels)
    fast = np.asarray(deferred(scores, open_cells, capacity))
    slow = np.asarray(printed(scores, open_cells, capacity, np.full((MAPS, 2), cells)))
    expected = np.array(
        [loop_algorithm(*one) for one in zip(scores, open_cells, capacity, strict=True)]
    )
    np.testing.assert_array_equal(fast, expected)
    np.testing.assert_array_equal(slow, expected)
    assert fast.dtype == slow.dtype == np.int32


def test_there_are_enough_random_maps():
    assert MAPS * len(SHAPES) >= 10_000


@pytest.mark.parametrize("cells, channels, levels", [(60, 12, None), (60, 40, 4), (238, 65, None)])
def test_it_is_the_papers_own_algorithm(rng, cells, channels, levels):
    scores = rng.random((3, cells, channels)).astype(np.float32)
    if levels:
        scores = np.floor(scores * levels) / np.float32(levels)
    capacity = np.array([3] * (channels - 1) + [2**30], np.int32)
    expected = np.array([as_in_the_paper(one) for one in scores])
    arguments = scores, np.ones((3, cells), bool), np.tile(capacity, (3, 1))
    np.testing.assert_array_equal(deferred(*arguments), expected)
    np.testing.assert_array_equal(printed(*arguments, np.full((3, 2), cells)), expected)


def test_peaked_maps_of_real_size(rng):
    # As a trained layer gives them: a softmax, its channels then divided by their maxima.
    logits = 30 * rng.normal(size=(2, 252, 129)) / 6
    scores = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    scores = (scores / scores.max(axis=1, keepdims=True)).astype(np.float32)
    capacity = np.tile(np.array([3] * 128 + [0], np.int32), (2, 1))
    open_cells = np.tile(np.arange(252) < 238, (2, 1))
    expected = [loop_algorithm(*one) for one in zip(scores, open_cells, capacity, strict=True)]
    np.testing.assert_array_equal(deferred(scores, open_cells, capacity), expected)


def test_the_result_is_a_stable_matching(rng):
    scores, open_cells, capacity = random_maps(rng, 200, 14, 5)
    labels = np.asarray(deferred(scores, open_cells, capacity))
    for map_, opened, room, label in zip(scores, open_cells, capacity, labels, strict=True):
        assert (label[~opened] == -1).all()
        taken = np.bincount(label[label >= 0], minlength=5)
        assert (taken <= room).all()
        unlabelled = opened & (label < 0)
        assert not unlabelled.any() or (taken == room).all()
        for cell in np.flatnonzero(opened):
            for channel in range(5):
                own = map_[cell, label[cell]] if label[cell] >= 0 else -1
                if map_[cell, channel] > own and room[channel]:
                    # The channel is full of cells that it likes no less.
                    rivals = map_[label == channel, channel]
                    assert len(rivals) == room[channel]
                    assert rivals.min() >= map_[cell, channel]


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_ties_go_to_the_lower_cell_then_the_lower_channel(value):
    scores = np.full((1, 8, 3), value, np.float32)
    open_cells = np.ones((1, 8), bool)
    open_cells[0, 1] = False
    capacity = np.array([[3, 2, 1]], np.int32)
    expected = [[0, -1, 0, 0, 1, 1, 2, -1]]
    assert np.asarray(deferred(scores, open_cells, capacity)).tolist() == expected
    grid = np.array([[2, 4]])
    assert np.asarray(printed(scores, open_cells, capacity, grid)).tolist() == expected


def test_only_the_order_of_values_matters(rng):
    scores, open_cells, capacity = random_maps(rng, 100, 20, 5)
    labels = deferred(scores, open_cells, capacity)
    np.testing.assert_array_equal(deferred(scores * 4 + 2, open_cells, capacity), labels)


def test_renaming_channels_renames_labels(rng):
    scores = rng.random((50, 20, 6)).astype(np.float32)
    _, open_cells, capacity = random_maps(rng, 50, 20, 6)
    order = rng.permutation(6)
    labels = np.asarray(deferred(scores, open_cells, capacity))
    renamed = np.asarray(deferred(scores[..., order], open_cells, capacity[:, order]))
    np.testing.assert_array_equal(np.where(renamed < 0, -1, order[renamed]), labels)


def test_vmap_of_maps_is_the_loop(rng):
    scores, open_cells, capacity = random_maps(rng, 5, 12, 4)
    grid = np.array([3, 4])
    fast = deferred(scores, open_cells, capacity)
    slow = printed(scores, open_cells, capacity, np.tile(grid, (5, 1)), suppression=1)
    one_fast = jax.jit(deferred_acceptance)
    one_slow = jax.jit(functools.partial(printed_algorithm, suppression=1))
    for index in range(5):
        one = scores[index], open_cells[index], capacity[index]
        np.testing.assert_array_equal(fast[index], one_fast(*one))
        np.testing.assert_array_equal(slow[index], one_slow(*one, grid))


@pytest.mark.parametrize("suppression", [0, 1, 2])
@pytest.mark.parametrize("grid", [(4, 7), (7, 4), (1, 9), (5, 5)])
def test_suppression_is_the_loop(rng, suppression, grid):
    cells = 30
    scores, open_cells, capacity = random_maps(rng, 150, cells, 4)
    open_cells[:, grid[0] * grid[1] :] = False
    result = np.asarray(
        printed(scores, open_cells, capacity, np.tile(grid, (150, 1)), suppression=suppression)
    )
    expected = [
        loop_algorithm(*one, columns=grid[1], radius=suppression)
        for one in zip(scores, open_cells, capacity, strict=True)
    ]
    np.testing.assert_array_equal(result, expected)
    # What the radius is for: no part within it of itself.
    if suppression:
        for label in result:
            for part in range(3):
                y, x = np.divmod(np.flatnonzero(label == part), grid[1])
                apart = np.maximum(abs(y[:, None] - y), abs(x[:, None] - x))
                assert (apart[~np.eye(len(y), dtype=bool)] > suppression).all()


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_capacity_of_the_background(background):
    capacity = channel_capacity(4, capacity=3, background=background)
    assert capacity.dtype == jnp.int32
    assert np.asarray(capacity[:4]).tolist() == [3, 3, 3, 3]
    last = int(capacity[4])
    assert last > 1_000_000 if background == "printed" else last == 0


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("suppression", [0, 1])
def test_generate_labels_what_is_covered(rng, background, suppression):
    grid, cells, parts = (4, 5), 24, 5
    mean = rng.random((cells, parts + 1)).astype(np.float32)
    mean[:, parts] += 0.5
    covered = (rng.random(cells) < 0.8) & (np.arange(cells) < 20)
    capacity = channel_capacity(parts, capacity=3, background=background)
    result = jax.jit(generate, static_argnames="suppression")(
        jnp.asarray(mean),
        jnp.asarray(covered),
        jnp.array(grid),
        capacity,
        suppression=suppression,
    )
    expected = loop_algorithm(mean, covered, np.asarray(capacity), columns=5, radius=suppression)
    np.testing.assert_array_equal(result, expected)
    share = (np.asarray(result) == parts).sum()
    assert share > 0 if background == "printed" else share == 0


def test_nothing_covered_and_no_room():
    scores = np.full((2, 6, 3), 0.5, np.float32)
    open_cells = np.array([[False] * 6, [True] * 6])
    capacity = np.array([[3, 3, 2**30], [0, 0, 0]], np.int32)
    assert (np.asarray(deferred(scores, open_cells, capacity)) == -1).all()
    assert (np.asarray(printed(scores, open_cells, capacity, np.full((2, 2), 3))) == -1).all()


def loop_otsu(values: np.ndarray) -> float:
    """Try every value as the threshold; keep the largest variance between the classes."""
    best, threshold = 0.0, -np.inf
    for limit in np.unique(values):
        lower, upper = values[values <= limit], values[values > limit]
        if len(upper):
            between = len(lower) * len(upper) * (lower.mean() - upper.mean()) ** 2
            if between > best * (1 + 1e-9):
                best, threshold = between, limit
    return threshold


def test_the_threshold_parts_the_classes_best(rng):
    jitted = jax.jit(jax.vmap(otsu_threshold))
    values = rng.random((1000, 12)).astype(np.float32)
    values[:300] = np.round(values[:300], 1)
    values[300:600, 5:] += 1.5
    valid = rng.random((1000, 12)) < 0.8
    found = np.asarray(jitted(values, valid))
    for one, exists, threshold in zip(values, valid, found, strict=True):
        known = one[exists].astype(np.float64)
        expected = loop_otsu(known) if len(known) else -np.inf
        # Of two thresholds that part as well, rounding may choose: their variance is equal.
        if threshold != np.float32(expected):
            between = []
            for limit in (threshold, expected):
                low, high = known[known <= limit], known[known > limit]
                between.append(len(low) * len(high) * (low.mean() - high.mean()) ** 2)
            np.testing.assert_allclose(*between, rtol=1e-4)


@pytest.mark.parametrize("values", [[], [0.3], [0.3] * 196, [0.7] * 41, [0.0, 0.0]])
def test_values_that_are_all_equal_are_not_parted(values):
    padded = jnp.array([*values, 0.7, 0.9], jnp.float32)
    valid = jnp.arange(len(padded)) < len(values)
    assert float(otsu_threshold(padded, valid)) == -np.inf
    assert not background_cells(padded, valid).any()


def test_the_background_is_what_stands_out_least(rng):
    saliency = np.concatenate([rng.uniform(0.1, 0.3, 30), rng.uniform(0.6, 0.9, 15), [0.05] * 5])
    valid = np.arange(50) < 45
    found = np.asarray(background_cells(jnp.asarray(saliency, jnp.float32), jnp.asarray(valid)))
    assert found[:30].all() and not found[45:].any()
    limit = loop_otsu(saliency[valid] ** CONTRAST)
    np.testing.assert_array_equal(found, valid & (saliency**CONTRAST <= limit))
    # The order alone counts for who is in it, and no order of the cells.
    order = rng.permutation(50)
    np.testing.assert_array_equal(
        background_cells(jnp.asarray(saliency[order], jnp.float32), jnp.asarray(valid[order])),
        found[order],
    )
