"""Any folder of images, without annotation."""

import pathlib

import numpy as np

from partdisc import errors
from partdisc.data import record
from partdisc.data.bad_images import BadImage
from partdisc.data.files import find_files


def read(root: pathlib.Path) -> record.Listing:
    """List the images below a folder, however deep: all are in train.

    Hidden files and folders are left out, and work directories. Files with other endings are
    noted. Broken links and folders that cannot be read are problems.

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
    problems = [
        BadImage(name, reason) for name, reason in files.unread.items() if record.may_be_image(name)
    ]
    if not records:
        lost = f"; {len(problems)} more cannot be read, such as " if problems else ""
        first = "".join(f"{name}: {reason}" for name, reason in problems[:1])
        raise errors.DataError(
            f"{root}: no images among its {len(files)} files; read are "
            f"{', '.join(record.ENDINGS)}{lost}{first}"
        )
    others = len(files) - len(records)
    notes = (f"{others} files passed over: no images by their endings",) if others else ()
    return record.Listing(records, problems, notes=notes)
