"""The work directory: atomic files, keys, the lock, and what it refuses."""

import json
import os
import pathlib
import subprocess
import sys

import ml_collections
import numpy as np
import pytest

import partdisc
from partdisc import workdir
from partdisc.config import base_config, flatten
from partdisc.errors import WorkdirError, disk_message
from partdisc.workdir import (
    MARK,
    Workdir,
    atomic,
    digest,
    read_json,
    write_json,
    write_lines,
)

ROOT = pathlib.Path(partdisc.__file__).parents[1]


def run_python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def names(folder: pathlib.Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_atomic_replaces_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    for text in ("old", "new"):
        with atomic(path) as temporary:
            assert temporary.parent == path.parent  # a rename must not cross file systems
            temporary.write_text(text)
        assert path.read_text() == text
    assert names(path.parent) == {"a.txt"}


def test_who_reads_the_old_file_reads_it_to_its_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with open(path) as reader:
        with atomic(path) as temporary:
            temporary.write_text("new and longer")
        assert reader.read() == "old"


@pytest.mark.parametrize("name", ["a" * 255, "a" * 251 + ".png", "é" * 127, "a"])
def test_a_name_may_be_as_long_as_names_can_be(tmp_path, name):
    with atomic(tmp_path / name) as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == {name}


@pytest.mark.parametrize("name", ["stage.npz", "results.json", "finished.json", MARK])
def test_a_folder_in_place_of_a_file_is_one_line(tmp_path, name):
    with Workdir(tmp_path):
        pass
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name / "inner").mkdir(parents=True)
    with pytest.raises((OSError, WorkdirError)) as caught, Workdir(tmp_path) as run:
        run.load("stage.npz", "key")
        run.save("stage.npz", "key", x=np.arange(3))
        write_json(tmp_path / "results.json", {})
        run.sealed("key")
    error = caught.value
    said = disk_message(error) if isinstance(error, OSError) else str(error)
    assert said.endswith(f"{tmp_path / name}: Is a directory; move that folder away: a file has "
                         "to be there")  # fmt: skip
    assert (tmp_path / name / "inner").exists()


def test_an_exception_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic(path) as temporary:
        temporary.write_text("half of the n")
        assert path.read_text() == "old"
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


