"""Progress, lines and tables: on a file word for word, on a terminal by what is seen."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partdisc import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told."""

    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "_now", clock)
    return clock


@pytest.fixture
def terminal(monkeypatch):
    """Make stdout and stderr terminals, from the call on; gives what they show."""

    def start():
        # Not before the test runs: pytest sets both anew between fixture and test.
        streams = Terminal(), Terminal()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setattr("sys.stdout", streams[0])
        monkeypatch.setattr("sys.stderr", streams[1])
        return lambda: [
            re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).replace("\r", "\n")
            for stream in streams
        ]

    return start


def test_lines_every_ten_seconds_and_one_at_the_end(clock, capsys):
    def images():
        for i in range(2000):
            clock.now += 0.05
            yield i

    assert list(progress.track(images(), "features train", total=2000, unit="images"))[-1] == 1999
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    # 100 s of work: the last line due coincides with the end, give or take rounding.
    assert len(lines) in (10, 11)
    assert lines[5].startswith("features train: 1")
    count = int(re.search(r"(\d+)/2000 images", lines[5])[1])
    assert count == pytest.approx(1200, abs=6)
    assert lines[5].endswith("20.0 images/s, 40 s left")
    assert lines[-1] == "features train: 2000/2000 images in 2 min, 20.0 images/s"


def test_short_work_gets_one_line(clock, capsys):
    for _ in progress.track("abcd", "warming up"):
        clock.now += 1
    assert capsys.readouterr().err == "warming up: 4/4 it in 4.0 s, 1.0 it/s\n"


def test_without_total_neither_whole_nor_time_left(clock, capsys):
    for _ in progress.track(iter(range(3)), "reading", unit="files"):
        clock.now += 10
    assert capsys.readouterr().err.splitlines() == [
        "reading: 1 files, 0.1 files/s",
        "reading: 2 files, 0.1 files/s",
        "reading: 3 files, 0.1 files/s",
        "reading: 3 files in 30 s, 0.1 files/s",
    ]


def test_a_resumed_run_counts_on_but_not_for_the_rate(clock, capsys):
    with progress.Progress("train", total=1000, unit="steps", start=900) as work:
        clock.now += 10
        work.advance(20, text="loss 2.50")
        clock.now += 40
        work.advance(80, text="loss 2.25")
    assert capsys.readouterr().err.splitlines() == [
        "train: 920/1000 steps, 2.0 steps/s, 40 s left, loss 2.50",
        "train: 1000/1000 steps, 2.0 steps/s, 0.0 s left, loss 2.25",
        "train: 1000/1000 steps in 50 s, 2.0 steps/s, loss 2.25",
    ]


def test_text_stays_until_it_changes(clock, capsys):
    with progress.Progress("train") as work:
        work.advance(text="loss 3")
        clock.now += 10
        work.advance()
        clock.now += 10
        work.advance(text="")
    first, second, last = capsys.readouterr().err.splitlines()
    assert first.endswith("loss 3") and "loss" not in second + last


@pytest.mark.parametrize("total", [None, 0, 5])
def test_nothing_done_prints_nothing(total, clock, capsys):
    assert list(progress.track([], "none", total=total)) == []
    with progress.Progress("none", total=total):
        clock.now += 60
    with progress.Progress("all done before", total=5, start=5):
        pass
    progress.table("none", ["a"], [])
    assert capsys.readouterr() == ("", "")


def test_counting_nothing_is_harmless(clock, capsys):
    with progress.Progress("slow", total=9) as work:
        clock.now += 30
        work.advance(0)
    assert capsys.readouterr().err == "slow: 0/9 it, 0.0 it/s\n"


def test_an_error_passes_and_its_place_is_told(clock, capsys):
    with pytest.raises(KeyError), progress.Progress("train", total=9) as work:
        work.advance(4)
        clock.now += 2
        raise KeyError("x")
    assert capsys.readouterr().err == "train: stopped at 4/9 it after 2.0 s\n"


