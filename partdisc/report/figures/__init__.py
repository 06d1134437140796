"""Pictures of what was found: arrays in, one PNG file out.

Every function draws one figure and writes it to its `Page` in one step, so that a
reader never sees half a file. Images are uint8 [H, W, 3]; points are (y, x) in pixels of the image
they are drawn on, and points that are NaN or outside it are not drawn. Without
anything to show, the figure says so. Matplotlib is only imported when drawing.
"""

from partdisc.report.figures.charts import scores_chart, training_curves
from partdisc.report.figures.maps import heat_maps, pseudo_ground_truth
from partdisc.report.figures.page import Page
from partdisc.report.figures.pairs import Aligned, aligned_pairs, similar_pools
from partdisc.report.figures.parts import detections, part_gallery

__all__ = [
    "Aligned",
    "Page",
    "aligned_pairs",
    "detections",
    "heat_maps",
    "part_gallery",
    "pseudo_ground_truth",
    "scores_chart",
    "similar_pools",
    "training_curves",
]