def test_a_failing_save_leaves_the_old_arrays(tmp_path, monkeypatch):
    run = Workdir(tmp_path)
    run.save("a.npz", "key", x=np.arange(3))

    def full(path, **arrays):
        pathlib.Path(path).write_bytes(b"PK half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(workdir.np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        run.save("a.npz", "key", x=np.arange(4))
    np.testing.assert_array_equal(run.load("a.npz", "key")["x"], [0, 1, 2])
    assert names(tmp_path) == {"a.npz"}


def test_json_of_numpy_and_not_a_number(tmp_path):
    path = tmp_path / "a.json"
    write_json(
        path,
        {
            "nan": float("nan"),
            "inf": np.float32(np.inf),
            "n": np.int64(3),
            "x": np.float32(0.5),
            "list": (1, np.nan),
            "array": np.array([[1.0, np.nan]]),
            "flag": np.bool_(True),
            "config": ml_collections.ConfigDict({"a": 1}),
            "text": "é",
        },
    )
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == {
        "nan": None,
        "inf": None,
        "n": 3,
        "x": 0.5,
        "list": [1, None],
        "array": [[1.0, None]],
        "flag": True,
        "config": {"a": 1},
        "text": "é",
    }
    assert read_json(path)["x"] == 0.5


def test_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    write_lines(path, [{"a": 1, "b": np.nan}, {"a": np.float64(2.5)}])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [{"a": 1, "b": None}, {"a": 2.5}]
    write_lines(path, [])
    assert path.read_text() == ""


NO_OBJECTS = [b"", b'{"a": ', b"\xff\xfe", b"[1]", b"3", b"null", b'"a"', b"[" * 100_000]


@pytest.mark.parametrize("content", [None, *NO_OBJECTS])
def test_unreadable_json_is_none(tmp_path, content):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    assert read_json(path) is None


def test_save_and_load(tmp_path):
    arrays = {
        "x": np.arange(6, dtype=np.float16).reshape(2, 3),
        "empty": np.zeros((0, 4)),
        "scalar": np.float32(2),
    }
    run = Workdir(tmp_path)
    run.save("stage.npz", "key", **arrays)
    loaded = run.load("stage.npz", "key")
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype


def test_load_of_another_key_or_no_file_is_none(tmp_path):
    run = Workdir(tmp_path)
    assert run.load("stage.npz", "key") is None
    run.save("stage.npz", "key", x=np.arange(3))
    assert run.load("stage.npz", "other") is None
    assert run.load("stage.npz", "key") is not None
    np.savez(tmp_path / "foreign.npz", x=np.arange(3))
    assert run.load("foreign.npz", "key") is None


def test_damage_is_said_and_absence_is_not(tmp_path, capsys):
    run = Workdir(tmp_path)
    run.save("stage.npz", "key", x=np.arange(3))
    for name, key in (("none.npz", "key"), ("stage.npz", "other"), ("stage.npz", "key")):
        run.load(name, key)
    assert capsys.readouterr().out == ""
    (tmp_path / "stage.npz").write_bytes(b"garbage")
    assert run.load("stage.npz", "key") is None
    assert capsys.readouterr().out == f"{tmp_path / 'stage.npz'} is damaged: it is made again\n"


def test_drafts_of_a_killed_process_go_and_nothing_else(tmp_path):
    with Workdir(tmp_path):
        pass
    drafts = [
        ".results.json.draft.json", "data/.folder-12.34.draft/00000/x", "report/.a.png.draft",
        "checkpoints/12ab/.clusters.npz.draft.npz",
    ]  # fmt: skip
    others = [".hidden", "data/.DS_Store", "draft.txt", "report/a.draft", "photos/.b/c.draft"]
    for name in (*drafts, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    with Workdir(tmp_path):
        found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {MARK, *others}


def test_a_file_cut_short_anywhere_is_none(tmp_path):
    run = Workdir(tmp_path)
    run.save("stage.npz", "key", x=np.arange(3))
    whole = (tmp_path / "stage.npz").read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "stage.npz").write_bytes(whole[:length])
        assert run.load("stage.npz", "key") is None


def test_a_changed_byte_is_none_or_has_no_effect_on_the_arrays(tmp_path):
    run = Workdir(tmp_path)
    run.save("stage.npz", "key", x=np.arange(3))
    whole = (tmp_path / "stage.npz").read_bytes()
    refused = 0
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        (tmp_path / "stage.npz").write_bytes(bytes(damaged))
        loaded = run.load("stage.npz", "key")
        refused += loaded is None
        if loaded is not None:
            assert [array.tolist() for array in loaded.values()] == [[0, 1, 2]]
    assert refused > len(whole) / 12


def test_work_directory_is_made_and_can_be_taken_up_again(tmp_path):
    path = tmp_path / "new" / "run"
    with Workdir(path) as run:
        run.save("a.npz", "key", x=np.arange(3))
    with Workdir(str(path)) as run:
        assert run.load("a.npz", "key") is not None
        mark = json.loads((path / MARK).read_text())
    assert mark == {"format": workdir.FORMAT, "process": os.getpid()}


ENTER = """
import sys
from partdisc.errors import WorkdirError
from partdisc.workdir import Workdir
try:
    with Workdir(sys.argv[1]):
        print("entered")
except WorkdirError as error:
    print(f"refused: {error}")
"""


def test_the_home_folder_may_be_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with Workdir("~/run") as workdir:
        assert workdir.path == tmp_path / "run" and workdir.path.is_dir()


def test_a_second_process_is_refused_until_the_first_has_gone(tmp_path):
    path = tmp_path / "run"
    with Workdir(path):
        refusal = run_python(ENTER, str(path))
        assert refusal.startswith(f"refused: {path} is in use by process {os.getpid()}")
        assert "\n" not in refusal
    assert run_python(ENTER, str(path)) == "entered"


def test_an_exception_inside_releases_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), Workdir(tmp_path / "run"):
        raise ZeroDivisionError
    with Workdir(tmp_path / "run"):
        pass


def test_a_killed_process_leaves_no_lock(tmp_path):
    path = tmp_path / "run"
    run_python(
        "import os, sys\nfrom partdisc.workdir import Workdir\n"
        "Workdir(sys.argv[1]).__enter__(); os._exit(0)",
        str(path),
    )
    with Workdir(path):
        pass


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(WorkdirError, match=f"{tmp_path} is not empty"), Workdir(tmp_path):
        pass
    assert names(tmp_path) == {"holiday.jpg"}


@pytest.mark.parametrize(
    ("checkpoints", "config"),
    [
        (True, None),
        (False, '{"train.steps": 3, "parts.count": 8}'),
        (True, "{"),
        (True, "[1]"),
        (True, "7"),
        (True, '"train.steps parts.count"'),
        (True, '["train.steps", "parts.count"]'),
        (True, '{"train.steps": 3}'),
    ],
)
def test_a_folder_that_only_looks_like_a_run_is_refused(tmp_path, checkpoints, config):
    if checkpoints:
        (tmp_path / "checkpoints").mkdir()
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    before = names(tmp_path)
    with pytest.raises(WorkdirError, match=f"{tmp_path} is not empty"), Workdir(tmp_path):
        pass
    assert names(tmp_path) == before


def test_a_run_that_lost_its_mark_goes_on(tmp_path, capsys):
    (tmp_path / "checkpoints").mkdir()
    write_json(tmp_path / "config.json", flatten(base_config()))
    with Workdir(tmp_path):
        assert f"{MARK} is gone" in capsys.readouterr().out
    with Workdir(tmp_path):
        assert not capsys.readouterr().out


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "sub"):
        with pytest.raises(WorkdirError) as caught, Workdir(path):
            pass
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


