"""The program as its user meets it: whole runs, kills, and what it says of mistakes."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from partdisc.data import shapes

ROOT = pathlib.Path(__file__).parents[1]
SMALL = [
    "--config.backbone.layer=pool3",
    "--config.data.short_side=64",
    "--config.parts.count=8",
    "--config.pools.size=3",
    "--config.train.batch=2",
    "--config.train.steps=12",
    "--config.train.checkpoint_every=4",
    "--config.report.images=2",
    "--config.report.channels=2",
]
DEMO = [
    "--config=configs/demo.py",
    "--config.data.shapes_train=12",
    "--config.data.shapes_fit=8",
    "--config.data.shapes_test=5",
    "--config.data.shapes_size=64",
    "--config.evaluation.protocols=default,cub_box",
    *SMALL,
]
FOLDER = [
    "--config.backbone.weights=random", "--config.backbone.center=True",
    "--config.pools.size=1", "--config.train.batch=1", *SMALL[:3], *SMALL[5:],
]


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """An environment whose runs share compiled programs, with one device as users have it."""
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": "",
        "PARTDISC_DATA": "",
        "PARTDISC_WEIGHTS": "",
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
        "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9",
    }


@pytest.fixture(scope="session")
def run(environment):
    """Call run.py; returns the ended process."""

    def call(*arguments, **options):
        return subprocess.run(
            [sys.executable, "run.py", *map(str, arguments)],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, **options,
        )

    return call


@pytest.fixture(scope="session")
def whole(run, tmp_path_factory):
    """The work directory of a run that nothing disturbed, and what it printed."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    ended = run(*DEMO, f"--workdir={workdir}")
    assert ended.returncode == 0, ended.stderr
    return workdir, ended.stdout


def trained(workdir):
    """Return the trained params: name -> array, as the last checkpoint has them."""
    import orbax.checkpoint as ocp

    (folder,) = (workdir / "checkpoints").iterdir()
    last = max(int(step.name) for step in folder.iterdir() if step.name.isdigit())
    assert last == 12
    with ocp.PyTreeCheckpointer() as checkpointer:
        tree = checkpointer.restore(folder / str(last) / "default")
    return {name: np.asarray(value) for name, value in tree["params"].items()}


def one_line(ended, *words):
    """Check that a run ended in one line of error that has all the words."""
    assert ended.returncode not in (0, None)
    lines = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and ended.stderr.strip().endswith(lines[0]), ended.stderr
    assert "Traceback" not in ended.stderr
    for word in words:
        assert word in lines[0]


def test_a_run_leaves_what_it_promises(whole):
    workdir, printed = whole
    results = json.loads((workdir / "results.json").read_text())
    figures = {"map_l2_box", "map_l2_short_side", "pck_box", "nme_peak", "nme_mean"}
    for layer in ("clustering", "trained"):
        assert figures < results[layer].keys()
        assert (results[layer]["n_fit"], results[layer]["n_test"]) == (8, 5)
        assert {"before", "after", "oracle", "identity_share"} < results[layer]["alignment"].keys()
        by_protocol = results[layer]["regression"]
        assert list(by_protocol) == ["default", "cub_box"]
        assert by_protocol["default"]["nme_mean"] == results[layer]["nme_mean"]
        assert f"{by_protocol['cub_box']['nme_peak']:.2f}" in printed
    assert results["baselines"].keys() == {"mean_shape", "image_centre"}
    assert results["protocol"]["regression"] == "default"
    assert results["random_weights"] and "random backbone weights" in printed
    metrics = [json.loads(row) for row in (workdir / "metrics.jsonl").open()]
    assert [row["step"] for row in metrics] == list(range(1, 13))
    assert {
        "loss", "inliers", "matches", "identity_share", "background_share", "channels_in_use",
        "entropy", "seconds",
    } < metrics[0].keys()
    for row in (workdir / "detections.jsonl").open():
        detection = json.loads(row)
        y0, x0, y1, x1 = detection["box"]
        y, x = detection["point"]
        assert y0 < y < y1 and x0 < x < x1 and 0 < detection["score"] <= 1
        assert results["channels"][detection["part"]] == detection["channel"]
    assert len(list((workdir / "report").glob("*.png"))) == 8
    assert json.loads((workdir / "config.json").read_text())["train.steps"] == 12
    assert "trained" in printed and str(workdir / "report") in printed


