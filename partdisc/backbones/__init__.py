"""Frozen convolutional networks that turn images into maps of features.

`backbone(name, layer)` gives a network up to a layer, `load_weights` its parameters and the
preprocessing that belongs to them, `preprocess` applies the latter to images, and
`unit_features` does all of it, as `encode` does within a larger program.
"""

from partdisc.backbones.encoding import encode, unit_features
from partdisc.backbones.network import Backbone, backbone
from partdisc.backbones.preprocessing import Preprocessing, preprocess
from partdisc.backbones.weights import Weights, load_weights

__all__ = [
    "Backbone",
    "Preprocessing",
    "Weights",
    "backbone",
    "encode",
    "load_weights",
    "preprocess",
    "unit_features",
]
