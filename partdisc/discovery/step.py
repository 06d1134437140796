"""One training step: the objectives, the gradient followed, and what is measured of it."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from partdisc import devices
from partdisc.discovery.images import Batch, with_pools
from partdisc.discovery.supervision import StepSettings, Supervision, forward, supervise
from partdisc.method.alignment import is_identity
from partdisc.method.cells import largest
from partdisc.method.loss import coherence_loss
from partdisc.method.optimizer import adagrad, learning_rate
from partdisc.method.part_templates import template_loss


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


def initial_state(settings: StepSettings, params: Any) -> State:
    """Return the state before the first step."""
    optimizer = adagrad(learning_rate(**settings.rate._asdict()))
    return State(params, optimizer.init(params), jnp.zeros((), jnp.int32))


def alignment_objective(
    settings: StepSettings, params: Any, batch: Batch, key: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the loss of the aligned pools, and metrics.

    Gradients flow through the probabilities of a target and of all its neighbours, and
    not through matching, transforms or the pseudo ground truth.
    """
    logits = settings.layer.apply({"params": params}, batch.features)
    probs = jax.nn.softmax(jax.lax.stop_gradient(logits), axis=-1)
    probs = jnp.where(batch.valid[..., None], probs, 0.0)
    supervision = supervise(key, settings, batch, probs)
    losses = jax.vmap(coherence_loss)(logits, supervision.warps, supervision.labels)
    return jnp.mean(losses), step_metrics(settings.layer.parts, batch, probs, supervision)


def template_objective(
    settings: StepSettings, params: Any, batch: Batch, key: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the loss of the part templates, of targets without pools, and metrics.

    The maps are not masked: masks keep noise from the layers that follow, and none does.
    """
    parts = settings.layer.parts
    probs = forward(settings, params, batch)
    loss, shown = template_loss(
        probs[:, 0, :, :parts], batch.grids[:, 0], **settings.templates._asdict()
    )
    metrics = {"positive_share": jnp.mean(shown.astype(jnp.float32))}
    return loss, metrics | winner_metrics(parts, batch, probs)


OBJECTIVES = {"alignment": alignment_objective, "part_templates": template_objective}


def step_members(settings: StepSettings, pools: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the images that a step looks at, int [B, 1 + J]: targets, and of `pools` theirs.

    Part templates have no pools: J is 0.
    """
    taught = pools if settings.objective == "alignment" else pools[:, :0]
    return with_pools(targets, taught)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def train_step(
    settings: StepSettings, state: State, batch: Batch, base_key: jax.Array
) -> tuple[State, dict[str, jax.Array]]:
    """Do one step on a batch of targets.

    Args:
      settings: static settings.
      state: what training changes; its buffers are reused.
      batch: the maps of `step_members`.
      base_key: key of the run; the step's own key is folded from it.

    Returns:
      The next state, and metrics of this step, each [].
    """
    key = jax.random.fold_in(base_key, state.step)
    objective = functools.partial(OBJECTIVES[settings.objective], settings, batch=batch, key=key)
    (loss, metrics), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
    optimizer = adagrad(learning_rate(**settings.rate._asdict()))
    updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    changed = State(params, optimizer_state, state.step + 1)
    return devices.copied(changed), {"loss": loss} | metrics


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
    _, winner = largest(own, axis=-1)
    used = jnp.zeros(parts + 1, bool).at[jnp.where(valid, winner, parts)].set(True)
    return {
        "background_argmax": jnp.sum((winner == parts) & valid) / jnp.sum(valid),
        "channels_in_use": jnp.sum(used[:parts]),
    }
