"""A work directory whose data or config changed: nothing is lost, nothing wrongly believed."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from program import FOLDER, one_line, photos, run_here, trained

from partdisc import experiment
from partdisc.data import shapes
from partdisc.errors import DataError, WorkdirError

pytestmark = pytest.mark.runs


def arguments(folder, workdir, *more):
    return (f"--config=configs/folder.py:{folder}", *FOLDER, f"--workdir={workdir}", *more)


def content(workdir):
    """Return the hash of every file of a work directory but the lock."""
    return {
        path.relative_to(workdir).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in workdir.rglob("*")
        if path.is_file() and path.name != "partdisc.json"
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder of six photos and the work directory of a run on them."""
    place = tmp_path_factory.mktemp("done")
    photos(place / "photos", 6)
    ended = run_here(*arguments(place / "photos", place / "run"))
    assert ended.returncode == 0, ended.stderr
    return place


@pytest.fixture
def place(done, tmp_path):
    """A copy of these, elsewhere and with other times."""
    shutil.copytree(done, tmp_path / "place", copy_function=shutil.copyfile)
    return tmp_path / "place"


def add_photo(folder, name="new.png", number=77):
    Image.fromarray(shapes.draw(0, number, 64)[0]).save(folder / name)


def test_moved_and_touched_photos_are_the_same(place, tmp_path):
    params = trained(place / "run")
    (place / "photos").rename(tmp_path / "elsewhere")
    os.utime(tmp_path / "elsewhere" / "3.png", ns=(5, 5))
    for mode in ("evaluate", "train"):
        ended = run_here(*arguments(tmp_path / "elsewhere", place / "run", f"--mode={mode}"))
        assert ended.returncode == 0, ended.stderr
        assert "features:" not in ended.stderr and "training:" not in ended.stderr
    assert all(
        np.array_equal(params[name], value) for name, value in trained(place / "run").items()
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: add_photo(folder), "training images: 1 added (new.png)"),
        (lambda folder: (folder / "2.png").unlink(), "1 removed (2.png)"),
        (lambda folder: add_photo(folder, "2.png"), "1 changed (2.png)"),
        (lambda folder: (folder / "2.png").rename(folder / "x.png"), "1 added (x.png), 1 removed"),
    ],
)
def test_other_photos_stop_a_run_before_it_writes(run, place, change, words):
    before = content(place / "run")
    change(place / "photos")
    for mode, also in (
        ("train", ["--overwrite", "--continue", "--workdir"]),
        ("evaluate", ["Give the config and the data that it was trained with"]),
    ):
        ended = run(*arguments(place / "photos", place / "run", f"--mode={mode}"))
        one_line(ended, words, *also)
        assert content(place / "run") == before


def test_another_config_stops_a_run_before_it_writes(place):
    before = content(place / "run")
    for option, words in (
        ("parts.kappa=25", "config.parts.kappa: was 20.0, is 25.0"),
        ("train.steps=4", "config.train.steps: was 12, is 4"),
        ("data.short_side=48", "config.data.short_side: was 64, is 48"),
        ("seed=1", "weights of the network are others"),  # They are random.
    ):
        for mode in ("train", "evaluate"):
            given = arguments(place / "photos", place / "run", f"--mode={mode}")
            with pytest.raises(WorkdirError) as caught:
                run_here(*given, f"--config.{option}")
            assert words in str(caught.value)
    assert content(place / "run") == before


def test_what_does_not_matter_to_the_layer_may_change(place):
    params = trained(place / "run")
    given = arguments(place / "photos", place / "run", "--config.detection.nms_iou=0.5")
    ended = run_here(*given, "--config.parts.wanted=3", "--config.backbone.batch=2")
    assert ended.returncode == 0, ended.stderr
    assert "training:" not in ended.stderr and "features:" not in ended.stderr
    assert all(
        np.array_equal(params[name], value) for name, value in trained(place / "run").items()
    )


def test_a_bad_photo_may_come_and_go(place):
    given = arguments(place / "photos", place / "run", "--config.data.max_bad_fraction=0.5")
    (place / "photos" / "bad.png").write_bytes((place / "photos" / "1.png").read_bytes()[:-200])
    came = run_here(*given)
    assert "warning: 1 of 7 images were left out: bad.png: damaged" in came.stdout
    (place / "photos" / "bad.png").unlink()
    went = run_here(*given, "--mode=evaluate")
    for ended in (came, went):
        assert ended.returncode == 0 and "training:" not in ended.stderr, ended.stderr


