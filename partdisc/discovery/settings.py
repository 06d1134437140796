"""From the config to the small typed settings of the stages; what lies below sees no config."""

from typing import Any

from partdisc.discovery.supervision import StepSettings
from partdisc.method.alignment import AlignSettings
from partdisc.method.matching import MatchSettings
from partdisc.method.optimizer import RateSettings
from partdisc.method.part_layer import make_layer
from partdisc.method.part_templates import TemplateSettings
from partdisc.method.pseudo_gt import LabelSettings


def step_settings(config: Any) -> StepSettings:
    """Take from a config what a training step needs."""
    parts, train = config.parts, config.train
    return StepSettings(
        layer=make_layer(
            config.clusters.kind,
            parts=parts.count,
            kappa=parts.kappa,
            background=parts.background,
        ),
        objective=train.objective,
        matching=MatchSettings(**config.matching),
        alignment=AlignSettings(**config.alignment),
        labels=LabelSettings(**config.pseudo_gt),
        templates=TemplateSettings(**config.part_templates),
        rate=RateSettings(train.learning_rate, train.decay, train.decay_kind, train.decay_every),
    )
