"""A backbone's weights: found, read and checked, or drawn at random."""

import hashlib
import math
import os
import pathlib
import sys
import zlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.backbones import formats
from partdisc.backbones.download import download
from partdisc.backbones.network import Backbone
from partdisc.backbones.preprocessing import KERAS, Preprocessing
from partdisc.errors import WeightsError

_KERAS_URL = (
    f"https://storage.googleapis.com/tensorflow/keras-applications/vgg16/{formats.KERAS_FILE}"
)


class Weights(NamedTuple):
    """The weights of a backbone.

    Attributes:
      params: the parameters that the backbone needs, named as in `Backbone.param_shapes`.
      preprocessing: what the images need.
      digest: hex sha256 of the file, or of "random" and the seed.
      origin: where they are from, for people.
      source: their file, or "random".
      seed: of "random"; 0 otherwise.
    """

    params: dict[str, jax.Array]
    preprocessing: Preprocessing
    digest: str
    origin: str
    source: str
    seed: int


def load_weights(backbone: Backbone, source: str, *, seed: int) -> Weights:
    """Get the weights of a backbone.

    Args:
      backbone: the network and its last layer; weights of later layers are not needed.
      source: a .npz, .h5 or .pth file; a folder with such a file whose name begins with the
        backbone's; "random" for seeded He initialisation; "" to look in the folder named by the
        environment variable PARTDISC_WEIGHTS, then in the cache (~/.cache/partdisc), and then to
        download VGG16 into the cache.
      seed: of "random"; unused otherwise.

    Returns:
      The weights.

    Raises:
      WeightsError: nothing fits, or a file is damaged, lacks a layer or has one of another shape.
    """
    if source == "random":
        return _random(backbone, seed)
    if not source:
        return _automatic(backbone)
    path = pathlib.Path(source).expanduser()
    if path.is_dir():
        weights, reasons = _search(backbone, path)
        if weights is None:
            raise WeightsError(f"{path}: no weights for {_title(backbone)} there: {reasons}")
        return weights
    if not path.is_file():
        raise WeightsError(f"backbone.weights: no file or folder '{path}'; 'random' needs none")
    return _load(backbone, path)


def _random(backbone: Backbone, seed: int) -> Weights:
    """Draw kernels from N(0, 2 / fan in) (He et al., 2015, equation 10); biases are zero."""
    params = {}
    for name, shape in backbone.param_shapes.items():
        array = np.zeros(shape, np.float32)
        if len(shape) == 4:
            # By name, so that a network and a longer one share their first layers.
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            scale = np.float32(math.sqrt(2 / math.prod(shape[:-1])))
            array = rng.standard_normal(shape, np.float32) * scale
        params[name] = jnp.asarray(array)
    digest = hashlib.sha256(f"random {seed}".encode()).hexdigest()
    return Weights(params, KERAS, digest, f"random, seed {seed}", "random", seed)


def _automatic(backbone: Backbone) -> Weights:
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "partdisc"
    named = os.environ.get("PARTDISC_WEIGHTS")
    folders = [pathlib.Path(named).expanduser()] if named else []
    if named and not folders[0].is_dir():
        raise WeightsError(f"PARTDISC_WEIGHTS: no folder '{named}'")
    for folder in [*folders, cache]:
        weights, _ = _search(backbone, folder)
        if weights is not None:
            return weights
    if backbone.name != "vgg16":
        raise WeightsError(
            f"backbone.weights: none found for {_title(backbone)}, and {backbone.name} has no "
            f"default download: put {backbone.name}*.npz in {cache} or the folder named by "
            "PARTDISC_WEIGHTS, or set backbone.weights to a file, or to random for a try-out"
        )
    path = cache / formats.KERAS_FILE
    print(f"downloading {_KERAS_URL} (56 MB) to {path}", file=sys.stderr)
    download(_KERAS_URL, path, lambda part: formats.check_digest(part, path.name))
    return _load(backbone, path)


def _search(backbone: Backbone, folder: pathlib.Path) -> tuple[Weights | None, str]:
    """Load the first file of a folder that has all layers, or say why none has."""
    paths = [
        path
        for suffix in formats.SUFFIXES
        for path in sorted(folder.glob(f"{backbone.name}*{suffix}"))
    ]
    reasons = []
    for path in paths:
        arrays, preprocessing = formats.read(path, backbone.name)
        lacking = [name for name in backbone.param_shapes if name not in arrays]
        if not lacking:
            return _check(backbone, path, arrays, preprocessing), ""
        reasons.append(f"{path.name} lacks {lacking[0]}")
    return None, "; ".join(reasons) or f"no file {backbone.name}*{{{','.join(formats.SUFFIXES)}}}"


def _load(backbone: Backbone, path: pathlib.Path) -> Weights:
    return _check(backbone, path, *formats.read(path, backbone.name))


def _check(
    backbone: Backbone, path: pathlib.Path, arrays: formats.Arrays, preprocessing: Preprocessing
) -> Weights:
    """Keep what the backbone needs, and make sure that it is all there."""
    params = {}
    for name, shape in backbone.param_shapes.items():
        if name not in arrays:
            raise WeightsError(f"{path}: lacks {name} {list(shape)} of {_title(backbone)}")
        array = arrays[name]
        if array.shape != shape or array.dtype.kind != "f":
            raise WeightsError(
                f"{path}: {name} is {list(array.shape)} {array.dtype}, expected {list(shape)} float"
            )
        if not np.isfinite(array).all():
            raise WeightsError(f"{path}: {name} has values that are not finite")
        params[name] = jnp.asarray(array, jnp.float32)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    origin = f"{path.name}, sha256 {digest[:8]}"
    return Weights(params, preprocessing, digest, origin, str(path.absolute()), 0)


def _title(backbone: Backbone) -> str:
    return f"{backbone.name} up to {backbone.layer}"
