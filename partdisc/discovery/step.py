"""One training step: the objectives, the gradient followed, and what is measured of it."""

import functools
from collections.abc import Callable
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
    settings: StepSettings, params: Any, batch: Batch, keys: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, Supervision]]:
    """Return the loss of the aligned pools; and the targets' probs [B, P, K + 1], and all that
    they are trained towards.

    Gradients flow through the probabilities of a target and of all its neighbours, and
    not through matching, transforms or the pseudo ground truth.
    """
    logits = settings.layer.apply({"params": params}, batch.features)
    probs = jax.nn.softmax(jax.lax.stop_gradient(logits), axis=-1)
    probs = jnp.where(batch.valid[..., None], probs, 0.0)
    supervision = supervise(keys, settings, batch, probs)
    losses = jax.vmap(coherence_loss)(logits, probs, supervision.warps, supervision.labels)
    return jnp.mean(losses), (probs[:, 0], supervision)


def template_objective(
    settings: StepSettings, params: Any, batch: Batch, keys: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Return the loss of the part templates, of targets without pools; and the targets' probs
    [B, P, K + 1], and bool [B, K], which of them show a part.

    The maps are not masked: masks keep noise from the layers that follow, and none does.
    """
    probs = forward(settings, params, batch)[:, 0]
    loss, shown = template_loss(
        probs[..., : settings.layer.parts], batch.grids[:, 0], **settings.templates._asdict()
    )
    return loss, (probs, shown)


def alignment_metrics(
    parts: int, valid: jax.Array, seen: tuple[jax.Array, Supervision]
) -> dict[str, jax.Array]:
    """Measure alignment, pseudo ground truth and the use of channels, each [].

    Args:
      parts: K.
      valid: bool [B, P], the cells of the targets that exist.
      seen: what `alignment_objective` returns.
    """
    probs, supervision = seen
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
        "labelled_share": jnp.sum(labelled) / jnp.sum(valid),
    } | winner_metrics(parts, valid, probs)


def template_metrics(
    parts: int, valid: jax.Array, seen: tuple[jax.Array, jax.Array]
) -> dict[str, jax.Array]:
    """Measure the use of channels, each []; `seen` is what `template_objective` returns."""
    probs, shown = seen
    share = jnp.mean(shown.astype(jnp.float32))
    return {"positive_share": share} | winner_metrics(parts, valid, probs)


def winner_metrics(parts: int, valid: jax.Array, probs: jax.Array) -> dict[str, jax.Array]:
    """Measure which channels win the targets' cells [B, P], each []."""
    _, winner = largest(probs, axis=-1)
    used = jnp.zeros(parts + 1, bool).at[jnp.where(valid, winner, parts)].set(True)
    return {
        "background_argmax": jnp.sum((winner == parts) & valid) / jnp.sum(valid),
        "channels_in_use": jnp.sum(used[:parts]),
    }


class Objective(NamedTuple):
    """What is learned.

    Attributes:
      loss: of settings, params, a batch of B targets and random keys [B]; returns the loss [],
        and what is seen of the targets, of each array an axis [B] first.
      metrics: of K, the targets' cells that exist [B, P], and what is seen.
      apart: whether the loss is the mean of what it is for each target alone.
    """

    loss: Callable[..., tuple[jax.Array, Any]]
    metrics: Callable[..., dict[str, jax.Array]]
    apart: bool


OBJECTIVES = {
    "alignment": Objective(alignment_objective, alignment_metrics, True),
    "part_templates": Objective(template_objective, template_metrics, False),
}


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
    loss, gradient, metrics = _gradient(
        settings, state.params, batch, jax.random.fold_in(base_key, state.step)
    )
    optimizer = adagrad(learning_rate(**settings.rate._asdict()))
    updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    changed = State(params, optimizer_state, state.step + 1)
    return devices.copied(changed), {"loss": loss} | metrics


def _gradient(
    settings: StepSettings, params: Any, batch: Batch, key: jax.Array
) -> tuple[jax.Array, Any, dict[str, jax.Array]]:
    """Return the loss of a batch, its gradient and its metrics."""
    objective, targets = OBJECTIVES[settings.objective], len(batch.grids)
    loss = functools.partial(objective.loss, settings)
    rounds = devices.rounds(devices.share(targets)) if objective.apart else 1

    keys = jax.random.split(key, targets)

    def add(total, number):
        # Each round takes other keys, which JAX cannot see: they would count as used.
        some = devices.of_round((batch, jax.random.clone(keys)), number, rounds)
        found, gradient = jax.value_and_grad(loss, has_aux=True)(params, *some)
        return jax.tree.map(jnp.add, total, gradient), found

    nothing = jax.tree.map(jnp.zeros_like, params)
    gradient, (losses, seen) = jax.lax.scan(add, nothing, jnp.arange(rounds))
    seen = devices.of_all_rounds(seen)
    metrics = objective.metrics(settings.layer.parts, batch.valid[:, 0], seen)
    return jnp.mean(losses), jax.tree.map(lambda leaf: leaf / rounds, gradient), metrics
