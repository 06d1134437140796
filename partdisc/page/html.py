"""Put a page together: one file that needs nothing else, neither a network nor a server."""

import json
import pathlib
from importlib import resources
from typing import Any, NamedTuple

import jinja2
from PIL import Image

from partdisc.detector import Part, part_rows
from partdisc.page.album import Photo, data_uri, evenly
from partdisc.page.cards import make_cards
from partdisc.progress import Table
from partdisc.workdir import atomic

# Photos that the page opens with, and the least certain ones below them.
TYPICAL, UNCERTAIN = 15, 6
# Widest drawing on the page, pixels.
WIDEST = 1400


class Drawn(NamedTuple):
    """A drawing under "how it was trained".

    Attributes:
      path: of the PNG file.
      caption: what it shows.
    """

    path: pathlib.Path
    caption: str


class Page(NamedTuple):
    """What a page says.

    Attributes:
      title: its heading.
      facts: sentences below it.
      parts: all of them.
      photos: in their order.
      bad: "NAME: reason" of each image that could not be used.
      drawings: of the training, maybe none.
      tables: of measurements against labels, maybe none.
    """

    title: str
    facts: list[str]
    parts: tuple[Part, ...]
    photos: list[Photo]
    bad: list[str] = []
    drawings: list[Drawn] = []
    tables: list[Table] = []


def write_page(path: pathlib.Path, page: Page) -> None:
    """Write a page to an HTML file, which appears when it is whole."""
    typical, uncertain = choose(page.photos)
    text = _template().render(
        page=page,
        typical=typical,
        uncertain=uncertain,
        without=[n for n, photo in enumerate(page.photos) if photo.object is None],
        cards=make_cards(page.parts, page.photos),
        titles={part.id: part.title for part in page.parts},
        drawings=[(_drawing(one.path), one.caption) for one in page.drawings],
        data=_data(page),
        style=_text("style.css"),
        script=_text("script.js"),
    )
    with atomic(path) as temporary:
        # Names of files may be no text.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def choose(photos: list[Photo]) -> tuple[list[int], list[int]]:
    """Return the places of typical photos with an object, and of the least certain ones."""
    found = [n for n, photo in enumerate(photos) if photo.object]
    ranked = sorted(found, key=lambda n: photos[n].certainty)
    # From the better three quarters, evenly: typical, not the best.
    better = sorted(ranked[len(ranked) // 4 :])
    typical = [better[place] for place in evenly(len(better), TYPICAL)]
    return typical, ranked[: min(UNCERTAIN, len(ranked) // 4)]


def _text(name: str) -> str:
    return resources.files("partdisc.page").joinpath(name).read_text(encoding="utf-8")


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.0f} %"
    return environment.from_string(_text("page.html"))


def _drawing(path: pathlib.Path) -> str:
    with Image.open(path) as image:
        image = image.convert("RGB")
    image.thumbnail((WIDEST, 10 * WIDEST))
    return data_uri(image, "webp", quality=80)


def _data(page: Page) -> str:
    """Return what the script works with, as JSON that may stand inside HTML."""
    data = {
        "parts": [{"id": part.id, "name": part.name, "colour": part.colour} for part in page.parts],
        "table": part_rows(page.parts),
        "photos": [_photo(photo) for photo in page.photos],
    }
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _photo(photo: Photo) -> dict[str, Any]:
    """Return a photo for the script; places are shares of its height and width."""
    height, width = photo.original

    def share(y: float, x: float) -> list[float]:
        # The centre of pixel 0 lies half a pixel inside.
        return [round((y + 0.5) / height, 5), round((x + 0.5) / width, 5)]

    whole = photo.object
    return {
        "name": photo.name,
        "height": photo.size[0],
        "width": photo.size[1],
        "picture": photo.picture,
        "overlay": photo.overlay,
        "certainty": round(photo.certainty, 4),
        "object": [*share(*whole.box[:2]), *share(*whole.box[2:])] if whole else None,
        "parts": [
            {"score": round(part.score, 3), "present": part.present, "point": share(*part.point)}
            for part in photo.parts
        ],
    }
