"""The configuration: every key is checked, and each class of mistake is one clear line."""

import math
import pathlib
import re
import subprocess
import sys

import ml_collections
import pytest

from partdisc import data
from partdisc.backbones import dinov2, googlenet, network, resnet50, vgg16
from partdisc.config import KEYS, base_config, flatten, split_names
from partdisc.data import celeba, coco_objects, vehicle_part
from partdisc.discovery import features, pools, step
from partdisc.errors import ConfigError
from partdisc.evaluation import agreement, precision, protocols
from partdisc.method import (
    alignment,
    clusters,
    matching,
    optimizer,
    part_layer,
    pseudo_gt,
    transforms,
)
from partdisc.scoring import extras, parts
from partdisc.tables.paper import TABLES
from partdisc.validation import check_key, check_text, check_value, validate

ROOT = pathlib.Path(__file__).parents[1]
# Texts that the file system, the data set, the backbone or `validation` judges.
FREE = {
    "data.root", "data.category", "data.coco_train", "data.coco_test", "data.split_polygons",
    "backbone.layer", "backbone.weights", "parts.wanted", "table.data", "table.seeds",
}  # fmt: skip
# What the modules accept, where they say so themselves.
REGISTRIES = {
    "features": features.WAYS,
    "data.name": data.names(),
    "data.splits": celeba.WILD_SPLITS,
    "data.visibility": coco_objects.VISIBILITIES,
    "backbone.name": network.ARCHITECTURES,
    "parts.background": part_layer.BACKGROUNDS,
    "clusters.kind": clusters.KINDS,
    "pools.similarity": pools.SIMILARITIES,
    "matching.kind": matching.MATCHINGS,
    "alignment.transform": transforms.FAMILIES,
    "alignment.scoring": alignment.SCORINGS,
    "pseudo_gt.background": pseudo_gt.BACKGROUNDS,
    "train.objective": step.OBJECTIVES,
    "train.decay_kind": optimizer.DECAYS,
    "evaluation.channel_selection": precision.CHANNEL_SELECTIONS,
    "evaluation.protocols": protocols.PROTOCOLS,
    "evaluation.detection": parts.PROTOCOLS,
    "evaluation.extras": extras.EXTRAS,
}
NUMBERS = [name for name, key in KEYS.items() if type(key.default) in (int, float)]
CHOICES = [name for name, key in KEYS.items() if key.choices]
LISTS = [name for name, key in KEYS.items() if key.names]


def changed(key: str, value: object) -> ml_collections.ConfigDict:
    """Return the defaults with one key set, whatever the type."""
    config = base_config()
    section, _, name = key.rpartition(".")
    owner = config[section] if section else config
    with config.unlocked(), config.ignore_type():
        owner[name] = value
    return config


def refusal(config: ml_collections.ConfigDict) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(config)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_defaults_are_valid():
    validate(base_config())


def test_every_default_is_new():
    first = base_config()
    first.train.steps += 1
    assert base_config().train.steps != first.train.steps


def test_every_key_has_its_place_in_the_config():
    flat = flatten(base_config())
    assert flat.keys() == KEYS.keys()
    for name, key in KEYS.items():
        assert flat[name] == key.default and type(flat[name]) is type(key.default)


@pytest.mark.parametrize("name", KEYS)
def test_every_key_is_checked_or_free_on_purpose(name):
    key = KEYS[name]
    declared = [
        isinstance(key.default, bool),
        key.low is not None,
        bool(key.choices),
        bool(key.names),
        bool(key.text),
    ]
    assert sum(declared) == 1
    assert (key.low is not None) == (name in NUMBERS)
    assert bool(key.text) == (name in FREE)
    assert not key.unit or name in NUMBERS
    assert (key.low is None) == (key.high is None)
    assert key.low is None or math.isfinite(key.low) and math.isfinite(key.high)


@pytest.mark.parametrize("name", KEYS)
def test_every_key_has_one_line_of_meaning(name):
    meaning = KEYS[name].meaning
    assert meaning.endswith(".") and meaning[0] in meaning[0].upper() + "`"
    assert "\n" not in meaning and "|" not in meaning and "  " not in meaning
    assert meaning.count("`") % 2 == 0


def test_choices_are_what_the_modules_accept():
    assert set(REGISTRIES) == set(CHOICES) | set(LISTS)
    for name, accepted in REGISTRIES.items():
        assert (KEYS[name].choices or KEYS[name].names) == tuple(accepted), name
    assert tuple(agreement.FAMILIES) == KEYS["alignment.transform"].choices
    assert (min(TABLES), max(TABLES)) == (KEYS["table.number"].low, KEYS["table.number"].high)


