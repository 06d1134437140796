"""CelebA, faces: Tables 2, 3, 4 and 8 of the paper.

  python run.py --config=configs/celeba.py --config.data.root=/path/to/celeba

reads the official layout of the aligned and cropped faces (img_align_celeba/,
list_eval_partition.txt, list_landmarks_align_celeba.txt) and the MAFL lists (training.txt,
testing.txt in a folder MAFL in it or beside it), trains on 2,000 of the 161,962 images, fits on
MAFL's training images and tests on its 1,000 test images. The paper: mAP 92.6 -> 97.9, error
6.0 -> 5.0.

The argument is a split, or a split and `wild`, by a comma:

  configs/celeba.py:official,wild   the photos (img_celeba/), column "Unalign": mAP 71.8 -> 90.9,
                                    error 13.8 -> 6.3; the paper does not say how it chose them
  configs/celeba.py:scops,wild      those with large faces, as SCOPS chose them
  configs/celeba.py:mafl            trains on MAFL's 19,000 images: Table 8
  configs/celeba.py:subset          for a part of CelebA where some images have no landmarks:
                                    trains on those, fits on the first half of the others and
                                    tests on the second
"""

from partdisc.config import base_config
from partdisc.errors import ConfigError


def get_config(argument="official"):
    splits, _, wild = argument.partition(",")
    if wild not in ("", "wild"):
        raise ConfigError(f"configs/celeba.py:{argument}: after the comma may stand 'wild'")
    config = base_config()
    config.data.name = "celeba_wild" if wild else "celeba"
    config.data.splits = splits
    return config
