"""Which training a work directory holds: what it depends on, and what becomes of another."""

import contextlib
import json
import os
import pathlib
import types

import numpy as np
import pytest

from partdisc.config import KEYS, base_config
from partdisc.discovery.identity import LAYER, Identity, differences, identity_of
from partdisc.discovery.previous import KEPT, RESULTS
from partdisc.discovery.training import begin, kept_clusters, open_training
from partdisc.errors import WorkdirError
from partdisc.workdir import Workdir

CLUSTERS = {"centres": np.eye(2), "offset": np.zeros(2)}
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
    begin(workdir, training, CLUSTERS)
    step = training.steps if done is None else done
    for name in RESULTS:
        (workdir.path / name).write_text(f"of {training.key}")
    (workdir.path / "checkpoints" / training.key / str(step)).mkdir(parents=True, exist_ok=True)
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
    said = capsys.readouterr().out
    assert said.count("the training before is kept in") == 4
    assert said.count("a training that was finished, is removed") == 2
    previous = workdir.path / "checkpoints" / "previous" / f"004-{keys[3]}"
    assert (previous / "400").is_dir()
    # The user's word is needed for what differs alone.
    assert open_training(workdir, identity({"seed": 4}), 400, "overwrite").key == keys[4]


def test_stopped_trainings_push_out_no_finished_one(workdir, capsys):
    keys = [
        trained(workdir, "overwrite", done=done, changes={"seed": seed}).key
        for seed, done in enumerate([400, 400, 35, 27, 0, 4, 1])
    ]
    # The one without a step left nothing but a table of names.
    assert kept(workdir) == [
        f"{number:03d}-{keys[number - 1]}" for number in (1, 2, 5, 6)
    ]  # fmt: skip
    said = capsys.readouterr().out
    assert said.count("a training that was not finished, is removed") == 2
    assert "was finished, is removed" not in said
    trained(workdir, "overwrite", changes={"seed": 10})
    trained(workdir, "overwrite", changes={"seed": 11})
    assert f"001-{keys[0]}, a training that was finished, is removed" in capsys.readouterr().out


@pytest.mark.parametrize("steps", [400, 0])
def test_what_a_training_found_goes_with_it(workdir, steps):
    """Above all the names of its parts: those of another layer have nothing of these."""
    first = trained(workdir, steps=steps)
    second = open_training(workdir, identity({"seed": 1}), steps, "overwrite")
    begin(workdir, second, CLUSTERS)
    (place,) = (workdir.path / "checkpoints" / "previous").iterdir()
    for name in RESULTS:
        assert (place / name).read_text() == f"of {first.key}"
        assert not (workdir.path / name).exists()
    assert json.loads((place / "training.json").read_text())["key"] == first.key
    # A layer that goes on has the same channels, and so their names.
    trained(workdir, changes={"seed": 1})
    third = open_training(workdir, identity({"seed": 1}, {"x.png": "1"}), 400, "continue")
    begin(workdir, third, CLUSTERS)
    for name in RESULTS:
        kept = workdir.path / "checkpoints" / "previous" / f"002-{second.key}" / name
        assert kept.read_text() == (workdir.path / name).read_text() == f"of {second.key}"


@pytest.mark.parametrize("killed_at", range(22))
@pytest.mark.parametrize("on", [False, True])
def test_a_kill_while_another_begins_loses_and_mixes_nothing(workdir, monkeypatch, killed_at, on):
    first = trained(workdir)
    policy, images = ("continue", {"x.png": "1"}) if on else ("overwrite", IMAGES)
    wanted = {"identity": identity({"seed": 0 if on else 1}, images), "steps": 400}
    before = 0

    def deadly(real):
        def call(*args, **kwargs):
            nonlocal before
            before += 1
            if before > killed_at:
                raise KeyboardInterrupt
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for owner, name in ((os, "replace"), (pathlib.Path, "replace"), (pathlib.Path, "unlink")):
            patch.setattr(owner, name, deadly(getattr(owner, name)))
        with contextlib.suppress(KeyboardInterrupt):
            begin(workdir, open_training(workdir, **wanted, policy=policy), CLUSTERS)
    assert before > killed_at or killed_at > 12  # It was killed.
    # The old command is taken up where nothing was moved yet; the new one goes on in any case.
    if (workdir.path / "checkpoints" / first.key).exists():
        again = open_training(workdir, identity(), 400, "overwrite")
        begin(workdir, again, CLUSTERS)
        assert again.key == first.key
        for name in RESULTS:
            assert (workdir.path / name).read_text() == f"of {first.key}"
    second = open_training(workdir, **wanted, policy=policy)
    begin(workdir, second, CLUSTERS)
    (place,) = (workdir.path / "checkpoints" / "previous").glob(f"*-{first.key}")
    for name in RESULTS:
        assert (place / name).read_text() == f"of {first.key}"
        assert (workdir.path / name).exists() == on


