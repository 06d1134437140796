"""Several devices: each does its share, and the end is that of one but for rounding."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from program import DEMO, QUICK, ROOT, one_line, photos, trained

FOUR = "--xla_force_host_platform_device_count=4"


def test_each_device_does_its_share(run):
    ended = run(start=("tests/split_stages.py",), flags=FOUR, optimised=True)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    for count, sizes in found["sizes"].items():
        # As evenly as the number allows, of devices of which several may do the same.
        assert sizes == [int(count) // np.gcd(int(count), 4)] * 4
    # Of a step a device does a quarter; all stages give what one device gives.
    assert 0.24 < found["share"] < 0.3
    split, together = found["split"], found["together"]
    # Which candidate aligns better may hang on a match at the very edge of the radius.
    members = zip(split.pop("members"), together.pop("members"), strict=True)
    assert np.mean([np.isin(*both) for both in members]) > 0.9
    distances = np.sort(split.pop("distances")), np.sort(together.pop("distances"))
    np.testing.assert_allclose(*distances, atol=1e-2)
    for name in together:
        np.testing.assert_allclose(split[name], together[name], atol=1e-5, err_msg=name)


def apart(one, other) -> np.ndarray:
    """Return the angle [K], in radians, between the centres of two layers."""
    one, other = (found / np.linalg.norm(found, axis=1, keepdims=True) for found in (one, other))
    return np.linalg.norm(one - other, axis=1)


def test_a_run_goes_on_with_other_devices(whole, run, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(whole[0], workdir)
    (checkpoints,) = (workdir / "checkpoints").iterdir()
    shutil.rmtree(checkpoints / "12")
    ended = run(*DEMO, f"--workdir={workdir}", flags=FOUR)
    assert ended.returncode == 0, ended.stderr
    assert "training goes on from step 8" in ended.stdout
    # Only the order of a few sums differs, by which a cell may get another label.
    assert apart(trained(workdir)["centres"], trained(whole[0])["centres"]).max() < 5e-3


def test_photos_are_dealt_out_and_have_the_same_bits(whole, run, tmp_path):
    folder = photos(tmp_path / "photos", 11)
    for flags in ("", FOUR):
        out = f"--out={tmp_path / (flags or 'one')[-7:]}"
        ended = run(
            "--mode=predict", f"--images={folder}", f"--workdir={whole[0]}", out, flags=flags
        )
        assert ended.returncode == 0, ended.stderr
    one, four = (tmp_path / name / "predictions.jsonl" for name in ("one", "count=4"))
    assert one.read_text().count("\n") == 11 and four.read_bytes() == one.read_bytes()


@pytest.fixture
def start_two(environment):
    """Start run.py as two processes of one run, each with so many devices; returns both."""

    def call(*arguments, each=1):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            address = f"localhost:{free.getsockname()[1]}"
        who = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
        who["no_proxy"] = "localhost"  # The tests' proxy leads nowhere.
        who["XLA_FLAGS"] = f"{QUICK} --xla_force_host_platform_device_count={each}"
        return [
            subprocess.Popen(
                [sys.executable, "run.py", *arguments, "--distributed"],
                cwd=ROOT,
                env=environment | who | {"JAX_PROCESS_ID": str(number)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(2)
        ]

    return call


def ended(processes):
    """Wait for processes; return them as `subprocess.run` does."""
    found = []
    for process in processes:
        out, errors = process.communicate(timeout=300)
        found.append(subprocess.CompletedProcess(process.args, process.returncode, out, errors))
    return found


def test_two_processes_do_one_run_and_stop_and_go_on_together(whole, start_two, tmp_path):
    workdir = tmp_path / "run"
    arguments = [*DEMO, "--config.memory=0", f"--workdir={workdir}"]
    both = start_two(*arguments)
    rows, deadline = workdir / "metrics.jsonl", time.monotonic() + 300
    while not (rows.exists() and rows.read_text().count("\n") >= 2) and both[0].poll() is None:
        time.sleep(0.01)
        assert time.monotonic() < deadline
    # A scheduler tells each of them; one is enough.
    both[1].send_signal(signal.SIGTERM)
    first, second = ended(both)
    assert second.returncode == 128 + signal.SIGTERM, second.stderr
    assert "training is saved at step" in first.stdout
    first, second = ended(start_two(*arguments))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "training goes on from step" in first.stdout
    assert "work directory" not in second.stdout and "training" not in second.stderr
    folders = whole[0], workdir
    np.testing.assert_array_equal(*(np.load(one / "features.npy") for one in folders))
    assert apart(*(np.load(one / "clusters.npz")["centres"] for one in folders)).max() < 5e-3
    assert [json.loads(row)["step"] for row in rows.open()] == list(range(1, 13))
    names = [sorted(path.name for path in one.iterdir()) for one in folders]
    assert names[0] == names[1]


def test_two_processes_of_two_devices_do_one_run(whole, start_two, tmp_path):
    workdir = tmp_path / "run"
    given = ["--config.train.batch=6", "--config.backbone.batch=3", "--config.features=recompute"]
    # What follows training is of one process, which splits among its devices alone.
    first, second = ended(start_two(*DEMO, *given, f"--workdir={workdir}", each=2))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    centres = [np.load(one / "clusters.npz")["centres"] for one in (whole[0], workdir)]
    assert apart(*centres).max() < 5e-3
    assert (workdir / "finished.json").exists() and (workdir / "parts.csv").exists()


def test_a_mistake_ends_both_processes_in_one_line(start_two, tmp_path):
    (tmp_path / "mine.txt").write_text("not of partdisc")
    for process in ended(start_two(*DEMO, f"--workdir={tmp_path}")):
        one_line(process, "is not empty")


def test_nothing_says_who_the_others_are(run, tmp_path):
    one_line(run(*DEMO, f"--workdir={tmp_path / 'run'}", "--distributed"), "--distributed", "Slurm")
    mode = "--mode=evaluate"
    one_line(run(*DEMO, f"--workdir={tmp_path / 'run'}", "--distributed", mode), "--mode=train")