def test_track_is_lazy_and_counts_finished_items(capsys):
    asked = []
    items = progress.track((asked.append(i) or i for i in range(3)), "work")
    assert asked == []
    assert next(items) == 0 and asked == [0]
    items.close()
    # The first item was handed out, but its work was never seen to end.
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(clock, terminal):
    seen = terminal()
    with progress.Progress("train [green]", total=40, unit="steps", start=20) as work:
        clock.now += 5
        work.advance(10, text="loss [2.5]")
        progress.say("a line between")
    out, err = seen()
    # Names with brackets are no markup; while there is a bar, lines go above it.
    assert re.search(r"train \[green\] .* 30/40 2\.0 steps/s 0:00:05 .*loss \[2\.5\]", err)
    assert "a line between" in err and out == ""
    assert "stopped" not in err and "20/40" in err


def test_a_bar_does_not_swallow_output_that_goes_to_a_file(clock, terminal, monkeypatch):
    seen, file = terminal(), io.StringIO()
    monkeypatch.setattr("sys.stdout", file)
    for _ in progress.track(range(2), "work"):
        progress.say("kept")
    assert file.getvalue() == "kept\nkept\n"
    assert "2/2" in seen()[1]


@pytest.mark.parametrize("total", [None, 0])
def test_nothing_to_do_on_a_terminal_prints_nothing(total, terminal):
    seen = terminal()
    assert list(progress.track([], "none", total=total)) == []
    progress.table("none", ["a"], [])
    assert seen() == ["", ""]


def test_a_dumb_terminal_gets_lines(clock, terminal, monkeypatch):
    seen = terminal()
    monkeypatch.setenv("TERM", "dumb")
    assert list(progress.track("ab", "work")) == ["a", "b"]
    progress.table("title", ["a"], [["b"]])
    out, err = seen()
    assert err.startswith("work: 2/2 it in 0.0 s") and out == "title\na\n-\nb\n"


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (34.4, "34 s"),
        (99.4, "99 s"),
        (99.6, "2 min"),
        (720, "12 min"),
        (5999, "1 h 40 min"),
        (11_100, "3 h 05 min"),
    ],
)
def test_duration(seconds, text):
    assert progress.duration(seconds) == text


def test_plain_table_word_for_word(capsys):
    rows = [["clustering", "44.0", "9.65"], ["trained", "106.5", "-"]]
    progress.table("Scores", ["method", "mAP %", "NME"], rows)
    assert capsys.readouterr().out.splitlines() == [
        "Scores",
        "method      mAP %   NME",
        "----------  -----  ----",
        "clustering   44.0  9.65",
        "trained     106.5     -",
    ]


def test_table_on_a_terminal_is_framed_and_takes_no_markup(terminal):
    seen = terminal()
    progress.table("Scores [CUB]", ["[a]", "b"], [["[red]x", "1.5"], ["y", "12.25"]])
    out, err = seen()
    assert err == "" and "─" in out
    lines = out.splitlines()
    assert lines[0].startswith("Scores [CUB]")
    ends = [len(line.rstrip()) for line in lines if "1.5" in line or "12.25" in line]
    assert "[red]x" in out and "[a]" in out and len(ends) == 2 and ends[0] == ends[1]


@pytest.mark.parametrize("row", [["1"], ["1", "2", "3"]])
def test_ragged_table_is_refused_before_anything_is_printed(row, capsys):
    with pytest.raises(ValueError, match="table 'T': 2 columns, but a row is"):
        progress.table("T", ["a", "b"], [["1", "2"], row])
    assert capsys.readouterr() == ("", "")


CELLS = st.text(alphabet="ab1.-% ", min_size=1, max_size=8).map(str.strip).filter(bool)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=5))
def test_plain_columns_do_not_touch_and_keep_their_place(rows):
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "say", lines.append)
        progress.table("t", ["x", "y", "z"], rows)
    rule = lines[2]
    starts = [match.span() for match in re.finditer("-+", rule)]
    assert len(starts) == 3
    for row, line in zip(rows, lines[3:], strict=True):
        cells = [line[low:high].strip() for low, high in starts]
        assert cells == row
