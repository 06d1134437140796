"""Parts from Python: `partdisc.discover` and `partdisc.load`, for notebooks and programs."""

import os
import pathlib
from collections.abc import Iterable
from typing import Any

from PIL import Image

from partdisc import experiment
from partdisc.config import KEYS, base_config
from partdisc.detector import Detector, load
from partdisc.detector.sources import Picture, pixels_of
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
    config = base_config()
    config.data.name, config.data.max_bad_fraction = "folder", 0.2
    if isinstance(images, str | os.PathLike):
        config.data.root = os.fspath(images)
    else:
        config.data.root = str(_kept(images, workdir))
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
