"""Where the defaults deviate from the paper, in one place; its own settings stay runnable.

`configs/paper.py` runs the paper's settings, Tables 9 and 10 of `configs/tables.py` measure what
each is worth. Where the paper is silent (number of hypotheses, steps, batch) nothing is one. The
2,000 random images among which it seeks pools are here also all that clusters and training see.
"""

from typing import Any, NamedTuple


class Deviation(NamedTuple):
    """A deviation from the paper.

    Attributes:
      name: what deviates.
      paper: what the paper has, as {'section.key': value}.
      why: what the defaults have instead, and what the paper's leads to.
    """

    name: str
    paper: dict[str, Any]
    why: str


DEVIATIONS = (
    Deviation(
        "pools",
        {"pools.similarity": "spatial_js", "pools.candidates": 0},
        "The images whose maps are nearest as they lie need no alignment and gain little by it; "
        "ours are those of the most similar, wherever their parts are, that align best.",
    ),
    Deviation(
        "matches",
        {"matching.kind": "threshold", "matching.threshold": 0.6, "matching.saliency": False},
        "All pairs of cells above a threshold are mostly pairs of background, which vote for the "
        "identity or for any transform; ours are each other's best, and count by how much they "
        "stand out.",
    ),
    Deviation(
        "score",
        {"alignment.scoring": "count", "alignment.radius": 1.0, "alignment.polish": 0},
        "Many transforms have the same inliers; ours is in their middle, and then refined by "
        "least squares.",
    ),
    Deviation(
        "plausibility",
        {
            "alignment.max_area_change": 1e6,
            "alignment.max_stretch": 1e3,
            "alignment.max_rotation": 180.0,
        },
        "Three matches can fix any shear; ours keeps to changes of the area up to 3 times, to "
        "stretches up to 2.5 times and to rotations up to 90 degrees.",
    ),
    Deviation(
        "background",
        {"pseudo_gt.background": "printed"},
        "Algorithm 1 lets the background take as many cells as it wins, which are nearly all or "
        "nearly none, by chance; ours is named by saliency.",
    ),
    Deviation(
        "learning rate",
        {"train.learning_rate": 5e-3, "train.decay_kind": "inverse_time"},
        "In as many steps as are taken here the paper's moves the part layer very little.",
    ),
    Deviation(
        "aspect",
        {"data.max_aspect": 20.0},
        "The cost grows with the square of the longest map; ours squeezes images longer than "
        "1.5 : 1 to that, and maps points and boxes back exactly.",
    ),
    Deviation(
        "detection",
        {"detection.half_stride": False},
        "A cell a stride is coarse against what counts as found; ours are half a stride apart.",
    ),
)
PAPER = {key: value for deviation in DEVIATIONS for key, value in deviation.paper.items()}
