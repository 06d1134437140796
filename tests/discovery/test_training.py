"""Which training a work directory holds: what it depends on, and what becomes of another."""

import json
import types

import pytest

from partdisc.config import KEYS, base_config
from partdisc.discovery.identity import LAYER, Identity, differences, identity_of
from partdisc.discovery.training import KEPT, begin, open_training
from partdisc.errors import WorkdirError
from partdisc.workdir import Workdir

IMAGES = {"a.png": "1", "b.png": "2", "c.png": "3"}
FREE = {
    "data.name", "data.root", "data.splits", "data.category", "data.coco_train", "data.coco_test",
    "data.split_polygons", "data.visibility", "data.max_pixels", "data.flip",
    "data.train_subset", "data.max_bad_fraction", "data.shapes_train", "data.shapes_fit",
    "data.shapes_test", "data.shapes_size", "backbone.weights", "backbone.batch",
    "parts.wanted", "train.steps", "train.checkpoint_every", "memory", "features",
}  # fmt: skip


def identity(changes=None, images=IMAGES, weights="w") -> Identity:
    config = base_config()
    config.update_from_flattened_dict(changes or {})
    listed = types.SimpleNamespace(training=images)
    weights = types.SimpleNamespace(digest=weights, preprocessing=())
    return identity_of(config, listed, weights)


def another(name):
    """Return another value of a key."""
    key = KEYS[name]
    if isinstance(key.default, bool):
        return not key.default
    if isinstance(key.default, str):
        others = [one for one in key.choices or key.names if one != key.default]
        return others[0] if others else key.default + "x"
    return key.default + 1


@pytest.mark.parametrize("name", sorted(KEYS))
def test_a_key_counts_if_and_only_if_params_depend_on_it(name):
    section = name.partition(".")[0]
    bases = [{}, {"train.objective": "part_templates"}]
    counts = [
        identity(base | {name: another(name)}).key != identity(base).key
        for base in bases
        if name not in base
    ]
    unseen = section in ("detection", "evaluation", "report", "table") or name in FREE
    of_alignment = section in ("pools", "matching", "alignment", "pseudo_gt")
    if name == "train.objective":
        assert counts == [True]
    else:
        wanted = [not unseen and section != "part_templates", not unseen and not of_alignment]
        assert counts == wanted


def test_a_difference_names_the_key_and_the_images():
    was = identity()
    assert differences(was, identity()) == []
    assert differences(was, identity({"parts.kappa": 30.0, "data.root": "x"})) == [
        "config.parts.kappa: was 20.0, is 30.0"
    ]
    assert differences(was, identity(weights="v")) == ["the weights of the network are others"]
    images = {"a.png": "1", "c.png": "9", **{f"{n}.png": "5" for n in range(5)}}
    assert differences(was, identity(images=images)) == [
        "training images: 5 added (0.png, 1.png, 2.png, ...), 1 removed (b.png), 1 changed (c.png)"
    ]
    # Another objective depends on other keys.
    lines = differences(was, identity({"train.objective": "part_templates"}))
    assert "config.train.objective: was 'alignment', is 'part_templates'" in lines
    # The order in which images are listed is none of their own.
    assert identity(images=dict(reversed(IMAGES.items()))).key == was.key


@pytest.fixture
def workdir(tmp_path):
    with Workdir(tmp_path / "run") as opened:
        yield opened


def trained(workdir, policy="stop", steps=400, done=None, **changes):
    """Open a training, begin it, and leave checkpoints as if it had been done."""
    training = open_training(workdir, identity(**changes), steps, policy)
    begin(workdir, training, "clusters")
    step = training.steps if done is None else done
    (workdir.path / "checkpoints" / training.key / str(step)).mkdir(parents=True, exist_ok=True)
    (workdir.path / "metrics.jsonl").write_text(json.dumps({"step": step}) + "\n")
    return training


def kept(workdir):
    return sorted(path.name for path in workdir.path.glob("checkpoints/previous/*"))


def test_the_same_training_goes_on_to_more_steps(workdir):
    first = trained(workdir, done=120)
    again = open_training(workdir, identity(), 800, "stop")
    assert (again.key, again.steps, again.first) == (first.key, 800, 0)
    with pytest.raises(WorkdirError, match="trained to step 120 of 400; finish it"):
        open_training(workdir, identity(), 400, "trained")
    trained(workdir)
    assert open_training(workdir, identity(), 400, "trained").only
    assert kept(workdir) == []


