"""The pages of docs/: those made from the code are up to date, and what they show runs."""

import ast
import pathlib
import re

import numpy as np
import pytest
from detectors import small_detector
from program import ROOT, photos, script

import partdisc
from partdisc.config import KEYS

DOCS = ROOT / "docs"
TROUBLE = (DOCS / "troubleshooting.md").read_text()
# Each message stands on a line of its own.
MESSAGES = re.findall(r"^\*\*`(.+)`\*\*$", TROUBLE, re.MULTILINE)


def pages():
    """Import the script that makes pages."""
    return script(DOCS / "pages.py")


@pytest.mark.parametrize("name", pages().PAGES)
def test_pages_made_from_the_code_are_up_to_date(name):
    command = "python docs/pages.py"
    page = pages().PAGES[name]()
    assert command in page
    assert (DOCS / name).read_text() == page, f"stale; run {command}"


def test_every_public_name_is_on_the_page():
    page = pages().api_page()
    for name in partdisc.__all__:
        assert f"### `partdisc.{name}`" in page
    # No section of a docstring is left as it stands in the code.
    assert not re.search(r"^ +(Args|Returns|Raises|Attributes):", page, re.MULTILINE)


def test_the_example_of_the_page_runs(tmp_path, monkeypatch, capsys):
    example = re.search(r"```python\n(.*?)```", (DOCS / "api.md").read_text(), re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    run = pathlib.Path("runs/folder-path-to-photos")
    small_detector().save(run / "detector.npz")
    for number, photo in enumerate(sorted(photos(pathlib.Path("new"), 2).iterdir()), 1):
        photo.rename(f"new/{number}.jpg")
    names = {}
    exec(example, names)
    printed = capsys.readouterr().out.splitlines()
    assert printed and all(re.match(r"new/[12]\.jpg part [123] \(", line) for line in printed)
    assert names["maps"].shape == (64, 64, 4) and np.isfinite(names["maps"]).all()
    assert len(partdisc.load("three_parts.npz").parts) == 3


def words_of(path):
    """Return the texts of a module, those of f-strings piece by piece."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [one.value for one in nodes if isinstance(one, ast.Constant) and type(one.value) is str]


WORDS = {path: words_of(path) for path in (ROOT / "partdisc").rglob("*.py")}


def fixed(message):
    """Return the words of a message that are the same in every case."""
    return [text for text in re.split(r"<[^>]*>|\.\.\.", message) if text.strip(" .:;()'")]


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_that_are_explained_are_those_of_the_program(message):
    texts = fixed(message)
    assert sum(len(text.split()) for text in texts) >= 2
    found = [
        path
        for path, words in WORDS.items()
        if all(any(text in one for one in words) for text in texts)
    ]
    assert found, texts


def test_a_message_that_is_not_the_programs_would_be_found():
    assert fixed("<file>: lacks <layer> of ...") == [": lacks ", " of "]
    assert len(MESSAGES) >= 20 and len(set(MESSAGES)) == len(MESSAGES)
    # No other line is in bold code, so that none escapes the test.
    assert TROUBLE.count("\n**`") == len(MESSAGES)


def test_keys_that_are_advised_are_keys():
    for name in re.findall(r"config\.([a-z]+\.[a-z_]+)\b", TROUBLE):
        assert name in KEYS, name


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        file, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / file) if file else page
        assert target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            names = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in names, link
