"""Print `docs/config.md`: `python -m partdisc.config_page > docs/config.md`."""

import math

from partdisc.config import KEYS, SECTIONS, Key
from partdisc.deviations import PAPER

_HEAD = """\
# Every key of the configuration

<!-- Made by `python -m partdisc.config_page > docs/config.md` from partdisc/config.py. -->

Set any of them on the command line, as `--config.train.steps=300`, or in a file of `configs/`.
A value that is not allowed is refused before any work starts. A cell is a place of the feature map:
with the defaults, 16 x 16 pixels. Where a default is not the paper's, "As in the paper" gives the
value that does what the paper does; [partdisc/deviations.py](../partdisc/deviations.py) says why.
"""


def page() -> str:
    """Return the page: a table for each section."""
    parts = [_HEAD, _table("", "The whole run.", {"seed": KEYS["seed"]})]
    for name, section in SECTIONS.items():
        parts.append(_table(f"{name}.", section.about, section.keys))
    return "\n".join(parts)


def _table(prefix: str, about: str, keys: dict[str, Key]) -> str:
    rows = [
        f"| `{prefix}{name}` | {_value(key.default)} | {_allowed(key)} | {key.unit} "
        f"| {key.meaning}{_of_the_paper(prefix + name)} |\n"
        for name, key in keys.items()
    ]
    title = f"`{prefix.rstrip('.')}`" if prefix else "`seed`"
    head = "| key | default | allowed | unit | meaning |\n|---|---|---|---|---|\n"
    return f"## {title}\n\n{about}\n\n{head}{''.join(rows)}"


def _of_the_paper(name: str) -> str:
    return f" As in the paper: {_value(PAPER[name])}." if name in PAPER else ""


def _value(value: object) -> str:
    return "empty" if value == "" else f"`{value}`"


def _allowed(key: Key) -> str:
    if isinstance(key.default, bool):
        return "`True`, `False`"
    if key.choices or key.names:
        listed = ", ".join(f"`{name}`" for name in key.choices or key.names)
        return f"by commas: {listed}" if key.names else listed
    if key.text:
        return key.text
    kind = "whole number" if isinstance(key.default, int) else "number"
    bounds = f"{key.low} to {key.high}" if math.isfinite(key.high) else f"{key.low} or more"
    return f"{kind}, {bounds}"


if __name__ == "__main__":
    print(page(), end="")
