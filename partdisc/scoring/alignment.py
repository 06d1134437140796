"""Measure on labelled images how well pools align (protocol D)."""

from typing import Any, NamedTuple

import numpy as np

from partdisc import evaluation
from partdisc.data import images
from partdisc.detector import Detector
from partdisc.discovery.images import Images, open_images
from partdisc.discovery.inputs import Inputs
from partdisc.discovery.pool_alignment import Aligner, PoolAlignment, align_pools, aligner_of
from partdisc.discovery.pools import find_pools
from partdisc.discovery.run import Run
from partdisc.scoring.landmarks import normalisers
from partdisc.scoring.settings import Scoring

# Fit images among which pools are found where the training images have no landmarks.
FIT_IMAGES = 500


class LabelledPools(NamedTuple):
    """Labelled images and the pools of some of them.

    Attributes:
      images: N labelled images on the device.
      index: int [N], those of the data set.
      targets: int [n], rows of `images`.
      members: int [n, J], their pools, rows of `images`.
    """

    images: Images
    index: np.ndarray
    targets: np.ndarray
    members: np.ndarray


def labelled_pools(scoring: Scoring, run: Run) -> LabelledPools | None:
    """Draw labelled images, at most as many as are wanted, and take their pools.

    They are the pools of training where any of its images has landmarks. Where none has,
    pools are found in the same way among at most `FIT_IMAGES` images of the fit split.

    Returns:
      The pools; None where too few images are labelled, or none is asked for.
    """
    dataset = run.inputs.dataset
    rng = np.random.default_rng(run.seed)
    count = scoring.alignment_images
    index, chosen, members = dataset.splits["train"], run.images, run.pools.members
    shown = np.flatnonzero(_labelled(dataset.points[index]))
    if not len(shown):
        fit = dataset.splits["fit"]
        index = np.sort(rng.permutation(fit[_labelled(dataset.points[fit])])[:FIT_IMAGES])
        if count == 0 or len(index) <= run.pooling.size:
            return None
        untrained = run.start.detector
        chosen = open_images(run.features, index, untrained.offset, run.images.budget)
        members, _ = find_pools(
            run.pooling,
            run.settings,
            untrained.params,
            chosen,
            seed=run.seed,
            label="pools (fit)",
        )
        shown = np.arange(len(index))
    targets = np.sort(rng.permutation(shown)[:count])
    return LabelledPools(chosen, index, targets, np.asarray(members)[targets]) if count else None


def _labelled(points: np.ndarray) -> np.ndarray:
    return np.isfinite(points).any(axis=(1, 2))


class Pairs(NamedTuple):
    """Targets and neighbours in pixels of the targets' original images.

    Attributes:
      sources: [n, J, L, 2], landmarks of the neighbours, which lie at first as their cells
        do: images of two sizes and crops can be compared.
      targets: [n, L, 2].
      transforms: [n, J, 3, 3].
      lengths: [n], the normaliser.
    """

    sources: np.ndarray
    targets: np.ndarray
    transforms: np.ndarray
    lengths: np.ndarray

    def flat(self) -> tuple[np.ndarray, ...]:
        """Return the arguments of `evaluation.alignment_quality`, a row a pair."""
        number, size = self.sources.shape[:2]
        landmarks = self.sources.shape[2:]
        return (
            self.sources.reshape(number * size, *landmarks),
            np.repeat(self.targets, size, axis=0),
            self.transforms.reshape(number * size, 3, 3),
            np.repeat(self.lengths, size),
        )


def in_pixels(inputs: Inputs, pools: LabelledPools, transforms: np.ndarray) -> Pairs:
    """Bring pairs of cells, and transforms [n, J, 3, 3] between them, to pixels."""
    network, dataset = inputs.backbone, inputs.dataset
    index = pools.index
    to_cells = images.cell_matrix(inputs.geometry.take(index), network.stride, network.origin)
    to_pixels = np.linalg.inv(to_cells[pools.targets])[:, None]
    marks = dataset.points[index].astype(np.float64)
    moved = to_pixels @ to_cells[pools.members]
    sources = marks[pools.members] @ np.swapaxes(moved[..., :2, :2], -1, -2)
    return Pairs(
        sources + moved[..., None, :2, 2],
        marks[pools.targets],
        to_pixels @ transforms @ to_cells[pools.targets][:, None],
        normalisers(inputs, index[pools.targets])["regression"],
    )


def alignment_quality(
    run: Run, pools: LabelledPools | None, detector: Detector
) -> dict[str, float]:
    """Measure how well a part layer aligns pools.

    Returns:
      Fields of `evaluation.AlignmentQuality`, `inliers` and `matches`; {} without pools.
    """
    if pools is None:
        return {}
    aligner = aligner_of(run.settings, detector.params, pools.images, seed=run.seed)
    aligned = align(pools, aligner)
    return summary(in_pixels(run.inputs, pools, aligned.transforms), aligned, aligner.family)


def align(pools: LabelledPools, aligner: Aligner) -> PoolAlignment:
    """Align the pools as training does, by an aligner of their images."""
    return align_pools(aligner, pools.targets, pools.members, label=f"aligning ({aligner.family})")


def summary(
    pairs: Pairs, aligned: PoolAlignment, family: str, some: Any = slice(None)
) -> dict[str, float]:
    """Summarise pairs, or `some` of the n * J, aligned by a family, by protocol D."""
    quality = evaluation.alignment_quality(*(array[some] for array in pairs.flat()), family=family)
    return quality._asdict() | {
        "inliers": float(np.mean(aligned.inliers.reshape(-1)[some])),
        "matches": float(np.mean(aligned.matches.reshape(-1)[some])),
    }