@pytest.mark.parametrize("done", [None, 450, 400])
def test_overwriting_begins_anew_after_a_training_that_went_on(workdir, capsys, done):
    trained(workdir)
    images = IMAGES | {"d.png": "4"}
    # The same again, but for the layer that it began from; done to its end, in part, or not.
    second = trained(workdir, "continue", images=images, done=done)
    assert open_training(workdir, identity(images=images), 400, "stop").key == second.key
    third = trained(workdir, "overwrite", images=images)
    assert (third.first, third.parent, third.steps) == (0, "", 400)
    assert kept(workdir)[-1] == f"002-{second.key}"
    for name in RESULTS:
        place = workdir.path / "checkpoints" / "previous" / kept(workdir)[-1]
        assert (place / name).read_text() == f"of {second.key}"
    # The command may be repeated: a run that was stopped goes on.
    capsys.readouterr()
    assert open_training(workdir, identity(images=images), 400, "overwrite") == third
    assert "nothing differs from the training that is there" in capsys.readouterr().out


def test_nothing_trained_is_nothing_to_keep(workdir):
    begin(workdir, open_training(workdir, identity(), 400, "stop"), CLUSTERS)
    other = trained(workdir, changes={"seed": 1})
    assert kept(workdir) == [] and other.key == identity({"seed": 1}).key
    with pytest.raises(WorkdirError, match="no trained layer"):
        open_training(Workdir(workdir.path / "none"), identity(), 400, "trained")


def test_a_layer_goes_on_with_other_images(workdir):
    first = trained(workdir)
    images = IMAGES | {"d.png": "4"}
    second = trained(workdir, "continue", images=images)
    assert (second.first, second.steps, second.parent) == (400, 800, first.key)
    assert kept(workdir) == [f"001-{first.key}"]
    assert (workdir.path / "metrics.jsonl").exists()
    # The same command again, with or without the word, is the same training.
    for policy in ("continue", "stop", "trained"):
        again = open_training(workdir, identity(images=images), 400, policy)
        assert again._replace(only=False) == second
    # So is one from scratch on these images another one.
    assert identity(images=images).key != second.key
    third = trained(workdir, "continue", steps=100, images=images | {"e.png": "5"})
    assert (third.first, third.steps, third.parent) == (800, 900, second.key)


@pytest.mark.parametrize("name", LAYER)
def test_another_layer_does_not_go_on(workdir, name):
    trained(workdir)
    with pytest.raises(WorkdirError, match=rf"--continue needs the same .*{name}"):
        open_training(workdir, identity({name: another(name)}), 400, "continue")
    with pytest.raises(WorkdirError, match="weights of the network are others"):
        open_training(workdir, identity(weights="v"), 400, "continue")


def flipped(text):
    """Flip the lowest bit of the seed."""
    assert '"seed": 0' in text
    return text.replace('"seed": 0', '"seed": 1')


DAMAGES = {
    "gone": None,
    "empty": lambda _: "",
    "list": lambda _: "[1]",
    "text": lambda _: '"ab"',
    "number": lambda _: "7",
    "none of ours": lambda _: '{"identity": {}, "key": "x"}',
    "cut": lambda text: text[:-9],
    "flipped": flipped,
    "another key": lambda text: text.replace('"first": 0', '"first": 9'),
}


