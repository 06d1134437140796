"""One self-contained HTML page: photos with their parts in colour, and a card for each part.

`album` keeps photos small, `cards` says what is known of a part, `html` puts the page together
from `page.html`, `style.css` and `script.js`; `montage` is its opening as a picture.
"""

from partdisc.page.album import MOST_PHOTOS, Album, Photo
from partdisc.page.html import Drawn, Page, choose, write_page
from partdisc.page.montage import write_montage

__all__ = [
    "MOST_PHOTOS",
    "Album",
    "Drawn",
    "Page",
    "Photo",
    "choose",
    "write_montage",
    "write_page",
]