NMF = ["--config.clusters.kind=nmf", "--config.backbone.center=False", "--config.train.steps=0"]


@pytest.mark.parametrize(
    "options",
    [
        ["--config.clusters.kind=kmeans", "--config.train.steps=2", "--config.parts.count=2"],
        [*NMF, "--config.parts.count=2"],
    ],
)
def test_other_kinds_of_clusters_go_the_same_way(run, tmp_path, options):
    workdir = tmp_path / "run"
    ended = run(*DEMO, *options, f"--workdir={workdir}")
    assert ended.returncode == 0, ended.stderr
    results = json.loads((workdir / "results.json").read_text())
    assert f"--config.clusters.kind={results['clusters']}" == options[0]
    for layer in ("clustering", "trained"):
        figures = results[layer]
        assert all(np.isfinite(figures[name]) for name in ("map_l2_box", "nme_peak", "nme_mean"))
        assert all(np.isfinite(value) for value in figures["label_free"].values())
        assert np.isfinite(figures["alignment"]["after"])
    assert (results["clustering"] == results["trained"]) == (results["steps"] == 0)
    rows = [json.loads(row) for row in (workdir / "detections.jsonl").open()]
    assert rows and all(0 < row["score"] <= 1 for row in rows)
    assert (workdir / "report" / "heat_maps.png").exists()
    again = run(*DEMO, *options, f"--workdir={workdir}", "--mode=evaluate")
    assert again.returncode == 0 and "clusters:" not in again.stderr, again.stderr
    assert json.loads((workdir / "results.json").read_text()) == results


def test_factors_of_a_folder(run, tmp_path):
    folder = photos(tmp_path / "photos", 4)
    ended = run(
        f"--config=configs/folder.py:{folder}", *FOLDER, *NMF, "--config.parts.count=4",
        f"--workdir={tmp_path / 'run'}",
    )
    assert ended.returncode == 0, ended.stderr
    assert "no landmarks" in ended.stdout


def test_a_second_run_reuses_every_stage(run, whole):
    workdir, _ = whole
    kept = ("features.npy", "clusters.npz", "pools.npz", "results.json")
    before = {name: (workdir / name).stat().st_mtime_ns for name in kept}
    params = trained(workdir)
    for mode in ("evaluate", "train"):
        ended = run(*DEMO, f"--workdir={workdir}", f"--mode={mode}")
        assert ended.returncode == 0, ended.stderr
        assert "features:" not in ended.stderr and "clusters:" not in ended.stderr
        assert "training:" not in ended.stderr
    for name in kept[:3]:
        assert (workdir / name).stat().st_mtime_ns == before[name]
    assert all(np.array_equal(params[name], value) for name, value in trained(workdir).items())


