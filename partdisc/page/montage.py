"""Typical photos with their parts in colour, as one picture."""

import pathlib

from PIL import Image

from partdisc.page.album import Photo, opened
from partdisc.workdir import atomic

# Width of the picture, height of its rows before they are stretched to it, and the gap, pixels.
WIDTH, ROW, GAP = 1200, 190, 8
OPACITY = 0.55


def write_montage(path: pathlib.Path, photos: list[Photo]) -> None:
    """Draw photos in rows of equal width, each with its parts over it, into a PNG file."""
    rows = _rows([photo.size[1] / photo.size[0] for photo in photos])
    placed: list[tuple[int, int, int, int, Photo]] = []
    top, place = GAP, 0
    for aspects in rows:
        free = WIDTH - GAP * (len(aspects) + 1)
        # The last row may be short: it is not stretched beyond its own height.
        height = min(round(free / sum(aspects)), round(1.3 * ROW))
        left = GAP
        for aspect in aspects:
            width = round(height * aspect)
            placed.append((top, left, height, width, photos[place]))
            left, place = left + width + GAP, place + 1
        top += height + GAP
    canvas = Image.new("RGB", (WIDTH, top), "white")
    for y, x, height, width, photo in placed:
        canvas.paste(_coloured(photo, (width, height)), (x, y))
    with atomic(path) as temporary:
        canvas.save(temporary)


def _rows(aspects: list[float]) -> list[list[float]]:
    """Break a sequence of widths (of height 1) into rows."""
    rows: list[list[float]] = [[]]
    for aspect in aspects:
        if rows[-1] and ROW * (sum(rows[-1]) + aspect / 2) > WIDTH:
            rows.append([])
        rows[-1].append(aspect)
    return rows if aspects else []


def _coloured(photo: Photo, size: tuple[int, int]) -> Image.Image:
    """Draw the parts of a photo over it, at a width and height."""
    below = opened(photo.picture).convert("RGB").resize(size, Image.Resampling.LANCZOS)
    above = opened(photo.overlay).convert("RGBA").resize(size, Image.Resampling.NEAREST)
    share = above.getchannel("A").point(lambda alpha: round(OPACITY * alpha))
    return Image.composite(above.convert("RGB"), below, share)
