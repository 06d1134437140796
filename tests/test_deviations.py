"""The settings of the paper: they differ from the defaults, and run on every config."""

import pathlib
import re

import pytest
from program import script

from partdisc.config import base_config, flatten
from partdisc.deviations import DEVIATIONS, KEPT, PAPER
from partdisc.errors import ConfigError
from partdisc.validation import validate

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"


def paper(argument):
    return script(CONFIGS / "paper.py").get_config(argument)


def test_every_deviation_is_one():
    defaults = flatten(base_config())
    assert len(PAPER) == sum(len(each.paper) for each in DEVIATIONS)
    for key, value in PAPER.items():
        assert type(value) is type(defaults[key]) and value != defaults[key], key


def test_what_is_kept_names_keys_and_says_whether_it_deviates():
    names = [each.name for each in (*DEVIATIONS, *KEPT)]
    assert len(set(names)) == len(names)
    keys = flatten(base_config())
    for key in re.findall(r"`([a-z_]+\.[a-z_]+)`", " ".join(each.ours for each in KEPT)):
        assert key in keys, key
    assert {each.deviates for each in KEPT} == {True, False}


@pytest.mark.parametrize(
    "argument", ["cub", "cub,cropped", "celeba,official,wild", "mtfl", "car_parts", "demo"]
)
def test_they_are_set_and_nothing_else(argument):
    config = paper(argument)
    validate(config)
    name, _, rest = argument.partition(",")
    module = script(CONFIGS / f"{name}.py")
    expected = flatten(module.get_config(rest) if rest else module.get_config()) | PAPER
    assert flatten(config) == expected


@pytest.mark.parametrize("argument", ["paper", "tables", "none", "../run", ""])
def test_unknown_configs_are_refused(argument):
    with pytest.raises(ConfigError, match="begins with the name"):
        paper(argument)
