"""Which pixels are of which part, and where the object is: label images and pieces of them."""

import numpy as np
from PIL import Image
from scipy import ndimage

from partdisc.data import images
from partdisc.detector.parts import Part, rgb

# A cell is the object's where the background has less than the other half.
OBJECT = 0.5


def to_original_size(labels: np.ndarray, geometry: images.Geometry) -> np.ndarray:
    """Bring labels [h, w] of the network's input to the original's pixels, the nearest one."""
    y0, x0, y1, x1 = (int(edge) for edge in geometry.crop)
    mask = np.zeros(tuple(geometry.size), labels.dtype)
    resized = Image.fromarray(labels).resize((x1 - x0, y1 - y0), Image.Resampling.NEAREST)
    mask[y0:y1, x0:x1] = np.asarray(resized)
    return mask


def label_pixels(fine: np.ndarray) -> np.ndarray:
    """Label pixels by the most probable part: uint8 [h, w], 1 to k, and 0 for background."""
    best, labels = np.full(fine.shape[1:], -1.0, np.float32), np.zeros(fine.shape[1:], np.uint8)
    # Plane by plane: several times faster than an arg-max over the few parts of a pixel.
    for number, plane in enumerate(fine[:-1], 1):
        labels[plane > best] = number
        np.maximum(best, plane, out=best)
    labels[fine[-1] >= 1 - OBJECT] = 0
    return labels


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """Return the largest connected piece of a mask, bool [h, w]; empty where it is."""
    pieces, count = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    return pieces == 1 + np.argmax(sizes) if count else np.zeros(mask.shape, bool)


def bounds(mask: np.ndarray, geometry: images.Geometry) -> tuple[float, float, float, float]:
    """Return the box around a mask [h, w] of the network's input, pixels of the original."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    corners = np.array([[rows[0], columns[0]], [rows[-1] + 1, columns[-1] + 1]]) - 0.5
    return tuple(images.to_original(corners, geometry).ravel().tolist())


def indexed(labels: np.ndarray, parts: tuple[Part, ...]) -> Image.Image:
    """Return labels [h, w] as a picture whose values are the parts' ids, in their colours."""
    image = Image.fromarray(labels, "P")
    image.putpalette([0, 0, 0, *(value for part in parts for value in rgb(part.colour))])
    return image
