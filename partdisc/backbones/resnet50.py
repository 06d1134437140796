"""ResNet-50 (He et al., 2016, table 1) as torchvision trained it, without its classifier.

Its batch normalisations are part of the convolutions: their weights are read that way.
"""

from typing import NamedTuple

import flax.linen as nn
import jax

from partdisc.backbones.layers import Conv, Layer, MaxPool

# Of each stage: bottlenecks, and the channels inside of them; a quarter of those that come out.
STAGES = {"layer1": (3, 64), "layer2": (4, 128), "layer3": (6, 256)}


class Bottleneck(NamedTuple):
    """Three convolutions beside what they start from (He et al., 2016, figure 5, right).

    As in torchvision, the stride is that of the middle one.
    """

    name: str
    channels: int
    stride: int = 1

    size = 3
    lead = 0.0

    def __call__(self, module: nn.Module, x: jax.Array) -> jax.Array:
        wide = 4 * self.channels
        y = Conv(f"{self.name}/conv1", self.channels, 1)(module, x)
        y = Conv(f"{self.name}/conv2", self.channels, 3, self.stride)(module, y)
        y = Conv(f"{self.name}/conv3", wide, 1, rectify=False)(module, y)
        if self.stride > 1 or x.shape[-1] != wide:
            x = Conv(f"{self.name}/downsample", wide, 1, self.stride, rectify=False)(module, x)
        return nn.relu(x + y)


def _outputs() -> dict[str, tuple[Layer, ...]]:
    layers: tuple[Layer, ...] = (Conv("conv1", 64, 7, 2), MaxPool("maxpool", 3, 2, before=1))
    outputs = {}
    for stage, (count, channels) in STAGES.items():
        strides = [1 if stage == "layer1" else 2] + [1] * (count - 1)
        layers += tuple(
            Bottleneck(f"{stage}.{i}", channels, stride) for i, stride in enumerate(strides)
        )
        outputs[stage] = layers
    return outputs


OUTPUTS = {name: layers for name, layers in _outputs().items() if name != "layer1"}
