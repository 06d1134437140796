"""Drawn excavators and random backbone weights: everything works without a download.

  python run.py --config=configs/demo.py

About 4 minutes on 2 cores. No row of the paper: it shows that training beats its own
clustering start on planted parts.

`partdisc/presets/demo.py` says what is set. Installed, it is `--config=demo`.
"""

from partdisc.presets.demo import get_config

__all__ = ["get_config"]
