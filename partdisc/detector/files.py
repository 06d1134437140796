"""A detector as one file: all that prediction needs but the network's weights, which it names."""

import dataclasses
import json
import pathlib
import zipfile
from typing import Any

import jax.numpy as jnp
import numpy as np

from partdisc.backbones import Weights, backbone, load_weights
from partdisc.data.images import Framing
from partdisc.detector.detector import Detector
from partdisc.detector.parts import make_parts, named, write_parts
from partdisc.detector.prediction import Listed
from partdisc.errors import WeightsError, WorkdirError
from partdisc.method.detection import DetectSettings
from partdisc.method.factors import FactorLayer
from partdisc.method.part_layer import PartLayer
from partdisc.workdir import atomic

NAME, TABLE = "detector.npz", "parts.csv"
# Raised whenever the file means something else.
FORMAT = 1
_LAYERS = {"cosine": PartLayer, "factors": FactorLayer}


def save(detector: Detector, path: pathlib.Path) -> None:
    """Write a detector to an .npz file, which appears when it is whole."""
    network, weights = detector.backbone, detector.weights
    kind = next(name for name, of in _LAYERS.items() if type(detector.layer) is of)
    layer = {name: getattr(detector.layer, name) for name in _fields(type(detector.layer))}
    about = {
        "format": FORMAT,
        "backbone": [network.name, network.layer],
        "weights": {
            "digest": weights.digest,
            "origin": weights.origin,
            "source": weights.source,
            "seed": weights.seed,
        },
        "framing": detector.framing._asdict(),
        "layer": [kind, layer],
        "settings": detector.settings._asdict(),
        "batch": detector.batch,
        "count": len(detector.parts),
        "choices": [[part._asdict() for part in parts] for parts in detector.choices.values()],
        "listed": [one._asdict() for one in detector.listed],
    }
    arrays = {f"params/{name}": np.asarray(value) for name, value in detector.params.items()}
    if detector.best is not None:
        arrays["best"] = detector.best
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, about=json.dumps(about), offset=detector.offset, **arrays)


def keep(folder: pathlib.Path, detector: Detector) -> Detector:
    """Keep a detector in a run's folder, and its parts in a table that names are given in.

    Returns:
      The detector, its parts with the names that the table has.
    """
    named_parts = named(detector.parts, folder / TABLE)
    save(detector, folder / NAME)
    write_parts(folder / TABLE, named_parts)
    return dataclasses.replace(detector, parts=named_parts)


def load(path: pathlib.Path) -> Detector:
    """Read a detector, and find the weights that it was made with.

    Args:
      path: the file, or the work directory of a run; names in a parts.csv beside it count.

    Raises:
      errors.WorkdirError: there is none, or it is damaged or of another version.
      errors.WeightsError: the weights are not to be found, or are others.
    """
    path = pathlib.Path(path).expanduser()
    file = path / NAME if path.is_dir() else path
    about, arrays = _read(file)
    network = backbone(*about["backbone"])
    kind, options = about["layer"]
    choices = {
        len(parts): named(make_parts(parts), file.with_name(TABLE)) for parts in about["choices"]
    }
    return Detector(
        backbone=network,
        weights=_weights(network, about["weights"]),
        framing=Framing(**about["framing"]),
        layer=_LAYERS[kind](**options),
        params={
            name.removeprefix("params/"): jnp.asarray(value)
            for name, value in arrays.items()
            if name.startswith("params/")
        },
        offset=arrays["offset"],
        settings=DetectSettings(**about["settings"]),
        batch=about["batch"],
        parts=choices.get(about["count"], ()),
        choices=choices,
        best=arrays.get("best"),
        listed=tuple(Listed(**one) for one in about["listed"]),
    )


def _read(file: pathlib.Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files}
        about = json.loads(str(arrays.pop("about")))
    except FileNotFoundError:
        raise WorkdirError(
            f"{file}: there is no detector; it is written where a training ends, so run "
            "--mode=train there to its end"
        ) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WorkdirError(f"{file}: damaged ({error}); run --mode=evaluate there") from None
    if about.get("format") != FORMAT:
        raise WorkdirError(
            f"{file}: of format {about.get('format')}, this program reads {FORMAT}; run "
            "--mode=evaluate there with this version"
        )
    return about, arrays


def _fields(layer: type) -> list[str]:
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
