"""The page a figure is written on."""

import pathlib
from typing import NamedTuple


class Page(NamedTuple):
    """Where a figure goes, and what stands around it.

    Attributes:
      path: the PNG file.
      caption: what the figure shows, in bold over it; '' for the figure's own words.
      note: a remark in its lower corner, such as "random backbone weights".
    """

    path: pathlib.Path
    caption: str = ""
    note: str = ""

    def ending(self, caption: str, *, follows: str) -> dict[str, str]:
        """Return the texts around a figure.

        Args:
          caption: the figure's own words.
          follows: a fainter line below the caption.
        """
        return {"caption": self.caption or caption, "follows": follows, "note": self.note}
