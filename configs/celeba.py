"""CelebA, aligned and cropped faces: Tables 2 and 3 of the paper, column "Align".

  python run.py --config=configs/celeba.py --config.data.root=/path/to/celeba

reads the official layout (img_align_celeba/, list_eval_partition.txt,
list_landmarks_align_celeba.txt) and the MAFL lists (training.txt, testing.txt in a folder
MAFL in it or beside it), trains on 2,000 of the 161,962 images, fits on MAFL's training
images and tests on its 1,000 test images. The paper: mAP 92.6 -> 97.9, error 6.0 -> 5.0.

  python run.py --config=configs/celeba.py:subset

is for a part of CelebA where some images have no landmarks: it trains on those, fits on the
first half of the others and tests on the second.
"""

from partdisc.config import base_config


def get_config(splits="official"):
    config = base_config()
    config.data.name = "celeba"
    config.data.splits = splits
    return config
