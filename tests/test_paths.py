"""Paths as users give them: one function reads all of them."""

import pathlib

import pytest

from partdisc.paths import user_path

PACKAGE = pathlib.Path(__file__).parents[1] / "partdisc"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("~/x", "/home/me/x"),
        ("~", "/home/me"),
        ("$PLACE/x", "/data/x"),
        ("${PLACE}/x", "/data/x"),
        ("a/~/x", "a/~/x"),
        ("$NOWHERE/x", "$NOWHERE/x"),
        ("/a b/x", "/a b/x"),
        (pathlib.Path("~/x"), "/home/me/x"),
    ],
)
def test_what_is_meant(monkeypatch, given, meant):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("PLACE", "/data")
    monkeypatch.delenv("NOWHERE", raising=False)
    assert user_path(given) == pathlib.Path(meant)


def test_no_other_module_reads_paths_its_own_way():
    others = [path for path in PACKAGE.rglob("*.py") if path.name != "paths.py"]
    assert len(others) > 80
    assert not [path for path in others if "expanduser" in path.read_text()]
