"""A run as its evaluation and its pictures find it: what all stages have made."""

from typing import NamedTuple

from partdisc.detector import Detector
from partdisc.discovery.clusters import Start
from partdisc.discovery.features import Features
from partdisc.discovery.images import Images
from partdisc.discovery.inputs import Inputs
from partdisc.discovery.pools import Pools, PoolSettings
from partdisc.discovery.supervision import StepSettings


class Run(NamedTuple):
    """What the stages of a run have made.

    Attributes:
      inputs: data set and frozen network.
      features: the cache.
      start: the untrained detector.
      detector: trained as far as it has been.
      settings: static settings of a training step.
      images: the training images on the device.
      pools: of the training images.
      pooling: how pools are chosen.
      seed: of all draws.
      steps: that the detector was trained.
    """

    inputs: Inputs
    features: Features
    start: Start
    detector: Detector
    settings: StepSettings
    images: Images
    pools: Pools
    pooling: PoolSettings
    seed: int
    steps: int
