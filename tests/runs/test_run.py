"""Whole runs: what they leave, reuse, measure and print."""

import collections
import json
import re
import shutil

import numpy as np
import pytest
from program import DEMO, DRAWN, FOLDER, ROOT, one_line, photos, run_here, trained

from partdisc.errors import WorkdirError


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
        "loss",
        "inliers",
        "matches",
        "identity_share",
        "background_share",
        "channels_in_use",
        "entropy",
        "seconds",
    } < metrics[0].keys()
    for row in (workdir / "detections.jsonl").open():
        detection = json.loads(row)
        y0, x0, y1, x1 = detection["box"]
        y, x = detection["point"]
        assert y0 < y < y1 and x0 < x < x1 and 0 < detection["score"] <= 1
        assert results["channels"][detection["part"]] == detection["channel"]
    # Eight drawings, the typical photos with their parts, and the page of all.
    assert len(list((workdir / "report").glob("*.png"))) == 9
    assert (workdir / "report" / "index.html").exists()
    assert json.loads((workdir / "config.json").read_text())["train.steps"] == 12
    assert "trained" in printed and "run/report" in printed


def test_no_program_of_a_run_is_compiled_twice(whole):
    """For the same shapes; those of jax.numpy are named alike and differ."""
    ours = set()
    for path in (ROOT / "partdisc").rglob("*.py"):
        ours |= set(re.findall(r"^\s*def (\w+)", path.read_text(), re.MULTILINE))
    log = (whole[0].parent / "compiled.txt").read_text()
    found = collections.Counter(
        re.findall(r"Compiling jit\((\w+)\) with global shapes and types (.*?)\. Argument", log)
    )
    programs = {one: times for one, times in found.items() if one[0] in ours}
    assert {"train_step", "unit_maps", "_unit_features"} <= {name for name, _ in programs}
    assert [one for one, times in programs.items() if times > 1] == []


NMF = ["--config.clusters.kind=nmf", "--config.backbone.center=False", "--config.train.steps=0"]


@pytest.mark.runs
@pytest.mark.parametrize(
    "options",
    [
        ["--config.clusters.kind=kmeans", "--config.train.steps=2"],
        [*NMF, "--config.parts.count=2"],
    ],
)
def test_other_kinds_of_clusters_go_the_same_way(tmp_path, options):
    workdir = tmp_path / "run"
    ended = run_here(*DEMO, *options, f"--workdir={workdir}")
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
    again = run_here(*DEMO, *options, f"--workdir={workdir}", "--mode=evaluate")
    assert again.returncode == 0 and "clusters:" not in again.stderr, again.stderr
    assert json.loads((workdir / "results.json").read_text()) == results


@pytest.mark.runs
def test_factors_of_a_folder(tmp_path):
    folder = photos(tmp_path / "photos", 6)
    ended = run_here(
        f"--config=configs/folder.py:{folder}",
        *FOLDER,
        *NMF,
        "--config.parts.count=4",
        f"--workdir={tmp_path / 'run'}",
    )
    assert ended.returncode == 0, ended.stderr
    assert "no landmarks" in ended.stdout


def test_a_second_run_reuses_every_stage(whole, tmp_path):
    """All but the pictures, which are wanted no more: they could be of another layer."""
    workdir = tmp_path / "run"
    shutil.copytree(whole[0], workdir)
    assert len(list((workdir / "report").glob("*.png"))) == 9
    kept = ("features.npy", "clusters.npz", "pools.npz", "results.json")
    before = {name: (workdir / name).stat().st_mtime_ns for name in kept}
    params = trained(workdir)
    for mode in ("evaluate", "train"):
        ended = run_here(*DEMO, f"--workdir={workdir}", f"--mode={mode}")
        assert ended.returncode == 0, ended.stderr
        assert "features:" not in ended.stderr and "clusters:" not in ended.stderr
        assert "training:" not in ended.stderr
    assert [path.name for path in (workdir / "report").glob("*.png")] == ["parts.png"]
    for name in kept[:3]:
        assert (workdir / name).stat().st_mtime_ns == before[name]
    assert all(np.array_equal(params[name], value) for name, value in trained(workdir).items())


def test_alignment_is_diagnosed_before_and_after_training(run, whole, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(whole[0], workdir)
    ended = run_here(*DEMO, *DRAWN, "--mode=align", f"--workdir={workdir}")
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
        *DEMO,
        "--mode=align",
        "--config.evaluation.alignment_images=0",
        f"--workdir={tmp_path / 'none'}",
    )
    one_line(ended, "alignment_images", "0")
    # What is not trained to its end is measured without it, and another training not at all.
    for path in workdir.glob("checkpoints/*/12"):
        path.rename(path.with_name("damaged-12"))
    ended = run_here(*DEMO, "--mode=align", f"--workdir={workdir}")
    assert ended.returncode == 0 and "only the untrained layer is measured" in ended.stdout
    assert "trained to step 8 of 12; finish it with --mode=train" in ended.stdout
    assert json.loads((workdir / "alignment.json").read_text()).keys() == {"clustering"}
    before = sorted(workdir.rglob("*"))
    with pytest.raises(WorkdirError, match="config.pools.size: was 3, is 2"):
        run_here(*DEMO, "--mode=align", "--config.pools.size=2", f"--workdir={workdir}")
    assert sorted(workdir.rglob("*")) == before


