"""One training step: what its images are trained towards, and the gradient followed."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from partdisc.method import matching, pseudo_gt
from partdisc.method.alignment import Alignment, align_pairs, is_identity
from partdisc.method.cells import cell_validity, centred, normalise
from partdisc.method.loss import coherence_loss
from partdisc.method.optimizer import adagrad, learning_rate
from partdisc.method.part_layer import Layer, make_layer, part_probabilities
from partdisc.method.part_templates import template_loss
from partdisc.method.warp import mean_map, warp_weights


class Settings(NamedTuple):
    """The static part of a step: sections of the config, hashable for jit.

    Attributes:
      layer: the part layer.
      objective: one of `OBJECTIVES`.
      matching: section `matching`, as sorted items.
      alignment: section `alignment`, likewise.
      pseudo_gt: section `pseudo_gt`, likewise.
      part_templates: section `part_templates`, likewise.
      optimizer: what `learning_rate` takes, likewise.
    """

    layer: Layer
    objective: str
    matching: tuple
    alignment: tuple
    pseudo_gt: tuple
    part_templates: tuple
    optimizer: tuple


def settings_of(config: Any) -> Settings:
    """Take from a config what a step needs."""
    train = config.train
    rate = {
        "rate": train.learning_rate,
        "decay": train.decay,
        "kind": train.decay_kind,
        "every": train.decay_every,
    }
    return Settings(
        layer=make_layer(
            config.clusters.kind,
            parts=config.parts.count,
            kappa=config.parts.kappa,
            background=config.parts.background,
        ),
        objective=train.objective,
        matching=tuple(sorted(config.matching.items())),
        alignment=tuple(sorted(config.alignment.items())),
        pseudo_gt=tuple(sorted(config.pseudo_gt.items())),
        part_templates=tuple(sorted(config.part_templates.items())),
        optimizer=tuple(sorted(rate.items())),
    )


class State(NamedTuple):
    """All that training changes.

    Attributes:
      params: of the part layer.
      optimizer: state of Adagrad.
      step: int [], steps done.
    """

    params: Any
    optimizer: Any
    step: jax.Array


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


def initial_state(settings: Settings, params: Any) -> State:
    """Return the state before the first step."""
    optimizer = adagrad(learning_rate(**dict(settings.optimizer)))
    return State(params, optimizer.init(params), jnp.zeros((), jnp.int32))


class Batch(NamedTuple):
    """Targets and their pools: features float32 [B, 1 + J, P, C] and what goes with them."""

    features: jax.Array
    grids: jax.Array
    saliency: jax.Array
    valid: jax.Array


def with_pools(targets: jax.Array, pools: jax.Array) -> jax.Array:
    """Return rows [B, 1 + J] of targets [B], each followed by its pool (`pools` [N, J])."""
    return jnp.concatenate([targets[:, None], pools[targets]], axis=1)


def gather(images: Images, members: jax.Array) -> Batch:
    """Collect the maps of images: rows [B, 1 + J] of targets, each followed by its pool."""
    grids = images.grids[members]
    valid = jax.vmap(jax.vmap(lambda grid: cell_validity(grid, images.features.shape[1])))(grids)
    features = centred(images.features[members], images.offset)
    return Batch(features, grids, images.saliency[members], valid)


class Supervision(NamedTuple):
    """What a batch is trained towards.

    Attributes:
      labels: int32 [B, P], pseudo ground truth.
      weights: [B, P, J, P], the warps, target cells first.
      alignment: leading axes [B, J].
      matches: leading axes [B, J].
    """

    labels: jax.Array
    weights: jax.Array
    alignment: Alignment
    matches: matching.Matches


def supervise(key: jax.Array, settings: Settings, batch: Batch, probs: jax.Array) -> Supervision:
    """Align the pools of a batch and generate its pseudo ground truth (section 3.2.2-3).

    Args:
      key: random key.
      settings: static settings.
      batch: B targets with J neighbours each.
      probs: [B, 1 + J, P, K + 1] of the maps of the batch.
    """
    maps = jax.vmap(jax.vmap(matching.peak_normalise))(probs)
    unit = normalise(maps)
    alignment, matches = align_pairs(
        key,
        unit[:, 0],
        unit[:, 1:],
        batch.saliency[:, 0],
        batch.saliency[:, 1:],
        batch.grids[:, 0],
        batch.grids[:, 1:],
        matching=dict(settings.matching),
        alignment=dict(settings.alignment),
    )
    cells = probs.shape[2]
    warp = functools.partial(warp_weights, cells=cells)
    weights = jax.vmap(jax.vmap(warp, in_axes=(0, 0, None), out_axes=1))(
        alignment.transform, batch.grids[:, 1:], batch.grids[:, 0]
    )
    options = dict(settings.pseudo_gt)
    capacity = pseudo_gt.channel_capacity(
        settings.layer.parts, capacity=options["capacity"], background=options["background"]
    )

    def label(own, others, own_saliency, saliency, weights, valid, grid):
        mean, coverage = mean_map(own, others, weights, options["include_self"])
        labelled = valid & (coverage > 1e-3)
        background = jnp.zeros_like(labelled)
        if options["background"] == "salient":
            salient, _ = mean_map(own_saliency[:, None], saliency[..., None], weights, True)
            background = pseudo_gt.background_cells(salient[:, 0], labelled)
        labels = pseudo_gt.generate(
            mean, labelled & ~background, grid, capacity, suppression=options["suppression"]
        )
        return jnp.where(background, settings.layer.parts, labels)

    labels = jax.vmap(label)(
        maps[:, 0],
        maps[:, 1:],
        batch.saliency[:, 0],
        batch.saliency[:, 1:],
        weights,
        batch.valid[:, 0],
        batch.grids[:, 0],
    )
    return Supervision(labels, weights, alignment, matches)


def forward(settings: Settings, params: Any, batch: Batch) -> jax.Array:
    """Return probs [B, 1 + J, P, K + 1] of a batch."""
    one = functools.partial(part_probabilities, settings.layer, params)
    return jax.vmap(jax.vmap(one))(batch.features, batch.valid)


def alignment_objective(
    settings: Settings, params: Any, batch: Batch, key: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the loss of the aligned pools, and metrics.

    Gradients flow through the probabilities of a target and of all its neighbours, and
    not through matching, transforms or the pseudo ground truth.
    """
    probs = forward(settings, params, batch)
    supervision = jax.lax.stop_gradient(
        supervise(key, settings, batch, jax.lax.stop_gradient(probs))
    )
    mean, _ = jax.vmap(functools.partial(mean_map, include_own=True))(
        probs[:, 0], probs[:, 1:], supervision.weights
    )
    loss = jnp.mean(jax.vmap(coherence_loss)(mean, supervision.labels))
    return loss, step_metrics(settings.layer.parts, batch, probs, supervision)


