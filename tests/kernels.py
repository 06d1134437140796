"""Kernels as the program runs them: compiled whole."""

import inspect
from collections.abc import Callable

import jax

# What a kernel's Python values are annotated with; they choose the program.
STATIC = {int, float, bool, str, tuple[int, ...]}


def jitted(*kernels: Callable) -> list[Callable]:
    """Compile kernels whole: op by op there would be ten times as many programs to compile."""
    return [_jitted(kernel) for kernel in kernels]


def _jitted(kernel: Callable) -> Callable:
    parameters = inspect.signature(kernel).parameters.values()
    static = [one.name for one in parameters if one.annotation in STATIC or one.name == "layer"]
    return jax.jit(kernel, static_argnames=static)
