"""Write the pages that are made from the code: `python docs/pages.py`.

`config.md` is made from `partdisc/config.py`, `api.md` from the docstrings of what a program uses.
Run it when these have changed; a test fails as long as a page is not theirs.
"""

import inspect
import pathlib
import re
import textwrap
from collections.abc import Callable

import partdisc
from partdisc import errors
from partdisc.config import SECTIONS, WHOLE, Key
from partdisc.detector import Part, prediction
from partdisc.deviations import PAPER

_CONFIG = """\
# Every key of the configuration

<!-- Made by `python docs/pages.py` from partdisc/config.py. -->

Set any of them on the command line, as `--config.train.steps=300`, or in a file of `configs/`.
A value that is not allowed is refused before any work starts. A cell is a place of the feature map:
with the defaults, 16 x 16 pixels. Where a default is not the paper's, "As in the paper" gives the
value that does what the paper does; [partdisc/deviations.py](../partdisc/deviations.py) says why.
"""


def config_page() -> str:
    """Return the page of the configuration: a table for each section."""
    parts = [_CONFIG, _table("", "Seed and memory.", WHOLE)]
    for name, section in SECTIONS.items():
        parts.append(_table(f"{name}.", section.about, section.keys))
    return "\n".join(parts)


def _table(prefix: str, about: str, keys: dict[str, Key]) -> str:
    rows = [
        f"| `{prefix}{name}` | {_value(key.default)} | {_allowed(key)} | {key.unit} "
        f"| {key.meaning}{_of_the_paper(prefix + name)} |\n"
        for name, key in keys.items()
    ]
    title = f"`{prefix.rstrip('.')}`" if prefix else "The whole run"
    head = "| key | default | allowed | unit | meaning |\n|---|---|---|---|---|\n"
    return f"## {title}\n\n{about}\n\n{head}{''.join(rows)}"


def _of_the_paper(name: str) -> str:
    return f" As in the paper: {_value(PAPER[name])}." if name in PAPER else ""


def _value(value: object) -> str:
    return "empty" if value == "" else f"`{value}`"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _allowed(key: Key) -> str:
    if isinstance(key.default, bool):
        return "`True`, `False`"
    if key.choices or key.names:
        listed = ", ".join(f"`{name}`" for name in key.choices or key.names)
        return f"by commas: {listed}" if key.names else listed
    if key.text:
        return key.text
    kind = "whole number" if isinstance(key.default, int) else "number"
    bounds = f"{_number(key.low)} to {_number(key.high)}"
    return f"{kind}, {bounds}"


_API = """\
# partdisc from Python

<!-- Made by `python docs/pages.py` from the docstrings. -->

```python
import partdisc

detector = partdisc.load("runs/folder-path-to-photos")  # or partdisc.discover
for found in detector.predict(["new/1.jpg", "new/2.jpg"]):
    for part in found.parts:
        if part.present:
            print(found.image, part.name, part.point, part.box)

maps = detector.maps("new/1.jpg")  # how probable each part is at each pixel
detector.with_parts(3).save("three_parts.npz")
```

Points are (y, x) and boxes (y0, x0, y1, x1), in pixels of the upright photo. The centre of the top
left pixel is (0, 0). Array shapes are in brackets: H and W are the height and width of the photo, K
is the number of channels, k the number of parts.
"""

# What a program uses of a detector; the rest is for the package itself.
_METHODS = ("predict", "maps", "with_parts", "save", "export")


def api_page() -> str:
    """Return the page of the Python interface: each public name with what its docstring says."""
    detector = partdisc.Detector
    parts = [
        _API,
        "## Make a detector\n",
        _function("partdisc.discover", partdisc.discover),
        _function("partdisc.load", partdisc.load),
        "## Use a detector\n",
        _class(detector, ("parts",)),
        *(_function(f"Detector.{name}", getattr(detector, name)) for name in _METHODS),
        "## What it says of an image\n",
        *map(_class, (prediction.Prediction, prediction.FoundObject, prediction.FoundPart)),
        *map(_class, (prediction.Detection, Part)),
        "## Errors\n\nAll are in `partdisc.errors`. Each says in one line what to mend.\n",
        "".join(f"- `{name}`: {text}\n" for name, text in _errors().items()),
    ]
    return "\n".join(parts)


def _function(name: str, function: Callable) -> str:
    """Describe a function, or a method without its `self`."""
    signature = inspect.signature(function)
    given = [one for one in signature.parameters.values() if one.name != "self"]
    # Names of types without their modules: `os.PathLike` is long enough as `PathLike`.
    text = re.sub(r"\b(?:\w+\.)+(?=\w)|'", "", str(signature.replace(parameters=given)))
    short = name.rpartition(".")[2]
    return f"### `{name}`\n\n```python\n{short}{text}\n```\n\n{_described(function)}"


def _class(one: type, only: tuple[str, ...] = ()) -> str:
    """Describe a class by its attributes, or some of them, and its properties."""
    public = {name: value for name, value in vars(one).items() if not name.startswith("_")}
    docs = {
        name: inspect.getdoc(value)
        for name, value in public.items()
        if isinstance(value, property) or hasattr(value, "attrname")  # a cached property
    }
    title = f"partdisc.{one.__name__}" if one.__name__ in partdisc.__all__ else one.__name__
    text = f"### `{title}`\n\n{_described(one, only)}"
    return text + "".join(
        f"- `{name}`: {doc}\n" for name, doc in docs.items() if not only or name in only
    )


def _errors() -> dict[str, str]:
    classes = [one for _, one in inspect.getmembers(errors, inspect.isclass)]
    classes.sort(key=lambda one: len(one.__mro__))  # what all are comes first
    return {one.__name__: inspect.getdoc(one) for one in classes}


def _described(one: object, only: tuple[str, ...] = ()) -> str:
    """Return a docstring as Markdown: its text, and its sections as lists."""
    heads = "Args|Attributes|Raises|Returns"
    text, *sections = re.split(rf"^({heads}):\n", inspect.getdoc(one), flags=re.MULTILINE)
    parts = [text.strip() + "\n"]
    for head, body in zip(sections[::2], sections[1::2], strict=True):
        body = textwrap.dedent(body).strip()
        body = re.sub(r"\n +", " ", body)  # What is indented goes on with the line before.
        if head == "Returns":
            parts.append(f"Returns: {' '.join(body.split())}\n")
            continue
        items = [line.partition(": ") for line in body.splitlines()]
        kept = [f"- `{name}`: {text}\n" for name, _, text in items if not only or name in only]
        parts.append(f"{head}:\n\n{''.join(kept)}")
    return "\n".join(parts)


PAGES = {"config.md": config_page, "api.md": api_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (pathlib.Path(__file__).parent / name).write_text(page())
