"""A detector that finds coloured discs, and photos of them: every place is known beforehand."""

import jax.numpy as jnp
import numpy as np
from detectors import SETTINGS, described
from PIL import Image, ImageDraw

from partdisc.backbones import Backbone, Preprocessing, Weights
from partdisc.backbones.layers import Conv, MaxPool
from partdisc.data.images import Framing
from partdisc.detector import Detector, PartSet, make_parts
from partdisc.method.discriminant import Discriminant
from partdisc.method.part_layer import PartLayer

RED, BLUE, GREY = (230, 10, 10), (10, 10, 230), (90, 90, 90)
STRIDE = 4


def planted_detector() -> Detector:
    """Return a detector whose part 1 is what is red, part 2 what is blue."""
    layers = (Conv("colours", 3, 1), MaxPool("pool1", 2, 2), MaxPool("pool2", 2, 2))
    params = {
        # Red or blue above the others, and a share of all that is left on grey.
        "colours/kernel": jnp.array(
            [[[[1.0, -1.0, 0.2], [-0.5, -0.5, 0.2], [-1.0, 1.0, 0.2]]]], jnp.float32
        ),
        "colours/bias": jnp.zeros(3),
    }
    preprocessing = Preprocessing("RGB", 1 / 255, (0.0,) * 3, (1.0,) * 3)
    weights = Weights(params, preprocessing, "0" * 64, "colours", "random", 0)
    part_params = {"centres": jnp.eye(2, 3), "background": jnp.array([0.0, 0.0, 1.0])}
    detector = Detector(
        Backbone("colours", "pool2", layers), weights, Framing(96, 8.0),
        PartLayer(2, 20.0, "mean"), part_params, np.zeros(3, np.float32), SETTINGS, 2,
    )  # fmt: skip
    parts = make_parts(one | {"threshold": 0.5} for one in described([0], [1]))
    # Red and blue tell the parts of the object apart, as the channels do.
    discriminant = Discriminant(20.0 * np.eye(3, 2, dtype=np.float32), np.zeros(2, np.float32))
    whole = detector.with_choices(
        {2: PartSet(parts, discriminant)}, np.full(2, 0.9, np.float32)
    ).with_parts(2)
    return whole.listing({"red": 0, "blue": 1})


def photo(size, discs, turned=None):
    """Draw discs on grey.

    Args:
      size: height and width of the upright photo.
      discs: {colour: (y, x, radius)}, upright pixels.
      turned: how the file is to be stored: a transposition, or None.
    """
    large = Image.new("RGB", (4 * size[1], 4 * size[0]), GREY)
    draw = ImageDraw.Draw(large)
    for colour, (y, x, radius) in discs.items():
        # Pixel centres are integers for us: (0, 0) lies at (0.5, 0.5) of the drawing.
        box = [4 * (x + 0.5 - radius), 4 * (y + 0.5 - radius)]
        box += [4 * (x + 0.5 + radius) - 1, 4 * (y + 0.5 + radius) - 1]
        draw.ellipse(box, fill=colour)
    image = large.resize(size[::-1], Image.Resampling.BOX)
    return image.transpose(turned) if turned is not None else image
