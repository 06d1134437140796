"""The files that weights come in: our npz, Keras's h5, torchvision's pth, safetensors.

Each reader gives the parameters under our names and in our layout, kernels `[..., in, out]`, and
leaves out what it does not know. Whether that is enough for a backbone is not its concern.
"""

import pathlib
import re
from collections.abc import Callable
from typing import NamedTuple

import h5py
import numpy as np
import safetensors.numpy

from partdisc.backbones import dinov2, vgg16
from partdisc.backbones.layers import Conv
from partdisc.backbones.preprocessing import BVLC, IMAGENET, KERAS, Preprocessing
from partdisc.backbones.published import check_digest
from partdisc.errors import WeightsError

Arrays = dict[str, np.ndarray]

_BATCH_NORM_EPSILON = np.float32(1e-5)  # PyTorch's
_VGG16_CONVS = [layer.name for layer in vgg16.LAYERS if isinstance(layer, Conv)]


def _npz(path: pathlib.Path) -> Arrays:
    file = np.load(path, allow_pickle=False)
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError("it is a single array without a name")
    with file:
        return dict(file)


def _vgg16_h5(path: pathlib.Path) -> Arrays:
    arrays = {}
    with h5py.File(path, "r") as file:
        for layer in _VGG16_CONVS:
            block, index = layer.removeprefix("conv").split("_")

            # The names inside changed between versions of Keras; the ranks tell them apart.
            def keep(_: str, item: h5py.HLObject, layer: str = layer) -> None:
                if isinstance(item, h5py.Dataset):
                    arrays[f"{layer}/{'bias' if item.ndim == 1 else 'kernel'}"] = item[()]

            if (group := f"block{block}_conv{index}") in file:
                file[group].visititems(keep)
    return arrays


def _state(path: pathlib.Path) -> Arrays:
    """Read torchvision's state dict of a file."""
    try:
        import torch
    except ImportError as error:
        raise WeightsError(
            f"{path}: .pth files need PyTorch: pip install 'partdisc[torch]'"
        ) from error
    state = torch.load(path, map_location="cpu", weights_only=True)
    tensors = {}
    if isinstance(state, dict):
        tensors = {name: each for name, each in state.items() if isinstance(each, torch.Tensor)}
    if not tensors:
        raise ValueError("it is no state dict: there are no tensors under names")
    # Old files hold parameters, new ones may hold halves.
    return {name: tensor.detach().float().numpy() for name, tensor in tensors.items()}


def _vgg16_pth(path: pathlib.Path) -> Arrays:
    state, arrays, index = _state(path), {}, 0
    for layer in vgg16.LAYERS:
        if isinstance(layer, Conv):
            for theirs, ours in (("weight", "kernel"), ("bias", "bias")):
                if (key := f"features.{index}.{theirs}") in state:
                    array = state[key]
                    arrays[f"{layer.name}/{ours}"] = (
                        array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
                    )
        index += 2 if isinstance(layer, Conv) else 1  # a ReLU follows each convolution
    return arrays


def _resnet50_pth(path: pathlib.Path) -> Arrays:
    state, arrays = _state(path), {}
    for key, kernel in state.items():
        conv = re.fullmatch(r"(.*)(conv\d|downsample\.0)\.weight", key)
        if conv is None:
            continue
        before, last = conv.groups()
        norm = before + last.replace("conv", "bn").replace("downsample.0", "downsample.1")
        leaves = [f"{norm}.{leaf}" for leaf in ("running_mean", "running_var", "weight", "bias")]
        if any(leaf not in state for leaf in leaves):
            continue
        mean, variance, scale, shift = (state[leaf] for leaf in leaves)
        # A batch normalisation with fixed statistics is a part of the convolution before it.
        factor = scale / np.sqrt(variance + _BATCH_NORM_EPSILON)
        name = f"{before.rstrip('.')}/{last.partition('.')[0]}".lstrip("/")
        arrays[f"{name}/kernel"] = kernel.transpose(2, 3, 1, 0) * factor
        arrays[f"{name}/bias"] = shift - mean * factor
    return arrays


def _resnet_name(arrays: Arrays) -> str:
    """Say which ResNet parameters are of: one name, or words."""
    deeper = "layer3.6/conv1/kernel" in arrays
    return "a deeper network than ResNet-50, of more bottlenecks" if deeper else "resnet50"


