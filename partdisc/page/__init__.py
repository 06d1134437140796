"""One self-contained HTML page: photos with their parts in colour, and a card for each part.

`album` keeps photos small, `cards` says what is known of a part, `html` puts the page together
from `page.html`, `style.css` and `script.js`.
"""

from partdisc.page.album import MOST_PHOTOS, Album, Photo
from partdisc.page.html import Drawn, Page, Table, write_page

__all__ = ["MOST_PHOTOS", "Album", "Drawn", "Page", "Photo", "Table", "write_page"]
