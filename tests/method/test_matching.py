"""Matching against NumPy loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels import jitted

from partdisc.method.cells import corner_cells, normalise
from partdisc.method.matching import (
    CORNER_PERCENT,
    MATCHINGS,
    find_matches,
    peak_normalise,
    saliency,
)

peak_normalise, saliency = jitted(peak_normalise, saliency)
# Thresholds are drawn: they choose no program.
find_matches = jax.jit(find_matches, static_argnames=("kind", "slots"))

TARGET, SOURCE = (4, 5), (5, 3)
P, Q = 24, 18


def loop_matches(
    cosine, target_saliency, source_saliency, target_grid, source_grid, *, kind, threshold, slots
):
    """List (source, target, weight) of all that are kept, and the number of all matches."""
    rows, columns = target_grid[0] * target_grid[1], source_grid[0] * source_grid[1]
    pairs = [(p, q) for p in range(rows) for q in range(columns) if cosine[p, q] > threshold]
    if kind == "mutual":
        pairs = [
            (p, q)
            for p, q in pairs
            if q == min(range(columns), key=lambda other: (-cosine[p, other], other))
            and p == min(range(rows), key=lambda other: (-cosine[other, q], other))
        ]
        pairs.sort(key=lambda pair: pair[1])
    count = len(pairs)
    kept = pairs
    if kind != "mutual" and 0 < slots < count:
        kept = [pairs[m * count // slots] for m in range(slots)]
    listed = []
    for p, q in kept:
        weight = target_saliency[p] * source_saliency[q]
        if kind == "degree":
            weight /= sum(a == p for a, _ in pairs) * sum(b == q for _, b in pairs)
        listed.append((divmod(q, source_grid[1]), divmod(p, target_grid[1]), weight))
    return listed, count


def listed_matches(matches):
    """Return the slots in use, as the loop lists them."""
    return [
        (tuple(source.tolist()), tuple(target.tolist()), float(weight))
        for source, target, weight in zip(*(np.asarray(part) for part in matches[:3]), strict=True)
        if weight > 0
    ]


def random_case(rng, *, levels=None):
    cosine = rng.random((P, Q)).astype(np.float32)
    if levels:
        cosine = np.floor(cosine * levels) / np.float32(levels)
    return (
        cosine,
        rng.uniform(0.1, 1, P).astype(np.float32),
        rng.uniform(0.1, 1, Q).astype(np.float32),
    )


@pytest.mark.parametrize("kind", MATCHINGS)
@pytest.mark.parametrize("levels", [None, 2, 5])
@pytest.mark.parametrize("slots", [0, 400, 37, 4])
def test_find_matches_is_the_loop(rng, kind, levels, slots):
    for threshold in (0.0, 0.3, 0.6, 0.95):
        case = random_case(rng, levels=levels)
        options = {"kind": kind, "threshold": threshold, "slots": slots}
        matches = find_matches(*case, jnp.array(TARGET), jnp.array(SOURCE), **options)
        expected, count = loop_matches(*case, TARGET, SOURCE, **options)
        assert int(matches.count) == count
        assert len(matches.weight) == (Q if kind == "mutual" else slots or P * Q)
        found = listed_matches(matches)
        assert [one[:2] for one in found] == [one[:2] for one in expected]
        np.testing.assert_allclose(
            [one[2] for one in found], [one[2] for one in expected], rtol=1e-5
        )


@pytest.mark.parametrize("slots", [5, 7, 10, 49, 100, 257])
def test_the_sample_is_even_for_every_count(slots):
    # All pairs match in the first `count` of raster order; 1 x n maps make that a column.
    for count in range(0, 301, 7):
        cosine = (jnp.arange(300) < count).astype(jnp.float32)[:, None]
        matches = find_matches(
            cosine,
            jnp.ones(300),
            jnp.ones(1),
            jnp.array([300, 1]),
            jnp.array([1, 1]),
            kind="threshold",
            threshold=0.6,
            slots=slots,
        )
        used = np.asarray(matches.target)[np.asarray(matches.weight) > 0, 0]
        expected = np.arange(min(count, slots)) * max(count, slots) // slots
        assert used.tolist() == (expected if count > slots else np.arange(count)).tolist()


@pytest.mark.parametrize("kind", MATCHINGS)
@pytest.mark.parametrize("rubbish", [0.0, 1.0])
@pytest.mark.parametrize("slots", [0, 500])
def test_padding_never_matches(kind, rubbish, slots):
    # Below every real cosine, and above.
    cosine = np.full((P, Q), rubbish, np.float32)
    cosine[:20, :15] = -np.float32(0.5) + 0.01 * np.arange(300).reshape(20, 15) / 300
    matches = find_matches(
        cosine,
        jnp.ones(P),
        jnp.ones(Q),
        jnp.array(TARGET),
        jnp.array(SOURCE),
        kind=kind,
        threshold=-0.9,
        slots=slots,
    )
    assert int(matches.count) == (1 if kind == "mutual" else 300)
    used = np.asarray(matches.weight) > 0
    assert used.sum() == int(matches.count)
    assert (np.asarray(matches.target)[used] < TARGET).all()
    assert (np.asarray(matches.source)[used] < SOURCE).all()


@pytest.mark.parametrize("kind", MATCHINGS)
def test_nothing_matches(kind):
    # The threshold is exclusive.
    for cosine, threshold in ((np.zeros((P, Q)), 0.0), (np.full((P, Q), 0.5), 0.5)):
        matches = find_matches(
            cosine.astype(np.float32),
            jnp.ones(P),
            jnp.ones(Q),
            jnp.array(TARGET),
            jnp.array(SOURCE),
            kind=kind,
            threshold=threshold,
            slots=8,
        )
        assert int(matches.count) == 0
        assert not matches.weight.any()
        assert all(np.isfinite(part).all() for part in matches)


@pytest.mark.parametrize("kind, weight", [("threshold", 1), ("degree", 1 / 300), ("mutual", 1)])
def test_all_equal_cells(kind, weight):
    matches = find_matches(
        np.ones((P, Q), np.float32),
        jnp.ones(P),
        jnp.ones(Q),
        jnp.array(TARGET),
        jnp.array(SOURCE),
        kind=kind,
        threshold=0.6,
        slots=300,
    )
    found = listed_matches(matches)
    assert len(found) == int(matches.count) == (1 if kind == "mutual" else 300)
    np.testing.assert_allclose([one[2] for one in found], weight, rtol=1e-5)


@pytest.mark.parametrize("kind", MATCHINGS)
def test_one_cell(kind):
    one = jnp.ones(1)
    grid = jnp.array([1, 1])
    matches = find_matches(one[:, None], one, one, grid, grid, kind=kind, threshold=0.6, slots=4)
    assert listed_matches(matches) == [((0, 0), (0, 0), 1.0)]


def test_a_degree_weight_divides_by_the_matches_of_both_cells():
    # One target cell that matches everything, and else a diagonal.
    cosine = np.zeros((P, Q), np.float32)
    cosine[3, :15] = 1
    cosine[np.arange(15), np.arange(15)] = 1
    matches = find_matches(
        cosine,
        jnp.ones(P),
        jnp.ones(Q),
        jnp.array(TARGET),
        jnp.array(SOURCE),
        kind="degree",
        threshold=0.6,
        slots=100,
    )
    weights = {(source, target): weight for source, target, weight in listed_matches(matches)}
    assert weights[(0, 0), (0, 0)] == pytest.approx(1 / 2)
    assert weights[(0, 0), (0, 3)] == pytest.approx(1 / (15 * 2))
    assert weights[(1, 0), (0, 3)] == pytest.approx(1 / 15)


def test_mutual_is_symmetric(rng):
    cosine, target_saliency, source_saliency = random_case(rng)
    options = {"kind": "mutual", "threshold": 0.2, "slots": 4}
    there = find_matches(
        cosine, target_saliency, source_saliency, jnp.array(TARGET), jnp.array(SOURCE), **options
    )
    back = find_matches(
        cosine.T,
        source_saliency,
        target_saliency,
        jnp.array(SOURCE),
        jnp.array(TARGET),
        **options,
    )
    turned = [(source, target, weight) for target, source, weight in listed_matches(back)]
    assert sorted(turned) == sorted(listed_matches(there))
    assert len(turned) > 3


@pytest.mark.parametrize("kind", MATCHINGS)
def test_vmap_of_pairs_is_the_loop(rng, kind):
    cases = [random_case(rng) for _ in range(4)]
    targets, sources = jnp.array([[4, 5], [5, 4], [1, 1], [3, 8]]), jnp.array([[5, 3], [3, 5]] * 2)
    options = {"kind": kind, "threshold": 0.6, "slots": 40}
    batch = [jnp.stack(part) for part in zip(*cases, strict=True)]
    batched = jax.vmap(functools.partial(find_matches, **options))(*batch, targets, sources)
    for index, case in enumerate(cases):
        one = find_matches(*case, targets[index], sources[index], **options)
        for name in one._fields:
            np.testing.assert_array_equal(getattr(batched, name)[index], getattr(one, name))


def test_peak_normalise_is_the_loop(rng):
    probs = rng.random((12, 5)).astype(np.float32)
    probs[9:] = 0
    probs[:, 2] = 0
    expected = np.zeros_like(probs)
    for channel in range(5):
        peak = max(probs[:, channel])
        for cell in range(12):
            expected[cell, channel] = probs[cell, channel] / peak if peak else 0
    result = np.asarray(peak_normalise(jnp.asarray(probs)))
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    np.testing.assert_allclose(result.max(axis=0), [1, 1, 0, 1, 1], rtol=1e-6)


def loop_saliency(features, grid):
    cells, result = len(features), []
    corner = np.asarray(corner_cells(jnp.array(grid), cells, percent=CORNER_PERCENT))
    for p in range(cells):
        cosines = sorted(features[p] @ features[q] for q in range(cells) if corner[q] and q != p)
        cosines = ([-1.0] * 4 + cosines)[-4:]
        result.append(min(max(1 - sum(cosines) / 4, 0), 1))
    return result


@pytest.mark.parametrize("grid", [(4, 6), (2, 12), (3, 3), (1, 6), (2, 2), (1, 1)])
def test_saliency_is_the_loop(rng, grid):
    features = rng.normal(size=(24, 6)) + 0.5
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    features[grid[0] * grid[1] :] = 0
    result = saliency(jnp.asarray(features, jnp.float32), jnp.array(grid))
    np.testing.assert_allclose(result, loop_saliency(features, grid), atol=1e-5)


def test_saliency_of_an_object_on_a_plain_ground():
    features = np.zeros((70, 3), np.float32)
    features[:63, 0] = 1
    # One of its cells is on the rim of the map, but not in a corner.
    thing = [9 * 3 + 4, 9 * 3 + 5, 9 * 6 + 4]
    features[thing] = [0, 1, 0]
    result = np.asarray(saliency(jnp.asarray(features), jnp.array([7, 9])))
    assert result[thing].tolist() == [1, 1, 1]
    assert not np.delete(result[:63], thing).any()


def test_vmap_of_saliency_is_the_loop(rng):
    features = normalise(jnp.asarray(rng.normal(size=(3, 12, 4)), jnp.float32))
    grids = jnp.array([[3, 4], [2, 6], [4, 3]])
    for one, feature, grid in zip(
        jax.vmap(saliency)(features, grids), features, grids, strict=True
    ):
        np.testing.assert_allclose(one, saliency(feature, grid), atol=1e-6)
