"""Images that cannot be used: skipped, reported by name, counted; too many are an error.

`preparation` finds them where a run prepares its data, `doctor` where `--mode=check` examines it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from partdisc import errors

# That are reported one by one.
SHOWN = 10


class BadImage(NamedTuple):
    """One image that cannot be used, and why."""

    name: str
    reason: str


def check_few(bad: Sequence[BadImage], total: int, max_bad_fraction: float) -> None:
    """Refuse a data set of which too many images cannot be used.

    Args:
        bad: those that cannot.
        total: images in all.
        max_bad_fraction: share of the images that may be bad.

    Raises:
        errors.DataError: there is no image, none can be used, or too many cannot.
    """
    if not total:
        raise errors.DataError("the lists of the data set name no image to use")
    if len(bad) < total and len(bad) <= max_bad_fraction * total:
        return
    first = "; ".join(f"{name}: {reason}" for name, reason in bad[:3])
    raise errors.DataError(
        f"{len(bad)} of {total} images cannot be used "
        f"(data.max_bad_fraction is {max_bad_fraction}): {first}"
        f"{'; ...' if len(bad) > 3 else ''}"
    )


def report(bad: Sequence[BadImage], where: str = "listed in data.json") -> list[str]:
    """Return the lines that say which images were skipped, why, and how many in all.

    Args:
        bad: the images.
        where: they are to be found, all of them.
    """
    lines = [f"skipped {name}: {reason}" for name, reason in bad[:SHOWN]]
    if len(bad) > SHOWN:
        lines.append(f"and {len(bad) - SHOWN} more, {where}")
    return lines + ([f"{len(bad)} image{'s' * (len(bad) > 1)} skipped in all"] if bad else [])
