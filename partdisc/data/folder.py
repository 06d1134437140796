"""Any folder of images, without annotation."""

import pathlib

import numpy as np

from partdisc import errors
from partdisc.data import record
from partdisc.data.files import find_files


def read(root: pathlib.Path) -> record.Listing:
    """List the images below a folder, however deep: all are in train.

    Hidden files and folders are left out; files with other endings are noted.

    Raises:
        errors.DataError: there is no such folder, or no image in it.
    """
    files = find_files(root)
    nothing = np.zeros((0, 2))
    records = [
        record.file_record(root, key, stat, ("train",), nothing)
        for key, stat in files.items()
        if key.lower().endswith(record.ENDINGS)
    ]
    if not records:
        raise errors.DataError(
            f"{root}: no images among its {len(files)} files; read are {', '.join(record.ENDINGS)}"
        )
    others = len(files) - len(records)
    notes = (f"{others} files passed over: no images by their endings",) if others else ()
    return record.Listing(records, [], notes=notes)
