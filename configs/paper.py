"""The settings of the paper, exactly as far as it states them, on any of the other configs.

  python run.py --config=configs/paper.py:cub
  python run.py --config=configs/paper.py:cub,cropped

are configs/cub.py and configs/cub.py:cropped with what `partdisc/deviations.py` lists set back.
"""

import importlib.util
import pathlib

from partdisc.deviations import PAPER
from partdisc.errors import ConfigError


def get_config(argument="cub"):
    name, _, rest = argument.partition(",")
    path = pathlib.Path(__file__).parent / f"{name}.py"
    if name in ("paper", "tables") or not name.isidentifier() or not path.exists():
        raise ConfigError(f"configs/paper.py:{argument}: begins with the name of another config")
    spec = importlib.util.spec_from_file_location(f"configs.{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config(rest) if rest else module.get_config()
    for key, value in PAPER.items():
        section, _, leaf = key.partition(".")
        config[section][leaf] = value
    return config
