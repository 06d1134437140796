"""A run put to use: its parts, its detector on images, and the same from Python."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from program import DEMO, ROOT, SMALL, demo_config, one_line

import partdisc
from partdisc import experiment
from partdisc.data import shapes
from partdisc.discovery.features import predict
from partdisc.errors import ConfigError, DataError, WorkdirError
from partdisc.workdir import Workdir


def test_a_run_leaves_parts_with_room_for_names(whole):
    with open(whole[0] / "parts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [str(n + 1) for n in range(len(rows))]
    assert sorted(int(k) for row in rows for k in row["channels"].split()) == list(range(8))
    assert all(row["name"] == "" and 0 <= float(row["presence"]) <= 1 for row in rows)
    assert f"parts: {len(rows)}, the most that are stable" in whole[1]
    assert "parts.csv" in whole[1]
    assert whole[1].splitlines()[-1].startswith("  python run.py --mode=predict --workdir=")


def test_prediction_is_the_evaluation_bit_for_bit(whole):
    """From the images themselves, without the run's features: the same detections."""
    detector = partdisc.load(whole[0])
    with Workdir(whole[0]) as workdir:
        config = demo_config(DEMO)
        run = experiment.discover(config, workdir, experiment.look(config, workdir, "trained"))
    test = run.inputs.dataset.splits["test"]
    expected = predict(run.detector, run.features, test)
    found = detector.predict(run.inputs.dataset.image(int(index)) for index in test)
    written = [json.loads(line) for line in (whole[0] / "detections.jsonl").open()]
    count = 0
    for n, prediction in enumerate(found):
        assert prediction.detections
        for listed in detector.listed:
            scores, points = expected.scores[n, listed.channel], expected.points[n, listed.channel]
            rows = [one for one in prediction.detections if one.part == listed.name]
            kept = scores >= listed.least
            assert [one.score for one in rows] == scores[kept].tolist()
            assert [list(one.point) for one in rows] == points[kept].tolist()
        count += len(prediction.detections)
    assert count == len(written) and n + 1 == len(test)


def test_new_photos_by_the_command_line(run, whole, tmp_path):
    for n in range(3):
        Image.fromarray(shapes.draw(9, n, 64)[0]).save(tmp_path / f"{n}.png")
    arguments = ("--mode=predict", f"--images={tmp_path}", f"--workdir={whole[0]}")
    ended = run(*arguments, f"--out={tmp_path / 'out'}", "--format=jsonl,csv", "--overlays")
    assert ended.returncode == 0, ended.stderr
    rows = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").open()]
    assert [row["image"] for row in rows] == ["0.png", "1.png", "2.png"]
    assert "3 of 3 images" in ended.stdout
    assert (tmp_path / "out" / "overlays" / "2.png").exists()
    one_line(run(*arguments), "--out")
    nowhere = ("--mode=predict", f"--images={tmp_path}", f"--workdir={tmp_path}", "--out=x")
    one_line(run(*nowhere), "no detector", "--mode=train")


