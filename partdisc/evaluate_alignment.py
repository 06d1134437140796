"""Measure on labelled images how well pools align."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from partdisc import evaluation, images, stages, training
from partdisc.evaluate import normalisers
from partdisc.features import Features

# Targets whose pools are aligned in one pass.
PAIRS_BATCH = 4


def alignment_quality(
    config: Any,
    inputs: stages.Inputs,
    features: Features,
    settings: training.Settings,
    params: Any,
    offset: np.ndarray,
) -> dict[str, float]:
    """Measure how well pools align on labelled images.

    The pools are found among `config.evaluation.alignment_images` random images of the fit
    split. Distances are shares of the box, or of the inter-ocular distance.
    """
    dataset = inputs.dataset
    count = min(config.evaluation.alignment_images, len(dataset.splits["fit"]))
    if count <= config.pools.size:
        return {}
    rng = np.random.default_rng(config.seed)
    chosen = np.sort(rng.choice(dataset.splits["fit"], count, replace=False))
    labelled = stages.device_images(features, chosen, offset, salient=config.matching.saliency)
    pools, _ = stages.find_pools(config, settings.layer, params, labelled, "pools (labelled)")
    transforms, inliers, matches = align_pools(config, settings, params, labelled, pools)
    # Everything is measured in pixels of the target's original image, where the neighbour
    # lies at first as its cells do: images of two sizes and crops can be compared.
    network = inputs.backbone
    to_cells = images.cell_matrix(
        inputs.geometry.take(chosen), network.stride, network.origin
    )
    to_pixels = np.linalg.inv(to_cells)[:, None]
    marks = dataset.points[chosen].astype(np.float64)
    moved = to_pixels @ to_cells[pools]
    sources = marks[pools] @ np.swapaxes(moved[..., :2, :2], -1, -2) + moved[..., None, :2, 2]
    targets = np.repeat(np.arange(count), pools.shape[1])
    length = normalisers(inputs, chosen)["regression"]
    quality = evaluation.alignment_quality(
        sources.reshape(len(targets), -1, 2),
        marks[targets],
        (to_pixels @ transforms @ to_cells[:, None]).reshape(-1, 3, 3),
        length[targets],
        family=config.alignment.transform,
    )
    return quality._asdict() | {
        "inliers": float(inliers.mean()), "matches": float(matches.mean())
    }


def align_pools(
    config: Any, settings: training.Settings, params: Any, labelled: training.Images, pools
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Align every image's pool as training does.

    Returns:
      transforms [N, J, 3, 3] in cells, inliers [N, J] and matches [N, J].
    """
    count = len(pools)
    parts = []
    for start in range(0, count, PAIRS_BATCH):
        # The last batch is filled up with the first images, so that all have one shape.
        targets = np.arange(start, start + PAIRS_BATCH, dtype=np.int32) % count
        key = jax.random.fold_in(jax.random.key(config.seed), start)
        parts.append(
            jax.tree.map(np.asarray, _align(settings, params, labelled, pools, targets, key))
        )
    return tuple(np.concatenate(arrays)[:count] for arrays in zip(*parts, strict=True))


@functools.partial(jax.jit, static_argnums=0)
def _align(settings, params, labelled, pools, targets, key) -> tuple[jax.Array, ...]:
    batch = training.gather(labelled, targets, jnp.asarray(pools))
    probs = training.forward(settings, params, batch)
    supervision = training.supervise(key, settings, batch, probs)
    alignment = supervision.alignment
    return alignment.transform, alignment.inliers, supervision.matches.count
