"""Where the defaults deviate from the paper, in one place; its own settings stay runnable.

`configs/paper.py` runs the paper's settings, Tables 9 and 10 of `configs/tables.py` measure what
each is worth. `KEPT` lists what stays even there: what the paper leaves open, and the few points
that no config key puts back.
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
        {
            "matching.kind": "threshold",
            "matching.threshold": 0.6,
            "matching.saliency": False,
            "matching.slots": 0,
        },
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


class Kept(NamedTuple):
    """A point in which `PAPER` is ours.

    Attributes:
      name: what it is about.
      deviates: whether the paper has it otherwise; False where it is silent.
      ours: what is done here, and why.
    """

    name: str
    deviates: bool
    ours: str


KEPT = (
    Kept(
        "radius of an inlier",
        False,
        "A match satisfies a transform that leaves it at most 1 cell apart (`alignment.radius`).",
    ),
    Kept(
        "number of hypotheses",
        False,
        "128 transforms, each of a random subset of the matches, of the least size, the first of 8 "
        "that is plausible; the identity competes with them.",
    ),
    Kept(
        "reflections",
        True,
        "Transforms that mirror the image are rejected: three wrong matches mirror as often as "
        "not, and no camera does.",
    ),
    Kept(
        "maps of the pseudo ground truth",
        False,
        "The mean of Algorithm 1 is of maps divided by their maxima, as those that are aligned; "
        "the mean of the loss is of probabilities.",
    ),
    Kept(
        "room beside the neighbours",
        False,
        "A cell that no aligned map reaches has no label, and the means are over what does reach.",
    ),
    Kept(
        "length of the training",
        False,
        "`train.steps` of the data set's config, of 4 images each, at a rate of "
        '1 / (1 + 0.1 x step), as PyTorch reads "a learning decay of 0.1".',
    ),
    Kept(
        "candidates of pools",
        True,
        "Divergences are computed for the 10 x J images that look nearest by a sketch of their "
        "maps, of which the J nearest are taken. Of 400 photos of cars the 15 nearest of each "
        "were all among the 75 nearest by the sketch.",
    ),
    Kept(
        "pools while training goes on",
        False,
        "They are sought once, by the clusters, and stay.",
    ),
    Kept(
        "images that are learned from",
        True,
        "The 2,000 random images among which pools are sought are also all that clusters and "
        "training see (`data.train_subset`).",
    ),
)
