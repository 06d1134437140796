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
from partdisc.backbones.network import ARCHITECTURES, Backbone
from partdisc.backbones.preprocessing import KERAS, Preprocessing
from partdisc.backbones.published import DOWNLOADS, HUB_FILE, check_digest
from partdisc.errors import WeightsError
from partdisc.paths import cache_folder, user_path

# Spread of embeddings that are drawn, as of those that a transformer starts its training with.
_EMBEDDING = np.float32(0.02)


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
      source: a file of a kind that `formats.FORMATS` lists; a folder with such a file whose
        name begins with the backbone's, or with a `model.safetensors`; "random" for seeded
        initialisation; "" to look in the folder named by the environment variable
        PARTDISC_WEIGHTS, then in the cache (~/.cache/partdisc), and then to download the
        published file into the cache.
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
    path = user_path(source)
    if path.is_dir():
        weights, reasons = _search(backbone, path)
        if weights is None:
            if (whole := path / HUB_FILE).is_file():
                return _load(backbone, whole)
            if (path / f"{HUB_FILE}.index.json").is_file():
                reasons = f"{HUB_FILE} is in several pieces there; join them into one file"
            raise WeightsError(f"{path}: no weights for {_title(backbone)} there: {reasons}")
        return weights
    if not path.is_file():
        raise WeightsError(f"backbone.weights: no file or folder '{path}'; 'random' needs none")
    return _load(backbone, path)


def _random(backbone: Backbone, seed: int) -> Weights:
    """Draw parameters, each by its name: a network and a longer one share their first layers."""
    params = {
        name: jnp.asarray(
            _draw(name, shape, np.random.default_rng([seed, zlib.crc32(name.encode())]))
        )
        for name, shape in backbone.param_shapes.items()
    }
    digest = hashlib.sha256(f"random {seed}".encode()).hexdigest()
    kinds = list(formats.FORMATS.get(backbone.name, {}).values())
    preprocessing = kinds[0].preprocessing if kinds else KERAS
    return Weights(params, preprocessing, digest, f"random, seed {seed}", "random", seed)


def _draw(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw kernels from N(0, 2 / fan in) (He et al., 2015, equation 10) and embeddings."""
    match name.rpartition("/")[2]:
        case "kernel":
            scale = np.float32(math.sqrt(2 / math.prod(shape[:-1])))
            return rng.standard_normal(shape, np.float32) * scale
        case "embedding":
            return rng.standard_normal(shape, np.float32) * _EMBEDDING
        case "scale":
            return np.ones(shape, np.float32)
    return np.zeros(shape, np.float32)


def _automatic(backbone: Backbone) -> Weights:
    cache = cache_folder()
    named = os.environ.get("PARTDISC_WEIGHTS")
    folders = [user_path(named)] if named else []
    if named and not folders[0].is_dir():
        raise WeightsError(f"PARTDISC_WEIGHTS: no folder '{named}'")
    for folder in [*folders, cache]:
        weights, _ = _search(backbone, folder)
        if weights is not None:
            return weights
    if backbone.name not in DOWNLOADS:
        raise WeightsError(
            f"backbone.weights: none found for {_title(backbone)}, and {backbone.name} has no "
            f"default download: put {_pattern(backbone)} in {cache} or the folder named by "
            "PARTDISC_WEIGHTS, or set backbone.weights to a file, or to random for a try-out"
        )
    known = DOWNLOADS[backbone.name]
    path = cache / known.file
    print(f"downloading {known.url} ({known.size} MB) to {path}", file=sys.stderr)
    download(known.url, path, lambda part: check_digest(part, path.name))
    return _load(backbone, path)


def _search(backbone: Backbone, folder: pathlib.Path) -> tuple[Weights | None, str]:
    """Load the first file of a folder that has all layers, or say why none has."""
    reasons = []
    for path in _candidates(backbone, folder):
        arrays, preprocessing = formats.read(path, backbone.name)
        lacking = [name for name in backbone.param_shapes if name not in arrays]
        if not lacking:
            return _check(backbone, path, arrays, preprocessing), ""
        reasons.append(f"{path.name} lacks {lacking[0]}")
    return None, "; ".join(reasons) or f"no file {_pattern(backbone)}"


def _candidates(backbone: Backbone, folder: pathlib.Path) -> list[pathlib.Path]:
    """List the files of a folder that may be of a backbone, by their names."""
    # What begins with the longer name of another network is of that one.
    longer = [name for name in ARCHITECTURES if name.startswith(f"{backbone.name}_")]
    paths = []
    for suffix in formats.FORMATS.get(backbone.name, {}):
        paths += [
            path
            for path in sorted(folder.glob(f"{backbone.name}*{suffix}"))
            if not path.name.startswith(tuple(longer))
        ]
    return paths


def _pattern(backbone: Backbone) -> str:
    """Say which names `_candidates` looks for."""
    suffixes = list(formats.FORMATS.get(backbone.name, {}))
    ending = suffixes[0] if len(suffixes) == 1 else f"{{{','.join(suffixes)}}}"
    return f"{backbone.name}*{ending}"


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
