"""A data set that is listed: what its files say, and what its images hold."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from partdisc import errors
from partdisc.data import contents, coordinates, record
from partdisc.data.preparation import Gathered, check_usable, gather
from partdisc.data.settings import DataSettings


class Listed(NamedTuple):
    """A data set before it is prepared.

    Attributes:
        wanted: which data set, and what of it.
        listing: what its files say.
        records: the images that are wanted of it.
        contents: what each image holds, by its key.
        fingerprint: changes when images or annotation do.
    """

    wanted: DataSettings
    listing: record.Listing
    records: list[record.Record]
    contents: dict[str, contents.Content]
    fingerprint: str

    def gather(self) -> Gathered:
        """Begin to gather what its images are."""
        marks = (len(self.listing.landmark_names), self.listing.instances)
        return gather(marks, self.wanted.max_pixels, self.contents)

    def images(
        self, keys: Sequence[str], sizes: np.ndarray, test: np.ndarray
    ) -> coordinates.Images:
        """Return what tells whether coordinates are pixels of images.

        Args:
            keys: of them, N.
            sizes: height and width, upright, pixels [N, 2].
            test: whether they are of the test split [N].
        """
        frames = [self.contents[key].frame for key in keys]
        stored = [
            frame.stored if frame else tuple(size)
            for frame, size in zip(frames, sizes.tolist(), strict=True)
        ]
        return coordinates.Images(sizes, np.array(stored).reshape(-1, 2), test)

    @property
    def training(self) -> dict[str, str]:
        """What training sees: content, and box cropped to, of each usable training image."""
        cropped = self.wanted.crop_margin >= 0
        return {
            one.key: contents.digest(
                self.contents[one.key].hash.encode(), *(box_bytes(one) if cropped else ())
            )
            for one in self.records
            if "train" in one.splits and self._usable(one)
        }

    def _usable(self, one: record.Record) -> bool:
        """Say whether preparing an image will find it sound."""
        checked = self.contents[one.key].checked
        if checked is None:
            return bool(one.content)  # It is drawn.
        try:
            check_usable(checked.size, np.full(4, np.nan) if one.box is None else one.box)
        except errors.DataError:
            return False
        return True


def box_bytes(one: record.Record) -> list[bytes]:
    """Return what names the box of a record, for a digest; nothing where only drawing it tells."""
    return [] if one.box is None else [np.asarray(one.box, np.float64).tobytes()]
