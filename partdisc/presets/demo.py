"""Drawn excavators and random backbone weights: everything works without a download.

  python -m partdisc --config=demo

About 4 minutes on 2 cores. No row of the paper: it shows that training beats its own
clustering start on planted parts.
"""

from partdisc.config import base_config


def get_config():
    config = base_config()
    config.data.name = "shapes"
    config.backbone.weights = "random"
    config.backbone.center = True
    config.parts.count = 128
    config.train.steps = 300
    return config
