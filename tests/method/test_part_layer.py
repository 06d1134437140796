"""The part layer against NumPy, and where its background starts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels import jitted

from partdisc.method.part_layer import (
    BACKGROUNDS,
    FactorLayer,
    PartLayer,
    initial_params,
    part_centres,
    part_probabilities,
)

part_centres, part_probabilities = jitted(part_centres, part_probabilities)


def unit(rng, *shape) -> np.ndarray:
    vectors = rng.standard_normal(shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def layer(background: str, parts: int = 3, kappa: float = 30.0) -> PartLayer:
    return PartLayer(parts, kappa, background)


def reference_logits(params, features, kappa) -> np.ndarray:
    logits = np.zeros((len(features), len(params["centres"]) + 1))
    for p, feature in enumerate(np.asarray(features, np.float64)):
        for k, centre in enumerate(np.asarray(params["centres"], np.float64)):
            logits[p, k] = kappa * feature @ centre / np.linalg.norm(centre)
        background = np.asarray(params["background"], np.float64)
        if background.ndim:
            logits[p, -1] = kappa * feature @ background / np.linalg.norm(background)
        else:
            logits[p, -1] = kappa * background
    return logits


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_logits_are_scaled_cosines(rng, background):
    params = {
        "centres": rng.standard_normal((3, 5)).astype(np.float32),
        "background": np.float32(0.3) if background == "constant" else unit(rng, 5) * 7,
    }
    features = unit(rng, 11, 5)
    logits = layer(background).apply({"params": params}, features)
    assert logits.shape == (11, 4)
    np.testing.assert_allclose(logits, reference_logits(params, features, 30.0), atol=2e-5)


def test_the_length_of_a_centre_has_no_effect(rng):
    params = {"centres": unit(rng, 3, 5), "background": unit(rng, 5)}
    longer = {"centres": params["centres"] * 2, "background": params["background"] * 8}
    features = unit(rng, 6, 5)
    module = layer("mean")
    np.testing.assert_allclose(
        module.apply({"params": params}, features),
        module.apply({"params": longer}, features),
        atol=1e-5,
    )


def test_batched_cells_score_as_single_ones(rng):
    params = {"centres": unit(rng, 3, 5), "background": np.float32(0.2)}
    features = unit(rng, 2, 4, 5)
    module = layer("constant")
    batched = module.apply({"params": params}, features)
    for b in range(2):
        for p in range(4):
            alone = module.apply({"params": params}, features[b, p])
            np.testing.assert_allclose(batched[b, p], alone, atol=1e-5)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_initial_params_fit_the_module(rng, background):
    params = initial_params(unit(rng, 3, 5), unit(rng, 20, 5), background=background)
    shapes = jax.eval_shape(layer(background).init, jax.random.key(0), jnp.zeros((1, 5)))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), params) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), shapes["params"]
    )


def test_mean_background_starts_at_the_mean_direction(rng):
    features = unit(rng, 40, 5)
    params = initial_params(unit(rng, 3, 5), features, background="mean")
    mean = features.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(params["background"], mean / np.linalg.norm(mean), atol=1e-6)


def test_constant_background_wins_the_worst_explained_fifth(rng):
    features, centres = unit(rng, 1000, 5), unit(rng, 3, 5)
    params = initial_params(centres, features, background="constant")
    logits = layer("constant").apply({"params": params}, features)
    assert np.mean(np.argmax(logits, axis=1) == 3) == pytest.approx(0.2, abs=0.002)
    won = np.argmax(logits, axis=1) == 3
    best = (features @ centres.T).max(axis=1)
    assert best[won].max() <= best[~won].min()


def test_features_that_cancel_leave_a_finite_background(rng):
    features, centres = unit(rng, 4, 5), unit(rng, 3, 5)
    params = initial_params(centres, np.zeros((4, 5), np.float32), background="mean")
    np.testing.assert_array_equal(params["background"], 0.0)

    def total(params):
        module = layer("mean")
        return jnp.sum(part_probabilities(module, params, features, jnp.ones(4, bool))[:, -1])

    gradient = jax.jit(jax.grad(total))(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert np.abs(gradient["centres"]).max() > 0


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_probabilities_are_distributions_on_valid_cells_only(rng, background):
    features = unit(rng, 7, 5)
    features[4:] = 0.0
    valid = np.arange(7) < 4
    params = initial_params(unit(rng, 3, 5), features[:4], background=background)
    probs = part_probabilities(layer(background), params, features, valid)
    np.testing.assert_array_equal(probs[4:], 0.0)
    logits = reference_logits(params, features[:4], 30.0)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probs[:4], expected, atol=2e-5)
    np.testing.assert_allclose(np.sum(probs, axis=1), valid, atol=1e-6)
    assert np.all(np.asarray(probs) >= 0)


def test_no_cell_and_no_valid_cell(rng):
    params = {"centres": unit(rng, 3, 5), "background": np.float32(0.2)}
    empty = np.zeros((0, 5), np.float32)
    none = part_probabilities(layer("constant"), params, empty, np.zeros(0, bool))
    assert none.shape == (0, 4)
    invalid = part_probabilities(layer("constant"), params, unit(rng, 2, 5), np.zeros(2, bool))
    np.testing.assert_array_equal(invalid, 0.0)


def test_a_high_kappa_does_not_overflow(rng):
    params = {"centres": unit(rng, 3, 5), "background": unit(rng, 5)}
    probs = part_probabilities(layer("mean", kappa=1e4), params, unit(rng, 6, 5), np.ones(6, bool))
    np.testing.assert_allclose(np.sum(probs, axis=1), 1.0, atol=1e-6)


def reference_centres(params, features, grid, kappa) -> np.ndarray:
    """Average the cells by likelihood x (1 - background), cell by cell."""
    logits = reference_logits(params, features[: grid[0] * grid[1]], kappa)
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    cells = np.stack(np.divmod(np.arange(len(logits)), grid[1]), axis=1)
    found = []
    for k in range(logits.shape[1] - 1):
        weight = np.exp(logits[:, k] - logits[:, k].max()) * (1.0 - probs[:, -1])
        found.append((weight[:, None] * cells).sum(0) / weight.sum())
    return np.array(found)


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("grid", [(3, 4), (4, 3), (1, 5), (1, 1)])
def test_centres_are_posterior_means(rng, background, grid):
    features = unit(rng, 14, 8)
    features[grid[0] * grid[1] :] = 0.0
    params = initial_params(unit(rng, 3, 8), unit(rng, 50, 8), background=background)
    found = part_centres(
        layer(background), params, jnp.asarray(features, jnp.float16), jnp.array(grid), jnp.zeros(8)
    )
    # The cache holds halves, which are units again after rounding.
    rounded = features.astype(np.float16).astype(np.float64)
    rounded /= np.maximum(np.linalg.norm(rounded, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(found, reference_centres(params, rounded, grid, 30.0), atol=1e-3)


def test_a_rival_part_does_not_move_a_centre(rng):
    features = jnp.asarray(unit(rng, 12, 8), jnp.float16)
    centres = unit(rng, 3, 8)
    params = {"centres": jnp.asarray(centres), "background": jnp.asarray(-1e3)}
    more = params | {"centres": jnp.asarray(np.concatenate([centres, centres[:2]]))}
    alone, beside = (
        part_centres(
            layer("constant", len(p["centres"])), p, features, jnp.array([3, 4]), jnp.zeros(8)
        )
        for p in (params, more)
    )
    np.testing.assert_allclose(beside[:3], alone, atol=1e-5)


def test_centres_of_nothing_are_the_maps_centre():
    params = {"basis": jnp.eye(3, 8), "scale": jnp.asarray(1.0)}
    packed = jnp.zeros((12, 8), jnp.float16).at[:, 7].set(1.0)  # of no factor
    found = part_centres(FactorLayer(3), params, packed, jnp.array([3, 4]), jnp.zeros(8))
    np.testing.assert_array_equal(found, [[1.0, 1.5]] * 3)
    found = part_centres(FactorLayer(3), params, packed, jnp.array([0, 0]), jnp.zeros(8))
    assert np.isfinite(found).all()
