"""Several devices: each does its share, and the end is that of one but for rounding."""

import json
import shutil

import numpy as np
from program import DEMO, trained

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


def test_four_devices_do_a_whole_run(whole, run, tmp_path):
    workdir = tmp_path / "run"
    ended = run(*DEMO, f"--workdir={workdir}", flags=FOUR)
    assert ended.returncode == 0, ended.stderr
    folders = whole[0], workdir
    np.testing.assert_array_equal(*(np.load(one / "features.npy") for one in folders))
    # Sums in another order, over a hundred steps of the mixture.
    assert apart(*(np.load(one / "clusters.npz")["centres"] for one in folders)).max() < 5e-3
    # What is chosen of so few and so dull images hangs on last digits.
    members = [np.load(one / "pools.npz")["members"] for one in folders]
    assert np.mean([np.isin(*pools) for pools in zip(*members, strict=True)]) > 0.7
    assert trained(workdir).keys() == trained(whole[0]).keys()


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