@pytest.mark.parametrize("moment", ["features", "clusters", "step 2", "step 6", "step 9"])
def test_killed_at_any_moment_it_ends_with_the_same_bits(
    run, environment, whole, tmp_path, moment
):
    def reached(workdir):
        if moment == "features":
            return (workdir / "features.npy").exists()
        if moment == "clusters":
            return (workdir / "features.json").exists()
        rows = workdir / "metrics.jsonl"
        return rows.exists() and rows.read_text().count("\n") >= int(moment.split()[1])

    workdir = tmp_path / "run"
    command = [sys.executable, "run.py", *DEMO, f"--workdir={workdir}"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not reached(workdir) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    assert reached(workdir)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (workdir / "results.json").exists()
    ended = run(*DEMO, f"--workdir={workdir}")
    assert ended.returncode == 0, ended.stderr
    expected, found = trained(whole[0]), trained(workdir)
    assert found.keys() == expected.keys()
    for name in expected:
        assert np.array_equal(found[name], expected[name]), name
    steps = [json.loads(row)["step"] for row in (workdir / "metrics.jsonl").open()]
    assert steps == list(range(1, 13))


def test_alignment_is_diagnosed_before_and_after_training(run, whole, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(whole[0], workdir)
    ended = run(*DEMO, "--mode=align", f"--workdir={workdir}")
    assert ended.returncode == 0, ended.stderr
    found = json.loads((workdir / "alignment.json").read_text())
    assert found.keys() == {"clustering", "trained"}
    for layer in found.values():
        families = ("none", "translation", "affine", "homography")
        assert tuple(layer) == (*families, "groups")
        assert layer["none"]["after"] == layer["none"]["before"] == layer["affine"]["before"]
        assert layer["none"]["identity_share"] == 1.0
        oracles = [layer[family]["oracle"] for family in families]
        assert oracles == sorted(oracles, reverse=True)
        assert {"neighbours 1 to 1", "neighbours 3 to 3"} < layer["groups"].keys()
        counts = [row["n_pairs"] for name, row in layer["groups"].items() if "score" in name]
        assert len(counts) == 4 and sum(counts) == layer["affine"]["n_pairs"]
    results = json.loads((workdir / "results.json").read_text())
    assert results["trained"]["alignment"] == found["trained"]["affine"]
    for name in ("aligned_best", "aligned_worst"):
        assert (workdir / "report" / f"{name}.png").exists() and name in ended.stdout
    ended = run(
        *DEMO, "--mode=align", "--config.evaluation.alignment_images=0",
        f"--workdir={tmp_path / 'none'}",
    )
    one_line(ended, "alignment_images", "0")
    # Another number of steps is another layer: nothing is trained, and nothing lost.
    before = sorted(workdir.glob("checkpoints/*/*"))
    ended = run(*DEMO, "--mode=align", "--config.train.steps=8", f"--workdir={workdir}")
    assert ended.returncode == 0 and "only the untrained layer" in ended.stdout
    assert json.loads((workdir / "alignment.json").read_text()).keys() == {"clustering"}
    assert sorted(workdir.glob("checkpoints/*/*")) == before


def kill_after(steps, arguments, workdir, environment):
    """Run, and kill -9 once the log has so many steps."""
    process = subprocess.Popen(
        [sys.executable, "run.py", *arguments, f"--workdir={workdir}"],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    rows = workdir / "metrics.jsonl"
    while not (rows.exists() and rows.read_text().count("\n") >= steps) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_pools_refreshed_in_training_survive_a_kill_too(run, environment, tmp_path):
    refreshing = [*DEMO, "--config.pools.refresh_epochs=1"]
    ended = run(*refreshing, f"--workdir={tmp_path / 'whole'}")
    assert ended.returncode == 0, ended.stderr
    workdir = tmp_path / "killed"
    kill_after(7, refreshing, workdir, environment)
    ended = run(*refreshing, f"--workdir={workdir}")
    assert ended.returncode == 0, ended.stderr
    expected, found = trained(tmp_path / "whole"), trained(workdir)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_part_templates_train_in_the_same_pipeline_and_survive_a_kill(
    run, environment, whole, tmp_path
):
    templates = [*DEMO, "--config.train.objective=part_templates"]
    shutil.copytree(whole[0], tmp_path / "whole")
    ended = run(*templates, f"--workdir={tmp_path / 'whole'}")
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
        "step", "loss", "positive_share", "background_argmax", "channels_in_use", "seconds",
    }
    assert len(list((tmp_path / "whole" / "report").glob("*.png"))) == 8
    workdir = tmp_path / "killed"
    kill_after(6, templates, workdir, environment)
    ended = run(*templates, f"--workdir={workdir}")
    assert ended.returncode == 0, ended.stderr
    expected, found = trained(tmp_path / "whole"), trained(workdir)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_another_seed_gives_another_layer_in_the_same_folder(run, whole, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(whole[0], workdir)
    before = trained(workdir)
    ended = run(*DEMO, f"--workdir={workdir}", "--config.train.learning_rate=0.01")
    assert ended.returncode == 0, ended.stderr
    assert "features:" not in ended.stderr
    assert not np.array_equal(trained(workdir)["centres"], before["centres"])


def test_a_process_holds_its_folder(run, environment, tmp_path):
    workdir = tmp_path / "run"
    first = subprocess.Popen(
        [sys.executable, "run.py", *DEMO, f"--workdir={workdir}"],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        while not (workdir / "data").exists() and first.poll() is None:
            time.sleep(0.01)
        one_line(run(*DEMO, f"--workdir={workdir}"), "in use", str(first.pid))
    finally:
        first.kill()
        first.wait()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], ["--config=FILE"]),
        (["--config=configs/none.py"], ["configs/none.py"]),
        (
            [*DEMO, "--config.train.stepz=1"],
            ["config.train.stepz", "learning_rate, objective, steps"],
        ),
        ([*DEMO, "--config.trian.steps=1"], ["config.trian.steps", "pseudo_gt"]),
        ([*DEMO, "--config.train.steps=many"], ["config.train.steps", "many"]),
        ([*DEMO, "--config.train.steps=-1"], ["config.train.steps", "-1", "0 to"]),
        ([*DEMO, "--config.matching.kind=best"], ["config.matching.kind", "best", "mutual"]),
        ([*DEMO, "--config.backbone.layer=pool9"], ["backbone.layer", "pool9", "pool4"]),
        ([*DEMO, "--config.parts.count=5000"], ["config.parts.count", "5000"]),
        ([*DEMO, "--config.pools.size=12"], ["config.pools.size", "12"]),
        ([*DEMO, "--config.backbone.weights=/no/such.npz"], ["/no/such.npz"]),
        ([*DEMO, "--config.backbone.weights="], ["vgg16"]),
        ([*DEMO, "--config.evaluation.protocols=scop"], ["evaluation.protocols", "scop", "scops"]),
        ([*DEMO, "--config.evaluation.protocols=scops"], ["'scops'", "eyes", "shapes"]),
        ([*DEMO, "--config.clusters.kind=som"], ["clusters.kind", "som", "vmf, kmeans, nmf"]),
        ([*DEMO, "--config.clusters.kind=nmf"], ["clusters.kind", "train.steps", "12"]),
        ([*DEMO, "--mode=fly"], ["mode", "evaluate"]),
        ([*DEMO, "--mode=evaluate"], ["no layer trained"]),
        ([*DEMO, "--colour=red"], ["colour"]),
        ([*DEMO, "extra"], ["extra"]),
        (["--config=configs/cub.py:sideways"], ["sideways", "cropped"]),
        (["--config=configs/celeba.py"], ["PARTDISC_DATA"]),
        (["--config=configs/folder.py"], ["data.root"]),
        (["--config=configs/folder.py:/no/such/folder", *FOLDER], ["/no/such/folder"]),
    ],
)
def test_a_mistake_is_one_line(run, tmp_path, arguments, words):
    given = arguments and [*arguments, f"--workdir={tmp_path / 'run'}"]
    one_line(run(*given), *words)