PARTS = ["a", 1, 0.5, True, None, {"x": [1, 2]}, np.arange(3)]
VARIANTS = [
    ["b", 1, 0.5, True, None, {"x": [1, 2]}, np.arange(3)],
    ["a", 2, 0.5, True, None, {"x": [1, 2]}, np.arange(3)],
    ["a", 1, 0.25, True, None, {"x": [1, 2]}, np.arange(3)],
    ["a", 1, 0.5, False, None, {"x": [1, 2]}, np.arange(3)],
    ["a", 1, 0.5, True, 0, {"x": [1, 2]}, np.arange(3)],
    ["a", 1, 0.5, True, None, {"x": [2, 1]}, np.arange(3)],
    ["a", 1, 0.5, True, None, {"y": [1, 2]}, np.arange(3)],
    ["a", 1, 0.5, True, None, {"x": [1, 2]}, np.arange(3)[::-1]],
    ["a", 1, 0.5, True, None, {"x": [1, 2]}, np.arange(3)[None]],
    ["a", 1, 0.5, True, None, {"x": [1, 2]}, np.arange(3).astype(np.uint64)],
    ["a", 1, 0.5, True, None, {"x": [1, 2]}],
    [1, "a", 0.5, True, None, {"x": [1, 2]}, np.arange(3)],
]


def test_digest_depends_on_every_part():
    digests = [digest(*parts) for parts in [PARTS, *VARIANTS]]
    assert len(set(digests)) == len(digests)
    assert all(len(text) == 16 and int(text, 16) >= 0 for text in digests)


def test_digest_ignores_what_has_no_meaning():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(ml_collections.ConfigDict({"b": 2, "a": 1})) == digest({"a": 1, "b": 2})
    assert digest(np.float64(0.5), np.int32(2)) == digest(0.5, 2)


def test_digest_is_the_same_in_another_process():
    code = (
        "import numpy as np\nfrom partdisc.workdir import digest\n"
        "print(digest('a', {'y': 1, 'x': {'b', }.pop()}, np.arange(4.0)))"
    )
    assert run_python(code) == digest("a", {"x": "b", "y": 1}, np.arange(4.0))


def test_the_format_is_part_of_every_digest(monkeypatch):
    before = digest("a")
    monkeypatch.setattr(workdir, "FORMAT", workdir.FORMAT + 1)
    assert digest("a") != before


def test_disk_message_names_the_file_and_what_to_do():
    full = disk_message(OSError(28, "No space left on device", "/run/features.npy"))
    assert full.startswith("/run/features.npy: No space left on device; free some space")
    denied = disk_message(OSError(13, "Permission denied", "/run/a.json"))
    assert denied == "/run/a.json: Permission denied"
    assert disk_message(OSError("odd")) == "a file of the work directory: odd"


def test_a_seal_holds_while_its_files_do(tmp_path):
    with Workdir(tmp_path / "run") as workdir:
        (workdir.path / "inner").mkdir()
        for name in ("a", "inner/b"):
            (workdir.path / name).write_text(name)
        (workdir.path / "nowhere").symlink_to("gone")
        assert workdir.sealed("key") is None
        workdir.seal("key", {"lines": ["found"]})
        (workdir.path / "later").touch()
        assert workdir.sealed("key") == {"lines": ["found"]}
        assert workdir.sealed("another key") is None
        for name in ("a", "inner/b"):
            file = workdir.path / name
            before, state = file.read_text(), file.stat()
            file.write_text(before + "more")
            assert workdir.sealed("key") is None
            file.write_text(before)
            os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
            assert workdir.sealed("key")
            file.rename(file.with_name("moved"))
            assert workdir.sealed("key") is None
            file.with_name("moved").rename(file)


@pytest.mark.parametrize("content", [*NO_OBJECTS, b"{}", b'{"key": "key"}'])
def test_a_damaged_seal_is_none(tmp_path, content):
    with Workdir(tmp_path / "run") as workdir:
        workdir.seal("key", {"lines": ["found", float("nan")]})
        assert workdir.sealed("key") == {"lines": ["found", None]}
        whole = (workdir.path / "finished.json").read_bytes()
        (workdir.path / "finished.json").write_bytes(content)
        assert workdir.sealed("key") is None
        for word in (b"files", b"said", b"found", b"key"):
            changed = whole.replace(word, word[::-1])
            assert changed != whole
            (workdir.path / "finished.json").write_bytes(changed)
            assert workdir.sealed("key") is None


@pytest.mark.parametrize("content", NO_OBJECTS)
def test_who_holds_a_folder_may_not_be_known(tmp_path, content):
    with Workdir(tmp_path):
        (tmp_path / MARK).write_bytes(content)
        with pytest.raises(WorkdirError, match="in use by process of another user"):
            Workdir(tmp_path).__enter__()
