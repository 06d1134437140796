"""Predict parts in images with what a run has trained: `--mode=predict`."""

import re
from typing import NamedTuple

from partdisc.data import bad_images
from partdisc.detector import find_sources, load
from partdisc.errors import ConfigError, shortened
from partdisc.export.pictures import REPORT, Extras, is_ours
from partdisc.export.predictions import FORMATS, write_predictions
from partdisc.paths import LINES, user_path
from partdisc.progress import say
from partdisc.workdir import Workdir


class Asked(NamedTuple):
    """What the user asks for.

    Attributes:
      images: a folder, a pattern, a .txt list, or one image.
      out: folder of all that is written.
      formats: by commas, `jsonl` and those of `FORMATS`.
      overlays: whether to draw the parts on the images.
      masks: whether to write the part of each pixel.
      report: whether to write a page of the photos.
      shard: "i/n", the i-th of n equal shares of the images, from 1; "" for all.
    """

    images: str
    out: str
    formats: str = "jsonl"
    overlays: bool = False
    masks: bool = False
    report: bool = False
    shard: str = ""


def predict(workdir: str, asked: Asked) -> int:
    """Predict parts in images by the detector of a run, and write what was found.

    Returns:
      The exit status: 0, or 1 where no image could be used.

    Raises:
      errors.PartdiscError: what the user has to mend.
    """
    for name in ("images", "out"):
        if not getattr(asked, name):
            raise ConfigError(f"--mode=predict needs --{name}")
    if not workdir:
        raise ConfigError("--mode=predict needs --workdir, the folder of a run")
    extras = Extras(_formats(asked.formats), asked.overlays, asked.masks, asked.report)
    folder = user_path(asked.out).absolute()
    if Workdir(folder).there():
        raise ConfigError(
            f"--out is {shortened(asked.out)}, a run's own work directory; give another folder"
        )
    sources = [one for one in find_sources(asked.images) if not is_ours(folder, one)]
    sources = sources[_share(asked.shard)]
    detector = load(workdir)
    say(f"detector: {len(detector.parts)} parts, {detector.backbone.name}, {workdir}")
    count = write_predictions(folder, detector, sources, extras)
    for line in bad_images.report(count.bad, f"all in {LINES}"):
        say(line)
    say(f"{count.images - len(count.bad)} of {count.images} images: {folder / LINES}")
    for name in extras.formats:
        say(f"{name}: {folder / f'predictions.{FORMATS[name][0]}'}")
    if asked.report:
        say(f"page: {folder / REPORT}: open it in a browser")
    return int(0 < count.images == len(count.bad))


def _formats(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    allowed = ("jsonl", *FORMATS)
    for name in names:
        if name not in allowed:
            raise ConfigError(
                f"--format has {shortened(name)}; allowed, by commas: {', '.join(allowed)}"
            )
    return tuple(name for name in names if name in FORMATS)


def _share(text: str) -> slice:
    """Return the images of a shard, every n-th one."""
    if not text:
        return slice(None)
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"--shard is {shortened(text)}; allowed is i/n, from 1/n to n/n")
    return slice(int(match[1]) - 1, None, int(match[2]))
