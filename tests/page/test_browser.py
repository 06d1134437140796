"""The page in a browser: clicks, keys, names, widths; nothing goes wrong on the way."""

import csv
import shutil

import pytest
from pages import PARTS, SIZES, planted_page

from partdisc.page import write_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if not program:
        pytest.skip(f"no browser is installed: {', '.join(NAMES)}")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program)
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    write_page(path, planted_page())
    return path.as_uri()


@pytest.fixture
def visit(browser, file):
    """Open the page in a window of a size; what the browser complains of fails the test."""
    complaints, contexts = [], []

    def opened(viewport=DESK, **options):
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda one: one.url == file or one.url.startswith(("data:", "blob:"))
               or complaints.append(one.url))  # fmt: skip
        tab.goto(file)
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def middle(box):
    return box["y"] + box["height"] / 2, box["x"] + box["width"] / 2


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_marks_lie_on_their_pixels(visit, viewport):
    tab = visit(viewport)
    for n, (height, width) in enumerate(SIZES[:-1]):
        tab.click(f"#gallery [data-photo='{n}']")
        picture = tab.locator("#large-picture").bounding_box()
        y, x = middle(tab.locator("#large-points b").first.bounding_box())
        down, across = picture["height"] / height, picture["width"] / width
        assert down == pytest.approx(across, rel=0.02)
        # The centre of pixel 20 + n lies half a pixel further; to half a pixel of the screen.
        assert y - picture["y"] == pytest.approx((20.5 + n) * down, abs=0.6)
        assert x - picture["x"] == pytest.approx((13.5 + n) * across, abs=0.6)
        box = tab.locator("#large-box").bounding_box()
        assert box["y"] - picture["y"] == pytest.approx(3 * down, abs=0.6)
        assert box["x"] - picture["x"] == pytest.approx(0, abs=0.6)
        tab.click("#close")


def colour_at(tab, share):
    """Return the overlay's red, green, blue, opacity at a share of its height and width."""
    return tab.evaluate(
        """([y, x]) => {
            const canvas = document.getElementById('large-overlay');
            const copy = document.createElement('canvas');
            [copy.width, copy.height] = [canvas.width, canvas.height];
            const context = copy.getContext('2d');
            context.drawImage(canvas, 0, 0);
            return [...context.getImageData(
                Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data];
        }""",
        share,
    )


def test_single_parts_are_shown_and_hidden(visit):
    tab = visit()
    tab.click("#gallery [data-photo='0']")
    left, right = (0.5, 0.2), (0.5, 0.8)
    tab.wait_for_function("document.getElementById('large-overlay').width === 83")
    red = [230, 25, 75, 255]  # of part 1
    assert colour_at(tab, left) == red and colour_at(tab, right)[3] == 255
    assert tab.locator("#large-points b").count() == 2
    tab.uncheck("#large-parts input[value='1']")
    assert colour_at(tab, left)[3] == 0 and colour_at(tab, right)[3] == 255
    assert tab.locator("#large-points b").all_text_contents() == ["2"]
    tab.click("#none")
    assert colour_at(tab, right)[3] == 0 and tab.locator("#large-points b").count() == 0
    tab.click("#all")
    assert colour_at(tab, left) == red


def test_keys_go_through_the_photos(visit):
    tab = visit()
    tab.focus("#gallery [data-photo='0']")
    tab.keyboard.press("Enter")
    name = tab.locator("#large-name")
    assert name.text_content() == "photo 0.jpg"
    tab.keyboard.press("ArrowRight")
    assert name.text_content() == "photo 1.jpg"
    for _ in range(2):
        tab.keyboard.press("ArrowLeft")
    assert name.text_content() == "photo 4.jpg"  # around the end
    tab.keyboard.press("p")
    assert tab.locator("#large-parts input:checked").count() == 0
    tab.keyboard.press("p")
    assert tab.locator("#large-parts input:checked").count() == len(PARTS)
    tab.keyboard.press("Escape")
    assert not tab.locator("#large").is_visible()


def shown(tab):
    return [int(one.get_attribute("data-photo")) for one in tab.locator("#gallery .photo").all()]


def test_photos_are_filtered_and_sorted(visit):
    tab = visit()
    assert shown(tab) == [0, 1, 2, 3, 4]
    tab.select_option("#which", "2")
    assert shown(tab) == [0, 2]
    assert tab.locator("#count").text_content() == "2 of 5 photos"
    tab.select_option("#which", "0")
    tab.select_option("#sort", "least")
    assert shown(tab)[0] == 4 and shown(tab)[-1] in (0, 2)
    tab.click("#part-2 .show")
    assert shown(tab) == [0, 2]
    overlay = tab.locator("#gallery .overlay").first
    assert overlay.is_visible()
    tab.uncheck("#coloured")
    assert not overlay.is_visible()


def cards(tab):
    return [
        int(one.get_attribute("data-part"))
        for one in tab.locator(".card").all()
        if one.is_visible()
    ]


def test_parts_are_filtered_and_sorted(visit):
    tab = visit()
    assert cards(tab) == [1, 2, 3]
    tab.locator("#least").fill("30")
    assert cards(tab) == [1, 2]
    tab.locator("#least").fill("70")
    assert cards(tab) == [1]
    tab.locator("#least").fill("0")
    tab.fill("#search", "part 3")
    assert cards(tab) == [3]
    tab.fill("#search", "no such part")
    assert cards(tab) == [] and tab.locator("#nothing").is_visible()


def test_names_go_into_the_table_that_is_downloaded(visit):
    tab = visit()
    tab.fill("#part-2 .name", 'left, or "port"')
    assert tab.locator("#typical .chip").nth(1).text_content().strip() == 'left, or "port"'
    with tab.expect_download() as event:
        tab.click("#download")
    assert event.value.suggested_filename == "parts.csv"
    with open(event.value.path(), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["", 'left, or "port"', ""]
    assert [row["channels"] for row in rows] == ["0 3", "1 4", "2 5"]
    tab.fill("#search", "port")
    assert cards(tab) == [2]
    tab.click("#gallery [data-photo='0']")
    assert 'left, or "port"' in tab.locator("#large-parts").text_content()


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_it_in_its_width(visit, dark):
    tab = visit(PHONE, color_scheme="dark" if dark else "light")
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    tab.click("#typical .photo")
    assert tab.locator("#large").bounding_box()["width"] <= PHONE["width"]
    back = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, back[4:-1].split(", "))) < 200) == dark


def test_it_can_be_printed(visit):
    tab = visit()
    assert tab.pdf()[:5] == b"%PDF-"
    tab.emulate_media(media="print")
    assert not tab.locator("#download").is_visible() and tab.locator("#part-1").is_visible()


def test_the_opening_needs_no_script(browser, file):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(file)
    assert tab.locator("#typical .photo img").first.is_visible()
    assert tab.locator("#part-1 .patch").count() > 0
    context.close()
