"""What is drawn of predicted images besides their lines: overlays, masks, and a page."""

import collections
import dataclasses
import functools
import os
import pathlib
from typing import NamedTuple

from PIL import Image

from partdisc.data.bad_images import BadImage
from partdisc.detector import Detector, Prediction, Source, indexed, load_picture
from partdisc.export.overlays import draw_overlay
from partdisc.page import Album, Page, write_page
from partdisc.paths import MASKS, OVERLAYS
from partdisc.workdir import atomic

REPORT = "report/index.html"
# Bytes of a file's name at most; and the characters that are kept of one that gets too long.
_MOST, _CUT = 255, 50


class Extras(NamedTuple):
    """What is written besides the lines.

    Attributes:
      formats: of `predictions.FORMATS`.
      overlays: whether to draw the parts on the images.
      masks: whether to write the part of each pixel.
      report: whether to write a page of the photos.
    """

    formats: tuple[str, ...] = ()
    overlays: bool = False
    masks: bool = False
    report: bool = False


class Pictures(NamedTuple):
    """What is drawn of images that were predicted, and the page of them.

    Attributes:
      folder: of all that is written.
      detector: what looked.
      extras: what is written.
      album: the photos of the page.
    """

    folder: pathlib.Path
    detector: Detector
    extras: Extras
    album: Album

    def show(
        self, place: int, source: Source, name: pathlib.PurePath, prediction: Prediction
    ) -> None:
        """Draw an image's pictures, and keep it for the page."""
        parts, most = self.detector.parts, self.detector.framing.max_pixels
        photo = functools.partial(load_picture, source.picture, most)
        if self.extras.overlays:
            _save(draw_overlay(parts, photo(), prediction), self.folder / OVERLAYS / name)
        if self.extras.masks:
            _save(indexed(prediction.mask, parts), self.folder / MASKS / name)
        if self.extras.report:
            self.album.add(place, photo, prediction)

    def complete(
        self, sources: list[Source], files: list[pathlib.PurePath], bad: dict[int, BadImage]
    ) -> None:
        """Look once more at images that an earlier run has done without what is wanted now."""
        missing = set(self.album.missing) if self.extras.report else set()
        for kind, wanted in ((OVERLAYS, self.extras.overlays), (MASKS, self.extras.masks)):
            if wanted:
                missing |= {n for n, f in enumerate(files) if not (self.folder / kind / f).exists()}
        again = sorted(missing - bad.keys())
        names = (sources[place]._replace(name=str(place)) for place in again)
        for prediction in self.detector.predict(names, lambda one: None):
            place = int(prediction.image)
            prediction = dataclasses.replace(prediction, image=sources[place].name)
            self.show(place, sources[place], files[place], prediction)

    def write_report(self, images: int, bad: list[BadImage]) -> None:
        """Write the page."""
        detector, photos = self.detector, self.album.photos
        facts = [
            f"{len(detector.parts)} parts, looked for by a detector on {detector.backbone.name} "
            f"{detector.backbone.layer}. {len(photos)} of {images} photos are shown."
        ]
        lines = [f"{one.name}: {one.reason}" for one in bad]
        page = Page("Parts in photos", facts, detector.parts, photos, lines)
        write_page(self.folder / REPORT, page)


def is_ours(folder: pathlib.Path, source: Source) -> bool:
    """Return whether an image is one that was written to a folder of predictions."""
    there = pathlib.Path(source.picture).parent.resolve()
    return any(there.is_relative_to(folder.resolve() / kind) for kind in (OVERLAYS, MASKS))


def picture_names(sources: list[Source]) -> list[pathlib.PurePath]:
    """Name the pictures that are made of images: by their names, and no two alike.

    All lie below the folder that they are written to, also where an image's name leads out of it.
    """
    paths = [pathlib.PurePath(one.name) for one in sources]
    inside = [
        pathlib.PurePath(*(part for part in path.parts if part not in ("..", path.anchor)))
        for path in paths
    ]
    names = [path.with_suffix(".png") for path in inside]
    # Where two would be one, with the image's own ending too, and then with its place.
    for fuller in (
        [path.with_name(path.name + ".png") for path in inside],
        [path.with_name(f"{path.name[:_CUT]}.{place}.png") for place, path in enumerate(inside)],
    ):
        count = collections.Counter(names)
        names = [
            long if count[name] > 1 or len(os.fsencode(name.name)) > _MOST else name
            for name, long in zip(names, fuller, strict=True)
        ]
    return names


def _save(image: Image.Image, path: pathlib.Path) -> None:
    with atomic(path) as temporary:
        image.save(temporary)
