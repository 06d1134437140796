"""The training step on a small planted problem, against NumPy, and the loop's pure functions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from kernels import jitted

from partdisc import config as configuration
from partdisc import devices
from partdisc.discovery import supervision as teaching
from partdisc.discovery.images import Images, gather, room, with_pools
from partdisc.discovery.settings import step_settings
from partdisc.discovery.step import (
    State,
    alignment_metrics,
    initial_state,
    step_members,
    train_step,
)
from partdisc.method.part_templates import template_loss
from partdisc.method.pseudo_gt import background_cells

(alignment_metrics,) = jitted(alignment_metrics)

PARTS, CHANNELS, CELLS, POOL, COUNT = 6, 12, 32, 3, 9
KEY = jax.random.key(7)
TARGETS = np.array([0, 3, 4], np.int32)


@functools.cache
def settings_for(
    background: str = "excluded", layer_background: str = "mean", objective: str = "alignment"
):
    config = configuration.base_config()
    config.parts.update({"count": PARTS, "kappa": 10.0, "background": layer_background})
    config.alignment.hypotheses = 16
    config.matching.slots = 64
    config.pseudo_gt.update({"background": background, "capacity": 1})
    config.train.update({"learning_rate": 2e-2, "decay_kind": "none", "objective": objective})
    return step_settings(config)


@pytest.fixture
def planted(rng) -> tuple[Images, dict, np.ndarray, np.ndarray]:
    """Images with each part at its place, give or take a cell; noisy params; pools;
    the directions of the parts [K, C]."""
    directions = np.linalg.qr(rng.standard_normal((CHANNELS, CHANNELS)))[0][:PARTS]
    features = np.zeros((COUNT, CELLS, CHANNELS))
    grids = np.array([(5, 6) if n % 2 else (6, 5) for n in range(COUNT)], np.int32)
    for n, (rows, columns) in enumerate(grids):
        cells = 0.25 * rng.standard_normal((rows * columns, CHANNELS))
        shift = rng.integers(0, 2, 2)
        for k in range(PARTS):
            y, x = np.array([k // 3 * 2, k % 3 * 2 - (k % 3 == 2)]) + shift
            cells[y * columns + x] += 2 * directions[k]
        features[n, : rows * columns] = cells / np.linalg.norm(cells, axis=1, keepdims=True)
    images = Images(
        jnp.asarray(features, jnp.float16),
        jnp.asarray(grids),
        jnp.asarray(rng.uniform(0.5, 1.0, (COUNT, CELLS)), jnp.float32),
        jnp.asarray(0.01 * rng.standard_normal(CHANNELS), jnp.float32),
    )
    noisy = directions + 0.25 * rng.standard_normal(directions.shape)
    params = {
        "centres": jnp.asarray(noisy, jnp.float32),
        "background": jnp.asarray(rng.standard_normal(CHANNELS), jnp.float32),
    }
    pools = np.array([(n + 1 + np.arange(POOL)) % COUNT for n in range(COUNT)], np.int32)
    return images, params, pools, directions


def start(settings, params) -> State:
    """Return a first state with buffers of its own: a step donates them."""
    return initial_state(settings, jax.tree.map(jnp.copy, params))


def one_step(settings, state, images, pools, targets=TARGETS, key=KEY, cells=CELLS):
    batch = gather(images, step_members(settings, pools, targets), cells)
    return train_step(settings, state, batch, key)


def supervised(settings, params, images, pools, targets, step):
    """Do what a step does before its gradient."""
    batch = gather(images, with_pools(targets, pools))
    return supervised_batch(settings, params, batch, step)


@functools.partial(jax.jit, static_argnums=0)
def supervised_batch(settings, params, batch, step):
    probs = teaching.forward(settings, params, batch)
    keys = jax.random.split(jax.random.fold_in(KEY, step), len(probs))
    return batch, probs, teaching.supervise(keys, settings, batch, probs)


def reference_probs(params, batch, kappa: float = 10.0) -> np.ndarray:
    """Return probs [B, 1 + J, P, K + 1] in float64."""
    weights = np.concatenate([params["centres"], params["background"][None]]).astype(np.float64)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    logits = kappa * np.asarray(batch.features, np.float64) @ weights.T
    probs = np.exp(logits)
    return probs / probs.sum(axis=-1, keepdims=True) * np.asarray(batch.valid)[..., None]


def reference_loss(own, others, supervision) -> float:
    """Mean over targets and labelled cells of -log mean probability of the label."""
    losses = []
    for b, labels in enumerate(np.asarray(supervision.labels)):
        around = np.asarray(supervision.warps.cells[b])
        weights = np.asarray(supervision.warps.weights[b], np.float64)
        terms = []
        for p, label in enumerate(labels):
            if label >= 0:
                total, coverage = own[b, p, label], 1.0
                for j in range(POOL):
                    total += weights[j, p] @ others[b, j, around[j, p], label]
                    coverage += weights[j, p].sum()
                terms.append(-np.log(total / coverage))
        losses.append(np.mean(terms) if terms else 0.0)
    return float(np.mean(losses))


def finite_differences(loss, params, width: float = 1e-5) -> dict[str, np.ndarray]:
    gradient = {}
    for name, leaf in params.items():
        gradient[name] = np.zeros(leaf.shape)
        for place in np.ndindex(leaf.shape):
            ends = []
            for sign in (1, -1):
                moved = leaf.copy()
                moved[place] += sign * width
                ends.append(loss(params | {name: moved}))
            gradient[name][place] = (ends[0] - ends[1]) / (2 * width)
    return gradient


def test_loss_and_gradient_equal_numpy_with_the_supervision_held_fixed(planted):
    images, params, pools, _ = planted
    settings = settings_for()
    batch, _, supervision = supervised(settings, params, images, pools, TARGETS, 0)
    exact = {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}
    fixed = reference_probs(exact, batch)

    def through_all(moved):
        probs = reference_probs(moved, batch)
        return reference_loss(probs[:, 0], probs[:, 1:], supervision)

    def through_own_only(moved):
        return reference_loss(reference_probs(moved, batch)[:, 0], fixed[:, 1:], supervision)

    state, metrics = one_step(settings, start(settings, params), images, pools)
    assert float(metrics["loss"]) == pytest.approx(through_all(exact), rel=1e-5)
    # After the first step the accumulator holds the squared gradient.
    squares = optax.tree_utils.tree_get(state.optimizer, "sum_of_squares")
    wanted = finite_differences(through_all, exact)
    without = finite_differences(through_own_only, exact)
    for name, leaf in params.items():
        found = -np.sign(np.asarray(state.params[name]) - leaf) * np.sqrt(squares[name])
        scale = np.abs(wanted[name]).max()
        np.testing.assert_allclose(found, wanted[name], atol=1e-3 * scale)
        assert np.abs(found - without[name]).max() > 0.1 * scale


@pytest.mark.parametrize("objective", ["alignment", "part_templates"])
def test_room_that_no_map_needs_changes_nothing(planted, objective):
    images, params, pools, _ = planted
    settings = settings_for(objective=objective)
    state, metrics = one_step(settings, start(settings, params), images, pools)
    tight, same = one_step(settings, start(settings, params), images, pools, cells=30)
    assert metrics.keys() == same.keys()
    for name, value in metrics.items():
        assert float(value) == pytest.approx(float(same[name]), rel=1e-5), name
    for name, leaf in state.params.items():
        np.testing.assert_allclose(tight.params[name], leaf, atol=1e-4)


@pytest.mark.parametrize("most", [1, 2, 7, 196, 294, 700, 12_000])
def test_maps_are_filled_up_to_one_of_a_few_sizes(most):
    needed = np.unique(np.geomspace(1, most, 300).astype(int))
    sizes = [room(int(one), most) for one in needed]
    assert all(
        one <= size <= max(1.25 * one + 1, 5) for one, size in zip(needed, sizes, strict=True)
    )
    assert sizes == sorted(sizes) and sizes[-1] == most
    assert len(set(sizes)) <= 3 + np.log(most) / np.log(1.25)


def test_the_first_update_is_that_of_adagrad(planted):
    images, params, pools, _ = planted
    settings = settings_for()
    state, _ = one_step(settings, start(settings, params), images, pools)
    assert int(state.step) == 1
    moved = np.abs(np.asarray(state.params["centres"]) - params["centres"])
    np.testing.assert_allclose(moved, 2e-2, rtol=1e-3)


def train(settings, planted, steps: int, key=KEY):
    images, params, pools, _ = planted
    state, losses = start(settings, params), []
    for number in range(steps):
        first = number * 3 % COUNT
        targets = np.array([first, first + 1, first + 2], np.int32)
        state, metrics = one_step(settings, state, images, pools, targets, key)
        losses.append(float(metrics["loss"]))
    return state, losses


def test_training_lowers_the_loss_and_finds_the_planted_parts(planted):
    def cosines(centres):
        centres = np.asarray(centres, np.float64)
        return (centres * planted[3]).sum(axis=1) / np.linalg.norm(centres, axis=1)

    # Which of so few hypotheses are drawn moves a part by as much as a run teaches it.
    before, after, first, last = cosines(planted[1]["centres"]), [], [], []
    for seed in range(4):
        # Three steps are an epoch.
        state, losses = train(settings_for(), planted, 36, jax.random.key(seed))
        assert int(state.step) == 36
        first += losses[:3]
        last += losses[-9:]
        after.append(cosines(state.params["centres"]))
    assert np.mean(last) < 0.85 * np.mean(first)
    assert np.mean(after) > np.mean(before) + 0.03
    assert np.all(np.mean(after, axis=0) > before)


def test_training_is_deterministic(planted):
    settings = settings_for()
    state, losses = train(settings, planted, 6)
    again, same = train(settings, planted, 6)
    assert losses == same
    jax.tree.map(np.testing.assert_array_equal, state, again)


def test_gather_puts_the_target_before_its_pool(planted):
    images, _, pools, _ = planted
    batch = gather(images, with_pools(np.array([5, 0], np.int32), pools))
    for b, target in enumerate((5, 0)):
        for j, member in enumerate([target, *pools[target]]):
            rows, columns = np.asarray(images.grids[member])
            np.testing.assert_array_equal(batch.grids[b, j], (rows, columns))
            np.testing.assert_array_equal(batch.saliency[b, j], images.saliency[member])
            np.testing.assert_array_equal(batch.valid[b, j], np.arange(CELLS) < rows * columns)
            cells = np.asarray(images.features[member], np.float64) - np.asarray(images.offset)
            cells = cells / np.linalg.norm(cells, axis=1, keepdims=True)
            cells[rows * columns :] = 0.0
            np.testing.assert_allclose(batch.features[b, j], cells, atol=1e-5)


def test_supervision_labels_covered_cells_within_the_capacity(planted):
    images, params, pools, _ = planted
    batch, _, found = supervised(settings_for(), params, images, pools, TARGETS, 0)
    capacity = settings_for().labels.capacity
    assert found.warps.weights.shape == (len(TARGETS), POOL, CELLS, 4)
    for b in range(len(TARGETS)):
        labels = np.asarray(found.labels[b])
        covered = np.asarray(found.warps.weights[b]).sum(axis=(0, 2)) > 1e-3
        assert np.all(labels[~(covered & np.asarray(batch.valid[b, 0]))] == -1)
        counts = np.bincount(labels[labels >= 0], minlength=PARTS + 1)
        assert counts[:PARTS].max() <= capacity and counts[PARTS] == 0
        assert counts.sum() == min(capacity * PARTS, covered.sum())


def test_printed_background_labels_every_covered_cell(planted):
    images, params, pools, _ = planted
    batch, _, found = supervised(settings_for("printed"), params, images, pools, TARGETS, 0)
    covered = np.asarray(found.warps.weights).sum(axis=(1, 3)) > 1e-3
    np.testing.assert_array_equal(np.asarray(found.labels) >= 0, covered)
    assert np.any(np.asarray(found.labels) == PARTS)
    assert np.all(~covered | np.asarray(batch.valid[:, 0]))


def test_salient_background_is_named_before_the_parts(planted, rng):
    images, params, pools, _ = planted
    images = images._replace(saliency=jnp.asarray(rng.random(images.saliency.shape), jnp.float32))
    batch, _, found = supervised(settings_for("salient"), params, images, pools, TARGETS, 0)
    saliency, warps = np.asarray(batch.saliency), jax.tree.map(np.asarray, found.warps)
    for b, labels in enumerate(np.asarray(found.labels)):
        coverage = warps.weights[b].sum(axis=(0, 2))
        around = saliency[b, 1:][np.arange(POOL)[:, None, None], warps.cells[b]]
        aligned = (around * warps.weights[b]).sum(axis=(0, 2))
        mean = (saliency[b, 0] + aligned) / (1.0 + coverage)
        labelled = np.asarray(batch.valid[b, 0]) & (coverage > 1e-3)
        expected = background_cells(jnp.asarray(mean), jnp.asarray(labelled))
        np.testing.assert_array_equal(labels == PARTS, expected)
        assert 0 < np.sum(labels == PARTS) < labelled.sum()
        assert np.bincount(labels[labels >= 0], minlength=PARTS + 1)[:PARTS].max() <= 1


def test_without_matches_the_maps_lie_as_they_are(planted):
    images, params, pools, _ = planted
    images = images._replace(saliency=jnp.zeros_like(images.saliency))
    settings = settings_for()
    _, metrics = one_step(settings, start(settings, params), images, pools)
    assert float(metrics["identity_share"]) == 1.0
    assert float(metrics["inliers"]) == 0.0 and float(metrics["score"]) == 0.0
    assert np.isfinite(float(metrics["loss"]))


def reference_metrics(batch, probs, supervision) -> dict[str, float]:
    labels, valid = np.asarray(supervision.labels), np.asarray(batch.valid[:, 0])
    counts, winners = [0] * (PARTS + 1), []
    for b in range(len(labels)):
        for p in range(CELLS):
            if labels[b, p] >= 0:
                counts[labels[b, p]] += 1
            if valid[b, p]:
                winners.append(int(np.argmax(probs[b, 0, p])))
    total = max(sum(counts), 1)
    transforms = np.asarray(supervision.alignment.transform).reshape(-1, 3, 3)
    return {
        "matches": np.mean(np.asarray(supervision.matches.count)),
        "inliers": np.mean(np.asarray(supervision.alignment.inliers)),
        "score": np.mean(np.asarray(supervision.alignment.score)),
        "identity_share": np.mean([np.abs(t - np.eye(3)).max() < 1e-6 for t in transforms]),
        "background_share": counts[PARTS] / total,
        "background_argmax": winners.count(PARTS) / len(winners),
        "channels_in_use": len(set(winners) - {PARTS}),
        "labels_in_use": sum(count > 0 for count in counts[:PARTS]),
        "entropy": -sum(c / total * np.log(c / total) for c in counts if c),
        "labelled_share": sum(counts) / len(winners),
    }


@pytest.mark.parametrize("case", ["trained on", "any label", "no label"])
def test_metrics_equal_the_loop(planted, rng, case):
    images, params, pools, _ = planted
    batch, probs, supervision = supervised(settings_for(), params, images, pools, TARGETS, 0)
    if case == "any label":
        probs = jnp.asarray(rng.random(probs.shape), jnp.float32)
        labels = np.where(batch.valid[:, 0], rng.integers(-1, PARTS + 1, (3, CELLS)), -1)
        supervision = supervision._replace(labels=jnp.asarray(labels, jnp.int32))
    elif case == "no label":
        supervision = supervision._replace(labels=jnp.full_like(supervision.labels, -1))
    found = alignment_metrics(PARTS, batch.valid[:, 0], (probs[:, 0], supervision))
    expected = reference_metrics(batch, probs, supervision)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.shape(found[name]) == ()
        assert float(found[name]) == pytest.approx(value, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("objective", ["alignment", "part_templates"])
def test_target_by_target_is_what_all_at_once_are(planted, objective, monkeypatch):
    images, params, pools, _ = planted
    settings = settings_for(objective=objective)
    found = {}
    for rounds in (1, 3):
        monkeypatch.setattr(devices, "rounds", lambda length, rounds=rounds: rounds)
        train_step.clear_cache()
        found[rounds] = one_step(settings, start(settings, params), images, pools)
    train_step.clear_cache()
    (state, metrics), (same, likewise) = found[1], found[3]
    for name, value in metrics.items():
        assert float(value) == pytest.approx(float(likewise[name]), rel=1e-5), name
    squares, others = (
        optax.tree_utils.tree_get(one.optimizer, "sum_of_squares") for one in (state, same)
    )
    for name, square in squares.items():
        scale = float(np.max(square))
        np.testing.assert_allclose(others[name], square, rtol=1e-3, atol=1e-6 * scale)


def test_part_templates_train_on_the_targets_alone(planted, rng):
    images, params, pools, _ = planted
    settings = settings_for(objective="part_templates")
    batch = gather(images, jnp.asarray(TARGETS)[:, None])
    assert batch.features.shape[1] == 1
    exact = {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}
    probs = reference_probs(exact, batch)
    winners = probs[:, 0].argmax(axis=-1)[np.asarray(batch.valid[:, 0])]
    options = settings.templates._asdict()

    def loss_of(moved):
        maps = teaching.forward(settings, moved, batch)[:, 0, :, :PARTS]
        return template_loss(maps, batch.grids[:, 0], **options)

    (loss, positive), gradient = jax.jit(jax.value_and_grad(loss_of, has_aux=True))(params)
    expected, _ = template_loss(
        jnp.asarray(probs[:, 0, :, :PARTS], jnp.float32), batch.grids[:, 0], **options
    )
    state, metrics = one_step(settings, start(settings, params), images, pools)
    assert metrics.keys() == {"loss", "positive_share", "background_argmax", "channels_in_use"}
    assert float(metrics["loss"]) == pytest.approx(float(loss), rel=1e-5)
    assert float(metrics["loss"]) == pytest.approx(float(expected), rel=1e-3)
    assert float(metrics["positive_share"]) == pytest.approx(np.mean(positive))
    assert float(metrics["background_argmax"]) == pytest.approx(np.mean(winners == PARTS))
    assert float(metrics["channels_in_use"]) == len(set(winners.tolist()) - {PARTS})
    squares = optax.tree_utils.tree_get(state.optimizer, "sum_of_squares")
    for name in params:
        np.testing.assert_allclose(
            squares[name], gradient[name] ** 2, rtol=1e-3, atol=1e-5 * np.max(squares[name])
        )
    # Neither the pools nor the key matter.
    other, _ = one_step(
        settings, start(settings, params), images, pools[::-1].copy(), key=jax.random.key(8)
    )
    jax.tree.map(np.testing.assert_array_equal, other, state)


def test_part_templates_lower_their_loss(planted):
    _, losses = train(settings_for(objective="part_templates"), planted, 24)
    assert np.mean(losses[-6:]) < np.mean(losses[:6]) - 0.02
    assert min(losses) >= -np.log(3)


def test_settings_are_hashable_and_follow_the_config():
    assert hash(settings_for()) == hash(settings_for.__wrapped__())
    assert settings_for() == settings_for.__wrapped__()
    assert settings_for() != settings_for("printed")
    assert settings_for() != settings_for(layer_background="constant")
