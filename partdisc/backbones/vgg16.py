"""VGG16 (Simonyan and Zisserman, 2015, table 1, column D), without its classifier."""

from partdisc.backbones.layers import Conv, Layer, MaxPool, outputs


def _block(number: int, convs: int, channels: int) -> tuple[Layer, ...]:
    names = [f"conv{number}_{i + 1}" for i in range(convs)]
    return *(Conv(name, channels, 3) for name in names), MaxPool(f"pool{number}", 2, 2)


LAYERS: tuple[Layer, ...] = (
    *_block(1, 2, 64),
    *_block(2, 2, 128),
    *_block(3, 3, 256),
    *_block(4, 3, 512),
    *_block(5, 3, 512),
)
OUTPUTS = outputs(LAYERS, ("pool3", "conv4_3", "pool4", "conv5_3", "pool5"))
