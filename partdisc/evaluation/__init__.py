"""Metrics in plain NumPy: they know neither models nor data sets."""

from partdisc.evaluation.agreement import AlignmentQuality, alignment_quality, pair_distances
from partdisc.evaluation.curves import FIT_SIZES, cumulative_errors, error_by_fit_size
from partdisc.evaluation.precision import (
    MeanPrecision,
    box_average_precision,
    firing_channels,
    mean_average_precision,
    part_average_precision,
    pck,
    select_channels,
)
from partdisc.evaluation.presence import ObjectQuality, object_quality, ranking_auc
from partdisc.evaluation.protocols import PROTOCOLS, inter_ocular, longer_side, short_side
from partdisc.evaluation.regression import (
    LandmarkScore,
    constant_point_error,
    mean_shape_error,
    regression_error,
    relative_distances,
)
from partdisc.evaluation.segmentation import keypoint_agreement, label_agreement

__all__ = [
    "FIT_SIZES",
    "PROTOCOLS",
    "AlignmentQuality",
    "LandmarkScore",
    "MeanPrecision",
    "ObjectQuality",
    "alignment_quality",
    "object_quality",
    "pair_distances",
    "box_average_precision",
    "constant_point_error",
    "cumulative_errors",
    "error_by_fit_size",
    "firing_channels",
    "inter_ocular",
    "keypoint_agreement",
    "label_agreement",
    "longer_side",
    "mean_average_precision",
    "mean_shape_error",
    "part_average_precision",
    "pck",
    "ranking_auc",
    "regression_error",
    "relative_distances",
    "select_channels",
    "short_side",
]
