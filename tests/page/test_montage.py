"""Photos with their parts as one picture."""

import numpy as np
import pytest
from pages import LEFT, PARTS, planted_album
from PIL import Image

from partdisc.detector import rgb
from partdisc.page import write_montage
from partdisc.page.montage import GAP, OPACITY, WIDTH


def test_photos_stand_in_rows_with_their_parts_over_them(tmp_path):
    photos = planted_album([(50, 80)] * 9).photos[:8]
    write_montage(tmp_path / "parts.png", photos)
    with Image.open(tmp_path / "parts.png") as image:
        pixels = np.asarray(image.convert("RGB"), float)
    assert pixels.shape[1] == WIDTH
    # Four photos of 1.6 to 1 in each of two rows.
    side = (WIDTH - 5 * GAP) / 4
    assert pixels.shape[0] == pytest.approx(3 * GAP + 2 * side / 1.6, abs=2)
    mixed = (1 - OPACITY) * LEFT + OPACITY * np.array(rgb(PARTS[0].colour))
    for row in (0, 1):
        for column in range(4):
            y, x = GAP + row * (side / 1.6 + GAP) + 60, GAP + column * (side + GAP) + 30
            assert np.abs(pixels[int(y), int(x)] - mixed).max() < 12


@pytest.mark.parametrize("sizes", [[], [(30, 900)], [(900, 30)] * 3])
def test_any_shape_has_its_row(tmp_path, sizes):
    photos = planted_album([*sizes, (9, 9)]).photos[:-1]
    write_montage(tmp_path / "parts.png", photos)
    with Image.open(tmp_path / "parts.png") as image:
        assert image.width == WIDTH and image.height < 400