def damage(workdir, how):
    path = workdir.path / "training.json"
    path.unlink() if how is None else path.write_text(how(path.read_text()))


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("policy", ["stop", "overwrite", "continue", "same", "trained"])
def test_a_training_is_known_without_its_record(workdir, capsys, how, policy):
    first = trained(workdir)
    damage(workdir, how)
    found = open_training(workdir, identity(), 400, policy)
    assert found._replace(only=False) == first
    assert "training.json is gone or damaged" in capsys.readouterr().out
    begin(workdir, found, CLUSTERS)
    assert open_training(workdir, identity(), 400, policy) == found
    assert "damaged" not in capsys.readouterr().out and kept(workdir) == []


@pytest.mark.parametrize("how", [DAMAGES["gone"], DAMAGES["flipped"]], ids=["gone", "flipped"])
def test_one_that_went_on_from_another_is_known_too(workdir, how):
    trained(workdir)
    images = IMAGES | {"d.png": "4"}
    second = trained(workdir, "continue", images=images)
    damage(workdir, how)
    for policy in ("trained", "stop"):
        found = open_training(workdir, identity(images=images), 400, policy)
        assert found._replace(only=False) == second


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES)
def test_another_one_without_a_record_stops_too(workdir, how):
    first = trained(workdir)
    damage(workdir, how)
    for policy in ("stop", "continue", "same", "trained"):
        with pytest.raises(WorkdirError, match=r"training\.json is gone, damaged") as caught:
            open_training(workdir, identity({"seed": 2}), 400, policy)
        assert "--continue" not in str(caught.value)
    trained(workdir, "overwrite", changes={"seed": 2})
    assert kept(workdir) == [f"001-{first.key}"]
    place = workdir.path / "checkpoints" / "previous" / kept(workdir)[0]
    assert (place / "parts.csv").read_text() == f"of {first.key}"


def test_what_to_go_on_from_is_said_where_it_is_not(workdir, capsys):
    training = open_training(workdir, identity(), 400, "continue")
    assert "no training in" in capsys.readouterr().out and training.first == 0
    trained(workdir, "continue", done=120)
    open_training(workdir, identity(), 400, "continue")
    assert "no steps are added" not in capsys.readouterr().out
    trained(workdir)
    assert open_training(workdir, identity(), 400, "continue").steps == 400
    assert "no steps are added to its 400; a larger" in capsys.readouterr().out


def damaged_clusters(workdir, training):
    """Damage the clusters that a training keeps of its own; return those that are found."""
    files = kept_clusters(workdir, training)
    (workdir.path / next(iter(files))).write_text("x")
    return [workdir.load(name, key) for name, key in files.items()]


def test_a_layer_keeps_the_clusters_that_it_started_from(workdir):
    first = trained(workdir)
    assert kept_clusters(workdir, first) == {}  # They can be made again.
    # Before it begins, those of the training that it goes on from.
    second = open_training(workdir, identity(images={"x.png": "1"}), 400, "continue")
    (workdir.path / "clusters.npz").write_text("of another")
    loaded = [workdir.load(*one) for one in kept_clusters(workdir, second).items()]
    found = [one for one in loaded if one is not None]
    assert len(found) == 1 and found[0].keys() == CLUSTERS.keys()
    second = trained(workdir, "continue", images={"x.png": "1"})
    own, *_, of_first = damaged_clusters(workdir, second)
    assert own is None and all(np.array_equal(of_first[key], CLUSTERS[key]) for key in CLUSTERS)


def test_a_kill_between_record_and_move_is_taken_up(workdir, monkeypatch):
    first = trained(workdir)
    images = IMAGES | {"d.png": "4"}
    wanted = open_training(workdir, identity(images=images), 400, "continue")
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            begin(workdir, wanted, CLUSTERS)
    again = open_training(workdir, identity(images=images), 400, "stop")
    assert (again.key, again.parent, again.first) == (wanted.key, first.key, 400)
    begin(workdir, again, CLUSTERS)
    assert kept(workdir) == [f"001-{first.key}"]
    assert not (workdir.path / "checkpoints" / first.key).exists()
    # Other images again before it did a step: the same layer goes on with these.
    images |= {"e.png": "5"}
    with pytest.raises(WorkdirError, match="1 added"):
        open_training(workdir, identity(images=images), 400, "stop")
    other = open_training(workdir, identity(images=images), 400, "continue")
    assert (other.parent, other.first, other.steps) == (first.key, 400, 800)
