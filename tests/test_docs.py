"""The pages of docs/: those made from the code are up to date, and what they show runs."""

import importlib.util
import pathlib
import re

import numpy as np
import pytest
from detectors import small_detector
from program import ROOT, photos

import partdisc

DOCS = ROOT / "docs"


def pages():
    """Import the script that makes pages."""
    spec = importlib.util.spec_from_file_location("pages", DOCS / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
