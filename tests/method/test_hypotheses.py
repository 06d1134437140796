"""Draws of matches by their weights, and the transforms of minimal sets of them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from partdisc.method.hypotheses import MEMBERS, SETS, draw_hypotheses, draw_matches
from partdisc.method.matching import Matches
from partdisc.method.transforms import FAMILIES, is_plausible, solve

GRID = (14, 18)

draw = jax.jit(draw_matches, static_argnames="shape")


def some_matches(rng):
    """Shift half of the cells, and match the others at random."""
    source = rng.integers(0, GRID, (40, 2))
    target = np.where(np.arange(40)[:, None] < 20, source + 1, rng.integers(0, GRID, (40, 2)))
    weight = rng.random(40).astype(np.float32)
    return Matches(jnp.asarray(source, jnp.float32), jnp.asarray(target, jnp.float32), weight, 40)


@pytest.mark.parametrize("family", [family for family in FAMILIES if FAMILIES[family]])
def test_hypotheses_are_the_first_usable_sets(rng, family):
    """Against a loop over the sets of the same draws."""
    matches = some_matches(rng)
    limits = {"family": family, "max_area_change": 3.0, "max_stretch": 2.5, "max_rotation": 90.0}
    plausible = functools.partial(is_plausible, grid=jnp.array(GRID), **limits)
    run = jax.jit(
        lambda key, matches: draw_hypotheses(key, matches, plausible, family=family, hypotheses=40)
    )
    found = run(jax.random.key(3), matches)
    drawn = np.asarray(draw(jax.random.key(3), matches.weight, shape=(SETS * 40,)))
    members = MEMBERS[: FAMILIES[family]]
    expected, missing = [np.eye(3)] * 40, 40

    @jax.jit
    def usable(source, target):
        transform, determined = solve(source, target, family=family)
        return transform, determined & plausible(transform)

    source, target = np.asarray(matches.source), np.asarray(matches.target)
    for hypothesis in range(40):
        for number in range(hypothesis, SETS * 40, 40):
            chosen = [drawn[(number + member) % len(drawn)] for member in members]
            transform, good = usable(source[chosen], target[chosen])
            if good:
                expected[hypothesis] = transform
                missing -= 1
                break
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    assert missing < 40
    nothing = run(jax.random.key(3), matches._replace(weight=0 * matches.weight))
    np.testing.assert_array_equal(nothing, np.broadcast_to(np.eye(3), (40, 3, 3)))


def test_no_two_sets_share_more_than_a_draw():
    for size in set(FAMILIES.values()):
        members = MEMBERS[:size]
        apart = [b - a for a in members for b in members if a != b]
        assert len(members) == size and len(set(apart)) == len(apart)


def test_draws_follow_the_weights():
    weight = np.array([0, 3, 0, 0, 1, 2.5, 0.01, 0, 7, 0, 0], np.float32)
    index = np.asarray(draw(jax.random.key(1), jnp.asarray(weight), shape=(400, 250)))
    assert index.shape == (400, 250)
    counts = np.bincount(index.reshape(-1), minlength=11)
    assert not counts[weight == 0].any()
    used = weight > 0
    expected = weight[used].astype(float) / weight[used].astype(float).sum() * index.size
    assert chisquare(counts[used], expected).pvalue > 1e-3


def test_draws_of_equal_weights_are_uniform():
    index = draw(jax.random.key(2), jnp.ones(64), shape=(64_000,))
    assert chisquare(np.bincount(index, minlength=64)).pvalue > 1e-3


@pytest.mark.parametrize("seed", [3, 5])
def test_no_level_draws_a_match_of_weight_zero(monkeypatch, seed):
    # Every number that a uniform float32 draw can be: rounded sums hide no loophole.
    levels = np.arange(2**23, dtype=np.float32) / np.float32(2**23)
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape, dtype: jnp.asarray(levels))
    rng = np.random.default_rng(seed)
    weight = (rng.random(1024) * (rng.random(1024) < 0.3)).astype(np.float32)
    index = draw_matches(jax.random.key(0), jnp.asarray(weight), levels.shape)
    counts = np.bincount(index, minlength=1024)
    assert not counts[weight == 0].any()
    np.testing.assert_allclose(counts / 2**23, weight / weight.sum(dtype=float), atol=1e-6)


@pytest.mark.parametrize("weight", [[0, 0, 0], [0], [1], [0, 0, 2], [2, 0, 0]])
def test_draws_of_degenerate_weights(weight):
    index = np.asarray(draw(jax.random.key(0), jnp.array(weight, jnp.float32), shape=(50,)))
    assert set(index.tolist()) == {int(np.argmax(weight))}
