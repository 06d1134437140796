"""GoogLeNet (Szegedy et al., 2015, table 1) as BVLC trained it in Caffe, without its classifier."""

from partdisc.backbones.layers import (
    Conv,
    Inception,
    Layer,
    LocalResponseNorm,
    MaxPool,
    outputs,
)

LAYERS: tuple[Layer, ...] = (
    Conv("conv1/7x7_s2", 64, 7, 2),
    MaxPool("pool1", 3, 2),
    LocalResponseNorm("norm1"),
    Conv("conv2/3x3_reduce", 64, 1),
    Conv("conv2/3x3", 192, 3),
    LocalResponseNorm("norm2"),
    MaxPool("pool2", 3, 2),
    Inception("inception_3a", 64, 96, 128, 16, 32, 32),
    Inception("inception_3b", 128, 128, 192, 32, 96, 64),
    MaxPool("pool3", 3, 2),
    Inception("inception_4a", 192, 96, 208, 16, 48, 64),
    Inception("inception_4b", 160, 112, 224, 24, 64, 64),
    Inception("inception_4c", 128, 128, 256, 24, 64, 64),
    Inception("inception_4d", 112, 144, 288, 32, 64, 64),
    Inception("inception_4e", 256, 160, 320, 32, 128, 128),
)
OUTPUTS = outputs(LAYERS, tuple(layer.name for layer in LAYERS if isinstance(layer, Inception)))