def test_folders_that_are_not_ours_or_not_writable(run, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("a photo")
    one_line(run(*DEMO, f"--workdir={tmp_path / 'photos'}"), "photos", "not empty")
    (tmp_path / "file").write_text("")
    one_line(run(*DEMO, f"--workdir={tmp_path / 'file' / 'run'}"), "file")


def test_a_full_disk_is_one_line_and_loses_nothing(run, whole, tmp_path):
    """A limit on the size of files stands for the full disk: both fail a write half-way."""
    import resource

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    workdir = tmp_path / "run"
    one_line(run(*DEMO, f"--workdir={workdir}", preexec_fn=small_files), "features.npy")
    ended = run(*DEMO, f"--workdir={workdir}")
    assert ended.returncode == 0, ended.stderr
    assert np.array_equal(trained(workdir)["centres"], trained(whole[0])["centres"])


def photos(folder, count, size=64):
    """Write drawings as photos."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(shapes.draw(0, number, size)[0]).save(folder / f"{number}.png")
    return folder


def test_an_empty_folder(run, tmp_path):
    (tmp_path / "photos").mkdir()
    ended = run(
        f"--config=configs/folder.py:{tmp_path / 'photos'}", *FOLDER,
        f"--workdir={tmp_path / 'run'}",
    )
    one_line(ended, "photos", ".png")


def test_a_folder_of_two_images(run, tmp_path):
    folder = photos(tmp_path / "photos", 2)
    ended = run(f"--config=configs/folder.py:{folder}", *FOLDER, f"--workdir={tmp_path / 'run'}")
    assert ended.returncode == 0, ended.stderr
    assert "no landmarks" in ended.stdout
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert 0 <= results["trained"]["label_free"]["agreement"] <= 1
    one_line(
        run(f"--config=configs/folder.py:{folder}", *FOLDER, "--config.pools.size=15",
            f"--workdir={tmp_path / 'other'}"),
        "2 training images", "config.pools.size",
    )


def test_odd_images_in_a_folder(run, tmp_path):
    folder = photos(tmp_path / "photos", 8)
    Image.new("RGB", (1, 1), "red").save(folder / "pixel.png")
    (folder / "corrupt.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image at all")
    (folder / "notes.txt").write_text("not an image")
    ended = run(f"--config=configs/folder.py:{folder}", *FOLDER, f"--workdir={tmp_path / 'run'}")
    assert ended.returncode == 0, ended.stderr
    assert "corrupt.jpg" in ended.stdout and "1 image" in ended.stdout
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    assert data["images"] == 9
    assert [one["name"] for one in data["skipped"]] == ["corrupt.jpg"]
    one_line(
        run(f"--config=configs/folder.py:{folder}", *FOLDER,
            "--config.data.max_bad_fraction=0.05", f"--workdir={tmp_path / 'other'}"),
        "corrupt.jpg", "max_bad_fraction",
    )


def test_predictions_of_another_program_are_scored(run, whole, tmp_path):
    """The run's own detections as another program's: what the run said of them comes back."""
    ended = run(*DEMO, "--mode=score", f"--workdir={tmp_path / 'run'}", "--config.seed=0",
                f"--predictions={whole[0] / 'detections.jsonl'}")
    # They are of test images alone, and channels are chosen on fit images.
    one_line(ended, "detections.jsonl", "no prediction for any of the 8 fit images")
    names = json.loads((whole[0] / "data.json").read_text())["landmarks"]
    rows = [
        {
            "image": f"{split}/{number:06d}.jpg", "part": name, "y": 9 * i + number,
            "x": 5 * i + 2 * number,
        }
        for number, split in enumerate(["test"] * 5 + ["fit"] * 8)
        for i, name in enumerate(names)
    ]  # fmt: skip
    del rows[1], rows[-3]
    path = tmp_path / "points.json"
    path.write_text(json.dumps(rows))
    ended = run(*DEMO, "--mode=score", f"--predictions={path}", f"--workdir={tmp_path / 'run'}")
    assert ended.returncode == 0, ended.stderr
    assert "predictions" in ended.stdout and "mean shape" in ended.stdout
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["predictions"]["n_test"] == 5 and scores["predictions"]["nme_peak"] > 0
    assert set(scores["channels"]) == set(names)
    assert list(scores["predictions"]["regression"]) == ["default", "cub_box"]
    one_line(run(*DEMO, "--mode=score", f"--workdir={tmp_path / 'run'}"), "--predictions=FILE")


def test_a_table_of_the_paper(run, tmp_path):
    arguments = (
        "--config=configs/tables.py:5,data=shapes+cub,seeds=0", *DEMO[1:], "--mode=table",
        f"--workdir={tmp_path / 'table'}",
    )
    ended = run(*arguments)
    assert ended.returncode == 0, ended.stderr
    assert "run 1 of 4: shapes, our defaults, seed 0" in ended.stdout
    assert "cannot be done: data.root is empty" in ended.stdout  # There is no CUB here.
    table = (tmp_path / "table" / "table.txt").read_text()
    assert table in ended.stdout and "drawn excavators: ours, box" in table
    assert "random weights" in table and "CUB: not run: data.root is empty" in table
    again = run(*arguments)
    assert again.returncode == 0 and "run 1 of 4" not in again.stdout
    assert (tmp_path / "table" / "table.txt").read_text() == table
    one_line(run("--config=configs/tables.py:nine", "--mode=table"), "configs/tables.py:nine")
    one_line(run("--config=configs/tables.py:11", "--mode=table"), "config.table.number is 11")


def test_further_figures_by_name(run, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    names = ["keypoints", "equivariance", "fit_sizes", "cumulative", "backward"]
    ended = run(*DEMO, "--mode=evaluate", f"--workdir={tmp_path / 'run'}",
                f"--config.evaluation.extras={','.join(names)}")
    assert ended.returncode == 0, ended.stderr
    extras = json.loads((tmp_path / "run" / "results.json").read_text())["trained"]["extras"]
    assert list(extras) == names
    assert 0 <= extras["keypoints"]["nmi_fg"] <= 100 and extras["keypoints"]["keypoints"] > 10
    assert 0 < extras["equivariance"]["map_distance"] < 100
    assert extras["backward"] > 0
    assert [row["images"] for row in extras["fit_sizes"]] == [5, 8]
    shares = list(extras["cumulative"].values())
    assert shares == sorted(shares) and shares[-1] <= 100
    assert "keypoints: nmi_full" in ended.stdout and "fit_sizes: 5 images" in ended.stdout


def test_check_computes_nothing(run, tmp_path):
    ended = run(*DEMO, "--mode=check", f"--workdir={tmp_path / 'run'}")
    assert ended.returncode == 0, ended.stderr
    assert "in order" in ended.stdout and "examination of the data" in ended.stdout
    assert json.loads((tmp_path / "run" / "check.json").read_text())["worst"] == "ok"
    assert not (tmp_path / "run" / "features.npy").exists()


def test_check_says_by_its_status_how_bad_it_is(run, tmp_path):
    folder = photos(tmp_path / "photos", 8)
    (folder / "twice.png").write_bytes((folder / "3.png").read_bytes())
    arguments = (
        f"--config=configs/folder.py:{folder}", *FOLDER, "--mode=check",
        f"--workdir={tmp_path / 'run'}",
    )
    ended = run(*arguments)
    assert ended.returncode == 2, ended.stderr
    assert "1, such as 3.png = twice.png" in ended.stdout
    for number in range(6):
        (folder / f"{number}.png").write_bytes(b"x")
    ended = run(*arguments)
    assert ended.returncode == 1 and "the data has errors" in ended.stdout
    assert "0.png: not an image" in ended.stdout and "Traceback" not in ended.stderr


def test_real_faces(real_data, real_weights, environment, tmp_path):
    """A small real run: parts of faces, GoogLeNet's ImageNet weights."""
    ended = subprocess.run(
        [
            sys.executable, "run.py", "--config=configs/celeba.py:subset",
            f"--workdir={tmp_path / 'run'}", f"--config.backbone.weights={real_weights}",
            f"--config.data.root={real_data / 'celeba'}", "--config.backbone.name=googlenet",
            "--config.backbone.layer=inception_4b", "--config.data.train_subset=200",
            "--config.parts.count=128", "--config.train.steps=40",
            "--config.evaluation.alignment_images=40",
        ],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900,
    )
    assert ended.returncode == 0, ended.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert not results["random_weights"] and "random" not in ended.stdout
    assert (results["trained"]["n_fit"], results["trained"]["n_test"]) == (500, 500)
    mean_shape = results["baselines"]["mean_shape"]["nme"]
    assert mean_shape == pytest.approx(8.8, abs=0.05)
    trained, start = results["trained"], results["clustering"]
    assert trained["nme_mean"] < start["nme_mean"] < mean_shape
    assert trained["map_l2_short_side"] > start["map_l2_short_side"] > 50
    assert trained["map_l2_box"] is None  # aligned CelebA has no boxes
