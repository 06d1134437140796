"""What a batch is trained towards: its pools aligned, its cells labelled (section 3.2.2-3)."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from partdisc.discovery.images import Batch
from partdisc.method import matching, pseudo_gt
from partdisc.method.alignment import Alignment, AlignSettings, align_pool
from partdisc.method.cells import normalise
from partdisc.method.matching import MatchSettings
from partdisc.method.optimizer import RateSettings
from partdisc.method.part_layer import Layer, part_probabilities
from partdisc.method.part_templates import TemplateSettings
from partdisc.method.pseudo_gt import LabelSettings
from partdisc.method.warp import Warp, mean_map, warp_between


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
    keys: jax.Array, settings: StepSettings, batch: Batch, probs: jax.Array
) -> Supervision:
    """Align the pools of a batch and generate its pseudo ground truth (section 3.2.2-3).

    Args:
      keys: random keys [B].
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

    return jax.vmap(one)(keys, batch, probs)


def forward(settings: StepSettings, params: Any, batch: Batch) -> jax.Array:
    """Return probs [B, 1 + J, P, K + 1] of a batch."""
    one = functools.partial(part_probabilities, settings.layer, params)
    return jax.vmap(jax.vmap(one))(batch.features, batch.valid)
