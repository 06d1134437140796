"""Runs that something stops: nothing is lost, and the end has the same bits."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from program import DEMO, DRAWN, ROOT, one_line, run_here, trained


def steps_done(workdir):
    rows = workdir / "metrics.jsonl"
    return rows.read_text().count("\n") if rows.exists() else 0


@pytest.fixture
def start(environment):
    """Start run.py; returns the process."""

    def call(*arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options):
        return subprocess.Popen(
            [sys.executable, "run.py", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=stdout,
            stderr=stderr,
            **options,
        )

    return call


@pytest.fixture
def survives(start):
    """Check that a run killed -9 once something is reached ends with the params of another."""

    def check(undisturbed, arguments, workdir, reached):
        killed = [*arguments, f"--workdir={workdir}"]
        process = start(*killed)
        deadline = time.monotonic() + 300
        while not reached() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert reached() and not (workdir / "results.json").exists()
        ended = run_here(*killed)
        assert ended.returncode == 0, ended.stderr
        expected, found = trained(undisturbed), trained(workdir)
        assert found.keys() == expected.keys()
        for name in expected:
            assert np.array_equal(found[name], expected[name]), name

    return check


@pytest.mark.parametrize("moment", ["features", "step 2", "step 6"])
def test_killed_at_any_moment_it_ends_with_the_same_bits(survives, whole, tmp_path, moment):
    workdir = tmp_path / "run"

    def reached():
        if moment == "features":
            return (workdir / "features.npy").exists()
        return steps_done(workdir) >= int(moment.split()[1])

    survives(whole[0], DEMO, workdir, reached)
    steps = [json.loads(row)["step"] for row in (workdir / "metrics.jsonl").open()]
    assert steps == list(range(1, 13))


@pytest.mark.parametrize(
    ("number", "moment"), [("SIGTERM", "features"), ("SIGINT", "step 3"), ("SIGTERM", "step 7")]
)
def test_asked_to_stop_it_saves_and_says_how_to_go_on(start, whole, tmp_path, number, moment):
    workdir = tmp_path / "run"
    arguments = [*DEMO, "--config.train.checkpoint_every=100", f"--workdir={workdir}"]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # What runs in the background of a shell ignores SIGINT, and so would all that it starts.
    process = start(
        *arguments, **pipes, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )

    def reached():
        if moment == "features":
            return (workdir / "features.npy").exists()
        return steps_done(workdir) >= int(moment.split()[1])

    deadline = time.monotonic() + 300
    while not reached() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(getattr(signal, number))
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 128 + getattr(signal, number), errors
    assert errors.splitlines()[-1] == f"stopped by {number}; the same command goes on from here"
    assert "Traceback" not in errors and "Exception" not in errors
    done = steps_done(workdir)
    if moment != "features":
        assert f"training is saved at step {done} of 12" in said
    ended = run_here(*arguments)
    assert ended.returncode == 0, ended.stderr
    if moment != "features":
        assert f"training goes on from step {done}" in ended.stdout
    assert np.array_equal(trained(workdir)["centres"], trained(whole[0])["centres"])


UNHEARD = """
import signal, sys, time
from partdisc import __main__ as program, stopping

class Garbage:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

def main(*_, **__):
    stopping.heard(stopping.stop)
    for _ in range(2):
        Garbage()  # What is raised while it is collected, Python ignores.
    time.sleep(60)

program.main = main
sys.argv = ["partdisc", "--config=demo"]
program.start("partdisc")
"""


def test_a_signal_is_not_lost_where_python_ignores_what_is_raised(environment):
    asked = [sys.executable, "-c", UNHEARD]
    ended = subprocess.run(asked, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr
    assert ended.stderr == "stopped by SIGTERM; the same command goes on from here\n"


def test_pools_refreshed_in_training_survive_a_kill_and_want_of_memory_too(survives, tmp_path):
    refreshing = [*DEMO, "--config.pools.refresh_epochs=1"]
    ended = run_here(*refreshing, f"--workdir={tmp_path / 'whole'}")
    assert ended.returncode == 0, ended.stderr
    workdir = tmp_path / "killed"
    on_disk = [*refreshing, "--config.memory=0"]
    survives(tmp_path / "whole", on_disk, workdir, lambda: steps_done(workdir) >= 7)


def test_part_templates_train_in_the_same_pipeline_and_survive_a_kill(survives, whole, tmp_path):
    templates = [*DEMO, "--config.train.objective=part_templates"]
    shutil.copytree(whole[0], tmp_path / "whole")
    ended = run_here(*templates, *DRAWN, f"--workdir={tmp_path / 'whole'}", "--overwrite")
    assert ended.returncode == 0, ended.stderr
    assert "features:" not in ended.stderr and "clusters:" not in ended.stderr
    results = json.loads((tmp_path / "whole" / "results.json").read_text())
    before = json.loads((whole[0] / "results.json").read_text())
    assert results["objective"] == "part_templates" and before["objective"] == "alignment"
    assert results["clustering"] == before["clustering"]
    assert results["trained"].keys() == before["trained"].keys()
    assert results["trained"] != before["trained"]
    metrics = [json.loads(row) for row in (tmp_path / "whole" / "metrics.jsonl").open()]
    assert [row["step"] for row in metrics] == list(range(1, 13))
    assert metrics[0].keys() == {
        "step",
        "loss",
        "positive_share",
        "background_argmax",
        "channels_in_use",
        "seconds",
    }
    assert len(list((tmp_path / "whole" / "report").glob("*.png"))) == 9
    workdir = tmp_path / "killed"
    survives(tmp_path / "whole", templates, workdir, lambda: steps_done(workdir) >= 6)


def test_a_process_holds_its_folder(run, start, tmp_path):
    workdir = tmp_path / "run"
    first = start(*DEMO, f"--workdir={workdir}")
    try:
        while not (workdir / "data").exists() and first.poll() is None:
            time.sleep(0.01)
        one_line(run(*DEMO, f"--workdir={workdir}"), "in use", str(first.pid))
    finally:
        first.kill()
        first.wait()


def test_a_full_disk_is_one_line_and_loses_nothing(run, whole, tmp_path):
    """A limit on the size of files stands for the full disk: both fail a write half-way."""
    import resource

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    workdir = tmp_path / "run"
    one_line(run(*DEMO, f"--workdir={workdir}", preexec_fn=small_files), "features.npy")
    ended = run_here(*DEMO, f"--workdir={workdir}")
    assert ended.returncode == 0, ended.stderr
    assert np.array_equal(trained(workdir)["centres"], trained(whole[0])["centres"])
