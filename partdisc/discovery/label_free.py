"""How good a part layer is, and which of its channels, without any label."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.detector import Detector
from partdisc.discovery.images import Images, gather, with_pools
from partdisc.discovery.supervision import StepSettings, forward, supervise
from partdisc.method.cells import largest
from partdisc.method.warp import mean_map

# Training images that are looked at, and how many at a time.
SAMPLE = 80
BATCH = 4
# Two channels whose points lie closer than this share of the short side mean the same part.
SAME_PART = 0.08


class LabelFree(NamedTuple):
    """Label-free quality of a part layer.

    Attributes:
      agreement: share of the cells that the image and its aligned pool give to one channel.
      background_argmax: share of the cells that the background wins.
      channels_in_use: share of the parts that win a cell of some image.
      repeatability: [K], cosine of each part's maps with those of the aligned pools.
      strength: [K], mean over images of each part's largest product of probability and
        saliency, so that what also lies on the images' corners counts little.
    """

    agreement: float
    background_argmax: float
    channels_in_use: float
    repeatability: np.ndarray
    strength: np.ndarray


def measure(
    settings: StepSettings,
    detector: Detector,
    images: Images,
    pools: np.ndarray,
    *,
    seed: int,
) -> LabelFree:
    """Measure a part layer on a sample of the training images and their pools.

    Args:
      settings: static settings.
      detector: whose part layer it is.
      images: the training images.
      pools: int32 [N, J].
      seed: of the sample and of the hypotheses.
    """
    count = len(images.grids)
    sample = np.random.default_rng(seed).permutation(count)[:SAMPLE].astype(np.int32)
    key = jax.random.key(seed)
    sums = []
    for start in range(0, len(sample), BATCH):
        targets = np.resize(sample[start : start + BATCH], BATCH)
        # A last batch that is not full is filled with repetitions that count nothing.
        counts = (np.arange(BATCH) < len(sample) - start).astype(np.float32)
        sums.append(
            _batch(
                settings,
                detector.params,
                gather(images, with_pools(targets, pools)),
                counts,
                jax.random.fold_in(key, start),
            )
        )
    total = jax.tree.map(lambda *parts: np.sum(np.stack(parts), axis=0), *sums)
    norms = np.sqrt(total["own_square"] * total["pool_square"])
    return LabelFree(
        agreement=float(total["agreeing"] / total["cells"]),
        background_argmax=float(total["background"] / total["cells"]),
        channels_in_use=float(np.mean(total["wins"] > 0)),
        repeatability=total["product"] / np.maximum(norms, 1e-12),
        strength=total["peak"] / len(sample),
    )


@functools.partial(jax.jit, static_argnums=0)
def _batch(settings, params, batch, counts, key) -> dict[str, jax.Array]:
    probs = forward(settings, params, batch)
    supervision = supervise(jax.random.split(key, len(probs)), settings, batch, probs)
    mean, coverage = jax.vmap(functools.partial(mean_map, include_own=False))(
        probs[:, 0], probs[:, 1:], supervision.warps
    )
    own, parts = probs[:, 0], settings.layer.parts
    counted = batch.valid[:, 0] & (coverage > 1e-3) & (counts > 0)[:, None]
    _, winner = largest(own, axis=-1)
    own_parts, pool_parts = (
        jnp.where(counted[..., None], maps[..., :parts], 0.0) for maps in (own, mean)
    )
    won = jnp.where(counted, winner, parts + 1)
    return {
        "cells": jnp.sum(counted),
        "agreeing": jnp.sum((winner == largest(mean, axis=-1)[1]) & counted),
        "background": jnp.sum((winner == parts) & counted),
        "wins": jnp.zeros(parts, jnp.int32).at[won.reshape(-1)].add(1, mode="drop"),
        "product": jnp.sum(own_parts * pool_parts, axis=(0, 1)),
        "own_square": jnp.sum(own_parts**2, axis=(0, 1)),
        "pool_square": jnp.sum(pool_parts**2, axis=(0, 1)),
        "peak": jnp.sum(jnp.max(own_parts * batch.saliency[:, 0, :, None], axis=1), axis=0),
    }


def best_channels(
    quality: LabelFree, points: np.ndarray, short_side: np.ndarray, count: int
) -> np.ndarray:
    """Choose channels that mean something, each another part, without labels.

    A channel's worth is repeatability x strength; a channel whose points lie on those of a
    better one is passed over.

    Args:
      quality: from `measure`.
      points: [n, K, 2], (y, x) pixels of each part's peak; NaN where there is none.
      short_side: [n], pixels.
      count: channels wanted.

    Returns:
      int [at most count], best first.
    """
    order = np.argsort(-(quality.repeatability * quality.strength), kind="stable")
    chosen: list[int] = []
    for channel in order.tolist():
        if len(chosen) == count:
            break
        gap = points[:, chosen] - points[:, [channel]]
        distance = np.hypot(gap[..., 0], gap[..., 1]) / short_side[:, None]
        near = np.nan_to_num(distance, nan=np.inf) < SAME_PART
        if not np.any(near.mean(axis=0) > 0.5):
            chosen.append(channel)
    return np.array(chosen, int)
