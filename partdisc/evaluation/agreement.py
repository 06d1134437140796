"""Agreement of aligned images: how near a transform brings a neighbour's landmarks.

Plain NumPy in float64. Points are (y, x); invisible points are NaN.
"""

from typing import NamedTuple

import numpy as np

from partdisc.errors import ConfigError
from partdisc.evaluation.regression import relative_distances

# The number of common landmarks that determines a transform of the family.
FAMILIES = {"none": 0, "translation": 1, "affine": 3, "homography": 4}


class AlignmentQuality(NamedTuple):
    """Landmark distances over pairs, as shares of the normaliser.

    Attributes:
        before: mean distance where nothing is transformed.
        after: mean distance under the estimated transforms.
        oracle: mean distance under the best transforms of the family.
        improved: share of the pairs that the transform brings strictly nearer.
        identity_share: share of the pairs whose transform is the identity.
        degenerate_share: share of the pairs whose transform sends a landmark nowhere.
        n_pairs: pairs scored; the other fields are NaN if there is none.
    """

    before: float
    after: float
    oracle: float
    improved: float
    identity_share: float
    degenerate_share: float
    n_pairs: int


class _Scored(NamedTuple):
    """The n pairs that are scored, their points 0 where a landmark is not common."""

    rows: np.ndarray
    source: np.ndarray
    target: np.ndarray
    transforms: np.ndarray
    normaliser: np.ndarray
    common: np.ndarray

    def error(self, moved: np.ndarray) -> np.ndarray:
        """Return the mean distance [n] of moved sources [n, L, 2] from the targets."""
        distances = relative_distances(moved, self.target, self.normaliser)
        return np.where(self.common, distances, 0).sum(1) / self.common.sum(1)

    def moved(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the transformed sources [n, L, 2], and which pairs [n] have a degenerate one."""
        moved = _apply(self.transforms, self.source, self.common)
        degenerate = (~np.isfinite(moved).all(-1) & self.common).any(1)
        return np.where(degenerate[:, None, None], self.source, moved), degenerate


def _scored(source_points, target_points, transforms, normaliser) -> _Scored:
    source, target, transforms, normaliser = (
        np.asarray(array, np.float64)
        for array in (source_points, target_points, transforms, normaliser)
    )
    common = np.isfinite(relative_distances(source, target, normaliser))
    if transforms.shape != (len(source), 3, 3):
        raise ValueError(f"transforms {transforms.shape} must be [{len(source)}, 3, 3]")
    rows = np.flatnonzero(common.any(1))
    source, target, transforms, normaliser, common = (
        array[rows] for array in (source, target, transforms, normaliser, common)
    )
    source, target = (np.where(common[..., None], points, 0) for points in (source, target))
    transforms = np.where(np.isfinite(transforms).all((1, 2), keepdims=True), transforms, np.nan)
    return _Scored(rows, source, target, transforms, normaliser, common)


def pair_distances(
    source_points: np.ndarray,
    target_points: np.ndarray,
    transforms: np.ndarray,
    normaliser: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean landmark distance of each pair before and after alignment.

    Args and errors are those of `alignment_quality`, where the rules stand.

    Returns:
      [pairs] each, as shares of the normaliser; NaN for a pair that is not scored.
    """
    pairs = _scored(source_points, target_points, transforms, normaliser)
    found = np.full((2, len(source_points)), np.nan)
    found[:, pairs.rows] = pairs.error(pairs.source), pairs.error(pairs.moved()[0])
    return found[0], found[1]


def alignment_quality(
    source_points: np.ndarray,
    target_points: np.ndarray,
    transforms: np.ndarray,
    normaliser: np.ndarray,
    *,
    family: str = "affine",
) -> AlignmentQuality:
    """Compare landmark distances before and after alignment with the best possible.

    Distances are averaged over the landmarks visible in both images, then over the pairs
    that have one and a normaliser above 0. A degenerate transform (not finite, or with a
    landmark at or beyond its horizon) moves nothing, and is counted.

    The oracle is the least-squares transform of the true landmarks. A translation stands
    in where fewer landmarks are common than the family needs, and in no pair is the oracle
    worse than a simpler family: least squares does not minimise the mean distance.

    Args:
        source_points: [pairs, L, 2] landmarks of the neighbours.
        target_points: [pairs, L, 2] landmarks of the targets, same units.
        transforms: [pairs, 3, 3] estimated maps of columns (y, x, 1), source to target.
        normaliser: [pairs] length that the distances are divided by, same units.
        family: family of the oracle, one of FAMILIES.

    Raises:
        ConfigError: the family is unknown.
        ValueError: the shapes do not agree.
    """
    if family not in FAMILIES:
        raise ConfigError(f"family: {family!r} is unknown, allowed: {', '.join(FAMILIES)}")
    pairs = _scored(source_points, target_points, transforms, normaliser)
    if not len(pairs.rows):
        return AlignmentQuality(*[float("nan")] * 6, 0)
    before = pairs.error(pairs.source)
    moved, degenerate = pairs.moved()
    after = pairs.error(moved)
    return AlignmentQuality(
        before=float(before.mean()),
        after=float(after.mean()),
        oracle=float(_oracle(pairs, family).mean()),
        improved=float((after < before).mean()),
        identity_share=float(_is_identity(pairs.transforms).mean()),
        degenerate_share=float(degenerate.mean()),
        n_pairs=len(before),
    )


def _oracle(pairs: _Scored, family: str) -> np.ndarray:
    """Return the error [n] of the best transform of the family and those within it."""
    best = pairs.error(pairs.source)
    enough = pairs.common.sum(1) >= FAMILIES[family]
    nested = list(FAMILIES)[1 : list(FAMILIES).index(family) + 1]
    for name in nested:
        found = pairs.error(_FITS[name](pairs.source, pairs.target, pairs.common))
        usable = (enough | (name == "translation")) & np.isfinite(found)
        best = np.where(usable, np.fmin(best, found), best)
    return best


def _apply(transforms: np.ndarray, points: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Move points [pairs, L, 2] by transforms [pairs, 3, 3]; NaN beyond the horizon."""
    moved = points @ transforms[:, :2, :2].swapaxes(1, 2) + transforms[:, None, :2, 2]
    depth = (points @ transforms[:, 2, :2, None])[..., 0] + transforms[:, 2, 2, None]
    # A matrix holds up to its sign: the near side is the one of the landmarks' centre.
    side = np.sign(np.where(common, depth, 0).sum(1, keepdims=True))
    return moved / np.where(depth * side > 0, depth, np.nan)[..., None]


def _is_identity(transforms: np.ndarray) -> np.ndarray:
    corner = transforms[:, 2:, 2:]
    scaled = transforms / np.where(corner == 0, np.nan, corner)
    return (np.abs(scaled - np.eye(3)) <= 1e-6).all((1, 2))


def _translate(source, target, common) -> np.ndarray:
    shift = (target - source).sum(1) / common.sum(1)[:, None]
    return source + shift[:, None]


def _affine(source, target, common) -> np.ndarray:
    design = np.append(_normalise(source, common)[0], common[..., None], axis=2)
    return design @ (np.linalg.pinv(design, rcond=1e-10) @ target)


def _homography(source, target, common) -> np.ndarray:
    """Fit by the direct linear transform on normalised points; return the moved source."""
    source, _, _ = _normalise(source, common)
    target, centre, scale = _normalise(target, common)
    columns = np.append(source, common[..., None], axis=2)
    zero = np.zeros_like(columns)
    y, x = (target[..., axis, None] for axis in (0, 1))
    equations = np.concatenate(
        [
            np.concatenate([columns, zero, -y * columns], axis=2),
            np.concatenate([zero, columns, -x * columns], axis=2),
        ],
        axis=1,
    )
    matrices = np.linalg.svd(equations)[2][:, -1].reshape(-1, 3, 3)
    return _apply(matrices, source, common) / scale + centre


def _normalise(points: np.ndarray, common: np.ndarray):
    """Centre the common points and scale them to a mean distance of sqrt 2.

    Returns the points [pairs, L, 2], 0 where not common, and with centre [pairs, 1, 2]
    and scale [pairs, 1, 1] the way back.
    """
    count = common.sum(1)[:, None, None]
    centre = points.sum(1, keepdims=True) / count
    points = np.where(common[..., None], points - centre, 0)
    spread = np.hypot(points[..., 0], points[..., 1]).sum(1)[:, None, None] / count
    scale = np.sqrt(2) / np.where(spread > 0, spread, np.sqrt(2))
    return points * scale, centre, scale


_FITS = {"translation": _translate, "affine": _affine, "homography": _homography}
