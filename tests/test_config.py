"""The configuration: every key is checked, and each class of mistake is one clear line."""

import math

import ml_collections
import pytest

from partdisc import validation
from partdisc.config import base_config, flatten
from partdisc.errors import ConfigError
from partdisc.validation import validate

# Texts that are no single choice: the file system or the backbone judges them, or a list.
FREE = {
    "data.root", "data.category", "data.coco_train", "data.coco_test", "data.split_polygons",
    "backbone.layer", "backbone.weights", "evaluation.protocols", "evaluation.detection",
    "evaluation.extras", "table.data", "table.seeds",
}  # fmt: skip
KEYS = sorted(flatten(base_config()))
NUMBERS = [key for key in KEYS if type(flatten(base_config())[key]) in (int, float)]
TEXTS = [key for key in KEYS if isinstance(flatten(base_config())[key], str)]


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


def test_every_key_is_checked_or_free_on_purpose():
    flat = flatten(base_config())
    booleans = {key for key in KEYS if isinstance(flat[key], bool)}
    ranges, choices = set(validation._RANGES), set(validation._CHOICES)
    assert ranges | choices | booleans | FREE == set(KEYS)
    assert not (ranges & choices) and not ((ranges | choices) & (booleans | FREE))
    assert ranges == set(NUMBERS)


def test_flatten_names_every_leaf_by_its_section():
    section = ml_collections.ConfigDict
    nested = section({"a": 1, "b": section({"c": "x", "d": section({"e": 2.0})})})
    assert flatten(nested) == {"a": 1, "b.c": "x", "b.d.e": 2.0}
    assert flatten(section()) == {}


@pytest.mark.parametrize("key", NUMBERS)
def test_numbers_out_of_range_are_refused(key):
    low, high = validation._RANGES[key]
    kind = type(flatten(base_config())[key])
    validate(changed(key, kind(low)))
    below = refusal(changed(key, kind(low) - 1))
    assert below.startswith(f"config.{key} is {kind(low) - 1!r}; allowed: {low} to ")
    if math.isfinite(high):
        assert f"config.{key} is" in refusal(changed(key, kind(high) + 1))
    if kind is float:
        assert f"config.{key} is nan" in refusal(changed(key, math.nan))


@pytest.mark.parametrize("key", sorted(set(TEXTS) - FREE))
def test_texts_that_are_no_choice_are_refused(key):
    message = refusal(changed(key, "nonsense"))
    assert message.startswith(f"config.{key} is 'nonsense'; allowed: ")
    for choice in validation._CHOICES[key]:
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
    assert "config.train is not a key" in refusal(changed("train", 3))


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


def test_choices_and_ranges_name_no_key_that_is_gone():
    assert set(validation._RANGES) | set(validation._CHOICES) <= set(KEYS)
    for low, high in validation._RANGES.values():
        assert low < high


def test_every_protocol_of_a_list_is_checked():
    validate(changed("evaluation.protocols", "default, cub_box,scops"))
    for wrong in ("", "default,", "scop", "default;scops"):
        message = refusal(changed("evaluation.protocols", wrong))
        assert message.startswith(f"config.evaluation.protocols is {wrong!r}; allowed, by commas: ")
        assert "cub_box" in message
