"""VehiclePart, semantic parts of PASCAL3D+ vehicles: Tables 1 and 7 of the paper.

  python run.py --config=configs/vehicle_part.py:car --config.data.root=/path/to/VehiclePart

The argument is aeroplane, bicycle, bus, car, motorbike or train. Objects are cropped by their
true box; training images are mirrored too, but for cars, of which there are enough. The paper's
mAP, clustering and trained: aeroplane 16.7, 18.7; bicycle 54.6, 66.7; bus 28.7, 46.6; car 32.2,
35.5; motorbike 32.2, 39.6; train 17.6, 19.4.
"""

from partdisc.config import base_config


def get_config(category="car"):
    config = base_config()
    config.data.name = "vehicle_part"
    config.data.category = category
    config.data.crop_margin = 0.0
    config.data.flip = category != "car"
    config.evaluation.detection = "iou,vsp"
    return config
