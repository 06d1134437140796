"""The layers that the backbones are made of: kernels on arrays, and their descriptions.

A backbone is a list of descriptions. Everything else follows from that list: the computation,
the names and shapes of its parameters, its stride and its receptive field.

All images and maps are `[B, H, W, C]`, all kernels `[height, width, in, out]`, float32.
"""

from typing import NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

# Accelerators would otherwise round to TF32 or bfloat16; a CPU is exact either way.
PRECISION = lax.Precision.HIGHEST


def conv(
    x: jax.Array, kernel: jax.Array, bias: jax.Array, *, stride: int = 1, rectify: bool = True
) -> jax.Array:
    """Convolve with zero padding of half the kernel's size, then rectify.

    Args:
      x: maps [B, H, W, C].
      kernel: weights [n, n, C, D] with n odd.
      bias: [D].
      stride: step between outputs, in cells.
      rectify: whether negative outputs become zero.

    Returns:
      max(0, x * kernel + bias) [B, ceil(H / stride), ceil(W / stride), D].
    """
    pad = kernel.shape[0] // 2
    y = lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(pad, pad), (pad, pad)],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=PRECISION,
    )
    y = y + bias[None, None, None, :]
    return nn.relu(y) if rectify else y


def max_pool(x: jax.Array, *, size: int, stride: int, before: int = 0) -> jax.Array:
    """Take the maximum of each window.

    Windows start `before` cells before their cell, and the last may hang over the border (as in
    Caffe's "ceil mode"), so that a side that is a multiple of the stride is divided by it exactly.

    Args:
      x: maps [B, H, W, C].
      size: side of the window, in cells.
      stride: step between windows, in cells.
      before: how far a window reaches to the left and up of its cell, in cells.

    Returns:
      [B, H / stride, W / stride, C].
    """
    after = size - stride - before
    for axis in (1, 2):  # rows, then columns: several times faster than whole windows
        window, strides, padding = [1] * 4, [1] * 4, [(0, 0)] * 4
        window[axis], strides[axis], padding[axis] = size, stride, (before, after)
        x = lax.reduce_window(x, -jnp.inf, lax.max, window, strides, padding)
    return x


def local_response_norm(x: jax.Array) -> jax.Array:
    """Divide each channel by a power of the energy of the 5 channels around it.

    `x / (1 + 1e-4 / 5 * sum of squares) ** 0.75` (Krizhevsky et al., 2012, section 3.3; Caffe
    divides alpha by the number of channels in the window).

    Args:
      x: maps [B, H, W, C].

    Returns:
      [B, H, W, C].
    """
    channels = x.shape[-1]
    squares = jnp.pad(x * x, [(0, 0), (0, 0), (0, 0), (2, 2)])
    energy = sum(squares[..., i : i + channels] for i in range(5))
    root = lax.rsqrt(1.0 + (1e-4 / 5) * energy)
    return x * root * jnp.sqrt(root)  # s^-1/2 s^-1/4: three times faster than a power


class Layer(Protocol):
    """What a backbone is a list of; a named tuple, so that equal ones compile once.

    Attributes:
      name: what its parameters' names begin with, and what its output goes by.
      size: side of the window that an output looks at, in cells of its input.
      stride: step between windows, in cells.
      lead: how far a window's centre lies beyond `stride` times its index, in cells.
    """

    name: str
    size: float
    stride: int
    lead: float

    def __call__(self, module: nn.Module, x: jax.Array) -> jax.Array:
        """Turn maps [B, H, W, C] into maps [B, H / stride, W / stride, D]."""


def declare(module: nn.Module, name: str, shape: tuple[int, ...]) -> jax.Array:
    """Name a parameter of a network, and its shape; its values come from `load_weights`."""
    return module.param(name, nn.initializers.zeros, shape)


def outputs(layers: tuple[Layer, ...], names: tuple[str, ...]) -> dict[str, tuple[Layer, ...]]:
    """Return, for each layer that may be asked for, the layers from the image to it."""
    ends = {layer.name: end for end, layer in enumerate(layers, 1)}
    return {name: layers[: ends[name]] for name in names}


class Conv(NamedTuple):
    """A convolution: `size` x `size`, every `stride` cells, to `channels`; then rectified."""

    name: str
    channels: int
    size: int
    stride: int = 1
    rectify: bool = True

    lead = 0.0  # an output looks at a window centred on `stride` times its index

    def __call__(self, module: nn.Module, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, x.shape[-1], self.channels)
        kernel = declare(module, f"{self.name}/kernel", shape)
        bias = declare(module, f"{self.name}/bias", shape[-1:])
        return conv(x, kernel, bias, stride=self.stride, rectify=self.rectify)


class MaxPool(NamedTuple):
    """A max pooling of `size` x `size` windows, every `stride` cells."""

    name: str
    size: int
    stride: int
    before: int = 0

    @property
    def lead(self) -> float:
        """How far its window's centre lies beyond `stride` times its index, in cells."""
        return (self.size - 1) / 2 - self.before

    def __call__(self, module: nn.Module, x: jax.Array) -> jax.Array:
        return max_pool(x, size=self.size, stride=self.stride, before=self.before)


class LocalResponseNorm(NamedTuple):
    """A normalisation over neighbouring channels."""

    name: str
    size: int = 1  # in cells: it looks at its own cell only
    stride: int = 1

    lead = 0.0

    def __call__(self, module: nn.Module, x: jax.Array) -> jax.Array:
        return local_response_norm(x)


class Inception(NamedTuple):
    """Four branches side by side (Szegedy et al., 2015, figure 2b and table 1)."""

    name: str
    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pool: int

    size = 5  # the widest branch sets the receptive field
    stride = 1
    lead = 0.0

    def __call__(self, module: nn.Module, x: jax.Array) -> jax.Array:
        def branch(name: str, channels: int, size: int, x: jax.Array) -> jax.Array:
            return Conv(f"{self.name}/{name}", channels, size)(module, x)

        three = branch("3x3_reduce", self.three_reduce, 1, x)
        five = branch("5x5_reduce", self.five_reduce, 1, x)
        pooled = max_pool(x, size=3, stride=1, before=1)
        return jnp.concatenate(
            [
                branch("1x1", self.one, 1, x),
                branch("3x3", self.three, 3, three),
                branch("5x5", self.five, 5, five),
                branch("pool_proj", self.pool, 1, pooled),
            ],
            axis=-1,
        )
