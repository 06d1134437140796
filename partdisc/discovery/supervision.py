"""What a batch is trained towards: its pools aligned, its cells labelled (section 3.2.2-3)."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.method import matching, pseudo_gt
from partdisc.method.alignment import Alignment, AlignSettings, align_pool
from partdisc.method.cells import cell_validity, centred, normalise
from partdisc.method.matching import MatchSettings
from partdisc.method.optimizer import RateSettings
from partdisc.method.part_layer import Layer, part_probabilities
from partdisc.method.part_templates import TemplateSettings
from partdisc.method.pseudo_gt import LabelSettings
from partdisc.method.warp import Warp, mean_map, warp_between

# Images of one pass of a small kernel over all.
CHUNK = 64
# The sizes that maps of a batch are filled up to differ by this factor at least.
ROOMS = 1.25


class StepSettings(NamedTuple):
    """The static part of a step, hashable for jit.

    Attributes:
      layer: the part layer.
      objective: one of `OBJECTIVES`.
      matching: how cells are matched.
      alignment: how neighbours are aligned.
      labels: how the pseudo ground truth is made.
      templates: of the objective `part_templates`.
      rate: of learning.
    """

    layer: Layer
    objective: str
    matching: MatchSettings
    alignment: AlignSettings
    labels: LabelSettings
    templates: TemplateSettings
    rate: RateSettings


class Images(NamedTuple):
    """The training images on the device.

    Attributes:
      features: float16 [N, P, C] unit features.
      grids: int32 [N, 2].
      saliency: [N, P], of each cell: a factor in matching, and what names the background.
      offset: [C], subtracted from every feature.
    """

    features: jax.Array
    grids: jax.Array
    saliency: jax.Array
    offset: jax.Array


class Batch(NamedTuple):
    """Targets and their pools: features float32 [B, 1 + J, P, C] and what goes with them."""

    features: jax.Array
    grids: jax.Array
    saliency: jax.Array
    valid: jax.Array


def device_images(features: np.ndarray, grids: np.ndarray, offset: np.ndarray) -> Images:
    """Put images on the device for training, each cell with its saliency.

    Args:
      features: float16 [N, P, C], unit features.
      grids: int32 [N, 2].
      offset: [C], subtracted from every feature.
    """
    features, grids, offset = jnp.asarray(features), jnp.asarray(grids), jnp.asarray(offset)
    one = jax.jit(lambda packed, grid: matching.saliency(centred(packed, offset), grid))
    saliency = jax.lax.map(lambda image: one(*image), (features, grids), batch_size=CHUNK)
    return Images(features, grids, saliency, offset)


def with_pools(targets: np.ndarray, pools: np.ndarray) -> np.ndarray:
    """Return rows [B, 1 + J] of targets [B], each followed by its pool (`pools` [N, J])."""
    return np.concatenate([targets[:, None], pools[targets]], axis=1)


def room(needed: int, most: int) -> int:
    """Return how many cells the maps of a batch have room for, whose largest needs so many.

    One of a few numbers up to `most`, that of the largest image: a program is compiled for each.
    One long image among thousands would else make every step as slow as its own.
    """
    cells = most
    while (fewer := math.ceil(cells / ROOMS)) >= needed and fewer < cells:
        cells = fewer
    return cells


@functools.partial(jax.jit, static_argnames="cells")
def gather(images: Images, members: jax.Array, cells: int = 0) -> Batch:
    """Collect the maps of images: rows [B, 1 + J] of targets, each followed by its pool.

    A program of its own: what works on a batch then need not be compiled anew for another
    number of images.

    Args:
      images: all of them.
      members: int [B, 1 + J].
      cells: P of the batch, which none of its maps may exceed; 0 for that of all images.
    """
    cells = cells or images.features.shape[1]
    grids = images.grids[members]
    valid = jax.vmap(jax.vmap(lambda grid: cell_validity(grid, cells)))(grids)
    features = centred(images.features[members, :cells], images.offset)
    return Batch(features, grids, images.saliency[members, :cells], valid)


class Supervision(NamedTuple):
    """What a batch is trained towards.

    Attributes:
      labels: int32 [B, P], pseudo ground truth.
      warps: of the neighbours to their targets, [B, J, P, 4].
      alignment: leading axes [B, J].
      matches: leading axes [B, J].
    """

    labels: jax.Array
    warps: Warp
    alignment: Alignment
    matches: matching.Matches


def supervise(
    key: jax.Array, settings: StepSettings, batch: Batch, probs: jax.Array
) -> Supervision:
    """Align the pools of a batch and generate its pseudo ground truth (section 3.2.2-3).

    Args:
      key: random key.
      settings: static settings.
      batch: B targets with J neighbours each.
      probs: [B, 1 + J, P, K + 1] of the maps of the batch.
    """
    options = settings.labels
    capacity = pseudo_gt.channel_capacity(
        settings.layer.parts, capacity=options.capacity, background=options.background
    )

    def one(key, batch, probs):
        maps = jax.vmap(matching.peak_normalise)(probs)
        alignment, matches = align_pool(
            key,
            normalise(maps),
            batch.saliency,
            batch.grids,
            matching=settings.matching,
            alignment=settings.alignment,
        )
        warp = functools.partial(warp_between, target_grid=batch.grids[0], cells=probs.shape[1])
        warps = jax.vmap(warp)(alignment.transform, batch.grids[1:])
        mean, coverage = mean_map(maps[0], maps[1:], warps, options.include_self)
        labelled = batch.valid[0] & (coverage > 1e-3)
        background = jnp.zeros_like(labelled)
        if options.background == "salient":
            salience = batch.saliency[..., None]
            salient, _ = mean_map(salience[0], salience[1:], warps, True)
            background = pseudo_gt.background_cells(salient[:, 0], labelled)
        labels = pseudo_gt.generate(
            mean,
            labelled & ~background,
            batch.grids[0],
            capacity,
            suppression=options.suppression,
        )
        labels = jnp.where(background, settings.layer.parts, labels)
        return Supervision(labels, warps, alignment, matches)

    return jax.vmap(one)(jax.random.split(key, len(probs)), batch, probs)


def forward(settings: StepSettings, params: Any, batch: Batch) -> jax.Array:
    """Return probs [B, 1 + J, P, K + 1] of a batch."""
    one = functools.partial(part_probabilities, settings.layer, params)
    return jax.vmap(jax.vmap(one))(batch.features, batch.valid)