@pytest.mark.runs
def test_parts_from_python(tmp_path):
    pictures = [shapes.draw(3, n, 64)[0] for n in range(6)]
    options = {"backbone__weights": "random", "backbone__center": True, "train__batch": 1}
    options |= {"pools__size": 1, "report__images": 0, "parts__wanted": "3"}
    for argument in SMALL[:3] + SMALL[5:7]:
        key, _, value = argument.removeprefix("--config.").partition("=")
        options[key.replace(".", "__")] = int(value) if value.isdecimal() else value
    detector = partdisc.discover(pictures, tmp_path / "run", **options)
    assert [part.id for part in detector.parts] == [1, 2, 3]
    again = partdisc.load(tmp_path / "run")
    (found,), (same,) = detector.predict(pictures[:1]), again.predict(pictures[:1])
    assert found.parts == same.parts and found.size == (64, 64)
    assert np.array_equal(found.mask, same.mask)
    # The same pictures go on where the first call was.
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("*.np[yz]")}
    assert kept
    partdisc.discover(pictures, tmp_path / "run", **options | {"parts__wanted": 2})
    del kept[tmp_path / "run" / "detector.npz"]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    for wrong, words in (
        ({"train__stepz": 3}, "train.stepz"),
        ({"train__steps": "3"}, "train.steps is '3'; allowed: a whole number"),
        ({"train__learning_rate": "x"}, "train.learning_rate is 'x'; allowed: a number"),
    ):
        with pytest.raises(ConfigError, match=words):
            partdisc.discover(pictures, tmp_path / "run", **wrong)
    with pytest.raises(DataError, match="picture 4: No such file"):
        partdisc.discover([*pictures[:4], "none.png"], tmp_path / "run")
    with pytest.raises(DataError, match="picture 3"):
        partdisc.discover([*pictures[:3], "none.png"], tmp_path / "other")
    for one in (Image.new("RGB", (40, 30)), np.zeros((30, 40, 3), np.uint8)):
        with pytest.raises(DataError, match="is one picture or folder; give a list"):
            partdisc.discover(one, tmp_path / "other")
    with pytest.raises(DataError, match="no pictures were given"):
        partdisc.discover([], tmp_path / "other")
    # Other pictures are other data: the training is not lost, nor what it was made of.
    with pytest.raises(WorkdirError, match="training images: 2 removed"):
        partdisc.discover(pictures[:4], tmp_path / "run", **options)
    with pytest.raises(ConfigError, match="where_trained is 'anew'; allowed: stop, overwrite"):
        partdisc.discover(pictures, tmp_path / "run", where_trained="anew")
    partdisc.discover(pictures, tmp_path / "run", **options)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    partdisc.discover(pictures[:4], tmp_path / "run", where_trained="overwrite", **options)
    (folder,) = (tmp_path / "run" / "photos").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [f"{n:06d}.png" for n in range(4)]


@pytest.mark.runs
def test_the_example_runs_as_it_is_written(tmp_path, monkeypatch, capsys):
    """With fewer photos and steps, and nothing else changed."""
    code = (ROOT / "examples" / "discover.py").read_text()
    for old, new in (
        ("PHOTOS, STEPS = 120, 150", "PHOTOS, STEPS = 18, 2"),
        ("parts__count=128", "parts__count=8"),
        (
            "short_side=160,",
            "short_side=64, pools__size=2, train__batch=2, clusters__iterations=5, "
            "report__images=0,",
        ),
    ):
        assert old in code
        code = code.replace(old, new)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "discover.py", "exec"), names)
    said = capsys.readouterr().out
    assert said.count("photo ") >= 3 and "% of the photos" in said
    assert (tmp_path / "runs" / "example" / "report" / "index.html").exists()
    assert names["same"].parts == names["detector"].parts


def test_a_run_ends_with_a_page_of_its_test_photos(whole):
    page = (whole[0] / "report" / "index.html").read_text()
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    written = [json.loads(line) for line in (whole[0] / "detections.jsonl").open()]
    assert {one["name"] for one in data["photos"]} >= {one["image"] for one in written}
    for section in ("training", "measured", "parts"):
        assert f'id="{section}"' in page
    with Image.open(whole[0] / "report" / "parts.png") as image:
        assert np.asarray(image.convert("L")).std() > 10
    assert "index.html: open it in a browser" in whole[1]


def test_importing_costs_nothing_and_sets_no_flags():
    code = (
        "import sys, partdisc; heavy = {'jax', 'numpy', 'absl.flags', 'PIL'} & set(sys.modules); "
        "assert not heavy, heavy; partdisc.Detector; assert not {'absl.app'} & set(sys.modules); "
        "import pytest; "
        "pytest.raises(AttributeError, getattr, partdisc, 'nothing')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
