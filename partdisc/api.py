"""Parts from Python: `partdisc.discover` and `partdisc.load`, for notebooks and programs."""

import hashlib
import io
import os
import pathlib
import shutil
from collections.abc import Iterable
from typing import Any

from PIL import Image

from partdisc import experiment
from partdisc.config import KEYS
from partdisc.detector import Detector, load
from partdisc.detector.sources import Picture, pixels_of, sources_of
from partdisc.errors import ConfigError, DataError, shortened
from partdisc.presets.folder import get_config
from partdisc.validation import check_key, check_value
from partdisc.workdir import Workdir

WORDS = ("stop", "overwrite", "continue")


def discover(
    images: str | os.PathLike | Iterable[Picture],
    workdir: str | os.PathLike,
    *,
    where_trained: str = "stop",
    **overrides: Any,
) -> Detector:
    """Discover the parts of the object class that images show; what was done before is reused.

    Args:
      images: a folder of photos, or pictures: paths, PIL images, arrays uint8 [H, W, 3].
      workdir: folder of all that is made on the way.
      where_trained: what to do where that folder holds a training of other images or by another
        config: "stop", "overwrite" it, which keeps it aside, or "continue" from its layer.
      overrides: keys of the config, with "__" for the dot: `train__steps=300`.

    Returns:
      The detector.

    Raises:
      errors.PartdiscError: what the caller has to mend.
    """
    if where_trained not in WORDS:
        raise ConfigError(
            f"where_trained is {shortened(where_trained)}; allowed: {', '.join(WORDS)}"
        )
    there = isinstance(images, str | os.PathLike)
    config = get_config(os.fspath(images) if there else "")
    for name, value in overrides.items():
        key = name.replace("__", ".")
        check_key(key)
        kind = type(KEYS[key].default)
        # A whole number may stand for `1.0`, and for the text `8`.
        value = kind(value) if type(value) is int and kind in (float, str) else value
        check_value(key, value)
        config.update_from_flattened_dict({key: value})
    if not there:
        config.data.root = str(_kept(images, workdir, config.data.max_pixels))
    experiment.run(config, workdir, "train", experiment.Asked(where_trained))
    if not there:
        _drop_others(pathlib.Path(config.data.root))
    return load(workdir)


def _kept(pictures: Iterable[Picture], workdir: str | os.PathLike, max_pixels: int) -> pathlib.Path:
    """Write pictures that lie in memory to a folder of their own, named by what they hold."""
    with Workdir(workdir) as held:
        draft = held.path / "photos" / ".new.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        found = hashlib.sha256()
        for place, source in enumerate(sources_of(pictures)):
            content = io.BytesIO()
            try:
                Image.fromarray(pixels_of(source.picture, max_pixels)).save(content, "PNG")
            except DataError as error:
                raise DataError(f"picture {place}: {error}") from None
            found.update(hashlib.sha256(content.getvalue()).digest())
            (draft / f"{place:06d}.png").write_bytes(content.getvalue())
        if not any(draft.iterdir()):
            raise DataError("no pictures were given")
        folder = draft.with_name(found.hexdigest()[:16])
        if folder.exists():
            shutil.rmtree(draft)
        else:
            draft.rename(folder)
    return folder


def _drop_others(folder: pathlib.Path) -> None:
    """Remove the pictures of earlier calls, once nothing is made of them any more."""
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other)
