"""Parts drawn on an image."""

import numpy as np
from PIL import Image, ImageDraw

from partdisc.detector import Part, Prediction, rgb

# Share of a part's colour over the image, and the longest side of an overlay, pixels.
OPACITY, LONGEST = 0.5, 1600


def draw_overlay(parts: tuple[Part, ...], photo: np.ndarray, prediction: Prediction) -> Image.Image:
    """Draw the parts in their colours, their points with their ids, and the object's box.

    Args:
        parts: of the detector.
        photo: upright RGB, uint8 [H, W, 3].
        prediction: of it.
    """
    height, width = photo.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    pixels = np.asarray(Image.fromarray(photo).resize(size), np.float32)
    mask = np.asarray(Image.fromarray(prediction.mask).resize(size, Image.Resampling.NEAREST))
    colours = np.array([(0, 0, 0), *(rgb(part.colour) for part in parts)], np.float32)
    share = np.where(mask > 0, OPACITY, 0.0)[..., None].astype(np.float32)
    mixed = (1 - share) * pixels + share * colours[mask]
    image = Image.fromarray(mixed.round().astype(np.uint8))
    draw = ImageDraw.Draw(image)
    line = max(1, min(size) // 250)
    if prediction.object:
        y0, x0, y1, x1 = ((edge + 0.5) * scale for edge in prediction.object.box)
        corner = max(x0, x1 - 1), max(y0, y1 - 1)  # less than a pixel is one
        draw.rectangle([x0, y0, *corner], outline="white", width=line)
    radius = max(6, min(size) // 45)
    for part, one in zip(parts, prediction.parts, strict=True):
        if one.present:
            y, x = ((value + 0.5) * scale for value in one.point)
            circle = [x - radius, y - radius, x + radius, y + radius]
            draw.ellipse(circle, fill=part.colour, outline="white", width=line)
            dark = sum(rgb(part.colour)) < 420
            draw.text((x, y), str(part.id), fill="white" if dark else "black", anchor="mm")
    return image