def template_objective(
    settings: Settings, params: Any, batch: Batch, key: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the loss of the part templates, of targets without pools, and metrics.

    The maps are not masked: masks keep noise from the layers that follow, and none does.
    """
    parts = settings.layer.parts
    probs = forward(settings, params, batch)
    loss, shown = template_loss(
        probs[:, 0, :, :parts], batch.grids[:, 0], **dict(settings.part_templates)
    )
    metrics = {"positive_share": jnp.mean(shown.astype(jnp.float32))}
    return loss, metrics | winner_metrics(parts, batch, probs)


OBJECTIVES = {"alignment": alignment_objective, "part_templates": template_objective}


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def train_step(
    settings: Settings,
    state: State,
    images: Images,
    pools: jax.Array,
    targets: jax.Array,
    base_key: jax.Array,
) -> tuple[State, dict[str, jax.Array]]:
    """Do one step on a batch of targets.

    Args:
      settings: static settings.
      state: what training changes; its buffers are reused.
      images: the training images.
      pools: int32 [N, J].
      targets: int32 [B], rows of `images`.
      base_key: key of the run; the step's own key is folded from it.

    Returns:
      The next state, and metrics of this step, each [].
    """
    key = jax.random.fold_in(base_key, state.step)
    taught = settings.objective == "alignment"
    batch = gather(images, with_pools(targets, pools if taught else pools[:, :0]))
    objective = functools.partial(OBJECTIVES[settings.objective], settings, batch=batch, key=key)
    (loss, metrics), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
    optimizer = adagrad(learning_rate(**dict(settings.optimizer)))
    updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    return State(params, optimizer_state, state.step + 1), {"loss": loss} | metrics


def step_metrics(
    parts: int, batch: Batch, probs: jax.Array, supervision: Supervision
) -> dict[str, jax.Array]:
    """Measure alignment, pseudo ground truth and the use of channels in a batch, each []."""
    labels, alignment = supervision.labels, supervision.alignment
    labelled = labels >= 0
    total = jnp.maximum(jnp.sum(labelled), 1).astype(jnp.float32)
    counts = jnp.zeros(parts + 1).at[jnp.where(labelled, labels, parts + 1)].add(1.0, mode="drop")
    share = counts / total
    return {
        "matches": jnp.mean(supervision.matches.count.astype(jnp.float32)),
        "inliers": jnp.mean(alignment.inliers.astype(jnp.float32)),
        "score": jnp.mean(alignment.score),
        "identity_share": jnp.mean(is_identity(alignment.transform).astype(jnp.float32)),
        # Of the pseudo ground truth; `background_argmax` is of the layer's own arg-max.
        "background_share": share[parts],
        "labels_in_use": jnp.sum(counts[:parts] > 0),
        "entropy": -jnp.sum(share * jnp.log(jnp.maximum(share, 1e-12))),
        "labelled_share": jnp.sum(labelled) / jnp.sum(batch.valid[:, 0]),
    } | winner_metrics(parts, batch, probs)


def winner_metrics(parts: int, batch: Batch, probs: jax.Array) -> dict[str, jax.Array]:
    """Measure which channels win the targets' cells, each []."""
    own, valid = probs[:, 0], batch.valid[:, 0]
    winner = jnp.argmax(own, axis=-1)
    used = jnp.zeros(parts + 1, bool).at[jnp.where(valid, winner, parts)].set(True)
    return {
        "background_argmax": jnp.sum((winner == parts) & valid) / jnp.sum(valid),
        "channels_in_use": jnp.sum(used[:parts]),
    }
