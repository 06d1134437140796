"""Pictures of what was found: arrays in, one PNG file out.

Every function draws one figure and writes it to `path` in one step, so that a
reader never sees half a file. All take `caption` (what the figure shows, in
bold over it) and `note` (a remark in its lower corner, such as "random backbone
weights"). Images are uint8 [H, W, 3]; points are (y, x) in pixels of the image
they are drawn on, and points that are NaN or outside it are not drawn. Without
anything to show, the figure says so. Matplotlib is only imported when drawing.
"""

from partdisc.report.figures.charts import scores_chart, training_curves
from partdisc.report.figures.maps import heat_maps, pseudo_ground_truth
from partdisc.report.figures.pairs import aligned_pair, similar_pools
from partdisc.report.figures.parts import detections, part_gallery

__all__ = [
    "aligned_pair",
    "detections",
    "heat_maps",
    "part_gallery",
    "pseudo_ground_truth",
    "scores_chart",
    "similar_pools",
    "training_curves",
]
