"""The tensorflow-datasets side of a prepared data set: array_record files, no TensorFlow.

Importing this module imports tensorflow-datasets, which is slow: import it late.
"""

import contextlib
import errno
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from partdisc.errors import DataError, shortened

# Beyond 1 GB a split, tfds spills through TensorFlow's files. A data set is
# therefore written as volumes, each a tfds data set of its own.
VOLUME_BYTES = 512 << 20


class Images(tfds.core.GeneratorBasedBuilder):
    """Store images as the bytes of their own files, with their annotation, in given order.

    Args:
        examples: dicts of key, image (bytes), points [L, M, 2] and box [4].
        marks: L and M.
        data_dir: folder to write to.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, examples: Iterable[dict], marks: tuple[int, int], data_dir: str):
        self._examples = examples
        self._marks = marks
        super().__init__(data_dir=data_dir, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "key": tfds.features.Text(),
            "image": tfds.features.Image(),
            "points": tfds.features.Tensor(shape=(*self._marks, 2), dtype=np.float32),
            "box": tfds.features.Tensor(shape=(4,), dtype=np.float32),
        }
        features = tfds.features.FeaturesDict(features)
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, download_manager) -> dict:
        del download_manager
        return {"images": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict]]:
        yield from enumerate(self._examples)

    # tfds prints these two in bold whatever its settings.
    def _log_download_bytes(self) -> None:
        pass

    def _log_download_done(self) -> None:
        pass


def write(folder: pathlib.Path, examples: Iterable[dict], marks: tuple[int, int]) -> None:
    """Write examples (key, image, points, box) of marks L, M below a folder, in their order.

    Raises:
        OSError: the disk is full.
    """
    examples = iter(examples)
    with _quiet():
        for volume in itertools.count():
            first = next(examples, None)  # tfds refuses an empty split.
            if first is None:
                return
            data_dir = os.fspath(folder / f"{volume:05d}")
            try:
                Images(_volume(first, examples), marks, data_dir).download_and_prepare()
            except RuntimeError as error:  # array_record's; the reason is in its text alone
                if (full := os.strerror(errno.ENOSPC)) in str(error):
                    raise OSError(errno.ENOSPC, full, data_dir) from None
                raise


def _volume(first: dict, rest: Iterator[dict]) -> Iterator[dict]:
    written = len(first["image"])
    yield first
    while written < VOLUME_BYTES and (example := next(rest, None)) is not None:
        written += len(example["image"])
        yield example


class Source:
    """Read the bytes of images written by `write`, in any order and from any thread.

    Raises:
        errors.DataError: the folder is damaged; also where an image is read.
    """

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        # Decoding is ours: tfds knows no EXIF and no CMYK.
        raw = {"image": tfds.decode.SkipDecoding()}
        with undamaged(folder), _quiet():
            self._volumes = [
                tfds.builder_from_directory(data_dir).as_data_source("images", decoders=raw)
                for data_dir in sorted(folder.glob(f"*/images/{Images.VERSION}"))
            ]
            self._ends = np.cumsum([0, *map(len, self._volumes)])[1:]
        for end in self._ends:
            self[int(end) - 1]  # A file that was cut short says so where it is read.

    def __len__(self) -> int:
        return sum(map(len, self._volumes))

    def __getitem__(self, index: int) -> bytes:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        at = int(np.searchsorted(self._ends, index, side="right"))
        volume = self._volumes[at]
        with undamaged(self._folder):
            return volume[int(index - self._ends[at] + len(volume))]["image"]


@contextlib.contextmanager
def undamaged(folder: pathlib.Path) -> Iterator[None]:
    """Raise errors.DataError where what is read of a prepared folder turns out to be damaged."""
    try:
        yield
    except Exception as error:  # NumPy, tfds and array_record have many ways to say damage.
        if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
            raise  # Not the folder's fault, as where too many files are open.
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"{folder} is damaged ({shortened(reason)}); remove it, and the same command "
            "prepares it again"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    level = logging.get_verbosity()
    tfds.disable_progress_bar()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(level)
