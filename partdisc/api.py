"""Parts from Python: `partdisc.discover` and `partdisc.load`, for notebooks and programs."""

import os
import pathlib
from collections.abc import Iterable
from typing import Any

from PIL import Image

from partdisc import experiment
from partdisc.config import KEYS
from partdisc.detector import Detector, load
from partdisc.detector.sources import Picture, pixels_of
from partdisc.presets.folder import get_config
from partdisc.validation import check_key
from partdisc.workdir import Workdir


def discover(
    images: str | os.PathLike | Iterable[Picture], workdir: str | os.PathLike, **overrides: Any
) -> Detector:
    """Discover the parts of the object class that images show; what was done before is reused.

    Args:
      images: a folder of photos, or pictures: paths, PIL images, arrays uint8 [H, W, 3].
      workdir: folder of all that is made on the way.
      overrides: keys of the config, with "__" for the dot: `train__steps=300`.

    Returns:
      The detector.

    Raises:
      errors.PartdiscError: what the caller has to mend.
    """
    there = isinstance(images, str | os.PathLike)
    config = get_config(os.fspath(images if there else _kept(images, workdir)))
    for name, value in overrides.items():
        key = name.replace("__", ".")
        check_key(key)
        kind = type(KEYS[key].default)
        config.update_from_flattened_dict({key: kind(value) if kind is float else value})
    experiment.run(config, os.fspath(workdir), "train")
    return load(pathlib.Path(workdir))


def _kept(pictures: Iterable[Picture], workdir: str | os.PathLike) -> pathlib.Path:
    """Write pictures that lie in memory to files, which the data set is read from."""
    with Workdir(workdir) as held:
        folder = held.path / "photos"
        folder.mkdir(exist_ok=True)
        for place, picture in enumerate(pictures):
            Image.fromarray(pixels_of(picture)).save(folder / f"{place:06d}.png")
    return folder
