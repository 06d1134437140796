"""Every key of the config that a stage needs arrives in its typed settings."""

import pytest

from partdisc.config import KEYS, base_config
from partdisc.data import DataSettings
from partdisc.discovery.pools import PoolSettings
from partdisc.discovery.settings import step_settings
from partdisc.method.detection import DetectSettings
from partdisc.report import ReportSettings
from partdisc.scoring.settings import scoring_settings

# Keys of `train` that say how long and in what order, not what a step does.
LOOP = {"train.steps", "train.batch", "train.checkpoint_every"}
SECTIONS = {
    "data": DataSettings,
    "pools": PoolSettings,
    "detection": DetectSettings,
    "report": ReportSettings,
}


def keys_of(*sections: str) -> list[str]:
    return [name for name in KEYS if name.partition(".")[0] in sections]


def changed(name: str):
    """Return the defaults with another allowed value of one key."""
    config, key = base_config(), KEYS[name]
    section, _, leaf = name.partition(".")
    if isinstance(key.default, bool):
        value = not key.default
    elif key.choices or key.names:
        value = next(one for one in key.choices or key.names if one != key.default)
    elif key.text:
        value = "another"
    else:
        value = type(key.default)(key.low if key.default != key.low else key.low + 1)
    config[section][leaf] = value
    return config


@pytest.mark.parametrize(
    "name",
    [
        *(k for k in keys_of("parts") if k != "parts.wanted"),
        *keys_of("matching", "alignment", "pseudo_gt", "part_templates"),
        *(k for k in keys_of("train") if k not in LOOP),
    ],
)
def test_a_step_knows_every_key_that_it_needs(name):
    assert step_settings(changed(name)) != step_settings(base_config())


def test_the_kind_of_clusters_makes_the_layer():
    config = base_config()
    config.clusters.kind = "nmf"
    assert type(step_settings(config).layer) is not type(step_settings(base_config()).layer)


@pytest.mark.parametrize("name", [*keys_of("evaluation"), "detection.box"])
def test_scoring_knows_every_key_that_it_needs(name):
    assert scoring_settings(changed(name)) != scoring_settings(base_config())


def test_scoring_reads_lists():
    config = base_config()
    config.evaluation.protocols = "scops, default"
    config.evaluation.detection = "iou,l2"
    found = scoring_settings(config)
    assert found.protocols == ("scops", "default") and found.detection == ("iou", "l2")
    assert found.extras == ()
    assert found.names["regression"] == "scops" and found.names["detection"] == "iou,l2"


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_and_its_settings_have_the_same_fields(section):
    made = SECTIONS[section](**base_config()[section])
    assert made._asdict() == base_config()[section].to_dict()