def test_another_seed_gives_another_layer_in_the_same_folder(whole, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(whole[0], workdir)
    before = trained(workdir)
    other = [*DEMO, f"--workdir={workdir}", "--config.train.learning_rate=0.01"]
    ended = run_here(*other, "--overwrite")
    assert ended.returncode == 0, ended.stderr
    assert "features:" not in ended.stderr
    assert not np.array_equal(trained(workdir)["centres"], before["centres"])


def test_predictions_of_another_program_are_scored(run, whole, tmp_path):
    """The run's own detections as another program's: what the run said of them comes back."""
    ended = run(
        *DEMO,
        "--mode=score",
        f"--workdir={tmp_path / 'run'}",
        "--config.seed=0",
        f"--predictions={whole[0] / 'detections.jsonl'}",
    )
    # They are of test images alone, and channels are chosen on fit images.
    one_line(ended, "detections.jsonl", "no prediction for any of the 8 fit images")
    names = json.loads((whole[0] / "data.json").read_text())["landmarks"]
    rows = [
        {
            "image": f"{split}/{number:06d}.jpg", "part": name, "y": 5 * i + number,
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


def test_a_table_of_the_paper(run, tmp_path, monkeypatch):
    monkeypatch.delenv("PARTDISC_DATA", raising=False)
    arguments = (
        "--config=configs/tables.py:5,data=shapes+cub,seeds=0",
        *DEMO[1:],
        "--mode=table",
        f"--workdir={tmp_path / 'table'}",
    )
    ended = run_here(*arguments)
    assert ended.returncode == 0, ended.stderr
    assert "run 1 of 4: shapes, our defaults, seed 0" in ended.stdout
    assert "cannot be done: data.root is empty" in ended.stdout  # There is no CUB here.
    table = (tmp_path / "table" / "table.txt").read_text()
    assert table in ended.stdout and "drawn excavators: ours, box" in table
    assert "random weights" in table and "CUB: not run: data.root is empty" in table
    again = run_here(*arguments)
    assert again.returncode == 0 and "run 1 of 4" not in again.stdout
    assert (tmp_path / "table" / "table.txt").read_text() == table
    one_line(run("--config=configs/tables.py:nine", "--mode=table"), "configs/tables.py:nine")
    one_line(run("--config=configs/tables.py:11", "--mode=table"), "config.table.number is 11")


def test_further_figures_by_name(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    names = ["keypoints", "parts", "equivariance", "fit_sizes", "cumulative", "backward"]
    ended = run_here(
        *DEMO,
        "--mode=evaluate",
        f"--workdir={tmp_path / 'run'}",
        f"--config.evaluation.extras={','.join(names)}",
    )
    assert ended.returncode == 0, ended.stderr
    extras = json.loads((tmp_path / "run" / "results.json").read_text())["trained"]["extras"]
    assert list(extras) == names
    assert 0 <= extras["keypoints"]["nmi_fg"] <= 100 and extras["keypoints"]["keypoints"] > 10
    assert {"k4", "k8", "object_iou", "object_corloc"} == extras["parts"].keys()
    for count in ("k4", "k8"):
        figures = extras["parts"][count]
        assert {"nmi_full", "ari_fg", "presence_auc"} < figures.keys()
        assert 0 <= figures["nmi_full"] <= 100 and -100 <= figures["ari_fg"] <= 100
    assert 0 <= extras["parts"]["object_iou"] <= 100
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


def test_real_faces(real_data, real_weights, run, tmp_path):
    """A small real run: parts of faces, GoogLeNet's ImageNet weights."""
    faces = tmp_path / "celeba"
    faces.mkdir()
    for name in ("img_align_celeba", "list_eval_partition.txt"):
        (faces / name).symlink_to(real_data / "celeba" / name)
    # 400 of the 1,000 faces with landmarks: half to fit, half to test.
    name = "list_landmarks_align_celeba.txt"
    rows = (real_data / "celeba" / name).read_text().splitlines()
    (faces / name).write_text("\n".join(["400", *rows[1:402]]) + "\n")
    ended = run(
        "--config=configs/celeba.py:subset",
        f"--workdir={tmp_path / 'run'}",
        f"--config.backbone.weights={real_weights}",
        f"--config.data.root={faces}",
        "--config.backbone.name=googlenet",
        "--config.backbone.layer=inception_4b",
        "--config.data.train_subset=150",
        "--config.data.short_side=160",
        "--config.parts.count=128",
        "--config.train.steps=40",
        "--config.evaluation.alignment_images=40",
        "--config.detection.half_stride=False",
        "--config.report.photos=12",
        "--config.report.images=0",
        timeout=900,
        optimised=True,
    )
    assert ended.returncode == 0, ended.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert not results["random_weights"] and "random" not in ended.stdout
    assert (results["trained"]["n_fit"], results["trained"]["n_test"]) == (200, 200)
    mean_shape = results["baselines"]["mean_shape"]["nme"]
    assert mean_shape == pytest.approx(8.8, abs=0.3)
    trained, start = results["trained"], results["clustering"]
    assert trained["nme_mean"] < start["nme_mean"] < mean_shape
    assert trained["map_l2_short_side"] > start["map_l2_short_side"] > 50
    assert trained["map_l2_box"] is None  # aligned CelebA has no boxes