def test_a_run_that_keeps_no_features_ends_with_the_same_bits(place):
    ended = run_here(*arguments(place / "photos", place / "new", "--config.features=recompute"))
    assert ended.returncode == 0, ended.stderr
    assert "as config.features says" in ended.stdout
    assert not (place / "new" / "features.npy").exists()
    expected, found = trained(place / "run"), trained(place / "new")
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    for name in ("results.json", "detections.jsonl"):
        assert (place / "new" / name).read_text() == (place / "run" / name).read_text()
    # Those that are kept may come later, and the other way round: it is the same training.
    ended = run_here(*arguments(place / "photos", place / "new"))
    assert ended.returncode == 0 and "training:" not in ended.stderr
    assert (place / "new" / "features.npy").exists()


def test_what_is_finished_is_said_again_and_not_done(place):
    given = arguments(place / "photos", place / "run")
    first = run_here(*given)
    ending = first.stdout.partition("drawing the report\n")[2]
    assert "evaluating" in first.stdout and "find the parts in other photos" in ending
    (place / "run" / "of the user.txt").touch()
    before = content(place / "run")
    for mode in ("train", "evaluate"):
        again = run_here(*given, f"--mode={mode}")
        assert again.stdout.endswith(
            f"nothing has changed since this run ended; it found:\n{ending}"
        )
        assert "evaluating" not in again.stdout and content(place / "run") == before


@pytest.mark.parametrize("file", ["results.json", "report/index.html", "parts.csv"])
def test_what_is_gone_or_changed_of_a_finished_run_is_made_again(place, file):
    given = arguments(place / "photos", place / "run")
    run_here(*given)
    before = content(place / "run")
    changed = place / "run" / file
    if file == "parts.csv":
        header, first, *rest = changed.read_text().splitlines()
        assert header.startswith("id,name,")
        number, _, others = first.split(",", 2)
        changed.write_text("\n".join([header, f"{number},beak,{others}", *rest]) + "\n")
    elif file == "results.json":
        changed.unlink()
    else:
        changed.write_text("damaged")
    ended = run_here(*given)
    assert "evaluating: trained" in ended.stdout and "training:" not in ended.stderr
    if file == "parts.csv":
        assert ">beak<" in (place / "run" / "report" / "index.html").read_text()
    else:
        assert content(place / "run")[file] == before[file]


def test_another_way_to_evaluate_or_other_code_is_no_finished_run(place, monkeypatch):
    given = arguments(place / "photos", place / "run")
    run_here(*given)
    assert "evaluating" in run_here(*given, "--config.detection.nms_iou=0.5").stdout
    assert "evaluating" in run_here(*given).stdout
    monkeypatch.setattr(experiment, "code", lambda: "other")
    assert "evaluating" in run_here(*given).stdout


def test_overwritten_is_kept_aside(place):
    before = trained(place / "run")
    table = place / "run" / "parts.csv"
    table.write_text(table.read_text().replace("1,,", "1,beak,", 1))
    add_photo(place / "photos")
    given = arguments(place / "photos", place / "run")
    ended = run_here(*given, "--overwrite")
    assert ended.returncode == 0, ended.stderr
    assert "those of 6 of 7 images are there" in ended.stdout
    assert "the training before is kept in" in ended.stdout
    (kept,) = (place / "run" / "checkpoints" / "previous").iterdir()
    assert (kept / "12").is_dir() and (kept / "metrics.jsonl").exists()
    # Names are of the parts that they were given to.
    assert "beak" in (kept / "parts.csv").read_text()
    assert "beak" not in (place / "run" / "parts.csv").read_text()
    # The same bits as in a new work directory.
    fresh = run_here(*arguments(place / "photos", place / "fresh"))
    assert fresh.returncode == 0, fresh.stderr
    expected, found = trained(place / "fresh"), trained(place / "run")
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert not np.array_equal(found["centres"], before["centres"])
    again = run_here(*given)
    assert again.returncode == 0 and "training:" not in again.stderr


