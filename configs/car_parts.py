"""Car Parts (Pasupa et al. 2021), 18 parts as polygons: a stand-in for VehiclePart's cars.

  python run.py --config=configs/car_parts.py --config.data.root=/path/to/car_parts

reads train/annotations.json and test/annotations.json with the images beside them; crops each
image to what holds all parts, trains and fits on the first, tests on the second by VehiclePart's
protocol: boxes of 100 x 100 pixels at the short side of 224, IoU 0.5, NMS at 0.3.
"""

from partdisc.config import base_config


def get_config():
    config = base_config()
    config.data.name = "coco"
    config.data.root = "$PARTDISC_DATA/car_parts"
    config.data.coco_train = "train/annotations.json"
    config.data.coco_test = "test/annotations.json"
    config.data.split_polygons = "wheel"
    config.data.crop_margin = 0.0
    config.train.steps = 400
    config.evaluation.detection = "iou,l2"
    return config
