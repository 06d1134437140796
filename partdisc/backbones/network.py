"""A backbone: a network up to one of its layers, as a pure function of its parameters."""

import dataclasses
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from partdisc.backbones import dinov2, googlenet, resnet50, vgg16
from partdisc.backbones.layers import Layer
from partdisc.errors import ConfigError, shortened

# Of each network: from the layer that may be asked for to all layers up to it.
ARCHITECTURES: dict[str, dict[str, tuple[Layer, ...]]] = {
    "vgg16": vgg16.OUTPUTS,
    "googlenet": googlenet.OUTPUTS,
    "resnet50": resnet50.OUTPUTS,
    **dinov2.ARCHITECTURES,
}


class Network(nn.Module):
    """Apply a list of layers; `params` is flat, with the names `layer/kernel`, `layer/bias`.

    `half_stride` asks for the outputs between the cells as well: the last layer that thins
    out its cells, and all after it, see its input at four shifts of half its stride.
    """

    layers: tuple[Layer, ...]
    half_stride: bool = False

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images
        thinning = [i for i, layer in enumerate(self.layers) if layer.stride > 1]
        if self.half_stride and (not thinning or self.layers[thinning[-1]].stride % 2):
            raise ValueError("half_stride: the last layer with a stride must have an even one")
        for i, layer in enumerate(self.layers):
            if self.half_stride and i == thinning[-1]:
                x = _shifted(x, layer.stride // 2)
            x = layer(self, x)
        return _interleaved(x) if self.half_stride else x


def _shifted(x: jax.Array, by: int) -> jax.Array:
    """Stack maps [B, H, W, C] shifted by (0, 0), (0, 1), (1, 0), (1, 1) x `by`: [4 B, ...]."""
    height, width = x.shape[1:3]
    x = jnp.pad(x, [(0, 0), (0, by), (0, by), (0, 0)], mode="edge")
    return jnp.concatenate(
        [x[:, dy : dy + height, dx : dx + width] for dy in (0, by) for dx in (0, by)]
    )


def _interleaved(x: jax.Array) -> jax.Array:
    """Put maps [4 B, h, w, C] of `_shifted` together: [B, 2 h - 1, 2 w - 1, C].

    The last row and column, whose windows reach over the border, are left out.
    """
    _, height, width, channels = x.shape
    x = x.reshape(2, 2, -1, height, width, channels).transpose(2, 3, 0, 4, 1, 5)
    return x.reshape(-1, 2 * height, 2 * width, channels)[:, :-1, :-1]


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network up to one of its layers.

    Attributes:
      name: of the architecture.
      layer: whose output the features are.
      layers: all layers from the image to that one.
    """

    name: str
    layer: str
    layers: tuple[Layer, ...]

    @property
    def stride(self) -> int:
        """Distance between cells, in pixels."""
        return math.prod(layer.stride for layer in self.layers)

    @property
    def receptive_field(self) -> float:
        """Side of the square of the image that a cell can see, in pixels; infinite if all."""
        field, step = 1, 1
        for layer in self.layers:
            field += (layer.size - 1) * step
            step *= layer.stride
        return field

    @property
    def origin(self) -> float:
        """Where the first cell's receptive field has its centre, in pixels.

        Cell i is centred at `stride * i + origin`. For VGG16 that is the middle of the
        `stride` pixels that a cell stands for; GoogLeNet's pools of 3 x 3, which start at
        their cell and overlap the next, shift it.
        """
        centre, step = 0.0, 1
        for layer in self.layers:
            centre += layer.lead * step
            step *= layer.stride
        return centre

    @property
    def description(self) -> str:
        """What the features are, for people."""
        seen = f"receptive field {self.receptive_field} pixels"
        if math.isinf(self.receptive_field):
            seen = "every cell sees the whole image"
        return f"{self.name} {self.layer}, {self.channels} channels, stride {self.stride}, {seen}"

    @property
    def module(self) -> Network:
        """The flax module; it has the parameters of `layers` only."""
        return Network(self.layers)

    @functools.cached_property
    def _shapes(self) -> tuple[jax.ShapeDtypeStruct, dict[str, dict[str, jax.ShapeDtypeStruct]]]:
        image = jax.ShapeDtypeStruct((1, self.stride, self.stride, 3), jnp.float32)
        return jax.eval_shape(self.module.init_with_output, jax.random.key(0), image)

    @property
    def channels(self) -> int:
        """Number of channels C of the features."""
        return self._shapes[0].shape[-1]

    @property
    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter: kernels [height, width, in, out], biases [out]."""
        return {name: param.shape for name, param in self._shapes[1]["params"].items()}

    def apply(
        self, params: dict[str, jax.Array], images: jax.Array, *, half_stride: bool = False
    ) -> jax.Array:
        """Compute the features of images of one size.

        Args:
          params: parameters named as in `param_shapes`.
          images: preprocessed [B, H, W, 3] float32, H and W multiples of the stride.
          half_stride: whether to compute the cells halfway between as well. They are those
            of the image shifted by half a stride, but for its borders. They cost three more
            passes of what comes from the last layer with a stride on: nothing for a `pool` of
            VGG16, a third of all for GoogLeNet's `inception_4b`, and all for a transformer.

        Returns:
          Features [B, h, w, C], float32, with h = H / stride and w = W / stride, or
          2 H / stride - 1 and 2 W / stride - 1; cell 0 is the same.

        Raises:
          ValueError: the images have another rank or are no multiple of the stride.
        """
        if images.ndim != 4 or any(side % self.stride for side in images.shape[1:3]):
            raise ValueError(
                f"images: shape {images.shape}, expected [B, H, W, 3] with H and W multiples of "
                f"{self.stride}, the stride of {self.name} {self.layer}"
            )
        return Network(self.layers, half_stride).apply({"params": params}, images)


def backbone(name: str, layer: str) -> Backbone:
    """Name a network up to one of its layers.

    Args:
      name: one of `ARCHITECTURES`.
      layer: one of its outputs; for VGG16 "pool3", "conv4_3", "pool4", "conv5_3" or "pool5".

    Returns:
      The backbone; it holds no parameters.

    Raises:
      ConfigError: no such network or layer; says which there are.
    """
    if name not in ARCHITECTURES:
        raise ConfigError(
            f"backbone.name: {shortened(name)} is not one of {', '.join(ARCHITECTURES)}"
        )
    outputs = ARCHITECTURES[name]
    if layer not in outputs:
        allowed = ", ".join(outputs)
        raise ConfigError(f"backbone.layer: {shortened(layer)} of {name} is not one of {allowed}")
    return Backbone(name, layer, outputs[layer])
