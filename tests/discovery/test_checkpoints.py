"""Checkpoints: what is restored is what was saved, to the bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from partdisc.discovery.checkpoints import KEPT, Checkpoints
from partdisc.discovery.step import State
from partdisc.method.optimizer import adagrad, learning_rate


def state_at(step: int, seed: int = 0, background: str = "mean") -> State:
    rng = np.random.default_rng([seed, step])
    params = {
        "centres": jnp.asarray(rng.standard_normal((3, 4)), jnp.float32),
        "background": jnp.asarray(
            rng.standard_normal(4 if background == "mean" else ()), jnp.float32
        ),
    }
    optimizer = adagrad(learning_rate(rate=1e-2, decay=0.0, kind="none", every=1))
    gradient = jax.tree.map(lambda leaf: leaf * 1e-3, params)
    _, moved = optimizer.update(gradient, optimizer.init(params), params)
    return State(params, moved, jnp.asarray(step, jnp.int32))


def assert_same(found: State, expected: State) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def checkpoints(tmp_path):
    opened = Checkpoints(tmp_path / "checkpoints")
    yield opened
    opened.close()


def test_an_empty_folder_has_none(checkpoints):
    assert checkpoints.latest() == -1


@pytest.mark.parametrize("background", ["mean", "constant"])
def test_restored_state_equals_the_saved_to_the_bit(tmp_path, background):
    saved = state_at(7, background=background)
    writer = Checkpoints(tmp_path / "checkpoints")
    writer.save(saved)
    writer.close()
    reader = Checkpoints(tmp_path / "checkpoints")
    assert reader.latest() == 7
    assert_same(reader.restore(state_at(0, seed=1, background=background)), saved)
    reader.close()


def test_the_last_one_is_restored_and_old_ones_go(checkpoints, tmp_path):
    for step in (0, 2, 4, 6):
        checkpoints.save(state_at(step))
    assert checkpoints.latest() == 6
    assert_same(checkpoints.restore(state_at(0)), state_at(6))
    kept = [path.name for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit()]
    assert sorted(kept) == ["4", "6"] and len(kept) == KEPT


def test_a_step_that_is_there_is_kept(checkpoints):
    checkpoints.save(state_at(3))
    checkpoints.save(state_at(3, seed=1))
    assert_same(checkpoints.restore(state_at(0)), state_at(3))


def test_what_a_kill_while_saving_leaves_is_ignored(tmp_path):
    folder = tmp_path / "checkpoints"
    writer = Checkpoints(folder)
    writer.save(state_at(3))
    writer.close()
    partial = folder / "5.orbax-checkpoint-tmp"
    (partial / "default").mkdir(parents=True)
    (partial / "default" / "half").write_bytes(b"x")
    reader = Checkpoints(folder)
    assert reader.latest() == 3
    assert_same(reader.restore(state_at(0)), state_at(3))
    reader.save(state_at(5))
    assert_same(reader.restore(state_at(0)), state_at(5))
    reader.close()


def test_saving_is_silent(checkpoints, capfd):
    checkpoints.save(state_at(1))
    checkpoints.restore(state_at(0))
    output = capfd.readouterr()
    assert output.out == output.err == ""
