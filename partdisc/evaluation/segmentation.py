"""Agreement of the arg-max part with the annotated keypoints (protocol C).

Plain NumPy in float64: pair counts of many pixels overflow integers.
"""

from typing import NamedTuple

import numpy as np

from partdisc.errors import DataError


class Agreement(NamedTuple):
    """How well two labellings of the same items agree.

    Attributes:
        nmi: normalised mutual information (arithmetic mean of the entropies), %.
        ari: adjusted Rand index, %.
        items: how many items were compared.
    """

    nmi: float
    ari: float
    items: int


def keypoint_agreement(probs: np.ndarray, visible: np.ndarray, *, foreground: bool) -> Agreement:
    """Compare the part at each visible keypoint with the keypoint's id.

    Args:
        probs: [N, L, K + 1] p(part | keypoint's place), the background last; NaN where the
            place is not covered, which leaves the keypoint out.
        visible: bool [N, L].
        foreground: whether the background may not win (the field's `FG`; else `full`).

    Raises:
        DataError: no visible keypoint is covered.
    """
    probs = np.asarray(probs, np.float64)
    counted = np.asarray(visible, bool) & np.isfinite(probs).all(-1)
    if not counted.any():
        raise DataError(f"keypoints: none of {counted.size} is visible and covered")
    parts = probs[..., :-1] if foreground else probs
    ids = np.broadcast_to(np.arange(probs.shape[1]), counted.shape)
    return label_agreement(ids[counted], parts.argmax(-1)[counted])


def label_agreement(first: np.ndarray, second: np.ndarray) -> Agreement:
    """Compare two labellings [n] of the same items; names of labels do not matter.

    Both figures are 100 where each labelling is one label throughout.

    Args:
        first: int [n].
        second: int [n].

    Raises:
        DataError: there is no item.
        ValueError: the shapes do not agree.
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"labels {first.shape} and {second.shape} must both be [n]")
    if not first.size:
        raise DataError("labels: there is no item to compare")
    rows, columns = (np.unique(labels, return_inverse=True)[1] for labels in (first, second))
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1.0)
    return Agreement(100 * _nmi(table), 100 * _ari(table), first.size)


def _nmi(table: np.ndarray) -> float:
    joint = table / table.sum()
    first, second = joint.sum(1), joint.sum(0)
    mean = (_entropy(first) + _entropy(second)) / 2
    if mean == 0:
        return 1.0
    information = _entropy(first) + _entropy(second) - _entropy(joint.ravel())
    return float(np.clip(information / mean, 0.0, 1.0))


def _entropy(shares: np.ndarray) -> float:
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def _ari(table: np.ndarray) -> float:
    def pairs(counts):
        return float((counts * (counts - 1) / 2).sum())

    both, first, second = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    total = pairs(table.sum())
    expected = first * second / total if total else 0.0
    largest = (first + second) / 2
    if largest == expected:
        return 1.0
    return (both - expected) / (largest - expected)
