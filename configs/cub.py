"""CUB-200-2011, birds: Tables 5 and 6 of the paper.

  python run.py --config=configs/cub.py --config.data.root=/path/to/CUB_200_2011

reads the official text files. Full frames, the harder setting; the paper does not say what it
did. `configs/cub.py:cropped` crops every image to the bird's box + 15 %. Trains and fits on
the official training images (labels are seen by the regressors only), tests on the test
images. The paper: mAP 26.9 -> 28.2, error 13.9 -> 11.1.
"""

from partdisc.config import base_config
from partdisc.errors import ConfigError


def get_config(frame="full"):
    config = base_config()
    config.data.name = "cub"
    config.train.steps = 400
    if frame not in ("full", "cropped"):
        raise ConfigError(f"configs/cub.py:{frame}: the argument is 'full' or 'cropped'")
    if frame == "cropped":
        config.data.crop_margin = 0.15
    return config