def test_a_layer_goes_on_with_more_photos(run, place, tmp_path):
    add_photo(place / "photos")
    shutil.copytree(place, tmp_path / "other")
    given = arguments(place / "photos", place / "run")
    ended = run_here(*given, "--continue")
    assert ended.returncode == 0, ended.stderr
    assert "those of 6 of 7 images are there" in ended.stdout
    assert "clusters:" not in ended.stderr
    metrics = (place / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in metrics] == list(range(1, 25))
    assert json.loads((place / "run" / "results.json").read_text())["steps"] == 24
    found = trained(place / "run", 24)
    # The clusters that it started from cannot be made of these photos.
    (place / "run" / "clusters.npz").write_text("x")
    # Nothing is left to do for the same command, with the word and without.
    for more in ([], ["--continue"], ["--mode=evaluate"]):
        again = run_here(*given, *more)
        assert again.returncode == 0 and "training:" not in again.stderr, again.stderr
    assert json.loads((place / "run" / "results.json").read_text())["steps"] == 24
    # A run that was killed on the way has the same bits.
    given = arguments(tmp_path / "other" / "photos", tmp_path / "other" / "run")
    ended = run_here(*given, "--continue", "--config.train.steps=5")
    assert ended.returncode == 0, ended.stderr
    (tmp_path / "other" / "run" / "pools.npz").unlink()
    ended = run_here(*given)
    assert ended.returncode == 0 and "training goes on from step 17" in ended.stdout
    same = trained(tmp_path / "other" / "run", 24)
    assert all(np.array_equal(found[name], same[name]) for name in found)


def test_evaluation_on_no_data_writes_nothing(place):
    before = content(place / "run")
    with pytest.raises(DataError, match="no such folder"):
        run_here(*arguments(place / "nowhere", place / "run", "--mode=evaluate"))
    assert content(place / "run") == before


def test_a_check_writes_its_own_file_alone(place):
    before = content(place / "run")
    add_photo(place / "photos")
    ended = run_here(*arguments(place / "photos", place / "run", "--mode=check"))
    assert ended.returncode == 0, ended.stderr
    after = content(place / "run")
    assert after.pop("check.json") and after == before


@pytest.mark.parametrize("how", ["cut", "flipped", "garbage"])
def test_damaged_files_are_made_again(place, how):
    params = trained(place / "run")
    files = [place / "run" / name for name in ("clusters.npz", "pools.npz", "parts.npz")]
    for file in files:
        whole, middle = file.read_bytes(), file.stat().st_size // 2
        flipped = bytes([whole[middle] ^ 1])
        damaged = {
            "cut": whole[:-1],
            "flipped": whole[:middle] + flipped + whole[middle + 1 :],
            "garbage": b"garbage",
        }
        file.write_bytes(damaged[how])
    (place / "run" / "data" / ".folder-0.99.draft").mkdir()
    (place / "run" / ".results.json.draft.json").write_text("{")
    (place / "run" / "report" / ".heat_maps.png.draft.png").write_text("")
    ended = run_here(*arguments(place / "photos", place / "run"))
    assert ended.returncode == 0, ended.stderr
    for file in files:
        assert f"{file} is damaged: it is made again" in ended.stdout
    assert "training:" not in ended.stderr
    assert all(np.array_equal(params[key], value) for key, value in trained(place / "run").items())
    # What a killed process had begun is gone.
    assert not list((place / "run").rglob("*.draft*"))


def test_a_damaged_checkpoint_costs_its_own_steps(place):
    params = trained(place / "run")
    (state,) = (place / "run" / "checkpoints").glob("*/12/default/manifest.ocdbt")
    state.write_bytes(state.read_bytes()[:-3])
    given = arguments(place / "photos", place / "run")
    with pytest.raises(WorkdirError, match="do the steps from 8 on again with --mode=train"):
        run_here(*given, "--mode=evaluate")
    ended = run_here(*given)
    assert ended.returncode == 0, ended.stderr
    assert "training goes on from step 8" in ended.stdout
    assert all(np.array_equal(params[key], value) for key, value in trained(place / "run").items())


def test_what_only_reads_leaves_a_damaged_log_as_it_is(place):
    log = place / "run" / "metrics.jsonl"
    rows = log.read_bytes().splitlines(keepends=True)
    rows[3] = b"\xff garbage\n"
    log.write_bytes(b"".join(rows))
    ended = run_here(*arguments(place / "photos", place / "run", "--mode=evaluate"))
    assert ended.returncode == 0, ended.stderr
    assert log.read_bytes() == b"".join(rows)


def test_garbage_in_the_lock_file_does_no_harm(place):
    (place / "run" / "partdisc.json").write_bytes(b"\xff\x00garbage")
    ended = run_here(*arguments(place / "photos", place / "run"))
    assert ended.returncode == 0 and "training:" not in ended.stderr, ended.stderr
