"""The page as a file: whole, self-contained, with every place right."""

import csv
import dataclasses
import html.parser
import io
import json

import numpy as np
import pytest
from pages import PARTS, SIZES, pixels, planted, planted_album, planted_page
from PIL import Image

from partdisc.detector import FoundPart, part_rows
from partdisc.page import Album, Drawn, Page, write_page
from partdisc.progress import Table


class Reader(html.parser.HTMLParser):
    """Collects the attributes of tags, and the text of scripts."""

    def __init__(self):
        super().__init__()
        self.tags, self.scripts, self.inside, self.text = [], [], False, []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "script"

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] += data
        else:
            self.text.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


@pytest.fixture
def written(tmp_path):
    write_page(tmp_path / "report" / "index.html", planted_page())
    return read(tmp_path / "report" / "index.html")


def data_of(reader):
    return json.loads(reader.scripts[0])


def test_places_are_shares_of_the_photo(written):
    for n, (photo, (height, width)) in enumerate(
        zip(data_of(written)["photos"], SIZES, strict=True)
    ):
        y, x = photo["parts"][0]["point"]
        # The centre of pixel 20 + n is 20.5 + n pixels from the upper edge.
        assert y == pytest.approx((20.5 + n) / height, abs=1e-5)
        assert x == pytest.approx((13.5 + n) / width, abs=1e-5)
    first = data_of(written)["photos"][0]["object"]
    np.testing.assert_allclose(first, [3 / 61, 0, 1, 1], atol=1e-5)
    assert data_of(written)["photos"][-1]["object"] is None


def test_nothing_is_fetched_from_elsewhere(written):
    for _, attributes in written.tags:
        for name in ("src", "href", "action", "poster", "srcset", "data"):
            value = attributes.get(name) or ""
            assert value.startswith(("data:", "#")) or not value, value
    text = written.text + written.scripts
    assert not any("http://" in part or "https://" in part or "url(" in part for part in text)


def test_every_picture_says_what_it_shows(written):
    pictures = [attributes for tag, attributes in written.tags if tag == "img"]
    # A layer over a photo, and the frame of the enlarged one, say nothing of their own.
    said = [one for one in pictures if one.get("class") != "overlay" and "id" not in one]
    assert said and all(one["alt"] for one in said)


def test_sections_follow_what_there_is(written, tmp_path):
    ids = {attributes.get("id") for _, attributes in written.tags}
    assert {"typical", "parts", "photos", "without", "part-1", "part-3"} <= ids
    assert not {"measured", "training", "bad"} & ids
    Image.new("RGB", (3000, 500), "red").save(tmp_path / "curves.png")
    page = planted_page(
        bad=["broken <b>.jpg: not an image"],
        drawings=[Drawn(tmp_path / "curves.png", "Curves")],
        tables=[Table("birds", ["", "NME"], [["trained", "5.0"]])],
    )
    write_page(tmp_path / "all.html", page)
    whole = read(tmp_path / "all.html")
    assert {"measured", "training", "bad"} <= {one.get("id") for _, one in whole.tags}
    assert "broken <b>.jpg: not an image" in whole.text and "5.0" in whole.text


def test_what_a_user_wrote_is_text_and_no_markup(tmp_path):
    name = '</script><script>alert("1")</script>'
    parts = tuple(part._replace(name=name) for part in PARTS)
    album = Album(parts, 1)
    album.add(0, lambda: pixels((50, 50)), planted(name, (50, 50)))
    write_page(tmp_path / "page.html", Page(name, [name], parts, album.photos))
    reader = read(tmp_path / "page.html")
    assert len(reader.scripts) == 2 and data_of(reader)["photos"][0]["name"] == name
    assert data_of(reader)["parts"][0]["name"] == name


def test_the_table_of_parts_is_that_of_the_run(written):
    assert data_of(written)["table"] == json.loads(json.dumps(part_rows(PARTS)))
    text = io.StringIO()
    csv.writer(text).writerows(data_of(written)["table"])
    (row, *_) = csv.DictReader(io.StringIO(text.getvalue()))
    assert row["channels"] == "0 3"


def test_typical_photos_are_spread_and_the_least_certain_follow(tmp_path):
    album = Album(PARTS, 40)
    for place in range(40):
        found = planted(f"{place:02}", (50, 50))
        parts = tuple(FoundPart(*part[:3], place / 40, *part[4:]) for part in found.parts)
        album.add(place, lambda: pixels((50, 50)), dataclasses.replace(found, parts=parts))
    write_page(tmp_path / "page.html", Page("", [], PARTS, album.photos))
    shown = [
        int(one["data-photo"])
        for tag, one in read(tmp_path / "page.html").tags
        if tag == "button" and one.get("class") == "photo"
    ]
    typical, uncertain = shown[:15], shown[15:]
    assert min(typical) == 10 and max(typical) == 39 and typical == sorted(typical)
    assert uncertain == [0, 1, 2, 3, 4, 5]


def test_a_page_without_photos_or_objects(tmp_path):
    write_page(tmp_path / "none.html", Page("none", [], PARTS, []))
    assert data_of(read(tmp_path / "none.html"))["photos"] == []
    nothing = planted_album(SIZES[-1:]).photos
    write_page(tmp_path / "nothing.html", Page("nothing", [], PARTS, nothing))
    text = " ".join(read(tmp_path / "nothing.html").text)
    assert "No object was found in any photo." in text and "1 of 1 photos" in text


def test_a_page_repeats_itself(tmp_path):
    for name in ("a", "b"):
        write_page(tmp_path / name, planted_page())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
