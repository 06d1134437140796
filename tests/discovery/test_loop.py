"""The order of the targets, the rows of metrics.jsonl, and what they say of a collapse."""

import contextlib
import json
import math

import numpy as np
import pytest

from partdisc.discovery.log import COLLAPSE_WINDOW, Log, collapse, read_metrics
from partdisc.discovery.loop import targets_of_step
from partdisc.workdir import write_lines


@pytest.mark.parametrize(("images", "batch"), [(12, 4), (10, 4), (7, 7), (3, 8), (1, 5), (5, 1)])
def test_every_image_is_a_target_once_an_epoch(images, batch):
    steps = 3 * images  # three epochs of `images` targets, at least
    order = np.concatenate([targets_of_step(s, images, batch, seed=2) for s in range(steps)])
    assert order.dtype == np.int32 and len(order) == steps * batch
    for epoch in range(len(order) // images):
        part = order[epoch * images : (epoch + 1) * images]
        assert sorted(part.tolist()) == list(range(images))


def test_targets_depend_on_seed_and_step_alone():
    first = [targets_of_step(step, 50, 8, seed=1).tolist() for step in range(12)]
    # A resumed run starts anywhere.
    assert [targets_of_step(step, 50, 8, seed=1).tolist() for step in reversed(range(12))] == (
        first[::-1]
    )
    assert targets_of_step(0, 50, 8, seed=2).tolist() != first[0]


def test_epochs_differ_in_order():
    first, second = (targets_of_step(step, 20, 20, seed=0).tolist() for step in (0, 1))
    assert sorted(first) == sorted(second) and first != second


HEALTHY = {
    "loss": 3.0,
    "background_share": 0.0,
    "background_argmax": 0.4,
    "channels_in_use": 120.0,
    "labels_in_use": 200.0,
    "seconds": 0.1,
}


def rows(count: int = COLLAPSE_WINDOW, **changes) -> list[dict[str, float]]:
    return [HEALTHY | {"step": step} | changes for step in range(count)]


def test_a_healthy_run_has_no_collapse():
    assert collapse(rows(), 512, "printed") == ""
    assert collapse([], 512, "printed") == ""
    # A few parts win many cells of a small batch: no collapse where few can.
    assert collapse(rows(channels_in_use=3.0, labels_in_use=4.0), 4, "printed") == ""


@pytest.mark.parametrize("name", ["background_share", "background_argmax"])
def test_background_collapse_is_named(name):
    message = collapse(rows(**{name: 0.97}), 512, "printed")
    assert message.startswith("background collapse: 97 % of the cells are background")
    assert "config.pseudo_gt.background = 'salient'" in message and "\n" not in message
    assert collapse(rows(**{name: 0.85}), 512, "printed") == ""


def test_saliency_may_name_most_of_an_image():
    much = {"background_share": 0.93, "background_argmax": 0.95}
    assert collapse(rows(**much), 512, "salient") == ""
    message = collapse(rows(background_share=0.6, background_argmax=0.95), 512, "salient")
    assert message.startswith("background collapse: 95 %")
    assert "config.train.learning_rate" in message and "pseudo_gt" not in message


def without_labels(**changes) -> list[dict[str, float]]:
    """Return rows of the part templates, which label no cell."""
    taught = ("background_share", "labels_in_use")
    return [{k: v for k, v in row.items() if k not in taught} for row in rows(**changes)]


def test_rows_without_labels_are_judged_by_what_they_hold():
    assert collapse(without_labels(), 512, "printed") == ""
    message = collapse(without_labels(background_argmax=0.97), 512, "printed")
    assert message.startswith("background collapse: 97 % of the cells are background")
    assert "config.train.learning_rate" in message and "pseudo_gt" not in message
    message = collapse(without_labels(channels_in_use=9.0), 512, "printed")
    assert message.startswith("channel collapse")


@pytest.mark.parametrize("used", [0.0, 1.0, 9.0])
def test_channel_collapse_is_named(used):
    message = collapse(rows(channels_in_use=used), 512, "printed")
    assert message.startswith(f"channel collapse: only {used:.0f} of 512 parts win any cell")
    assert "config.train.learning_rate" in message and "\n" not in message


def test_few_channels_of_few_parts_are_no_collapse():
    assert collapse(rows(channels_in_use=11.0), 512, "printed") == ""
    assert collapse(rows(channels_in_use=9.0), 100, "printed") == ""


def test_a_collapse_is_judged_over_a_full_window():
    bad = {"background_share": 0.99}
    assert collapse(rows(COLLAPSE_WINDOW - 1, **bad), 512, "printed") == ""
    assert collapse(rows() + rows(1, **bad), 512, "printed") == ""
    assert collapse(rows(200) + rows(**bad), 512, "printed").startswith("background collapse")
    assert collapse(rows(200, **bad) + rows(), 512, "printed") == ""


def test_read_metrics_of_no_file_and_of_whole_rows(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_metrics(path) == []
    write_lines(path, rows(3))
    assert read_metrics(path) == rows(3)


@pytest.mark.parametrize("kept", [0, 1, 20])
def test_a_row_that_a_kill_cut_short_is_dropped(tmp_path, kept):
    path = tmp_path / "metrics.jsonl"
    write_lines(path, rows(2))
    with open(path, "a") as file:
        file.write(json.dumps(rows(3)[2])[:kept])
    assert read_metrics(path) == rows(2)


@pytest.mark.parametrize(
    "damage",
    [b"", b"garbage", b"\xff\xfe", b"[1]", b"3", b"null", b"{}", b"[" * 100_000, b'{"step": "2"}',
     b'{"step": null}', b'{"step": 2, "loss": "x"}', b'{"step": 2, "loss": [1]}'],
    ids=lambda damage: damage[:12].decode("latin"),
)  # fmt: skip
def test_a_damaged_row_is_said_and_costs_no_other(tmp_path, damage, capsys):
    path = tmp_path / "metrics.jsonl"
    write_lines(path, rows(5))
    lines = path.read_bytes().splitlines()
    lines[2] = damage
    path.write_bytes(b"\n".join(lines) + b"\n")
    left = [row for row in rows(5) if row["step"] != 2]
    assert read_metrics(path) == left
    assert capsys.readouterr().out == f"{path}: line 3 is damaged: it is left out\n"
    with contextlib.closing(Log(path, 3)) as log:
        assert log.records == left[:3]
        log.write(HEALTHY | {"step": 4})
    capsys.readouterr()
    assert read_metrics(path) == left and capsys.readouterr().out == ""


def test_rows_of_another_objective_are_no_part_of_a_collapse():
    others = [{"step": step, "loss": 1.0} for step in range(COLLAPSE_WINDOW)]
    bad = rows(COLLAPSE_WINDOW, background_share=0.99)
    assert collapse(others + bad[1:], 512, "printed") == ""
    assert collapse(others + bad, 512, "printed").startswith("background collapse")


def test_what_was_not_a_number_is_none_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_lines(path, rows(background_share=math.nan))
    assert "null" in path.read_text() and "NaN" not in path.read_text()
    read = read_metrics(path)
    assert all(math.isnan(row["background_share"]) for row in read)
    assert collapse(read, 512, "printed") == ""
