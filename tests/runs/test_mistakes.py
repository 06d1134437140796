"""What the program says of a user's mistakes and of odd folders."""

import json

import pytest
from PIL import Image
from program import DEMO, FOLDER, one_line, photos, run_here

from partdisc.workdir import MARK


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
        ([*DEMO, "--mode=evaluate"], ["no trained layer", "--mode=train"]),
        ([*DEMO, "--overwrite", "--continue"], ["--overwrite", "--continue", "only one"]),
        ([*DEMO, "--overwrite", "--mode=evaluate"], ["--overwrite", "evaluate"]),
        ([*DEMO, "--mode=align", "--continue"], ["--continue is of --mode=train", "align"]),
        ([*DEMO, "--images=photos"], ["--images is of --mode=predict", "train"]),
        ([*DEMO, "--mode=check", "--predictions=a.csv"], ["--predictions is of --mode=score"]),
        (["--mode=predict", "--overwrite"], ["--overwrite is of --mode=train", "predict"]),
        ([*DEMO, "--mode=predict"], ["--config is given", "parts.wanted"]),
        (["--config.parts.wanted=3"], ["--config.parts.wanted is given without --config=FILE"]),
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


LONG = "x" * 5000


@pytest.mark.parametrize(
    "arguments",
    [
        [f"--config.train.steps={LONG}"],
        ["--config.train.steps", LONG],
        [f"--config.train.learning_rate={LONG}"],
        [f"--config.data.flip={LONG}"],
        [f"--config.{LONG}=1"],
        [f"--config.train.{LONG}=1"],
        ["--config.data.name=folder", f"--config.data.root={LONG}"],
        [f"--config={LONG}"],
        ["--config", LONG],
        [f"--config=demo:{LONG}"],
        [f"--mode={LONG}"],
        ["--mode", LONG],
        ["--mode=predict", "--out=out", f"--images={LONG}"],
        ["--mode=predict", "--images=tests", f"--out={LONG}"],
        [f"--workdir={LONG}"],
        [f"--overwrite={LONG}"],
        [f"--{LONG}"],
        [f"--{LONG}=1"],
        [LONG],
    ],
    ids=lambda arguments: " ".join(arguments).replace(LONG, "..."),
)
def test_what_is_given_is_echoed_in_short(run, tmp_path, arguments):
    ended = run(*DEMO, "--mode=check", f"--workdir={tmp_path / 'run'}", *arguments)
    one_line(ended)
    assert ended.stderr.count("x") < 300 and len(ended.stderr.splitlines()[-1]) < 400


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ["SyntaxError"]),
        (b"notes about photos\n", ["SyntaxError", "line 1"]),
        (b"steps = 3\n", ["AttributeError", "get_config"]),
        (b"import nothing_of_that_name\n", ["nothing_of_that_name"]),
        (b"def get_config():\n    raise KeyError('bird')\n", ["KeyError: 'bird'"]),
        (b"def get_config(x):\n    return x\n", ["TypeError", "get_config"]),
    ],
)
def test_a_file_that_is_no_config_is_one_line(run, tmp_path, content, words):
    (tmp_path / "own.py").write_bytes(content)
    given = [f"--config={tmp_path / 'own.py'}", f"--workdir={tmp_path / 'run'}"]
    one_line(run(*given), "--config: the file cannot be read", *words)


def test_an_argument_that_a_config_does_not_take_is_one_line(run, tmp_path):
    given = ["--config=configs/demo.py:small", f"--workdir={tmp_path / 'run'}"]
    one_line(run(*given), "--config: the file cannot be read", "takes 0 positional arguments")


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (["--mode=evaluate"], "holds no trained layer"),
        (["--mode=score", "--predictions=none.csv"], "has no landmarks"),
        (["--mode=align"], "has no landmarks"),
    ],
)
def test_what_cannot_be_done_writes_nothing(run, tmp_path, mode, words):
    folder, workdir = photos(tmp_path / "photos", 3), tmp_path / "run"
    given = [f"--config=configs/folder.py:{folder}", *FOLDER, f"--workdir={workdir}", *mode]
    one_line(run(*given), words)
    left = [one.name for one in workdir.iterdir()] if workdir.exists() else []
    assert left == ([] if "evaluate" in mode[0] else [MARK])
    assert "evaluate" not in mode[0] or not workdir.exists()


def test_folders_that_are_not_ours_or_not_writable(run, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("a photo")
    one_line(run(*DEMO, f"--workdir={tmp_path / 'photos'}"), "photos", "not empty")
    (tmp_path / "file").write_text("")
    one_line(run(*DEMO, f"--workdir={tmp_path / 'file' / 'run'}"), "file")


def test_an_empty_folder(run, tmp_path):
    (tmp_path / "photos").mkdir()
    ended = run(
        f"--config=configs/folder.py:{tmp_path / 'photos'}",
        *FOLDER,
        f"--workdir={tmp_path / 'run'}",
    )
    one_line(ended, "photos", ".png")


def test_a_folder_of_two_images(run, tmp_path):
    folder = photos(tmp_path / "photos", 2)
    ended = run_here(
        f"--config=configs/folder.py:{folder}", *FOLDER, f"--workdir={tmp_path / 'run'}"
    )
    assert ended.returncode == 0, ended.stderr
    assert "no landmarks" in ended.stdout
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert 0 <= results["trained"]["label_free"]["agreement"] <= 1
    one_line(
        run(
            f"--config=configs/folder.py:{folder}",
            *FOLDER,
            "--config.pools.size=15",
            f"--workdir={tmp_path / 'other'}",
        ),
        "2 training images",
        "config.pools.size",
    )


def test_odd_images_in_a_folder(run, tmp_path):
    folder = photos(tmp_path / "photos", 5)
    Image.new("RGB", (1, 1), "red").save(folder / "pixel.png")
    (folder / "corrupt.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image at all")
    (folder / "notes.txt").write_text("not an image")
    ended = run_here(
        f"--config=configs/folder.py:{folder}", *FOLDER, f"--workdir={tmp_path / 'run'}"
    )
    assert ended.returncode == 0, ended.stderr
    assert "corrupt.jpg" in ended.stdout and "1 image" in ended.stdout
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    assert data["images"] == 6
    assert [one["name"] for one in data["skipped"]] == ["corrupt.jpg"]
    one_line(
        run(
            f"--config=configs/folder.py:{folder}",
            *FOLDER,
            "--config.data.max_bad_fraction=0.05",
            f"--workdir={tmp_path / 'other'}",
        ),
        "corrupt.jpg",
        "max_bad_fraction",
    )


def test_check_says_by_its_status_how_bad_it_is(run, tmp_path):
    folder = photos(tmp_path / "photos", 8)
    (folder / "twice.png").write_bytes((folder / "3.png").read_bytes())
    arguments = (
        f"--config=configs/folder.py:{folder}",
        *FOLDER,
        "--mode=check",
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
