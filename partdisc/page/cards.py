"""What a page shows of each part: patches around it, and where in the object it lies."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
from PIL import Image

from partdisc.detector import Part, rgb
from partdisc.page.album import PLACES, Photo, data_uri, evenly

# Patches of a part, their side on the page in pixels, and in the photo as a share of the object.
PATCHES, SIDE, OF_OBJECT = 8, 128, 0.45
# Around a patch that reaches past its photo.
NOTHING = 128


class Patch(NamedTuple):
    """A square around a part in a photo.

    Attributes:
      picture: as a data URI; the part's point is its centre.
      photo: the photo's place on the page.
      name: of the photo.
    """

    picture: str
    photo: int
    name: str


class Card(NamedTuple):
    """A part on the page.

    Attributes:
      part: what is known of it.
      seen: in how many of the photos it is present.
      patches: around it, in different photos.
      places: a picture of where in the object's box it lies, as a data URI.
    """

    part: Part
    seen: int
    patches: list[Patch]
    places: str


def make_cards(parts: tuple[Part, ...], photos: list[Photo]) -> list[Card]:
    """Make the card of each part from the photos of a page."""
    chosen: dict[int, list[tuple[int, int]]] = defaultdict(list)  # photo -> part, rank
    present = [
        [n for n, photo in enumerate(photos) if photo.parts[column].present]
        for column in range(len(parts))
    ]
    for column, seen in enumerate(present):
        for rank, n in enumerate(_spread(photos, seen, column)):
            chosen[n].append((column, rank))
    patches: list[dict[int, Patch]] = [{} for _ in parts]
    for n, wanted in chosen.items():
        pixels = photos[n].read()  # once for all parts that are shown in it
        for column, rank in wanted:
            patches[column][rank] = Patch(_patch(photos[n], pixels, column), n, photos[n].name)
    boxes = [photo.places for photo in photos if photo.places is not None]
    return [
        Card(part, len(seen), [found[rank] for rank in sorted(found)], _heat(part, boxes))
        for part, seen, found in zip(parts, present, patches, strict=True)
    ]


def _spread(photos: list[Photo], seen: list[int], column: int) -> list[int]:
    """Choose photos evenly among the better half of those in which a part is present.

    The very best alone would show the part better than it is.
    """
    ranked = sorted(seen, key=lambda n: -photos[n].parts[column].score)
    better = ranked[: max(PATCHES, (len(ranked) + 1) // 2)]
    return [better[place] for place in evenly(len(better), PATCHES)]


def _patch(photo: Photo, pixels: np.ndarray, column: int) -> str:
    """Cut the square around a part out of a photo."""
    height, width = photo.original
    box = photo.object.box if photo.object else (0, 0, height, width)
    half = 0.5 * OF_OBJECT * np.sqrt(max(1.0, (box[2] - box[0]) * (box[3] - box[1])))
    y, x = photo.parts[column].point
    # Pixel centres are integers for us, halves for Pillow.
    window = (x + 0.5 - half, y + 0.5 - half, x + 0.5 + half, y + 0.5 + half)
    image = Image.fromarray(pixels).transform(
        (SIDE, SIDE),
        Image.Transform.EXTENT,
        window,
        Image.Resampling.BICUBIC,
        fillcolor=(NOTHING,) * 3,
    )
    return data_uri(image, "webp", quality=80)


def _heat(part: Part, boxes: list[np.ndarray]) -> str:
    """Draw how often each place of the object's box is the part's: the more, the denser."""
    share = np.zeros((PLACES, PLACES))
    if boxes:
        share = np.mean([places == part.id for places in boxes], axis=0)
    alpha = np.sqrt(share / share.max()) if share.max() > 0 else share
    image = np.empty((PLACES, PLACES, 4), np.uint8)
    image[..., :3], image[..., 3] = rgb(part.colour), np.round(255 * alpha)
    return data_uri(Image.fromarray(image), "png")
