"""A page of planted parts, for tests."""

import numpy as np
from detectors import described

from partdisc.data.images import geometry
from partdisc.detector import FoundObject, FoundPart, Prediction, make_parts
from partdisc.page import Album, Page

PARTS = make_parts(described([0, 3], [1, 4], [2, 5]))
# Height and width of the photos: odd ones, a strip, a tall one.
SIZES = ((61, 83), (97, 40), (50, 50), (30, 240), (64, 64))
LEFT, RIGHT = np.array([200, 40, 40], np.uint8), np.array([40, 40, 200], np.uint8)


def planted(name, size, present=(True, True, False), point=(20.0, 13.0)):
    """Return a prediction: part 1 on the left half, part 2 on the right, part 3 nowhere."""
    height, width = size
    labels = np.ones(size, np.uint8)
    labels[:, width // 2 :] = 2
    labels[:3] = 0
    parts = tuple(
        FoundPart(part.id, part.title, point if part.id == 1 else (10.0, width - 9.0),
                  0.8 if seen else 0.01, seen, None, 0.4)
        for part, seen in zip(PARTS, present, strict=True)
    )  # fmt: skip
    whole = FoundObject((2.5, -0.5, height - 0.5, width - 0.5), 0.9, 0.9) if any(present) else None
    frame = geometry(np.asarray(size), None, min(size), 1, 20.0)
    return Prediction(name, size, whole, parts, (), frame, labels)


def pixels(size):
    """Return a photo: red on the left, blue on the right."""
    photo = np.empty((*size, 3), np.uint8)
    photo[:, : size[1] // 2], photo[:, size[1] // 2 :] = LEFT, RIGHT
    return photo


def planted_album(sizes=SIZES, most=2000):
    """Return an album of planted photos; nothing was found in the last one."""
    album = Album(PARTS, len(sizes), most)
    for place, size in enumerate(sizes):
        nothing = place == len(sizes) - 1
        present = (False,) * 3 if nothing else (True, place % 2 == 0, False)
        found = planted(f"photo {place}.jpg", size, present, (20.0 + place, 13.0 + place))
        album.add(place, lambda size=size: pixels(size), found)
    return album


def planted_page(**fields):
    album = planted_album()
    return Page("Planted <parts>", ["Two halves & a half."], PARTS, album.photos, **fields)
