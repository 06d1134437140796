"""Features of VGG16 beside the same network in PyTorch."""

import functools

import jax
import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.race import Race, Way
from partdisc.backbones import backbone, load_weights, unit_features

SIDE, BATCH = 224, 4
CONVOLUTIONS = ((1, 2), (2, 2), (3, 3), (4, 3))


def _convolutions(params, layout: torch.memory_format) -> list[tuple]:
    """Return the kernels of VGG16 up to pool4 with their biases, and whether a pooling follows."""
    named = {
        jax.tree_util.keystr(path): np.asarray(value)
        for path, value in jax.tree_util.tree_flatten_with_path(params)[0]
    }
    found = []
    for block, count in CONVOLUTIONS:
        for number in range(1, count + 1):
            stem = next(k for k in named if f"conv{block}_{number}" in k and "kernel" in k)
            kernel = torch.tensor(named[stem].transpose(3, 2, 0, 1).copy())
            bias = torch.tensor(named[stem.replace("kernel", "bias")])
            found.append((kernel.to(memory_format=layout), bias, number == count))
    return found


def features() -> Race:
    """VGG16 to pool4: preprocessing, network and unit norm."""
    network = backbone("vgg16", "pool4")
    weights = load_weights(network, "random", seed=0)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)
    mean = torch.tensor(weights.preprocessing.mean)

    def peer(layout: torch.memory_format):
        convolutions = _convolutions(weights.params, layout)

        @torch.inference_mode()
        def run():
            x = torch.from_numpy(pixels).flip(-1).float() - mean
            x = x.permute(0, 3, 1, 2).contiguous(memory_format=layout)
            for kernel, bias, last in convolutions:
                x = F.relu(F.conv2d(x, kernel, bias, padding=1))
                if last:
                    x = F.max_pool2d(x, 2)
            return F.normalize(x.flatten(2).transpose(1, 2), dim=-1).numpy()

        return run

    ours = functools.partial(unit_features, network, weights, pixels)
    plain, last = peer(torch.contiguous_format), peer(torch.channels_last)
    apart = np.abs(np.asarray(ours(half_stride=False), np.float32) - plain()).max()
    ways = [
        Way("partdisc", functools.partial(ours, half_stride=False), BATCH),
        Way("itself, with half-stride cells", functools.partial(ours, half_stride=True), BATCH),
        Way("torch", plain, BATCH),
        Way("torch, channels last", last, BATCH),
    ]
    return Race("VGG16 features", "images", ways, [f"largest difference of a feature: {apart:.0e}"])
