"""The log of training, metrics.jsonl, and what it says of a collapse."""

import json
import os
import pathlib

import numpy as np

from partdisc import devices
from partdisc.progress import say
from partdisc.workdir import json_object, write_lines

# The layer has collapsed where the background wins more than this share of the cells, or
# where fewer than this share of the parts win any cell of a batch that could hold them.
COLLAPSE_BACKGROUND = 0.9
COLLAPSE_CHANNELS = 0.05
# By so much the background may win more cells than saliency names.
COLLAPSE_MARGIN = 0.05
# Steps over which a collapse is judged.
COLLAPSE_WINDOW = 20


def collapse(records: list[dict[str, float]], parts: int, background: str) -> str:
    """Name the collapse that the last steps show; '' where there is none.

    Args:
      records: rows of metrics.jsonl.
      parts: K.
      background: `config.pseudo_gt.background`; what is taught by saliency may well be most
        of an image.
    """
    # A layer may have been trained by another objective before, whose rows hold other figures.
    last = [row for row in records[-COLLAPSE_WINDOW:] if row.keys() == records[-1].keys()]
    if len(last) < COLLAPSE_WINDOW:
        return ""
    mean = {name: np.mean([row[name] for row in last]) for name in last[0]}
    # The part templates have no labels.
    taught = mean.get("background_share", 0.0)
    if background == "salient":
        share = mean["background_argmax"]
        limit = max(COLLAPSE_BACKGROUND, taught + COLLAPSE_MARGIN)
    else:
        share, limit = max(taught, mean["background_argmax"]), COLLAPSE_BACKGROUND
    if share > limit:
        by_itself = "background_share" in mean and background != "salient"
        cure = (
            "config.pseudo_gt.background = 'salient' avoids it"
            if by_itself
            else "a lower config.train.learning_rate may avoid it"
        )
        return (
            f"background collapse: {100 * share:.0f} % of the cells are background, so "
            f"the parts learn little; {cure}"
        )
    possible = min(parts, mean.get("labels_in_use", parts))
    if mean["channels_in_use"] < COLLAPSE_CHANNELS * possible:
        return (
            f"channel collapse: only {mean['channels_in_use']:.0f} of {parts} parts win any "
            "cell; a lower config.train.learning_rate may avoid it"
        )
    return ""


class Log:
    """metrics.jsonl: one row a step, appended; rows after the restored step are cut."""

    def __init__(self, path: pathlib.Path, step: int):
        self.records = [row for row in read_metrics(path) if row["step"] <= step]
        if devices.first():
            write_lines(path, self.records)
        self._file = open(path if devices.first() else os.devnull, "a")  # noqa: SIM115

    def write(self, row: dict[str, float]) -> None:
        """Append a row, at once."""
        self.records.append(row)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def read_metrics(path: pathlib.Path) -> list[dict[str, float]]:
    """Read the rows of a metrics.jsonl, null as NaN; none where it is absent.

    A damaged row is said and left out, but for the last one, which a kill may have cut short.
    """
    rows, whole = [], path.read_bytes() if path.exists() else b""
    for number, line in enumerate(whole.splitlines(keepends=True), 1):
        try:
            rows.append(_row(line))
        except ValueError:
            if line.endswith(b"\n"):
                say(f"{path}: line {number} is damaged: it is left out")
    return rows


def _row(line: bytes) -> dict[str, float]:
    """Return a row; raises ValueError where it is none."""
    row = json_object(line)
    numbers = {name: np.nan if value is None else value for name, value in row.items()}
    if type(row.get("step")) is not int or {*map(type, numbers.values())} - {int, float}:
        raise ValueError("a row has a step, and numbers")
    return numbers
