"""Any folder of images, without annotation."""

import pathlib

import numpy as np

from partdisc import errors
from partdisc.data import record

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


def read(root: pathlib.Path) -> record.Listing:
    """List the images below a folder, however deep: all are in train.

    Hidden files and folders are left out; files with other endings are counted.

    Raises:
        errors.DataError: there is no such folder, or no image in it.
    """
    files = record.find_files(root)
    nothing = np.zeros((0, 2))
    records = [
        record.file_record(root, key, stat, ("train",), nothing)
        for key, stat in files.items()
        if key.lower().endswith(ENDINGS)
    ]
    if not records:
        raise errors.DataError(
            f"{root}: no images among its {len(files)} files; read are {', '.join(ENDINGS)}"
        )
    return record.Listing(records, [], ignored=len(files) - len(records))
