"""Your own photos of one kind of object, without any annotation.

  python -m partdisc --config=folder:/path/to/photos

reads every JPEG, PNG, WebP, GIF, BMP, TIFF and AVIF below the folder. Some hundred images are a
good start; with few, set --config.parts.count and --config.pools.size lower.
"""

from partdisc.config import base_config


def get_config(root=""):
    config = base_config()
    config.data.name = "folder"
    config.data.root = root
    config.data.max_bad_fraction = 0.2
    return config
