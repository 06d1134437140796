"""Measure on labelled images how well pools align (protocol D)."""

from typing import Any, NamedTuple

import jax
import numpy as np

from partdisc import evaluation
from partdisc.data import images
from partdisc.discovery import stages, step
from partdisc.discovery.features import Features
from partdisc.discovery.pool_alignment import PoolAlignment, align_pools, unit_maps
from partdisc.discovery.pools import find_pools
from partdisc.scoring.landmarks import normalisers

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

    images: step.Images
    index: np.ndarray
    targets: np.ndarray
    members: np.ndarray


def labelled_pools(
    config: Any,
    inputs: stages.Inputs,
    features: Features,
    start: stages.Start,
    settings: step.Settings,
    train_images: step.Images,
    pools: np.ndarray,
) -> LabelledPools | None:
    """Draw `config.evaluation.alignment_images` labelled images and take their pools.

    They are the pools of training where any of its images has landmarks. Where none has,
    pools are found in the same way among at most `FIT_IMAGES` images of the fit split.

    Returns:
      The pools; None where too few images are labelled, or none is asked for.
    """
    dataset = inputs.dataset
    rng = np.random.default_rng(config.seed)
    count = config.evaluation.alignment_images
    index, chosen = dataset.splits["train"], train_images
    shown = np.flatnonzero(_labelled(dataset.points[index]))
    if not len(shown):
        fit = dataset.splits["fit"]
        index = np.sort(rng.permutation(fit[_labelled(dataset.points[fit])])[:FIT_IMAGES])
        if count == 0 or len(index) <= config.pools.size:
            return None
        chosen = stages.device_images(features, index, start.offset)
        pools, _ = find_pools(config, settings, start.params, chosen, label="pools (fit)")
        shown = np.arange(len(index))
    targets = np.sort(rng.permutation(shown)[:count])
    return LabelledPools(chosen, index, targets, np.asarray(pools)[targets]) if count else None


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


def in_pixels(inputs: stages.Inputs, pools: LabelledPools, transforms: np.ndarray) -> Pairs:
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
    config: Any,
    inputs: stages.Inputs,
    pools: LabelledPools | None,
    settings: step.Settings,
    params: Any,
) -> dict[str, float]:
    """Measure how well a part layer aligns pools.

    Returns:
      Fields of `evaluation.AlignmentQuality`, `inliers` and `matches`; {} without pools.
    """
    if pools is None:
        return {}
    maps = unit_maps(settings.layer, params, pools.images)
    aligned = align(config, pools, settings, maps)
    return summary(in_pixels(inputs, pools, aligned.transforms), aligned, settings)


def align(
    config: Any, pools: LabelledPools, settings: step.Settings, maps: jax.Array
) -> PoolAlignment:
    """Align the pools as training does, by the `unit_maps` of their images."""
    family = dict(settings.alignment)["transform"]
    return align_pools(
        settings,
        maps,
        pools.images,
        pools.targets,
        pools.members,
        seed=config.seed,
        label=f"aligning ({family})",
    )


def summary(
    pairs: Pairs, aligned: PoolAlignment, settings: step.Settings, some: Any = slice(None)
) -> dict[str, float]:
    """Summarise pairs, or `some` of the n * J, by protocol D."""
    quality = evaluation.alignment_quality(
        *(array[some] for array in pairs.flat()), family=dict(settings.alignment)["transform"]
    )
    return quality._asdict() | {
        "inliers": float(np.mean(aligned.inliers.reshape(-1)[some])),
        "matches": float(np.mean(aligned.matches.reshape(-1)[some])),
    }
