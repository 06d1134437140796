"""Your own photos of one kind of object, without any annotation.

  python run.py --config=configs/folder.py:/path/to/photos

reads every JPEG, PNG, WebP, GIF, BMP, TIFF and AVIF below the folder. Some hundred images are a
good start; with few, set --config.parts.count and --config.pools.size lower.

`partdisc/presets/folder.py` says what is set. Installed, it is `--config=folder:/path/to/photos`.
"""

from partdisc.presets.folder import get_config

__all__ = ["get_config"]
