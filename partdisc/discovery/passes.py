"""Images on their way through the network: batches of one size, read ahead of it."""

import concurrent.futures
from collections.abc import Callable, Iterator

import numpy as np

from partdisc.discovery.inputs import Inputs

# Threads that read images, and batches that they are ahead.
READERS, AHEAD = 4, 2


def batches(rows: np.ndarray, sizes: np.ndarray, batch: int) -> Iterator[np.ndarray]:
    """Sort rows of sizes [N, 2] by size, else as they are, and cut them into batches of one."""
    order = rows[np.lexsort((sizes[rows, 1], sizes[rows, 0]))]
    start = 0
    while start < len(order):
        same = np.all(sizes[order[start : start + batch]] == sizes[order[start]], axis=1)
        stop = start + (len(same) if same.all() else int(np.argmin(same)))
        yield order[start:stop]
        start = stop


def read_ahead(
    inputs: Inputs,
    groups: list[np.ndarray],
    batch: int,
    mine: Callable[[np.ndarray], np.ndarray] = lambda group: np.arange(len(group)),
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read images as the network takes them.

    Args:
      inputs: the images.
      groups: of one size each, at most `batch` images.
      batch: images of a pass.
      mine: says which places of a group are read; the others stay zero.

    Yields:
      A group, and its pixels uint8 [batch, h, w, 3]: a short one is filled up with zeros, so that
      each size is compiled once.
    """
    sizes = np.asarray(inputs.geometry.working)

    def read(index: np.int64) -> np.ndarray:
        return inputs.dataset.working_image(int(index), inputs.geometry.take(int(index)))

    with concurrent.futures.ThreadPoolExecutor(READERS) as readers:

        def begin(some: list[np.ndarray]) -> list[Iterator[np.ndarray]]:
            return [readers.map(read, group[mine(group)]) for group in some]

        waiting = begin(groups[:AHEAD])
        for number, group in enumerate(groups):
            waiting.extend(begin(groups[number + AHEAD : number + AHEAD + 1]))
            pixels = np.zeros((batch, *sizes[group[0]], 3), np.uint8)
            for row, image in zip(mine(group), waiting.pop(0), strict=True):
                pixels[row] = image
            yield group, pixels
