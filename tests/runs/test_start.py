"""The two ways in which the program is started, and how it ends where nobody reads on."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys

import pytest
from program import DEMO, FOLDER, ROOT, one_line, photos

WAYS = pytest.mark.parametrize("start", [("run.py",), ("-m", "partdisc")])


@WAYS
def test_help_lists_the_flags(run, start):
    for flag in ("--help", "--helpfull"):
        ended = run(flag, start=start)
        assert "Discover the parts of an object class" in ended.stdout
        for name in ("config", "mode", "workdir", "images", "out", "[no]overlays", "predictions"):
            assert f"  --{name}:" in ended.stdout, name
        assert not ended.stderr


@WAYS
def test_both_end_alike(run, start, tmp_path):
    given = (*DEMO, f"--workdir={tmp_path / 'run'}")
    ended = run(*given, "--config.train.steps=-1", start=start)
    one_line(ended, "config.train.steps is -1")
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1
    ended = run(*given, "--mode=check", start=start)
    assert ended.returncode == 0 and "in order" in ended.stdout, ended.stderr


def test_a_run_ends_with_the_command_that_goes_on(run, whole, tmp_path):
    workdir = tmp_path / "my run"
    shutil.copytree(whole[0], workdir)
    ended = run(*DEMO, f"--workdir={workdir}", start=("-m", "partdisc"))
    assert ended.returncode == 0, ended.stderr
    words = ["python", "-m", "partdisc", "--mode=predict", f"--workdir={workdir}"]
    assert shlex.split(ended.stdout.splitlines()[-1])[:5] == words


def test_compiled_programs_are_kept_for_the_next_run(
    run, environment, whole, tmp_path, monkeypatch
):
    """In the user's cache; a damaged one is compiled again, without a word."""
    monkeypatch.delitem(environment, "JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setitem(environment, "XDG_CACHE_HOME", str(tmp_path / "cache"))
    given = (
        "--mode=predict",
        f"--workdir={whole[0]}",
        f"--images={photos(tmp_path / 'photos', 1)}",
    )
    assert run(*given, f"--out={tmp_path / 'first'}").returncode == 0
    kept = {path: path.read_bytes() for path in tmp_path.glob("cache/partdisc/compiled/*/*-cache")}
    assert len(kept) > 2
    largest = max(kept, key=lambda path: len(kept[path]))
    largest.write_bytes(kept[largest][:100])
    ended = run(*given, f"--out={tmp_path / 'again'}")
    assert ended.returncode == 0 and "cache" not in ended.stderr and "rror" not in ended.stderr
    assert {path: path.read_bytes() for path in kept} == kept | {largest: kept[largest][:100]}
    assert set(tmp_path.glob("cache/partdisc/compiled/*/*-cache")) == set(kept)


@WAYS
@pytest.mark.parametrize("arguments", [["--help"], [*DEMO, "--mode=check"]])
def test_nobody_reads_on(environment, tmp_path, start, arguments):
    """As with `| head`: no error, and the end of other programs whose pipe is closed."""
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, *start, *arguments, f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        env=environment,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (-signal.SIGPIPE, "")


def test_configs_by_name_in_an_empty_folder(run, tmp_path):
    """As where only the package is installed: no run.py and no configs."""
    here = {"cwd": tmp_path, "start": ("-m", "partdisc")}
    ended = run("--config=demo", *DEMO[1:], "--mode=check", **here)
    assert ended.returncode == 0 and "in order" in ended.stdout, ended.stderr
    assert json.loads((tmp_path / "runs" / "demo" / "check.json").read_text())["worst"] == "ok"
    photos(tmp_path / "photos", 4)
    ended = run("--config", "folder:photos", *FOLDER, "--mode=check", **here)
    assert ended.returncode == 0 and "in order" in ended.stdout, ended.stderr
    assert (tmp_path / "runs" / "folder-photos" / "check.json").exists()
    one_line(run("--config=dmeo", **here), "'dmeo' is neither a file", "demo, folder")
    one_line(run(**here), "--config=demo")


STOP = """
import os, signal, sys


class Stop:
    def find_spec(self, name, *_):
        if name == os.environ["STOP_AT"]:
            signal.raise_signal(signal.Signals[os.environ["STOP_BY"]])


sys.meta_path.insert(0, Stop())
"""


@WAYS
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("module", ["absl", "yaml", "numpy", "numpy._core._dtype", "ml_dtypes"])
def test_stopped_while_libraries_are_loaded(run, start, number, module, tmp_path):
    """Also where C code imports, which takes what is raised for a fault of its own."""
    (tmp_path / "sitecustomize.py").write_text(STOP)
    ended = run(
        "--config=demo",
        "--config.backbone.weights=/no/such.npz",  # Nothing more is done if all are loaded.
        "--mode=check",
        f"--workdir={tmp_path / 'run'}",
        start=start,
        env={
            "STOP_AT": module,
            "STOP_BY": number,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        },
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert ended.returncode == 128 + signal.Signals[number]
    assert ended.stderr == f"stopped by {number}; the same command goes on from here\n"
