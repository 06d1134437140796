"""What a run is of: its data, its network's weights, and the training of these."""

from typing import Any, NamedTuple

from partdisc import devices
from partdisc.backbones import Weights
from partdisc.data import Listed
from partdisc.discovery.identity import identity_of
from partdisc.discovery.inputs import list_data, open_weights
from partdisc.discovery.record import Training
from partdisc.discovery.training import open_training
from partdisc.workdir import Workdir


class Wanted(NamedTuple):
    """What a run is of, and the training of that.

    Attributes:
      listed: the data, before they are prepared.
      weights: of the network.
      training: which one, there or not.
    """

    listed: Listed
    weights: Weights
    training: Training


def look(config: Any, workdir: Workdir, policy: str = "stop") -> Wanted:
    """Find out what a run is of, and whether what is there is of that; nothing is written.

    Args:
      config: the whole config, valid.
      workdir: of the run.
      policy: what to do where another training is there, one of `training.POLICIES`.

    Raises:
      errors.PartdiscError: data or weights are absent or unusable, or another training is there.
    """
    listed = devices.in_turn(lambda: list_data(config, workdir))
    weights = devices.in_turn(lambda: open_weights(config))
    identity = identity_of(config, listed, weights)
    training = devices.agree(lambda: open_training(workdir, identity, config.train.steps, policy))
    return Wanted(listed, weights, training)
