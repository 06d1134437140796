"""A prepared data set: annotation as arrays, images at random access."""

import dataclasses
import functools
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from partdisc.data import decoding, images
from partdisc.data.bad_images import BadImage

if TYPE_CHECKING:
    from partdisc.data import builder


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """N images of one object class, their annotation and their splits.

    Attributes:
        name: of the data set.
        keys: names of the images, relative to the data set.
        contents: hashes of the images' bytes [N].
        sizes: height, width, pixels, int32 [N, 2].
        instances: all instances of each part (y, x), original pixels; NaN where
            invisible or not annotated, float32 [N, L, M, 2].
        boxes: of the objects, (y0, x0, y1, x1), original pixels, as annotated: they
            may reach past the image; NaN where there is none, float32 [N, 4].
        crops: the part of each image to use, (y0, x0, y1, x1), integer edges of
            pixels inside the image, int32 [N, 4].
        landmark_names: L names.
        splits: indices of the images in "train", "fit" and "test", maybe empty.
        eyes: the two landmarks whose distance normalises errors, or None.
        problems: the images that could not be used, and why.
        odd: the annotations that could not be used, and why.
        fingerprint: changes when images or annotation do.
        notes: lines on what was left out on purpose.
        sources: the list files that were read.
        folder: where the prepared data lies.
        max_pixels: of an image that is read.
    """

    name: str
    keys: list[str]
    contents: list[str]
    sizes: np.ndarray
    instances: np.ndarray
    boxes: np.ndarray
    crops: np.ndarray
    landmark_names: tuple[str, ...]
    splits: dict[str, np.ndarray]
    eyes: tuple[int, int] | None
    problems: list[BadImage]
    odd: list[BadImage]
    fingerprint: str
    notes: tuple[str, ...]
    sources: tuple[pathlib.Path, ...]
    folder: pathlib.Path
    max_pixels: int = decoding.MAX_PIXELS

    def __len__(self) -> int:
        return len(self.keys)

    @functools.cached_property
    def points(self) -> np.ndarray:
        """Landmarks [N, L, 2]: of parts that occur once in an image; NaN of others."""
        known = np.isfinite(self.instances).all(axis=-1)
        first = np.take_along_axis(self.instances, known.argmax(-1)[..., None, None], axis=2)
        return np.where(known.sum(-1, keepdims=True) == 1, first[:, :, 0], np.nan)

    def image(self, index: int) -> np.ndarray:
        """Read one original image, uint8 [H, W, 3]; safe in threads."""
        return decoding.decode(self._source[index], max_pixels=self.max_pixels)

    def working_image(self, index: int, geometry: images.Geometry) -> np.ndarray:
        """Read one image as the network sees it, uint8 [h, w, 3]; safe in threads."""
        return images.read(self._source[index], geometry, max_pixels=self.max_pixels)

    @functools.cached_property
    def _source(self) -> "builder.Source":
        from partdisc.data import builder

        return builder.Source(self.folder)


def crop_boxes(sizes: np.ndarray, boxes: np.ndarray, margin: float) -> np.ndarray:
    """Find the part of each image to use: its box and a margin, or all of it.

    Args:
        sizes: height, width, pixels, int32 [N, 2].
        boxes: (y0, x0, y1, x1), pixels; NaN where there is none [N, 4].
        margin: added on each side, in parts of the box's side; negative: use the
            full image.

    Returns:
        (y0, x0, y1, x1), integer edges of pixels inside the images, at least one
        pixel each way, int32 [N, 4].
    """
    full = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
    if margin < 0:
        return full
    start, stop = boxes[:, :2] + 0.5, boxes[:, 2:] + 0.5
    grow = margin * (stop - start)
    limit = sizes.astype(np.float64)
    start = np.clip(np.floor(start - grow + 0.5), 0, limit - 1)
    stop = np.clip(np.floor(stop + grow + 0.5), start + 1, limit)
    known = np.isfinite(boxes).all(axis=1, keepdims=True)
    grown = np.concatenate([start, stop], axis=1)
    return np.where(known, grown, full).astype(np.int32)
