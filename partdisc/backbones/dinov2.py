"""DINOv2 (Oquab et al., 2023): self-supervised vision transformers; also with registers
(Darcet et al., 2023).
"""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from partdisc.backbones.layers import PRECISION, Layer, declare
from partdisc.backbones.transformer import attention, layer_norm, linear, resampling

PATCH = 14  # side of the square of the image that a token stands for, in pixels
BLOCKS = 12
# The position embeddings are those of images of 518 x 518 pixels.
_GRID = 37


class VisionTransformer(NamedTuple):
    """A vision transformer up to one of its outputs: the tokens of the patches, as a map.

    Attributes:
      name: of the output: `block7`, the tokens after that block; `block7_keys`, the keys of all
        heads of its attention; `norm`, the tokens after all blocks and the last norm.
      width: channels C of a token.
      heads: of the attention.
      registers: tokens that stand for no patch, beside the one of the class.
    """

    name: str
    width: int
    heads: int
    registers: int

    size = math.inf  # every token sees the whole image
    stride = PATCH
    lead = (PATCH - 1) / 2

    def __call__(self, module: nn.Module, x: jax.Array) -> jax.Array:
        batch, height, width, _ = x.shape
        grid = (height // PATCH, width // PATCH)
        tokens = self._embed(module, x, grid)
        name, _, facet = self.name.partition("_")
        whole = BLOCKS if name == "norm" else int(name.removeprefix("block")) - (facet == "keys")
        for number in range(1, whole + 1):
            tokens = self._block(module, f"block{number}", tokens)
        if facet == "keys":
            normed = self._norm(module, f"{name}/norm1", tokens)
            tokens = self._linear(module, f"{name}/key", normed, self.width)
        elif name == "norm":
            tokens = self._norm(module, "norm", tokens)
        return tokens[:, 1 + self.registers :].reshape(batch, *grid, self.width)

    def _embed(self, module: nn.Module, x: jax.Array, grid: tuple[int, int]) -> jax.Array:
        """Make tokens [B, 1 + registers + h w, C] of images [B, 14 h, 14 w, 3]."""
        rows, columns = grid
        kernel = declare(module, "patches/kernel", (PATCH, PATCH, x.shape[-1], self.width))
        bias = declare(module, "patches/bias", (self.width,))
        # A convolution whose windows do not overlap is a product of matrices.
        patches = x.reshape(x.shape[0], rows, PATCH, columns, PATCH, x.shape[-1])
        patches = patches.transpose(0, 1, 3, 2, 4, 5).reshape(
            x.shape[0], rows * columns, PATCH**2 * x.shape[-1]
        )
        patches = linear(patches, kernel.reshape(-1, self.width), bias)
        position = declare(module, "positions/embedding", (1 + _GRID**2, self.width))
        own = declare(module, "class/embedding", (1, self.width)) + position[:1]
        lead = [own]
        if self.registers:
            shape = (self.registers, self.width)
            lead.append(declare(module, "registers/embedding", shape))
        leading = jnp.concatenate(lead)[None]
        leading = jnp.broadcast_to(leading, (x.shape[0], *leading.shape[1:]))
        return jnp.concatenate([leading, patches + self._positions(position[1:], grid)], axis=1)

    def _positions(self, embedding: jax.Array, grid: tuple[int, int]) -> jax.Array:
        """Resample position embeddings [37 x 37, C] to a grid: [1, h w, C]."""
        # The networks with registers were published with another resampling.
        antialias = self.registers > 0
        vertical, horizontal = (resampling(_GRID, side, antialias=antialias) for side in grid)
        known = embedding.reshape(_GRID, _GRID, self.width)
        resampled = jnp.einsum("yi,xj,ijc->yxc", vertical, horizontal, known, precision=PRECISION)
        return resampled.reshape(1, grid[0] * grid[1], self.width)

    def _block(self, module: nn.Module, name: str, tokens: jax.Array) -> jax.Array:
        """Apply attention and a perceptron, each beside what it starts from."""
        normed = self._norm(module, f"{name}/norm1", tokens)
        queries, keys, values = (
            self._linear(module, f"{name}/{part}", normed, self.width)
            for part in ("query", "key", "value")
        )
        mixed = attention(queries, keys, values, heads=self.heads)
        mixed = self._linear(module, f"{name}/out", mixed, self.width)
        tokens = tokens + mixed * self._scale(module, f"{name}/scale1/scale")
        normed = self._norm(module, f"{name}/norm2", tokens)
        hidden = self._linear(module, f"{name}/fc1", normed, 4 * self.width)
        hidden = self._linear(
            module, f"{name}/fc2", jax.nn.gelu(hidden, approximate=False), self.width
        )
        return tokens + hidden * self._scale(module, f"{name}/scale2/scale")

    def _norm(self, module: nn.Module, name: str, tokens: jax.Array) -> jax.Array:
        scale = declare(module, f"{name}/scale", (self.width,))
        return layer_norm(tokens, scale, declare(module, f"{name}/bias", (self.width,)))

    def _linear(self, module: nn.Module, name: str, x: jax.Array, channels: int) -> jax.Array:
        kernel = declare(module, f"{name}/kernel", (x.shape[-1], channels))
        return linear(x, kernel, declare(module, f"{name}/bias", (channels,)))

    def _scale(self, module: nn.Module, name: str) -> jax.Array:
        return declare(module, name, (self.width,))[None, None, :]


def _outputs(width: int, heads: int, registers: int) -> dict[str, tuple[Layer, ...]]:
    numbers = range(1, BLOCKS + 1)
    names = ["norm", *(f"block{i}" for i in numbers), *(f"block{i}_keys" for i in numbers)]
    return {name: (VisionTransformer(name, width, heads, registers),) for name in names}


ARCHITECTURES = {
    "dinov2_vits14": _outputs(384, 6, 0),
    "dinov2_vits14_reg": _outputs(384, 6, 4),
    "dinov2_vitb14": _outputs(768, 12, 0),
    "dinov2_vitb14_reg": _outputs(768, 12, 4),
}
