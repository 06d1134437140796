"""Images: from upright pixels to the network's input, and points there and back.

Everything here is NumPy and Pillow on the host: it runs in reader threads,
before any array reaches the device.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from partdisc.data import decoding

# An image is decoded at a fraction of its size where that leaves so many times the pixels that
# the network sees.
_SPARE = 2


class Framing(NamedTuple):
    """How any image becomes an input of the network.

    Attributes:
        short_side: of the input, pixels, before it is rounded to whole cells.
        max_aspect: longest side over the shortest; what is longer is squeezed.
        max_pixels: of an image that is read.
    """

    short_side: int
    max_aspect: float
    max_pixels: int = decoding.MAX_PIXELS

    def scale(self, crop: np.ndarray) -> np.ndarray:
        """Return how many pixels of the short side a pixel of each crop [n, 4] is: [n]."""
        crop = crop.astype(np.float64)
        return self.short_side / (crop[:, 2:] - crop[:, :2]).min(axis=1)


class Geometry(NamedTuple):
    """How images, or crops of them, became inputs of the network.

    One image or a batch of them: every field has the same leading axes.

    Attributes:
        size: height and width of the original image, pixels [..., 2].
        crop: the part of it that is used, (y0, x0, y1, x1), integer edges of
            pixels: rows y0 to y1 - 1, columns x0 to x1 - 1 [..., 4].
        working: height and width of the network's input, pixels [..., 2].
    """

    size: np.ndarray
    crop: np.ndarray
    working: np.ndarray

    def take(self, index: int | np.ndarray) -> "Geometry":
        """Return the geometry of one image of a batch, or of several."""
        return Geometry(*(field[index] for field in self))


def geometry(
    size: np.ndarray,
    crop: np.ndarray | None,
    short_side: int,
    stride: int,
    max_aspect: float,
) -> Geometry:
    """Choose the working size of images: the short side fixed, the aspect kept.

    The short side of the crop becomes `short_side`, rounded to a multiple of the
    stride; the long side keeps the aspect, is rounded likewise, and is at most
    `max_aspect` times the short one: what is longer gets squeezed. The two axes
    have their own scale, so that points map back exactly.

    Args:
        size: height and width of the originals, pixels [..., 2].
        crop: (y0, x0, y1, x1), integer edges of pixels [..., 4]; clipped to the
            image, to one pixel at least. None: the full image.
        short_side: wanted short side, pixels.
        stride: of the network, pixels per cell.
        max_aspect: longest working side over the shortest, >= 1.

    Returns:
        The geometry, int32.
    """
    size = np.asarray(size, np.int32)
    if crop is None:
        crop = np.concatenate([np.zeros_like(size), size], axis=-1)
    crop = np.asarray(crop, np.int32)
    start = np.clip(crop[..., :2], 0, size - 1)
    stop = np.clip(crop[..., 2:], start + 1, size)
    sides = (stop - start).astype(np.float64)
    short = max(1, int(short_side / stride + 0.5))
    longest = max(short, int(short * max_aspect))
    cells = short * sides / sides.min(axis=-1, keepdims=True)
    cells = np.floor(np.minimum(cells, longest) + 0.5).astype(np.int32)
    return Geometry(size, np.concatenate([start, stop], axis=-1), stride * cells)


def read(data: bytes, geometry: Geometry, *, max_pixels: int = decoding.MAX_PIXELS) -> np.ndarray:
    """Decode, crop and resize one image; a large JPEG is not spread out to all its pixels.

    Args:
        data: the content of the file.
        geometry: of this one image.
        max_pixels: of an image that is read.

    Returns:
        The network's input before normalisation, uint8 [h, w, 3].

    Raises:
        errors.DataError: the bytes are no image, are damaged, or hold too many pixels.
    """
    crop = geometry.crop[2:] - geometry.crop[:2]
    fits = [d for d in (8, 4, 2) if (crop >= _SPARE * d * geometry.working).all()]
    divisor = fits[0] if fits else 1
    image = decoding.decode_smaller(data, divisor, max_pixels=max_pixels)
    size = np.array(image.shape[:2])
    if (size == geometry.size).all():
        return prepare(image, geometry)
    box = geometry.crop * np.tile(size / geometry.size, 2)
    y0, x0, y1, x1 = box.tolist()
    height, width = (int(side) for side in geometry.working)
    smaller = Image.fromarray(image)
    return np.array(smaller.resize((width, height), Image.Resampling.BILINEAR, (x0, y0, x1, y1)))


def prepare(image: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Crop one image and resize it to its working size (bilinear, antialiased).

    Args:
        image: uint8 [H, W, 3].
        geometry: of this one image.

    Returns:
        The network's input before normalisation, uint8 [h, w, 3].

    Raises:
        ValueError: the image is not of the size that the geometry was made for.
    """
    if image.shape[:2] != tuple(geometry.size):
        raise ValueError(f"image is {image.shape[:2]}, its geometry {tuple(geometry.size)}")
    y0, x0, y1, x1 = geometry.crop
    height, width = (int(side) for side in geometry.working)
    crop = Image.fromarray(image[y0:y1, x0:x1])
    return np.array(crop.resize((width, height), Image.Resampling.BILINEAR))


def to_working(points: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Map points from the original image to the network's input.

    Args:
        points: (y, x), pixels of the originals [..., 2]; the leading axes begin
            with those of the geometry. NaN stays NaN.
        geometry: of the images.

    Returns:
        The points in pixels of the working images, float64 [..., 2].
    """
    scale, start = _scale_start(points, geometry)
    return (points + 0.5 - start) * scale - 0.5


def to_original(points: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Map points from the network's input back to the original image.

    The inverse of `to_working`, with the same arguments and axes.
    """
    scale, start = _scale_start(points, geometry)
    return (points + 0.5) / scale + start - 0.5


def _scale_start(points: np.ndarray, geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    crop = geometry.crop.astype(np.float64)
    start, sides = crop[..., :2], crop[..., 2:] - crop[..., :2]
    batch = start.shape[:-1]
    inner = (1,) * (np.ndim(points) - start.ndim)
    shape = (*batch, *inner, 2)
    return (geometry.working / sides).reshape(shape), start.reshape(shape)


def cell_matrix(geometry: Geometry, stride: float, origin: float) -> np.ndarray:
    """Return the matrices that take original pixels to cells.

    Args:
        geometry: of images, fields [..., 2].
        stride: of the network, pixels of the working image per cell.
        origin: centre of the first cell, pixels of the working image.

    Returns:
        float64 [..., 3, 3], acting on the columns (y, x, 1).
    """
    crop = geometry.crop.astype(np.float64)
    scale = geometry.working / (crop[..., 2:] - crop[..., :2])
    matrix = np.zeros((*scale.shape[:-1], 3, 3))
    matrix[..., [0, 1], [0, 1]] = scale / stride
    matrix[..., :2, 2] = ((0.5 - crop[..., :2]) * scale - 0.5 - origin) / stride
    matrix[..., 2, 2] = 1.0
    return matrix
