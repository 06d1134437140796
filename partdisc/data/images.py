"""Images: from a file's bytes to the network's input, and points there and back.

Everything here is NumPy and Pillow on the host: it runs in reader threads,
before any array reaches the device.
"""

import io
import os
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from partdisc import errors

# An image of more pixels is refused before it is decompressed. Pillow's own
# limit only warns.
MAX_PIXELS = 80_000_000

# Endings lie: a ".jpg" from the web is at times one of the others. Everything
# else stays closed (some of Pillow's plugins run external programs).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Orientations that swap height and width.
_TURNED = (5, 6, 7, 8)


class Frame(NamedTuple):
    """The size of an image file, and how it is turned.

    Attributes:
        stored: height and width as they are stored, pixels.
        orientation: of EXIF, 1 (upright) to 8.
    """

    stored: tuple[int, int]
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width of the upright image."""
        return self.stored[::-1] if self.orientation in _TURNED else self.stored


class Framing(NamedTuple):
    """How any image becomes an input of the network.

    Attributes:
        short_side: of the input, pixels, before it is rounded to whole cells.
        max_aspect: longest side over the shortest; what is longer is squeezed.
    """

    short_side: int
    max_aspect: float

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


def decode(data: bytes) -> np.ndarray:
    """Decode the bytes of an image file to upright RGB.

    Applies the EXIF orientation, composites transparency on white, and reads
    grey, 16-bit grey, CMYK and palette images.

    Args:
        data: the file's content: JPEG, PNG, WebP, GIF (first frame) or BMP.

    Returns:
        The image, uint8 [H, W, 3].

    Raises:
        errors.DataError: the bytes are no such image, are damaged, or hold more
            than `MAX_PIXELS` pixels. Gives the reason, not the file's name.
    """
    if not data:
        raise errors.DataError("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height <= MAX_PIXELS:
                return upright_rgb(image)
    except Image.UnidentifiedImageError:
        reason = f"not an image of a known format ({', '.join(_FORMATS)})"
        raise errors.DataError(reason) from None
    except Image.DecompressionBombError:
        raise errors.DataError(f"more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow's readers raise nearly anything on damaged bytes.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise errors.DataError(f"damaged: {reason}") from None
    raise errors.DataError(f"{height} x {width}: more than {MAX_PIXELS:,} pixels")


def read_frame(file: os.PathLike | BinaryIO) -> Frame:
    """Read the size of an image, and how it is turned, from the header of its file.

    Raises:
        errors.DataError: the file is absent or no image.
    """
    try:
        with Image.open(file, formats=_FORMATS) as image:
            return Frame(image.size[::-1], _orientation(image))
    except Exception as error:  # Pillow's readers raise nearly anything on damaged bytes.
        raise errors.DataError(f"{file}: {getattr(error, 'strerror', None) or error}") from None


def upright_rgb(image: Image.Image) -> np.ndarray:
    """Return an opened image upright and in RGB, as `decode` does: uint8 [H, W, 3]."""
    return np.array(_rgb(_upright(image)))


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    turn = _UPRIGHT.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # Damaged EXIF spoils no pixel.
        found = 1
    return found if found in _UPRIGHT else 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


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
