"""Parts from Python: `partdisc.discover` and `partdisc.load`, for notebooks and programs."""

import io
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from PIL import Image

from partdisc import experiment
from partdisc.config import KEYS
from partdisc.detector import Detector, load
from partdisc.detector.sources import Picture, pixels_of
from partdisc.errors import DataError
from partdisc.presets.folder import get_config
from partdisc.validation import check_key, check_value
from partdisc.workdir import Workdir, atomic


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
        # A whole number may stand for `1.0`, and for the text `8`.
        value = kind(value) if type(value) is int and kind in (float, str) else value
        check_value(key, value)
        config.update_from_flattened_dict({key: value})
    experiment.run(config, os.fspath(workdir), "train")
    return load(pathlib.Path(workdir))


def _kept(pictures: Iterable[Picture], workdir: str | os.PathLike) -> pathlib.Path:
    """Write pictures that lie in memory to files, which the data set is read from.

    A file that has the same content stays, so that what was made of it is reused.
    """
    with Workdir(workdir) as held:
        folder = held.path / "photos"
        folder.mkdir(exist_ok=True)
        stale = set(folder.iterdir())
        for place, picture in enumerate(pictures):
            path, content = folder / f"{place:06d}.png", io.BytesIO()
            try:
                Image.fromarray(pixels_of(picture)).save(content, "PNG")
            except DataError as error:
                raise DataError(f"picture {place}: {error}") from None
            stale.discard(path)
            if not path.exists() or path.read_bytes() != content.getvalue():
                with atomic(path) as temporary:
                    temporary.write_bytes(content.getvalue())
        for path in stale:
            path.unlink()
    return folder
