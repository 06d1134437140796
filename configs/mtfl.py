"""MTFL, faces from the web, not aligned: a stand-in for the "Unalign" columns of Tables 2 and 3.

  python run.py --config=configs/mtfl.py --config.data.root=/path/to/MTFL

reads training.txt and testing.txt: trains and fits on the first, tests on the second (AFLW in
the publishers' files). The paper has CelebA's photos there (configs/celeba.py:official,wild).
"""

from partdisc.config import base_config


def get_config():
    config = base_config()
    config.data.name = "mtfl"
    config.train.steps = 400
    return config