def test_texts_name_the_layers_and_categories_that_there_are():
    text, _, transformer = KEYS["backbone.layer"].text.partition("; dinov2: ")
    layers = re.findall(r"\w+", text)
    assert layers == [
        *("vgg16", *vgg16.OUTPUTS),
        *("googlenet", *googlenet.OUTPUTS),
        *("resnet50", *resnet50.OUTPUTS),
    ]
    named = re.findall(r"\w+", transformer.replace(" to ", ", "))
    assert named == ["norm", "block1", "block12", "block1_keys", "block12_keys"]
    assert set(named) < set(dinov2.ARCHITECTURES["dinov2_vitb14"])
    for category in vehicle_part.CATEGORIES:
        assert category in KEYS["data.category"].text


def test_importing_it_imports_nothing_heavy():
    # Not even numpy: ml_collections needs absl and yaml only.
    heavy = (
        *("numpy", "scipy", "jax", "flax", "optax", "orbax"),
        *("tensorflow", "tensorflow_datasets", "matplotlib", "PIL"),
    )
    code = (
        "import sys, run, partdisc.config, partdisc.validation;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_flatten_names_every_leaf_by_its_section():
    section = ml_collections.ConfigDict
    nested = section({"a": 1, "b": section({"c": "x", "d": section({"e": 2.0})})})
    assert flatten(nested) == {"a": 1, "b.c": "x", "b.d.e": 2.0}
    assert flatten(section()) == {}


@pytest.mark.parametrize("key", NUMBERS)
def test_numbers_out_of_range_are_refused(key):
    low, high = KEYS[key].low, KEYS[key].high
    assert low < high
    kind = type(flatten(base_config())[key])
    validate(changed(key, kind(low)))
    below = refusal(changed(key, kind(low) - 1))
    assert below.startswith(f"config.{key} is {kind(low) - 1!r}; allowed: {low} to ")
    check_value(key, kind(high))
    for above in (kind(high) + 1, kind(10**30)):
        assert refusal(changed(key, above)).startswith(f"config.{key} is {above!r}; allowed")
    if kind is float:
        for wrong in (math.nan, math.inf, -math.inf):
            assert f"config.{key} is {wrong}" in refusal(changed(key, wrong))


@pytest.mark.parametrize("key", LISTS)
def test_names_that_are_listed_twice_are_refused(key):
    first, *others = KEYS[key].names
    message = refusal(changed(key, ",".join([first, *others, first])))
    assert message.startswith(f"config.{key} is ") and message.endswith(f"names '{first}' twice")
    check_value(key, ",".join([*others, first]))


@pytest.mark.parametrize("key", CHOICES + LISTS)
def test_long_values_are_echoed_in_short(key):
    message = refusal(changed(key, "x" * 10_000))
    assert "xxx...; allowed" in message and message.count("x") < 90


@pytest.mark.parametrize("key", CHOICES + LISTS)
def test_texts_that_are_no_choice_are_refused(key):
    message = refusal(changed(key, "nonsense"))
    names = KEYS[key].names
    allowed = f"allowed{', by commas' if names else ''}: {', '.join(names or KEYS[key].choices)}"
    assert message == f"config.{key} is 'nonsense'; {allowed}"
    for choice in names or KEYS[key].choices:
        assert choice in message


@pytest.mark.parametrize("key", KEYS)
def test_values_of_another_type_are_refused(key):
    wrong = 3 if isinstance(flatten(base_config())[key], bool | str) else "3"
    for value in (wrong, None, [1]):
        assert refusal(changed(key, value)).startswith(f"config.{key} is {value!r}; allowed: ")


def test_a_whole_number_may_stand_for_a_number_but_not_the_other_way():
    validate(changed("train.learning_rate", 1))
    assert "a whole number" in refusal(changed("train.steps", 1.5))
    assert "a whole number" in refusal(changed("train.steps", True))


def test_unknown_keys_are_refused_with_the_keys_of_their_section():
    message = refusal(changed("train.stepz", 3))
    assert message.startswith("config.train.stepz is not a key; allowed in config.train: ")
    for key in base_config().train:
        assert key in message


@pytest.mark.parametrize("value", [3, ml_collections.ConfigDict({"steps": 3})])
def test_unknown_sections_are_refused_with_all_sections(value):
    message = refusal(changed("trian", value))
    assert message.startswith("config.trian")
    assert " is not a key; allowed: " in message
    allowed = message.partition("allowed: ")[2].split(", ")
    assert allowed == sorted(base_config())


def test_of_several_mistakes_the_same_one_is_named():
    config = base_config()
    with config.unlocked():
        config.train.zzz = config.data.aaa = config.parts.mmm = 1
    assert refusal(config).startswith("config.data.aaa ")


@pytest.mark.parametrize("key", ["seed", "train.steps", "data"])
def test_missing_keys_are_refused(key):
    config = base_config()
    section, _, name = key.rpartition(".")
    with config.unlocked():
        del (config[section] if section else config)[name]
    message = refusal(config)
    assert message.startswith(f"config.{key}") and message.endswith(" is missing")


def test_a_value_in_place_of_a_section_is_refused():
    said = "config.train is not a key but a section; allowed in config.train: batch, "
    assert refusal(changed("train", 3)).startswith(said)


@pytest.mark.parametrize("name", ["x" * 5000, "train." + "x" * 5000, "x" * 5000 + ".steps"])
def test_names_of_keys_are_echoed_in_short(name):
    with pytest.raises(ConfigError) as caught:
        check_key(name)
    message = str(caught.value)
    assert message.startswith(f"config.{name[:40]}") and len(message) < 300


@pytest.mark.parametrize("key", KEYS)
def test_texts_are_of_the_kind_of_their_key(key):
    kind = type(KEYS[key].default)
    good = {bool: ["True", "false", "1"], int: ["3", "-3"], float: ["1e-3", "3"]}.get(kind, [])
    for text in good:
        check_text(key, text)
    allowed = {bool: "True or False", int: "a whole number", float: "a number"}.get(kind)
    for text in ("x" * 5000, "", "three", "1,5", "1e3" if kind is int else "1 3"):
        if allowed is None:
            check_text(key, text)
            continue
        with pytest.raises(ConfigError) as caught:
            check_text(key, text)
        message = str(caught.value)
        assert message.startswith(f"config.{key} is {text!r}"[:80]) and len(message) < 200
        assert f"; allowed: {allowed}" in message
        assert KEYS[key].low is None or message.endswith(f", {KEYS[key].low} to {KEYS[key].high}")


@pytest.mark.parametrize(("key", "value"), [("train.batch", 1), ("pools.refresh_epochs", 2)])
def test_part_templates_need_a_batch_and_no_pools(key, value):
    config = changed(key, value)
    validate(config)
    config.train.objective = "part_templates"
    message = refusal(config)
    assert message.startswith(f"config.{key} is {value}, but config.train.objective ")


def test_factors_are_not_trained_and_take_no_negative_features():
    config = changed("clusters.kind", "nmf")
    message = refusal(config)
    assert "config.clusters.kind is 'nmf'" in message
    assert f"config.train.steps is {config.train.steps}; set it to 0" in message
    config.train.steps = 0
    validate(config)
    config.backbone.center = True
    message = refusal(config)
    assert "config.clusters.kind is 'nmf'" in message
    assert "config.backbone.center is True; set it to False" in message
    config.clusters.kind, config.train.steps = "kmeans", 10
    validate(config)


@pytest.mark.parametrize(("name", "boxes"), [("cub", True), ("celeba", False), ("folder", False)])
def test_a_crop_needs_boxes(name, boxes):
    config = changed("data.name", name)
    config.data.crop_margin = 0.15
    if boxes:
        validate(config)
    else:
        message = refusal(config)
        assert "config.data.crop_margin" in message and f"'{name}'" in message


@pytest.mark.parametrize("key", LISTS)
def test_every_name_of_a_list_is_checked(key):
    names = KEYS[key].names
    validate(changed(key, ", ".join(names)))
    validate(changed(key, f" {names[1]},{names[0]}"))
    empty = () if KEYS[key].default == "" else ("", " ", ",")
    for wrong in (*empty, names[0][:-1], f"{names[0]},x", f"{names[0]};{names[1]}"):
        message = refusal(changed(key, wrong))
        assert message.startswith(f"config.{key} is {wrong!r}; allowed, by commas: ")
        assert all(name in message for name in names)


def test_a_list_may_be_empty_where_its_default_is():
    for empty in ("", " ", ","):
        validate(changed("evaluation.extras", empty))


@pytest.mark.parametrize("key", LISTS)
def test_nothing_between_commas_is_nothing(key):
    first, second = KEYS[key].names[:2]
    for text in (f"{first},", f",{first},", f"{first},, {second} ,"):
        validate(changed(key, text))
    assert split_names(f"{first},, {second} ,") == [first, second]
    assert split_names(f"{first},") == [first]
