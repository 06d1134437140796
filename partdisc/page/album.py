"""Photos of a page: small, with their parts over them."""

import base64
import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from partdisc.detector import FoundObject, FoundPart, Part, Prediction, indexed

# Photos on a page at most, and the longest side of each by how many there are: a page of any
# number stays below 30 MB.
MOST_PHOTOS = 2000
_SIDES = ((300, 512), (800, 352), (MOST_PHOTOS, 240))
_QUALITY = 72


class Photo(NamedTuple):
    """A photo of a page.

    Attributes:
      name: of the image.
      read: gives its pixels, uint8 [H, W, 3].
      original: height and width, pixels.
      object: that was found, or None.
      parts: all of them, in pixels of the original.
      size: height and width on the page, pixels.
      picture: the small photo, as a data URI.
      overlay: a picture of the same size in the parts' colours, as a data URI.
      places: uint8 [PLACES, PLACES], the part of each place of the object's box; None where
        there is no object.
    """

    name: str
    read: Callable[[], np.ndarray]
    original: tuple[int, int]
    object: FoundObject | None
    parts: tuple[FoundPart, ...]
    size: tuple[int, int]
    picture: str
    overlay: str
    places: np.ndarray | None

    @property
    def certainty(self) -> float:
        """How sure the parts are: the mean of their scores; 0 where there is no object."""
        scores = [part.score for part in self.parts]
        return float(np.mean(scores)) if scores and self.object else 0.0

    @property
    def seen(self) -> str:
        """What is to be seen in it, in words."""
        names = [part.name for part in self.parts if part.present]
        return f"{self.name}: {', '.join(names) or 'no part'}"


# Rows and columns of an object's box in which the places of parts are counted.
PLACES = 24


class Album:
    """The photos of a page, spread evenly over all images.

    Args:
      parts: that are drawn.
      images: how many there are.
      most: photos on the page.
    """

    def __init__(self, parts: tuple[Part, ...], images: int, most: int = MOST_PHOTOS):
        count = min(images, most)
        self.parts, self.images = parts, images
        self.wanted = set(evenly(images, most))
        self._side = next((side for limit, side in _SIDES if count <= limit), _SIDES[-1][1])
        self._photos: dict[int, Photo] = {}

    @property
    def photos(self) -> list[Photo]:
        """Those that were added, in their order."""
        return [photo for _, photo in sorted(self._photos.items())]

    @property
    def missing(self) -> list[int]:
        """Places of the images that are wanted and were not added."""
        return sorted(self.wanted - self._photos.keys())

    def add(self, place: int, read: Callable[[], np.ndarray], prediction: Prediction) -> None:
        """Add the `place`-th image, if the page shows it.

        Args:
          place: among all images, from 0.
          read: gives its pixels, uint8 [H, W, 3].
          prediction: what was found in it.
        """
        if place not in self.wanted:
            return
        height, width = prediction.size
        scale = min(1.0, self._side / max(height, width))
        size = max(1, round(height * scale)), max(1, round(width * scale))
        small = Image.fromarray(read()).resize(size[::-1], Image.Resampling.LANCZOS)
        self._photos[place] = Photo(
            prediction.image,
            read,
            prediction.size,
            prediction.object,
            prediction.parts,
            size,
            data_uri(small, "webp", quality=_QUALITY),
            _overlay(self.parts, prediction.mask, size),
            _places(prediction),
        )


def _overlay(parts: tuple[Part, ...], mask: np.ndarray, size: tuple[int, int]) -> str:
    """Draw labels in the parts' colours, nothing where there is none."""
    small = indexed(mask, parts).resize(size[::-1], Image.Resampling.NEAREST)
    return data_uri(small, "png", transparency=0, optimize=True)


def _places(prediction: Prediction) -> np.ndarray | None:
    """Look up the part at each place of the object's box."""
    if prediction.object is None:
        return None
    y0, x0, y1, x1 = prediction.object.box
    step = (np.arange(PLACES) + 0.5) / PLACES
    rows, columns = y0 + step * (y1 - y0), x0 + step * (x1 - x0)
    height, width = prediction.size
    rows = np.clip(np.floor(rows + 0.5), 0, height - 1).astype(int)
    columns = np.clip(np.floor(columns + 0.5), 0, width - 1).astype(int)
    return prediction.mask[np.ix_(rows, columns)]


def evenly(size: int, most: int) -> list[int]:
    """Return at most so many of the places 0 ... size - 1, spread evenly, both ends among them."""
    return np.linspace(0, size - 1, min(size, most)).round().astype(int).tolist()


def data_uri(image: Image.Image, form: str, **options) -> str:
    """Return an image as a URI that holds it."""
    written = io.BytesIO()
    image.save(written, form, **options)
    return f"data:image/{form};base64,{base64.b64encode(written.getvalue()).decode()}"


def opened(uri: str) -> Image.Image:
    """Return the image that a URI of `data_uri` holds."""
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
