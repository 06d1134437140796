"""Adagrad against a NumPy loop and against PyTorch's; the schedules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from partdisc.method.optimizer import DECAYS, adagrad, learning_rate

OPTIONS = {"rate": 5e-3, "decay": 0.1, "every": 3}


def run(schedule, start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    optimizer = adagrad(schedule)
    params = jnp.asarray(start)
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = jax.jit(optimizer.update)(jnp.asarray(gradient), state, params)
        params = params + updates
    return np.asarray(params)


def reference_rate(kind: str, step: int) -> float:
    if kind == "inverse_time":
        return 5e-3 / (1 + 0.1 * step)
    return 5e-3 * 0.1 ** (step // 3) if kind == "step" else 5e-3


@pytest.mark.parametrize("kind", DECAYS)
def test_learning_rate_at_each_step(kind):
    schedule = learning_rate(kind=kind, **OPTIONS)
    for step in range(10):
        found = float(schedule(jnp.asarray(step, jnp.int32)))
        assert found == pytest.approx(reference_rate(kind, step), rel=1e-6)
        assert float(schedule(step)) == pytest.approx(found)


@pytest.mark.parametrize("kind", DECAYS)
def test_adagrad_equals_the_loop(rng, kind):
    start = rng.standard_normal((4, 3)).astype(np.float32)
    # Gradients of this loss are about 1e-5 an element.
    gradients = (1e-5 * rng.standard_normal((20, 4, 3))).astype(np.float32)
    params, squares = start.astype(np.float64), np.zeros((4, 3))
    for step, gradient in enumerate(gradients.astype(np.float64)):
        squares += gradient**2
        params -= reference_rate(kind, step) * gradient / (np.sqrt(squares) + 1e-10)
    found = run(learning_rate(kind=kind, **OPTIONS), start, gradients)
    np.testing.assert_allclose(found, params, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-5])
@pytest.mark.parametrize(("kind", "lr_decay"), [("inverse_time", 0.1), ("none", 0.0)])
def test_adagrad_equals_that_of_pytorch(rng, kind, lr_decay, scale):
    torch = pytest.importorskip("torch")
    start = rng.standard_normal((4, 3)).astype(np.float32)
    gradients = (scale * rng.standard_normal((20, 4, 3))).astype(np.float32)
    gradients[:, 0] = 0.0
    params = torch.nn.Parameter(torch.tensor(start))
    optimizer = torch.optim.Adagrad([params], lr=5e-3, lr_decay=lr_decay)
    for gradient in gradients:
        params.grad = torch.tensor(gradient)
        optimizer.step()
    found = run(learning_rate(kind=kind, **OPTIONS), start, gradients)
    np.testing.assert_allclose(found, params.detach().numpy(), atol=1e-6)


def test_a_zero_gradient_moves_nothing():
    start = np.ones((2, 2), np.float32)
    found = run(learning_rate(kind="none", **OPTIONS), start, np.zeros((3, 2, 2), np.float32))
    np.testing.assert_array_equal(found, start)


def test_the_first_step_is_the_learning_rate_however_small_the_gradient():
    gradient = np.array([[1e-7, -1e-3, 1.0]], np.float32)
    found = run(learning_rate(kind="none", **OPTIONS), np.zeros(3, np.float32), gradient)
    np.testing.assert_allclose(found, [-5e-3, 5e-3, -5e-3], rtol=1e-5)
