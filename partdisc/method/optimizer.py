"""Adagrad as the paper's PyTorch has it (section 4.3)."""

from typing import NamedTuple

import jax.numpy as jnp
import optax

DECAYS = ("none", "inverse_time", "step")


class RateSettings(NamedTuple):
    """How fast is learnt; the fields are arguments of `learning_rate`."""

    rate: float
    decay: float
    kind: str
    every: int


def learning_rate(*, rate: float, decay: float, kind: str, every: int) -> optax.Schedule:
    """Return the schedule of the learning rate.

    "Learning rate 5e-3, decay 0.1" has two readings, and both are offered.

    Args:
      rate: the first learning rate.
      decay: the paper's 0.1.
      kind: `inverse_time`, rate / (1 + decay * step), what `lr_decay` of PyTorch's
        Adagrad does; `step`, times `decay` each `every` steps; `none`, constant.
      every: steps between two drops of `step`.
    """
    if kind == "inverse_time":
        return lambda step: rate / (1.0 + decay * jnp.asarray(step, jnp.float32))
    if kind == "step":
        return lambda step: rate * decay ** jnp.asarray(step // every, jnp.float32)
    return optax.constant_schedule(rate)


def adagrad(schedule: optax.Schedule) -> optax.GradientTransformation:
    """Return Adagrad with the accumulator that PyTorch starts with, 0.

    Optax starts at 0.1, against which the squared gradients of this loss vanish, so
    that nothing is learnt. Its eps stands under the root, next to squares of about 1e-10:
    1e-20 is the 1e-10 that PyTorch adds after the root.
    """
    return optax.adagrad(schedule, initial_accumulator_value=0.0, eps=1e-20)
