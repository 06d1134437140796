"""The ids of COCO files, which programs write in more than one way: 1, 1.0, "1"."""

import functools
from typing import Any


class Entries(dict[Any, dict]):
    """The entries of one section of a file, by their ids."""

    def meant(self, given: Any) -> Any:
        """Return the id that is meant, None where there is none or more than one.

        A whole number may be written as another type: 1.0 or "1".
        """
        if not is_id(given):
            return None
        if given in self:
            return given
        alike = self._alike.get(_spelled(given), [])
        return alike[0] if len(alike) == 1 else None

    @functools.cached_property
    def _alike(self) -> dict[str, list]:
        found: dict[str, list] = {}
        for one in self:
            found.setdefault(_spelled(one), []).append(one)
        return found


def is_id(value: Any) -> bool:
    """Say whether something can be an id."""
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int | str) and not isinstance(value, bool)


def _spelled(value: int | float | str) -> str:
    """Return an id as text, the same for the same whole number."""
    text = str(int(value) if isinstance(value, float) else value)
    return text.lstrip("0") or "0" if text.isdecimal() else text
