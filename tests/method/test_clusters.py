"""The mixture of von Mises-Fisher distributions, its seeding and the cells that it sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from partdisc.method import clusters
from partdisc.method.clusters import Mixture, em_step, fit_mixture, sample_cells, seed_centres

FIT = {"kappa": 30.0, "iterations": 50, "tolerance": 5e-5, "seeding_vectors": 1000, "seed": 0}


def unit(rng, *shape) -> np.ndarray:
    vectors = rng.standard_normal(shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def planted(rng, centres: np.ndarray, counts: list[int], noise: float) -> np.ndarray:
    """Draw vectors around each centre, in random order."""
    mean = np.repeat(centres, counts, axis=0)
    vectors = rng.permutation(mean + noise * rng.standard_normal(mean.shape))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def inner_cells(rows: int, columns: int, border: int) -> list[int]:
    return [
        y * columns + x
        for y in range(border, rows - border)
        for x in range(border, columns - border)
    ]


@pytest.mark.parametrize("border", [0, 1, 3])
def test_cells_avoid_the_border_where_enough_remain(border):
    grids = np.array([(14, 14), (14, 20), (20, 14), (9, 8), (7, 7), (3, 3), (1, 1), (1, 9)])
    image, cell = sample_cells(grids, per_image=12, border=border, seed=0)
    for i, (rows, columns) in enumerate(grids):
        chosen = cell[image == i]
        inner = inner_cells(rows, columns, border)
        allowed = inner if len(inner) >= 12 else range(rows * columns)
        assert set(chosen) <= set(allowed)
        assert len(set(chosen)) == len(chosen) == min(12, rows * columns)


def test_border_rule_at_its_limit():
    # 5 x 7 without a border of 1 has 3 x 5 = 15 cells.
    grids = np.array([(5, 7)])
    _, cell = sample_cells(grids, per_image=15, border=1, seed=0)
    assert cell.tolist() == inner_cells(5, 7, 1)
    drawn = [sample_cells(grids, per_image=16, border=1, seed=s)[1] for s in range(20)]
    assert any(set(cell) - set(inner_cells(5, 7, 1)) for cell in drawn)
    assert all(len(set(cell)) == 16 for cell in drawn)


def test_cells_of_an_image_depend_on_seed_and_image_alone():
    grids = np.array([(10, 12), (12, 10), (10, 12)])
    first = sample_cells(grids, per_image=8, border=2, seed=3)
    again = sample_cells(grids, per_image=8, border=2, seed=3)
    fewer = sample_cells(grids[:2], per_image=8, border=2, seed=3)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(np.array(first)[:, :16], fewer)
    other = sample_cells(grids, per_image=8, border=2, seed=4)
    assert not np.array_equal(first[1], other[1])
    assert not np.array_equal(first[1][:8], first[1][16:])


def test_every_inner_cell_is_drawn_evenly():
    grids = np.tile([(8, 9)], (600, 1))
    _, cell = sample_cells(grids, per_image=5, border=2, seed=0)
    counts = np.bincount(cell, minlength=72)[inner_cells(8, 9, 2)]
    # 3,000 draws over 20 cells: mean 150, standard deviation 11.
    assert counts.min() > 100 and counts.max() < 200


def indices_of(rows: np.ndarray, vectors: np.ndarray) -> list[int]:
    found = [np.flatnonzero((vectors == row).all(axis=1)) for row in np.asarray(rows)]
    assert all(len(f) for f in found), "a centre is none of the vectors"
    return [int(f[0]) for f in found]


def test_seeds_are_vectors_of_the_set(rng):
    vectors = unit(rng, 50, 6)
    chosen = indices_of(seed_centres(jax.random.key(0), vectors, parts=12), vectors)
    assert len(set(chosen)) == 12


def test_seeding_is_deterministic(rng):
    vectors = unit(rng, 50, 6)
    first, again, other = (
        np.asarray(seed_centres(jax.random.key(seed), vectors, parts=8)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_seeding_takes_all_vectors_where_there_are_just_enough(rng):
    vectors = unit(rng, 9, 16)
    chosen = indices_of(seed_centres(jax.random.key(0), vectors, parts=9), vectors)
    assert sorted(chosen) == list(range(9))


def test_seeding_takes_each_of_some_repeated_vectors_once():
    vectors = np.tile(np.eye(4, dtype=np.float32), (5, 1))
    chosen = indices_of(seed_centres(jax.random.key(0), vectors, parts=4), vectors)
    assert sorted(chosen) == [0, 1, 2, 3]


@pytest.mark.parametrize("parts", [1, 3, 6])
def test_seeding_survives_equal_vectors(parts):
    vectors = np.tile(np.eye(4, dtype=np.float32)[:1], (6, 1))
    centres = seed_centres(jax.random.key(0), vectors, parts=parts)
    np.testing.assert_array_equal(centres, vectors[:parts])


def test_seeds_are_drawn_by_squared_cosine_distance():
    angles = np.array([0.0, 0.6, 1.3, 3.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    keys = jax.random.split(jax.random.key(5), 4000)
    pairs = jax.vmap(lambda key: seed_centres(key, vectors, parts=2))(keys)
    counts = np.zeros((4, 4))
    for pair in np.asarray(pairs):
        np.add.at(counts, tuple(indices_of(pair, vectors)), 1)
    weight = (1.0 - vectors @ vectors.T) ** 2
    expected = weight / weight.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(counts.sum(axis=1) / 4000, 0.25, atol=0.03)
    np.testing.assert_allclose(counts / counts.sum(axis=1, keepdims=True), expected, atol=0.06)


def reference_step(centres, shares, vectors, kappa):
    """One EM step in float64, loop by loop, as `em_step` describes it."""
    centres, shares, vectors = (np.asarray(a, np.float64) for a in (centres, shares, vectors))
    n, parts = len(vectors), len(shares)
    responsibility, likelihood = np.zeros((n, parts)), np.zeros(n)
    for i in range(n):
        density = [shares[k] * np.exp(kappa * (vectors[i] @ centres[k])) for k in range(parts)]
        likelihood[i] = np.log(sum(density))
        responsibility[i] = np.array(density) / sum(density)
    new_shares, new_centres = responsibility.mean(axis=0), np.zeros_like(centres)
    worst = iter(np.argsort(likelihood, kind="stable"))
    for k in range(parts):
        total = sum(responsibility[i, k] * vectors[i] for i in range(n))
        if new_shares[k] * parts < clusters.DEAD_SHARE:
            new_centres[k], new_shares[k] = vectors[next(worst)], 1.0 / parts
        else:
            new_centres[k] = total / np.linalg.norm(total)
    return new_centres, new_shares / new_shares.sum(), likelihood


@pytest.mark.parametrize("kappa", [5.0, 30.0])
def test_em_step_equals_the_loop(rng, kappa):
    vectors, centres = unit(rng, 60, 6), unit(rng, 4, 6)
    shares = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    mixture, likelihood = em_step(Mixture(centres, shares), vectors, kappa)
    new_centres, new_shares, each = reference_step(centres, shares, vectors, kappa)
    np.testing.assert_allclose(mixture.centres, new_centres, atol=2e-5)
    np.testing.assert_allclose(mixture.shares, new_shares, atol=2e-6)
    np.testing.assert_allclose(likelihood, each.mean(), rtol=2e-6)


def test_dead_clusters_start_again_at_the_worst_explained_vectors(rng):
    vectors = planted(rng, np.eye(6)[:3], [200, 200, 3], 0.05)
    centres = np.concatenate([np.eye(6)[:2], -np.eye(6)[:2]]).astype(np.float32)
    shares = np.array([0.5, 0.4, 0.05, 0.05], np.float32)
    mixture, _ = em_step(Mixture(centres, shares), vectors, 30.0)
    new_centres, new_shares, each = reference_step(centres, shares, vectors, 30.0)
    # The planted third group is what no living cluster explains.
    assert (np.argmax(vectors[np.argsort(each)[:3]], axis=1) == 2).all()
    np.testing.assert_allclose(mixture.centres, new_centres, atol=2e-5)
    np.testing.assert_allclose(mixture.shares, new_shares, atol=2e-6)
    np.testing.assert_array_equal(mixture.centres[2:], vectors[np.argsort(each)[:2]])
    assert float(jnp.sum(mixture.shares)) == pytest.approx(1.0, abs=1e-6)


def test_more_dead_clusters_than_vectors(rng):
    vectors = unit(rng, 3, 6)
    centres = np.concatenate([vectors[:1], np.tile(-vectors[:1], (7, 1))])
    shares = np.array([0.3] + [0.1] * 7, np.float32)
    mixture, _ = em_step(Mixture(centres, shares), vectors[:1], 30.0)
    np.testing.assert_allclose(mixture.centres, np.tile(vectors[:1], (8, 1)), atol=1e-6)
    assert np.isfinite(mixture.shares).all()


@pytest.mark.parametrize("seed", range(5))
def test_likelihood_never_falls_while_all_clusters_live(seed):
    rng = np.random.default_rng(seed)
    vectors = planted(rng, unit(rng, 5, 8), [80, 60, 50, 30, 20], 0.25)
    mixture = Mixture(vectors[:6], np.full(6, 1 / 6, np.float32))
    before = -np.inf
    for _ in range(25):
        previous = mixture
        mixture, likelihood = em_step(mixture, vectors, 30.0)
        _, shares, _ = reference_step(previous.centres, previous.shares, vectors, 30.0)
        np.testing.assert_allclose(mixture.shares, shares, atol=1e-5)
        assert likelihood >= before - 1e-5
        before = float(likelihood)


def test_planted_clusters_are_found(rng):
    centres = unit(rng, 5, 16)
    counts = [400, 300, 200, 150, 100]
    vectors = planted(rng, centres, counts, 0.04)
    mixture = fit_mixture(vectors, parts=5, **FIT)
    cosine = np.asarray(mixture.centres) @ centres.T
    owner = cosine.argmax(axis=0)
    assert sorted(owner) == list(range(5))
    assert cosine.max(axis=0).min() > 0.995
    np.testing.assert_allclose(
        np.asarray(mixture.shares)[owner], np.array(counts) / sum(counts), atol=0.01
    )
    np.testing.assert_allclose(np.linalg.norm(mixture.centres, axis=1), 1.0, atol=1e-6)


def test_fit_is_deterministic_and_follows_its_seed(rng):
    vectors = unit(rng, 200, 8)
    options = FIT | {"iterations": 5}
    first, again = (fit_mixture(vectors, parts=6, **options) for _ in range(2))
    np.testing.assert_array_equal(first.centres, again.centres)
    np.testing.assert_array_equal(first.shares, again.shares)
    other = fit_mixture(vectors, parts=6, **options | {"seed": 1})
    assert not np.array_equal(first.centres, other.centres)


def test_seeds_come_from_the_sample_for_seeding(rng):
    vectors = unit(rng, 30, 8)
    mixture = fit_mixture(vectors, parts=5, **FIT | {"iterations": 0, "seeding_vectors": 5})
    sample = np.random.default_rng(FIT["seed"]).permutation(30)[:5]
    assert sorted(indices_of(mixture.centres, vectors)) == sorted(sample)


def test_as_many_parts_as_vectors(rng):
    vectors = unit(rng, 7, 16)
    mixture = fit_mixture(vectors, parts=7, **FIT)
    assert (np.asarray(mixture.centres) @ vectors.T).max(axis=0).min() > 0.99
    np.testing.assert_allclose(mixture.shares, 1 / 7, atol=0.01)


def test_equal_vectors_give_finite_clusters():
    vectors = np.tile(np.eye(4, dtype=np.float32)[:1], (10, 1))
    mixture = fit_mixture(vectors, parts=3, **FIT)
    np.testing.assert_allclose(mixture.centres, vectors[:3], atol=1e-6)
    np.testing.assert_allclose(mixture.shares, 1 / 3, atol=1e-6)


def test_fit_stops_at_the_last_iteration_and_tells_each(rng):
    told = []
    options = FIT | {"iterations": 4, "tolerance": 0.0}
    fit_mixture(unit(rng, 300, 8), parts=10, **options, after_step=lambda *args: told.append(args))
    steps, likelihood = zip(*told, strict=True)
    assert steps == (1, 2, 3, 4)
    assert all(isinstance(value, float) for value in likelihood)
    assert likelihood[-1] > likelihood[0]


@pytest.mark.parametrize(
    ("likelihood", "steps"),
    [
        ([1.0, 2.0, 2.00001, 9.0], 3),
        # Re-seeding a dead cluster costs likelihood: that is no convergence.
        ([1.0, 2.0, 1.9, 2.1, 2.10001, 9.0], 5),
        ([1.0, 2.0, 1.99999, 9.0], 3),
    ],
)
def test_fit_stops_where_the_likelihood_stands_still(rng, monkeypatch, likelihood, steps):
    values = iter(likelihood)
    monkeypatch.setattr(clusters, "em_step", lambda mixture, *_: (mixture, next(values)))
    told = []
    fit_mixture(unit(rng, 9, 4), parts=2, **FIT, after_step=lambda step, value: told.append(value))
    assert told == likelihood[:steps]
