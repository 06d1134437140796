"""The tables of the paper, made again: published and our figures side by side."""

from partdisc.tables.command import make_table
from partdisc.tables.paper import DATASETS, TABLES
from partdisc.tables.sweep import Doing

__all__ = ["DATASETS", "TABLES", "Doing", "make_table"]
