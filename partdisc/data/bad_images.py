"""Images that cannot be used: skipped, reported by name, counted; too many are an error.

`preparation` finds them where a run prepares its data, `doctor` where `--mode=check` examines it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from partdisc import errors

# That are reported one by one.
SHOWN = 10
# Reasons that are named where all are said in one line.
REASONS = 3


class BadImage(NamedTuple):
    """One image that cannot be used, and why."""

    name: str
    reason: str


def check_few(
    bad: Sequence[BadImage], total: int, max_bad_fraction: float, what: str = "images"
) -> None:
    """Refuse a data set of which too many images, or annotations, cannot be used.

    Args:
        bad: those that cannot.
        total: in all.
        max_bad_fraction: share of them that may be bad.
        what: they are called.

    Raises:
        errors.DataError: there is none, none can be used, or too many cannot.
    """
    if not total:
        raise errors.DataError(f"the data set has no {what} to use")
    if len(bad) < total and len(bad) <= max_bad_fraction * total:
        return
    first = "; ".join(f"{name}: {reason}" for name, reason in bad[:3])
    raise errors.DataError(
        f"{len(bad)} of {total} {what} cannot be used "
        f"(data.max_bad_fraction is {max_bad_fraction}): {first}"
        f"{'; ...' if len(bad) > 3 else ''}"
    )


def report(
    bad: Sequence[BadImage], where: str = "listed in data.json", what: str = "image"
) -> list[str]:
    """Return the lines that say which images were skipped, why, and how many in all.

    Args:
        bad: the images, or annotations.
        where: they are to be found, all of them.
        what: one of them is called.
    """
    lines = [f"skipped {name}: {reason}" for name, reason in bad[:SHOWN]]
    if len(bad) > SHOWN:
        lines.append(f"and {len(bad) - SHOWN} more, {where}")
    return lines + ([f"{len(bad)} {what}{'s' * (len(bad) > 1)} skipped in all"] if bad else [])


def reasons(bad: Sequence[BadImage]) -> str:
    """Say in one line why images were left out: the most frequent reasons, each with an image.

    Reasons that differ in their numbers alone count as one.
    """
    groups: dict[str, list[BadImage]] = {}
    for one in bad:
        groups.setdefault(re.sub(r"\d[\d,.]*", "0", one.reason), []).append(one)
    ranked = sorted(groups.values(), key=len, reverse=True)
    said = []
    for first, *others in ranked:
        more = f" and {len(others)} other{'s' * (len(others) > 1)}" if others else ""
        said.append(f"{first.name}{more}: {first.reason}")
    return "; ".join(said[:REASONS]) + "; ..." * (len(said) > REASONS)
