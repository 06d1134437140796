"""The fields of a detector as one .npz file; of the network's weights it has the name alone."""

import contextlib
import json
import pathlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from partdisc.backbones import Weights, backbone, load_weights
from partdisc.data.images import Framing
from partdisc.detector.parts import NO_PARTS, PartSet, make_parts
from partdisc.detector.prediction import Listed
from partdisc.errors import WeightsError, WorkdirError, shortened
from partdisc.method.detection import DetectSettings
from partdisc.method.discriminant import Discriminant
from partdisc.method.facing import Facing
from partdisc.method.factors import FactorLayer
from partdisc.method.part_layer import PartLayer
from partdisc.workdir import atomic, json_object, read_arrays

# Raised whenever the file means something else.
FORMAT = 2
_LAYERS = {"cosine": PartLayer, "factors": FactorLayer}


def write(path: pathlib.Path, fields: dict[str, Any]) -> None:
    """Write the fields of a detector to an .npz file, which appears when it is whole.

    Raises:
      errors.WorkdirError: no file can be written there.
    """
    network, weights, layer = fields["backbone"], fields["weights"], fields["layer"]
    kind = next(name for name, of in _LAYERS.items() if type(layer) is of)
    about = {
        "format": FORMAT,
        "backbone": [network.name, network.layer],
        "weights": {
            "digest": weights.digest,
            "origin": weights.origin,
            "source": weights.source,
            "seed": weights.seed,
        },
        "framing": fields["framing"]._asdict(),
        "layer": [kind, {name: getattr(layer, name) for name in _options(type(layer))}],
        "settings": fields["settings"]._asdict(),
        "batch": fields["batch"],
        "count": len(fields["chosen"].parts),
        "choices": [[part._asdict() for part in one.parts] for one in fields["choices"].values()],
        "listed": [one._asdict() for one in fields["listed"]],
    }
    arrays = {f"params/{name}": np.asarray(value) for name, value in fields["params"].items()}
    if fields["best"] is not None:
        arrays["best"] = fields["best"]
    if fields["facing"] is not None:
        arrays |= {f"facing/{name}": value for name, value in fields["facing"]._asdict().items()}
    arrays |= discriminant_arrays(fields["choices"].values())
    try:
        with atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, about=json.dumps(about), offset=fields["offset"], **arrays)
    except (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError) as error:
        raise WorkdirError(
            f"{path}: no file can be written there ({error.strerror}); name another, or move "
            "away what is there"
        ) from None


def discriminant_arrays(choices: Iterable[PartSet]) -> dict[str, np.ndarray]:
    """Return what a file keeps of the discriminants, for `part_sets`; no two of one length."""
    return {
        f"discriminant/{len(one.parts)}/{name}": np.asarray(value)
        for one in choices
        for name, value in one.discriminant._asdict().items()
    }


def part_sets(
    described: list[list[dict[str, Any]]], arrays: Mapping[str, np.ndarray]
) -> dict[int, PartSet]:
    """Return the parts for each number of them: what is known of each, and the discriminants."""
    return {
        len(parts): PartSet(
            make_parts(parts),
            Discriminant(
                *(arrays[f"discriminant/{len(parts)}/{name}"] for name in Discriminant._fields)
            ),
        )
        for parts in described
    }


def read(path: pathlib.Path) -> dict[str, Any]:
    """Read the fields of a detector, and find the weights that it was made with.

    Raises:
      errors.WorkdirError: there is no file, or it is damaged or of another version.
      errors.WeightsError: the weights are not to be found, or are others.
    """
    with _undamaged(path):
        about, arrays = _read(path)
        return _fields(about, arrays)


def _fields(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    network = backbone(*about["backbone"])
    kind, options = about["layer"]
    choices = part_sets(about["choices"], arrays)
    return {
        "backbone": network,
        "weights": _weights(network, about["weights"]),
        "framing": Framing(**about["framing"]),
        "layer": _LAYERS[kind](**options),
        "params": {
            name.removeprefix("params/"): jnp.asarray(value)
            for name, value in arrays.items()
            if name.startswith("params/")
        },
        "offset": arrays["offset"],
        "settings": DetectSettings(**about["settings"]),
        "batch": about["batch"],
        "chosen": choices.get(about["count"], NO_PARTS),
        "choices": choices,
        "best": arrays.get("best"),
        "facing": Facing(arrays["facing/weights"], arrays["facing/bias"])
        if "facing/weights" in arrays
        else None,
        "listed": tuple(Listed(**one) for one in about["listed"]),
    }


def _read(path: pathlib.Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        arrays = read_arrays(path)
    except FileNotFoundError:
        raise WorkdirError(
            f"{path}: there is no detector; it is written where a training ends, so run "
            "--mode=train there to its end"
        ) from None
    except ValueError:
        if zipfile.is_zipfile(path):
            raise
        arrays = {}
    if "about" not in arrays:
        raise WorkdirError(
            f"{path}: no detector, or damaged; name the folder of a run or its detector.npz, and "
            "where it is one, run --mode=evaluate there"
        )
    about = json_object(str(arrays.pop("about")).encode())
    if about.get("format") != FORMAT:
        raise WorkdirError(
            f"{path}: of format {about.get('format')}, this program reads {FORMAT}; run "
            "--mode=evaluate there with this version"
        )
    return about, arrays


@contextlib.contextmanager
def _undamaged(path: pathlib.Path) -> Iterator[None]:
    """Raise errors.WorkdirError where what is read of a detector turns out to be damaged."""
    try:
        yield
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise WorkdirError(
            f"{path}: damaged ({shortened(str(error))}); run --mode=evaluate there"
        ) from None


def names(path: pathlib.Path) -> dict[tuple[int, ...], str]:
    """Return the names of parts in a file, by their channels; none where it cannot be read."""
    try:
        with _undamaged(path):
            about, _ = _read(path)
            parts = [part for parts in about["choices"] for part in parts]
            return {tuple(part["channels"]): part["name"] for part in parts if part["name"]}
    except WorkdirError:
        return {}


def _options(layer: type) -> list[str]:
    """Name the options of a layer, without what flax adds to every module."""
    return [name for name in layer.__dataclass_fields__ if name not in ("parent", "name")]


def _weights(network: Any, wanted: dict[str, Any]) -> Weights:
    """Load the weights of the run from where it had them, or from where weights are looked for."""
    source = wanted["source"]
    if source != "random" and not pathlib.Path(source).exists():
        source = ""
    weights = load_weights(network, source, seed=wanted["seed"])
    if weights.digest != wanted["digest"]:
        raise WeightsError(
            f"the weights found are {weights.origin}, but the detector was made with "
            f"{wanted['origin']}; put that file at {wanted['source']}, or into the folder "
            "named by PARTDISC_WEIGHTS"
        )
    return weights
