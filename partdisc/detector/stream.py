"""Images through a detector one after the other: batched by size, in order, in bounded memory."""

import concurrent.futures
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from partdisc import devices
from partdisc.data import images
from partdisc.data.bad_images import BadImage
from partdisc.detector.sources import Source, prepare
from partdisc.errors import DataError

# Images that wait, at most, until enough of their size make a batch.
WINDOW = 64
# For each device: threads that read files, and batches that are looked at side by side.
READERS, LOOKERS = 4, 2


class Way(NamedTuple):
    """What images go through.

    Attributes:
      batch: images at once.
      max_pixels: of an image that is read.
      geometry: says how an image of a height and width becomes the network's input.
      look: says something of each image of one size, as its prediction, given their names,
        pixels [batch, h, w, 3] and geometry; the last pixels may be of no image.
    """

    batch: int
    max_pixels: int
    geometry: Callable[[tuple[int, int]], images.Geometry]
    look: Callable[[list[str], np.ndarray, images.Geometry], list[Any]]


class Prepared(NamedTuple):
    """An image on its way.

    Attributes:
      place: among all images.
      name: of the image.
      geometry: how it became the network's input.
      pixels: the input, uint8 [h, w, 3].
      reason: why it cannot be used, "" where it can.
    """

    place: int
    name: str
    geometry: images.Geometry | None
    pixels: np.ndarray | None
    reason: str


def predictions(
    way: Way, sources: Iterable[Source], on_bad: Callable[[BadImage], None] | None
) -> Iterator[Any]:
    """Yield what is said of each image, in their order.

    Args:
      way: what they go through.
      sources: the images; they are read as they are needed, a window ahead.
      on_bad: told of each image that cannot be used, which is then left out; None makes it an
        error.

    Raises:
      errors.DataError: names the image that cannot be used.
    """
    waiting: dict[tuple[int, int], list[Prepared]] = {}
    with concurrent.futures.ThreadPoolExecutor(LOOKERS * devices.here()) as lookers:
        looking = _Looking(way, lookers)
        for one in _read_ahead(way, sources):
            place = one.place
            if one.reason:
                if on_bad is None:
                    raise DataError(f"{one.name}: {one.reason}")
                on_bad(BadImage(one.name, one.reason))
                looking.leave_out(place)
            else:
                size = one.pixels.shape[:2]
                group = waiting.setdefault(size, [])
                group.append(one)
                if len(group) == way.batch:
                    looking.look(waiting.pop(size))
            oldest = min((group[0].place for group in waiting.values()), default=place)
            if place - oldest >= WINDOW:
                size = next(size for size, group in waiting.items() if group[0].place == oldest)
                looking.look(waiting.pop(size))
            yield from looking.done()
        for group in waiting.values():
            looking.look(group)
        yield from looking.rest()


class _Looking:
    """Batches that are looked at, two on a device: one's maps are read, the next is on its way.

    What was found is given in the order of the images.
    """

    def __init__(self, way: Way, lookers: concurrent.futures.Executor):
        self._way, self._lookers = way, lookers
        self._found: dict[int, concurrent.futures.Future | None] = {}
        self._running: deque[concurrent.futures.Future] = deque()
        self._next = self._batches = 0

    def leave_out(self, place: int) -> None:
        """Count an image in which nothing is looked for."""
        self._found[place] = None

    def look(self, group: list[Prepared]) -> None:
        """Look at images of one size; where too many batches wait, until the first is done."""
        while len(self._running) > LOOKERS * devices.here():
            self._running.popleft().result()
        batch = self._lookers.submit(_predict, self._way, group, self._batches)
        self._batches += 1
        self._running.append(batch)
        self._found |= dict.fromkeys((one.place for one in group), batch)

    def done(self) -> Iterator[Any]:
        """Yield what has been found, up to the first image that is not done."""
        while self._next in self._found:
            batch = self._found[self._next]
            if batch is not None and not batch.done():
                return
            yield from self._take()

    def rest(self) -> Iterator[Any]:
        """Yield all that is left, as it is found."""
        while self._next in self._found:
            yield from self._take()

    def _take(self) -> Iterator[Any]:
        place, self._next = self._next, self._next + 1
        batch = self._found.pop(place)
        if batch is not None:
            yield batch.result()[place]


def _read_ahead(way: Way, sources: Iterable[Source]) -> Iterator[Prepared]:
    """Read and resize images in threads, a few batches ahead of what is asked for."""

    def read(place: int, source: Source) -> Prepared:
        try:
            read = prepare(source.picture, way.geometry, way.max_pixels)
            return Prepared(place, source.name, *read, "")
        except DataError as error:
            return Prepared(place, source.name, None, None, str(error))

    several = devices.here()
    with concurrent.futures.ThreadPoolExecutor(READERS * several) as readers:
        ahead: deque[concurrent.futures.Future] = deque()
        for place, source in enumerate(sources):
            ahead.append(readers.submit(read, place, source))
            if len(ahead) > (2 * way.batch + READERS) * several:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _predict(way: Way, group: list[Prepared], number: int) -> dict[int, Any]:
    """Predict images of one size: place -> prediction.

    A short group is filled up, so that each image size is compiled once and one image alone
    gives what it gives in a batch.
    """
    pixels = np.stack([one.pixels for one in group])
    fill = way.batch - len(group)
    pixels = np.pad(pixels, ((0, fill), (0, 0), (0, 0), (0, 0)))
    geometry = images.Geometry(
        *(np.stack(fields) for fields in zip(*(one.geometry for one in group), strict=True))
    )
    with devices.turn(number):
        found = way.look([one.name for one in group], pixels, geometry)
    return {one.place: prediction for one, prediction in zip(group, found, strict=True)}