@pytest.mark.parametrize("policy", ["stop", "same", "trained"])
@pytest.mark.parametrize(
    ("changes", "steps", "words"),
    [
        ({"changes": {"seed": 3}}, 400, "config.seed: was 0, is 3"),
        ({"images": IMAGES | {"d.png": "4"}}, 400, r"1 added \(d.png\)"),
        ({"weights": "v"}, 400, "weights"),
        ({}, 120, "config.train.steps: was 400, is 120"),
        ({}, 0, "config.train.steps: was 400, is 0"),
    ],
)
def test_another_training_stops_before_anything_is_written(workdir, policy, changes, steps, words):
    trained(workdir)
    before = sorted(workdir.path.rglob("*"))
    with pytest.raises(WorkdirError, match=words) as caught:
        open_training(workdir, identity(**changes), steps, policy)
    assert ("--overwrite" in str(caught.value)) == (policy == "stop")
    assert sorted(workdir.path.rglob("*")) == before


def test_what_is_overwritten_is_kept_aside_the_last_two(workdir, capsys):
    keys = [trained(workdir, "overwrite", changes={"seed": seed}).key for seed in range(5)]
    assert len(set(keys)) == 5
    assert kept(workdir) == [f"003-{keys[2]}", f"004-{keys[3]}"] and KEPT == 2
    assert capsys.readouterr().out.count("the training before is kept in") == 4
    previous = workdir.path / "checkpoints" / "previous" / f"004-{keys[3]}"
    assert (previous / "400").is_dir() and (previous / "metrics.jsonl").exists()
    # The user's word is needed for what differs alone.
    assert open_training(workdir, identity({"seed": 4}), 400, "overwrite").key == keys[4]


def test_nothing_trained_is_nothing_to_keep(workdir):
    begin(workdir, open_training(workdir, identity(), 400, "stop"), "clusters")
    other = trained(workdir, changes={"seed": 1})
    assert kept(workdir) == [] and other.key == identity({"seed": 1}).key
    with pytest.raises(WorkdirError, match="no trained layer"):
        open_training(Workdir(workdir.path / "none"), identity(), 400, "trained")


def test_a_layer_goes_on_with_other_images(workdir):
    first = trained(workdir)
    images = IMAGES | {"d.png": "4"}
    second = trained(workdir, "continue", images=images)
    assert (second.first, second.steps, second.parent) == (400, 800, first.key)
    assert second.clusters == "clusters" and kept(workdir) == [f"001-{first.key}"]
    assert (workdir.path / "metrics.jsonl").exists()
    # The same command again, with or without the word, is the same training.
    for policy in ("continue", "stop", "trained"):
        again = open_training(workdir, identity(images=images), 400, policy)
        assert again._replace(only=False) == second
    # So is one from scratch on these images another one.
    assert identity(images=images).key != second.key
    third = trained(workdir, "continue", steps=100, images=images | {"e.png": "5"})
    assert (third.first, third.steps, third.clusters) == (800, 900, "clusters")


@pytest.mark.parametrize("name", LAYER)
def test_another_layer_does_not_go_on(workdir, name):
    trained(workdir)
    with pytest.raises(WorkdirError, match=rf"--continue needs the same .*{name}"):
        open_training(workdir, identity({name: another(name)}), 400, "continue")
    with pytest.raises(WorkdirError, match="weights of the network are others"):
        open_training(workdir, identity(weights="v"), 400, "continue")


@pytest.mark.parametrize("record", [None, "", "[]", "{}", '{"identity": {}, "key": "x"}'])
def test_a_damaged_record_stops_too(workdir, record):
    first = trained(workdir)
    path = workdir.path / "training.json"
    path.unlink() if record is None else path.write_text(record)
    with pytest.raises(WorkdirError, match="of another version of partdisc"):
        open_training(workdir, identity(), 400, "stop")
    trained(workdir, "overwrite", changes={"seed": 2})
    assert kept(workdir) == [f"001-{first.key}"]


def test_a_kill_between_record_and_move_is_taken_up(workdir, monkeypatch):
    first = trained(workdir)
    images = IMAGES | {"d.png": "4"}
    wanted = open_training(workdir, identity(images=images), 400, "continue")
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            begin(workdir, wanted, "clusters")
    again = open_training(workdir, identity(images=images), 400, "stop")
    assert (again.key, again.parent, again.first) == (wanted.key, first.key, 400)
    begin(workdir, again, "clusters")
    assert kept(workdir) == [f"001-{first.key}"]
    assert not (workdir.path / "checkpoints" / first.key).exists()
    # Other images again before it did a step: the same layer goes on with these.
    images |= {"e.png": "5"}
    with pytest.raises(WorkdirError, match="1 added"):
        open_training(workdir, identity(images=images), 400, "stop")
    other = open_training(workdir, identity(images=images), 400, "continue")
    assert (other.parent, other.first, other.steps) == (first.key, 400, 800)
