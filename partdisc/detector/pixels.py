"""Which pixels are of which part, and where the object is: label images and pieces of them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from scipy import ndimage

from partdisc.data import images
from partdisc.detector.parts import Part, rgb

# A cell is the object's where the background has less than the other half.
OBJECT = 0.5
# Pixels are connected with those above, below, left and right.
_BESIDE = ndimage.generate_binary_structure(2, 1)


def to_original_size(labels: np.ndarray, geometry: images.Geometry) -> np.ndarray:
    """Bring labels [h, w] of the network's input to the original's pixels, the nearest one."""
    y0, x0, y1, x1 = (int(edge) for edge in geometry.crop)
    mask = np.zeros(tuple(geometry.size), labels.dtype)
    resized = Image.fromarray(labels).resize((x1 - x0, y1 - y0), Image.Resampling.NEAREST)
    mask[y0:y1, x0:x1] = np.asarray(resized)
    return mask


def on_pixels(maps: np.ndarray, size: tuple[int, int], stride: float, origin: float) -> np.ndarray:
    """Bring maps of cells to the pixels of their image, bilinearly.

    Beyond the outermost cells their values go on.

    Args:
      maps: [..., rows, columns].
      size: height and width of the image.
      stride: pixels from one cell to the next.
      origin: pixel of the first cell's centre.

    Returns:
      float32 [..., height, width].
    """
    return np.asarray(_bilinear(maps, *_both_weights(maps, size, stride, origin)))


def label_pixels(
    maps: np.ndarray, size: tuple[int, int], stride: float, origin: float
) -> tuple[np.ndarray, np.ndarray]:
    """Label pixels by the most probable part.

    Args:
      maps: [k + 1, rows, columns], p(part | cell), the background last.
      size: height and width of the image; it and what follows are those of `on_pixels`.
      stride: pixels from one cell to the next.
      origin: pixel of the first cell's centre.

    Returns:
      Labels uint8 [height, width], 1 to k, and 0 for background; and 1 - p(background) there.
    """
    labels, foreground = _labelled(maps, *_both_weights(maps, size, stride, origin))
    return np.asarray(labels), np.asarray(foreground)


def on_original(
    maps: np.ndarray, geometry: images.Geometry, stride: float, origin: float
) -> np.ndarray:
    """Bring maps to the pixels of the original, bilinearly.

    Args:
      maps: [k + 1, rows, columns], p(part | cell), the background last.
      geometry: of the image.
      stride: pixels of the network's input from one cell to the next.
      origin: pixel of the first cell's centre.

    Returns:
      float32 [H, W, k + 1]; outside of the crop all is background.
    """
    y0, x0, y1, x1 = (int(edge) for edge in geometry.crop)
    sides = (y1 - y0, x1 - x0)
    # How many pixels of the original one of the network's input is.
    scale = (sides / geometry.working).tolist()
    down, across = (
        _weights(side, cells, stride * size, (origin + 0.5) * size - 0.5)
        for side, cells, size in zip(sides, maps.shape[-2:], scale, strict=True)
    )
    fine = np.zeros((*geometry.size, len(maps)), np.float32)
    fine[..., -1] = 1.0
    for number, plane in enumerate(maps):
        # By NumPy: photos are of many sizes, and each would be compiled anew.
        fine[y0:y1, x0:x1, number] = down @ plane @ across.T
    return fine


# Compiled: the threads of NumPy's products go on spinning, and slow the network that runs next.
@jax.jit
def _bilinear(maps: jax.Array, down: jax.Array, across: jax.Array) -> jax.Array:
    return down @ maps.astype(jnp.float32) @ across.T


@jax.jit
def _labelled(maps, down, across) -> tuple[jax.Array, jax.Array]:
    fine = _bilinear(maps, down, across)
    best, labels = jnp.full(fine.shape[1:], -1.0), jnp.zeros(fine.shape[1:], jnp.uint8)
    # Plane by plane: faster than an arg-max over the few parts of a pixel.
    for number, plane in enumerate(fine[:-1], 1):
        labels = jnp.where(plane > best, jnp.uint8(number), labels)
        best = jnp.maximum(best, plane)
    foreground = 1.0 - fine[-1]
    return jnp.where(foreground > OBJECT, labels, jnp.uint8(0)), foreground


def _both_weights(maps, size, stride, origin) -> list[np.ndarray]:
    sides = zip(size, maps.shape[-2:], strict=True)
    return [_weights(int(side), cells, stride, origin) for side, cells in sides]


@functools.lru_cache(maxsize=64)
def _weights(side: int, cells: int, stride: float, origin: float) -> np.ndarray:
    """Return the weights [side, cells] of the cells at each pixel."""
    place = np.clip((np.arange(side) - origin) / stride, 0, cells - 1)
    weights = np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(cells)[None]))
    return weights.astype(np.float32)


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """Return the largest connected piece of a mask, bool [h, w]; empty where it is."""
    pieces, count = ndimage.label(mask, _BESIDE)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    return pieces == 1 + np.argmax(sizes) if count else np.zeros(mask.shape, bool)


def bounds(
    mask: np.ndarray, geometry: images.Geometry, corner: tuple[int, int] = (0, 0)
) -> tuple[float, float, float, float]:
    """Return the box around a mask, pixels of the original.

    Args:
      mask: bool [h, w], of the network's input or of a window of it; it is not empty.
      geometry: of the image.
      corner: (y, x) of the window.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    corners = np.array([[rows[0], columns[0]], [rows[-1] + 1, columns[-1] + 1]]) + corner - 0.5
    return tuple(images.to_original(corners, geometry).ravel().tolist())


def indexed(labels: np.ndarray, parts: tuple[Part, ...]) -> Image.Image:
    """Return labels [h, w] as a picture whose values are the parts' ids, in their colours."""
    image = Image.fromarray(labels, "P")
    image.putpalette([0, 0, 0, *(value for part in parts for value in rgb(part.colour))])
    return image
