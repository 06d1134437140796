"""The tables of the paper, 1 to 8, with our figures beside the published ones; and 9 and 10, what
each of our deviations from the paper is worth in mAP and in landmark error.

  python run.py --config=configs/tables.py:1 --mode=table

trains what the table needs, keeps every result in the work directory, and takes up where a
sweep was stopped. After a comma come the columns, where they are not the paper's, and the seeds:

  configs/tables.py:7,data=car_parts+cub,seeds=0-1-2

Columns: aeroplane, bicycle, bus, car, motorbike, train (VehiclePart), celeba, celeba_wild, mafl,
mafl_wild, celeba_scops, celeba_subset, mtfl, cub, cub_cropped, car_parts, shapes. Data is looked
for where PARTDISC_DATA says; what is absent is named, and the rest goes on. Any key set on the
command line holds for every run of the table: --config.backbone.name=googlenet.
"""

from partdisc.config import base_config
from partdisc.errors import ConfigError


def get_config(argument="1"):
    config = base_config()
    number, *options = argument.split(",")
    if not number.isdecimal():
        raise ConfigError(f"configs/tables.py:{argument}: begins with the number of a table")
    config.table.number = int(number)
    for option in options:
        name, _, value = option.partition("=")
        if name == "data":
            config.table.data = value
        elif name == "seeds":
            config.table.seeds = value.replace("-", ",")
        else:
            raise ConfigError(f"configs/tables.py:{argument}: '{name}' is not data or seeds")
    return config
