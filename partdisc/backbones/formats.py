"""The files that weights come in: our npz, Keras's h5 and torchvision's pth.

Each reader gives the parameters under our names and in our layout, `layer/kernel` [height, width,
in, out] and `layer/bias` [out], and leaves out what it does not know. Whether that is enough for a
backbone is not its concern.
"""

import hashlib
import pathlib
from collections.abc import Callable

import h5py
import numpy as np

from partdisc.backbones import vgg16
from partdisc.backbones.layers import Conv
from partdisc.backbones.preprocessing import BVLC, KERAS, TORCHVISION, Preprocessing
from partdisc.errors import WeightsError

Arrays = dict[str, np.ndarray]

_VGG16_CONVS = [layer.name for layer in vgg16.LAYERS if isinstance(layer, Conv)]

KERAS_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
# The published files: what the digest of the bytes begins with.
_DIGESTS = {
    KERAS_FILE: ("md5", "6d6bbae143d832006294945121d1f1fc"),
    "vgg16-397923af.pth": ("sha256", "397923af"),
}


def check_digest(path: pathlib.Path, name: str) -> None:
    """Compare a file with the published one of some name.

    Args:
      path: the file.
      name: that it is published under; any digest will do for a name that nobody publishes.

    Raises:
      WeightsError: it is another file, or a damaged one.
    """
    if name not in _DIGESTS:
        return
    algorithm, expected = _DIGESTS[name]
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if not found.startswith(expected):
        raise WeightsError(
            f"{path}: {algorithm} {found[: len(expected)]}, but the published {name} has "
            f"{expected}; fetch it again, or rename it if it is meant to differ"
        )


def _npz(path: pathlib.Path) -> Arrays:
    file = np.load(path, allow_pickle=False)
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError("it is a single array without a name")
    with file:
        return dict(file)


def _h5(path: pathlib.Path) -> Arrays:
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


def _pth(path: pathlib.Path) -> Arrays:
    try:
        import torch
    except ImportError as error:
        raise WeightsError(
            f"{path}: .pth files need PyTorch: pip install 'partdisc[torch]', or use {KERAS_FILE}"
        ) from error
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise ValueError("no state dict")
    arrays, index = {}, 0
    for layer in vgg16.LAYERS:
        if isinstance(layer, Conv):
            for theirs, ours in (("weight", "kernel"), ("bias", "bias")):
                if (key := f"features.{index}.{theirs}") in state:
                    array = state[key].numpy()
                    arrays[f"{layer.name}/{ours}"] = (
                        array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
                    )
        index += 2 if isinstance(layer, Conv) else 1  # a ReLU follows each convolution
    return arrays


_READERS: dict[str, tuple[Callable[[pathlib.Path], Arrays], Preprocessing]] = {
    ".npz": (_npz, KERAS),
    ".h5": (_h5, KERAS),
    ".pth": (_pth, TORCHVISION),
}
SUFFIXES = tuple(_READERS)


def read(path: pathlib.Path, name: str) -> tuple[Arrays, Preprocessing]:
    """Read a file of weights.

    Args:
      path: a .npz, .h5 or .pth file.
      name: of the architecture, "vgg16" or "googlenet".

    Returns:
      All parameters found, and the preprocessing that goes with them.

    Raises:
      WeightsError: the file cannot be read, is none of these kinds, or is not the published one
        whose name it bears.
    """
    if path.suffix not in _READERS:
        raise WeightsError(f"{path}: '{path.suffix}' is not one of {', '.join(SUFFIXES)}")
    if name == "googlenet" and path.suffix != ".npz":
        raise WeightsError(
            f"{path}: googlenet is BVLC's and comes as .npz only; the one of torchvision is "
            "another network (batch normalisation, other kernels)"
        )
    reader, preprocessing = _READERS[path.suffix]
    try:
        check_digest(path, path.name)
        arrays = reader(path)
    except WeightsError:
        raise
    except Exception as error:  # the three libraries fail in a dozen ways on a damaged file
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise WeightsError(f"{path}: not a readable {path.suffix} file: {reason}") from error
    return arrays, BVLC if name == "googlenet" else preprocessing
