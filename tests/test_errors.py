"""Messages: one line each, whatever the name of a file holds."""

import pytest

from partdisc import errors
from partdisc.progress import say, table

NAMES = {
    "a\nb.jpg": "a\\nb.jpg",
    "a\rb.jpg": "a\\rb.jpg",
    "\x1b[31mred.jpg": "\\x1b[31mred.jpg",
    "\u202egpj.exe": "\\u202egpj.exe",
    "\u2028.jpg": "\\u2028.jpg",
    "caf\udce9.jpg": "caf\\udce9.jpg",
    "vögel 鳥 \\.jpg": "vögel 鳥 \\.jpg",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_message_shows_any_name_in_one_line(name, capsys):
    for kind in (errors.DataError, errors.WorkdirError, errors.ConfigError):
        assert str(kind(f"{name}: no image")) == f"{NAMES[name]}: no image"
    say(f"skipped {name}")
    table("images", ["name"], [[name]])
    assert capsys.readouterr().out.splitlines()[::4] == [f"skipped {NAMES[name]}", NAMES[name]]


def test_a_message_in_a_message_stays_as_it_is():
    inner = errors.DataError("a\nb")
    assert str(errors.DataError(f"c: {inner}")) == "c: a\\nb"