# Names in a file of DINOv2, as Hugging Face keeps it, and ours; one file has one of the names
# that were given to the attention's projections at different times.
_DINOV2_LEADING = {
    "embeddings.cls_token": "class/embedding",
    "embeddings.register_tokens": "registers/embedding",
    "embeddings.position_embeddings": "positions/embedding",
    "embeddings.patch_embeddings.projection": "patches",
    "layernorm": "norm",
}
_DINOV2_BLOCK = {
    "norm1": "norm1",
    "attention.attention.query": "query",
    "attention.attention.key": "key",
    "attention.attention.value": "value",
    "attention.output.dense": "out",
    "attention.q_proj": "query",
    "attention.k_proj": "key",
    "attention.v_proj": "value",
    "attention.o_proj": "out",
    "layer_scale1.lambda1": "scale1/scale",
    "norm2": "norm2",
    "mlp.fc1": "fc1",
    "mlp.fc2": "fc2",
    "layer_scale2.lambda1": "scale2/scale",
}


def _dinov2(path: pathlib.Path) -> Arrays:
    arrays = {}
    for name, array in safetensors.numpy.load_file(path).items():
        # A model with a head keeps the network under a name of its own.
        name = re.sub(r"^dinov2(_with_registers)?\.", "", name)
        module, _, leaf = name.rpartition(".")
        if leaf not in ("weight", "bias"):
            module, leaf = name, ""
        block = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)", module)
        known = _DINOV2_BLOCK.get(block[2]) if block else _DINOV2_LEADING.get(module)
        if known is None:
            continue  # the mask token of training, a classifier
        ours = f"block{int(block[1]) + 1}/{known}" if block else known
        if array.ndim == 4:
            array = array.transpose(2, 3, 1, 0)
        elif leaf == "weight" and array.ndim == 2:
            array = array.T
        elif array.ndim == 3:
            array = array[0]  # embeddings have a leading axis of one image
        kind = {"weight": "scale" if array.ndim == 1 else "kernel"}.get(leaf, leaf)
        arrays[f"{ours}/{kind}" if kind else ours] = array.astype(np.float32)
    return arrays


def _dinov2_name(arrays: Arrays) -> str:
    """Say which DINOv2 parameters are of, one of `dinov2.ARCHITECTURES` or in words."""
    width = arrays["class/embedding"].shape[-1] if "class/embedding" in arrays else 0
    registers = len(arrays.get("registers/embedding", ()))
    for name, outputs in dinov2.ARCHITECTURES.items():
        network = outputs["norm"][0]
        if (network.width, network.registers) == (width, registers):
            return name
    return f"a network of width {width} with {registers} registers"


class Format(NamedTuple):
    """A kind of file of weights.

    Attributes:
      read: gives its arrays.
      preprocessing: of the images that such weights were trained on.
      name: says which architecture arrays are of, one of `FORMATS` or in words; None where
        no other has layers of the same names.
    """

    read: Callable[[pathlib.Path], Arrays]
    preprocessing: Preprocessing
    name: Callable[[Arrays], str] | None = None


# Of each architecture: from the ending of a file to what it is.
FORMATS = {
    "vgg16": {
        ".npz": Format(_npz, KERAS),
        ".h5": Format(_vgg16_h5, KERAS),
        ".pth": Format(_vgg16_pth, IMAGENET),
    },
    "googlenet": {".npz": Format(_npz, BVLC)},
    "resnet50": {".pth": Format(_resnet50_pth, IMAGENET, _resnet_name)},
    **dict.fromkeys(
        dinov2.ARCHITECTURES, {".safetensors": Format(_dinov2, IMAGENET, _dinov2_name)}
    ),
}
_NOT_THESE = {
    "googlenet": "; it is BVLC's: the one of torchvision is another network (batch "
    "normalisation, other kernels)",
}


def read(path: pathlib.Path, name: str) -> tuple[Arrays, Preprocessing]:
    """Read a file of weights.

    Args:
      path: the file.
      name: of the architecture, one of `FORMATS`.

    Returns:
      All parameters found, and the preprocessing that goes with them.

    Raises:
      WeightsError: the file cannot be read, is none of the architecture's kinds, is of another
        network, or is not the published one whose name it bears.
    """
    known = FORMATS[name]
    if path.suffix not in known:
        raise WeightsError(
            f"{path}: weights of {name} come as {', '.join(known)}, not as "
            f"'{path.suffix}'{_NOT_THESE.get(name, '')}"
        )
    kind = known[path.suffix]
    try:
        check_digest(path, path.name)
        arrays = kind.read(path)
    except WeightsError:
        raise
    except Exception as error:  # the libraries fail in a dozen ways on a damaged file
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise WeightsError(f"{path}: not a readable {path.suffix} file: {reason}") from error
    if kind.name and (found := kind.name(arrays)) != name:
        mend = f"; set backbone.name to {found}" if found in FORMATS else ""
        raise WeightsError(f"{path}: is of {found}, not of {name}{mend}")
    return arrays, kind.preprocessing
