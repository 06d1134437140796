"""A drawn data set: excavators on cluttered backgrounds, with exact landmarks.

For demonstrations and tests: it needs no files, and every picture depends on
nothing but the seed, its number and its size.
"""

import functools
import io
import pathlib

import numpy as np
from PIL import Image

from partdisc.data import contents, drawing, excavator, record, scenery

_COVERED = 0.45  # Share of the pictures with something in front of the object.


def read(counts: dict[str, int], side: int, seed: int) -> record.Listing:
    """List the drawn pictures; each is drawn when it is loaded.

    The pictures of the test come first, so that more training pictures leave
    them as they are.

    Args:
        counts: pictures in each of `record.SPLITS`.
        side: of the pictures, pixels.
        seed: of all of them.
    """
    order = ("test", "fit", "train")
    splits = [split for split in order for _ in range(counts[split])]
    files = (__file__, *(one.__file__ for one in (drawing, excavator, scenery)))
    code = contents.digest(*(pathlib.Path(file).read_bytes() for file in files))
    records = [
        record.Record(
            f"{split}/{number:06d}.jpg",
            (split,),
            (),
            functools.partial(_load, seed, number, side),
            content=contents.digest(f"{code} {seed} {number} {side}".encode()),
        )
        for number, split in enumerate(splits)
    ]
    return record.Listing(records, [], excavator.LANDMARKS)


def draw(seed: int, number: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one picture.

    Args:
        seed: of the data set.
        number: of the picture in it.
        side: pixels.

    Returns:
        The picture, uint8 [side, side, 3]; the landmarks (y, x), pixels, NaN where
        outside the picture or hidden [10, 2]; the box of the object inside the
        picture, whether hidden or not, (y0, x0, y1, x1), pixels [4].
    """
    rng = np.random.default_rng((seed, number))
    machine = excavator.make(rng)
    matrix = _place(rng, machine)
    landmarks = drawing.transform(machine.landmarks, matrix)
    wheels = landmarks[:2]
    foot = wheels.mean(axis=0)
    canvas = scenery.make_background(rng, side, horizon=foot[0] - rng.uniform(0.02, 0.14))
    reach = np.hypot(*(wheels[1] - wheels[0]))
    canvas.darken(foot[0] + 0.18 * reach, foot[1], 0.16 * reach, 0.95 * reach)
    canvas.draw(machine.shapes, drawing.OBJECT, matrix)
    box = canvas.box()
    if rng.random() < _COVERED:
        y, x = rng.uniform(box[:2], box[2:])
        canvas.draw(scenery.make_cover(rng, y, x), drawing.COVER)
    outside = ((landmarks < 0) | (landmarks > 1)).any(axis=1)
    hidden = outside | (canvas.labels_at(landmarks) == drawing.COVER)
    landmarks[hidden] = np.nan
    picture, paint = canvas.finish()
    picture = _light(rng, _texture(rng, picture, paint))
    return picture, landmarks * side - 0.5, box * side - 0.5


def _load(seed: int, number: int, side: int) -> record.Sample:
    picture, points, box = draw(seed, number, side)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95, subsampling=0)
    return record.Sample(file.getvalue(), points, box)


def _place(rng: np.random.Generator, machine: excavator.Excavator) -> np.ndarray:
    """Draw lots for the matrix [2, 3] from the object's units to the picture's."""
    angle = np.radians(rng.uniform(-9, 9))
    stretch = np.exp(rng.uniform(-0.14, 0.14))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn @ np.diag([1 / stretch, stretch])
    outline = np.concatenate([shape.points for shape in machine.shapes]) @ turn.T
    low, high = outline.min(axis=0), outline.max(axis=0)
    scale = rng.uniform(0.6, 1.0) * 0.98 / (high - low).max()
    room = 1 - scale * (high - low)
    # A little beyond the frame at times; upright room goes above rather than below.
    slack = rng.uniform(-0.04, 1.04, 2) * room
    slack[0] = rng.uniform(0.3, 1.02) * room[0]
    return np.column_stack([scale * turn, slack - scale * low])


def _texture(rng: np.random.Generator, picture: np.ndarray, paint: np.ndarray) -> np.ndarray:
    """Decorate the painted pixels: plain, stripes, dots, blotches or a gradient."""
    side = len(picture)
    y, x = np.meshgrid(*2 * [np.linspace(0, 1, side, dtype=np.float32)], indexing="ij")
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(60, 150)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    kind = rng.integers(5)
    if kind == 0:
        strength = np.zeros_like(x)
    elif kind == 1:
        strength = np.clip(0.5 + 2 * np.sin(pitch * along), 0, 1)
    elif kind == 2:
        strength = np.clip(4 * np.sin(pitch * along) * np.sin(pitch * across) - 1, 0, 1)
    elif kind == 3:
        coarse = Image.fromarray(rng.random((24, 24), np.float32))
        strength = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
        strength = np.clip(3 * strength - 1, 0, 1)
    else:
        strength = np.clip(along, 0, 1)
    second = rng.integers(30, 256, 3).astype(np.float32)
    share = np.float32(rng.uniform(0.3, 0.75)) * strength[:, :, None] * paint
    return picture * (1 - share) + second * share


def _light(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Light the picture unevenly and add the noise of a camera."""
    side = len(picture)
    ramp = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    fall_y, fall_x = rng.uniform(-0.35, 0.35, 2).astype(np.float32)
    light = np.float32(rng.uniform(0.8, 1.1)) + fall_y * ramp[:, None] + fall_x * ramp[None, :]
    tint = rng.uniform(0.92, 1.06, 3).astype(np.float32)
    noise = np.float32(rng.uniform(1, 7)) * rng.standard_normal(picture.shape, np.float32)
    return np.clip(picture * light[:, :, None] * tint + noise, 0, 255).astype(np.uint8)
