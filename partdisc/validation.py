"""The checks of a configuration, before any work: `partdisc/config.py` says what is allowed."""

import ml_collections
from absl import flags

from partdisc.config import KEYS, flatten, split_names
from partdisc.errors import ConfigError, cut, shortened

# What the command line reads values by.
_PARSERS = {
    bool: flags.BooleanParser(),
    int: flags.IntegerParser(),
    float: flags.FloatParser(),
    str: flags.ArgumentParser(),
}
_KINDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}


def validate(config: ml_collections.ConfigDict) -> None:
    """Check all keys and their values.

    Args:
      config: the whole config.

    Raises:
      errors.ConfigError: names the first key that is unknown, missing, out of range or
        at odds with another, its value, and what is allowed.
    """
    flat = flatten(config)
    for name in sorted(flat):
        check_key(name)
    for name in sorted(KEYS.keys() - flat.keys()):
        raise ConfigError(f"config.{name} is missing")
    for name, value in flat.items():
        check_value(name, value)
    _check_together(config)


def check_key(name: str) -> None:
    """Check that a key such as `train.steps` exists.

    Args:
      name: with its section.

    Raises:
      errors.ConfigError: names the keys that there are.
    """
    if name in KEYS:
        return
    sections = {key.partition(".")[0] for key in KEYS}
    section = name if name in sections else name.rpartition(".")[0]
    near = sorted(key for key in KEYS if section and key.rpartition(".")[0] == section)
    raise ConfigError(
        f"{cut(f'config.{name}')} is not a key{' but a section' if name in sections else ''}; "
        f"allowed{f' in config.{section}' if near else ''}: "
        + ", ".join(key.rpartition(".")[2] for key in near or sorted(sections))
    )


def is_switch(name: str) -> bool:
    """Return whether a key, which exists, is given without a value too."""
    return type(KEYS[name].default) is bool


def check_text(name: str, text: str) -> None:
    """Check that a text that is given for a key is of its kind.

    Raises:
      errors.ConfigError: names the key, the text, and what is allowed.
    """
    key = KEYS[name]
    kind = type(key.default)
    try:
        _PARSERS[kind].parse(text)
    except (ValueError, TypeError):
        bounds = "" if key.low is None else f", {key.low} to {key.high}"
        raise ConfigError(
            f"config.{name} is {shortened(text)}; allowed: {_KINDS[kind]}{bounds}"
        ) from None


def check_value(name: str, value: object) -> None:
    """Check the value of a key that exists, for itself.

    Raises:
      errors.ConfigError: names the key, its value, and what is allowed.
    """
    key = KEYS[name]
    found, kind = f"config.{name} is {shortened(value)}; allowed", type(key.default)
    if type(value) not in ((int, float) if kind is float else (kind,)):
        raise ConfigError(f"{found}: {_KINDS[kind]}")
    # The comparison is written so that NaN fails it.
    if key.low is not None and not key.low <= value <= key.high:
        raise ConfigError(f"{found}: {key.low} to {key.high}")
    if key.choices and value not in key.choices:
        raise ConfigError(f"{found}: {', '.join(key.choices)}")
    if key.names:
        listed = split_names(value)
        if not set(listed) <= set(key.names) or (key.default and not listed):
            raise ConfigError(f"{found}, by commas: {', '.join(key.names)}")
        if len(set(listed)) < len(listed):
            twice = next(one for one in listed if listed.count(one) > 1)
            raise ConfigError(f"config.{name} is {shortened(value)}, which names '{twice}' twice")


def _check_together(config: ml_collections.ConfigDict) -> None:
    """Check what keys say of each other."""
    wanted, most = config.parts.wanted, min(24, config.parts.count)
    if wanted != "auto" and not (wanted.isdecimal() and 2 <= int(wanted) <= most):
        raise ConfigError(
            f"config.parts.wanted is {shortened(wanted)}; allowed: auto, or a number from 2 to "
            f"{most}, of the {config.parts.count} channels"
        )
    if 0 < config.pools.candidates < config.pools.size:
        raise ConfigError(
            f"config.pools.candidates is {config.pools.candidates}, but config.pools.size "
            f"takes {config.pools.size} of them; set it to that many or more, or to 0"
        )
    if config.train.objective == "part_templates" and config.train.batch < 2:
        raise ConfigError(
            f"config.train.batch is {config.train.batch}, but config.train.objective "
            "'part_templates' compares the images of a batch; set it to 2 or more"
        )
    if config.train.objective == "part_templates" and config.pools.refresh_epochs:
        raise ConfigError(
            f"config.pools.refresh_epochs is {config.pools.refresh_epochs}, but "
            "config.train.objective 'part_templates' trains without pools; set it to 0"
        )
    if config.clusters.kind == "nmf" and config.train.steps > 0:
        raise ConfigError(
            f"config.clusters.kind is 'nmf', whose layer is not trained, but "
            f"config.train.steps is {config.train.steps}; set it to 0"
        )
    if config.clusters.kind == "nmf" and config.backbone.center:
        raise ConfigError(
            "config.clusters.kind is 'nmf', which needs features that are not negative, but "
            "config.backbone.center is True; set it to False"
        )
    if config.data.crop_margin >= 0 and config.data.name in ("celeba", "mtfl", "folder"):
        raise ConfigError(
            f"config.data.crop_margin is {config.data.crop_margin}, but "
            f"'{config.data.name}' has no annotated boxes to crop to; set it to -1"
        )
