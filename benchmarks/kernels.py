"""Rates of the stages, beside the straightforward version of each, in one run.

  python -m benchmarks.kernels [stage ...]

Rates depend on the machine and on what else it does; the ratios hold.
"""

import functools
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import reference
from partdisc.backbones import backbone, load_weights, unit_features
from partdisc.config import base_config
from partdisc.discovery import pools
from partdisc.discovery.settings import step_settings
from partdisc.discovery.step import initial_state, step_members, train_step
from partdisc.discovery.supervision import Images, gather
from partdisc.method import matching, pseudo_gt
from partdisc.method.alignment import align_pairs
from partdisc.method.cells import normalise
from partdisc.method.part_layer import initial_params
from partdisc.method.warp import mean_map, warp_between
from partdisc.progress import Progress, say, table

GRID = (14, 17)
CELLS, PARTS, CHANNELS = GRID[0] * GRID[1], 512, 512
REPEATS = 3


def seconds(work, *arguments) -> float:
    """Time a call: the fastest of `REPEATS` after one that compiles."""
    jax.block_until_ready(work(*arguments))
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        jax.block_until_ready(work(*arguments))
        times.append(time.perf_counter() - start)
    return min(times)


def maps(rng, count):
    """Make probs [count, P, K + 1] with a common structure, so that some cells match."""
    common = rng.normal(size=(CELLS, PARTS + 1))
    logits = 2.0 * common[None] + rng.normal(size=(count, CELLS, PARTS + 1))
    return np.asarray(jax.nn.softmax(jnp.asarray(2.0 * logits, jnp.float32), axis=-1))


def features(name, layer):
    """Backbone features, images/s, a batch against one image at a time."""
    network = backbone(name, layer)
    weights = load_weights(network, "random", seed=0)
    batch = base_config().backbone.batch
    pixels = np.random.default_rng(0).integers(
        0, 256, (batch, 16 * GRID[0], 16 * GRID[1], 3), np.uint8
    )
    run = functools.partial(
        unit_features, network, weights, half_stride=base_config().detection.half_stride
    )
    ours = batch / seconds(run, pixels)
    return f"features {name} {layer}", "images/s", ours, 1 / seconds(run, pixels[:1]), "one by one"


def alignment():
    """Matching, 256 hypotheses and their scores, pairs/s, against a RANSAC loop."""
    rng = np.random.default_rng(0)
    probs, grid = maps(rng, 61), jnp.array(GRID, jnp.int32)
    unit = jax.vmap(lambda p: normalise(matching.peak_normalise(p)))(probs)
    settings = step_settings(base_config())
    run = jax.jit(
        functools.partial(align_pairs, matching=settings.matching, alignment=settings.alignment)
    )
    arguments = {
        "target_maps": unit[:1],
        "source_maps": unit[None, 1:],
        "target_saliency": jnp.ones((1, CELLS)),
        "source_saliency": jnp.ones((1, 60, CELLS)),
        "target_grids": grid[None],
        "source_grids": jnp.tile(grid, (1, 60, 1)),
    }
    ours = 60 / seconds(lambda: run(jax.random.key(0), **arguments))
    target, source = np.asarray(unit[0]), np.asarray(unit[1])
    loop = functools.partial(
        reference.loop_ransac,
        target,
        source,
        GRID[1],
        threshold=0.6,
        hypotheses=256,
        radius=1.0,
        seed=0,
    )
    return "alignment", "pairs/s", ours, 1 / seconds(loop), "loop over hypotheses"


def pseudo_ground_truth():
    """Labels of mean maps, maps/s, against Algorithm 1 as printed."""
    rng = np.random.default_rng(0)
    means = np.stack([maps(rng, 15).mean(axis=0) for _ in range(4)])
    capacity = np.array([3] * PARTS + [CELLS])
    everywhere = np.ones((4, CELLS), bool)
    run = jax.jit(jax.vmap(pseudo_gt.deferred_acceptance, in_axes=(0, 0, None)))
    ours = 4 / seconds(run, means, everywhere, capacity)
    printed = functools.partial(reference.printed_algorithm_1, means[0], capacity)
    return "pseudo ground truth", "maps/s", ours, 1 / seconds(printed), "Algorithm 1 as printed"


def mean_maps():
    """Means of 15 warped maps, maps/s, against products with the matrices of the same warps."""
    rng = np.random.default_rng(0)
    probs, grid = jnp.asarray(maps(rng, 16)), jnp.array(GRID, jnp.int32)
    transforms = jnp.eye(3) + jnp.asarray(rng.normal(0, [0.05, 0.05, 1], (15, 3, 3)), jnp.float32)
    transforms = transforms.at[:, 2].set(jnp.array([0.0, 0, 1]))
    between = functools.partial(warp_between, source_grid=grid, target_grid=grid, cells=CELLS)
    warps = jax.jit(jax.vmap(between))(transforms)
    own, others = probs[0], probs[1:]
    ours = 15 / seconds(jax.jit(functools.partial(mean_map, include_own=True)), own, others, warps)
    matrices = reference.matrices(warps, CELLS)
    theirs = 15 / seconds(jax.jit(reference.matrix_mean), own, others, matrices)
    return "mean of warped maps", "maps/s", ours, theirs, "matrix products"


def similar_pools():
    """Pools of 15 by divergence, of 1,000 images of 49 cells, images/s, against all pairs."""
    rng = np.random.default_rng(0)
    descriptors = rng.dirichlet(np.full(PARTS + 1, 0.05), (1000, 49)).astype(np.float32)
    on_device = jnp.asarray(descriptors)

    def of_all():
        with Progress("pools", total=1000, unit="images") as progress:
            return pools.similar(on_device, "spatial_js", 15, progress)

    ours = 1000 / seconds(of_all)
    theirs = 12**2 / seconds(reference.pairwise_js, descriptors[:12]) / 1000
    return "JS pools", "images/s", ours, theirs, "pair by pair"


def training_step():
    """Whole training steps of 4 x 15 neighbours, steps/s, against no alignment."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(64, CELLS, CHANNELS)) + 2 * rng.normal(size=(1, CELLS, CHANNELS))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    images = Images(
        jnp.asarray(vectors, jnp.float16),
        jnp.tile(jnp.array(GRID, jnp.int32), (64, 1)),
        jnp.ones((64, CELLS)),
        jnp.zeros(CHANNELS),
    )
    members = rng.integers(0, 64, (64, 15)).astype(np.int32)
    rates = []
    for transform in ("affine", "none"):
        config = base_config()
        config.alignment.transform = transform
        settings = step_settings(config)
        params = initial_params(
            vectors[0, :1].repeat(PARTS, 0) + rng.normal(size=(PARTS, CHANNELS)),
            vectors[0],
            background="mean",
        )
        state = initial_state(settings, params)

        def one_step(settings=settings, state=state):
            state = jax.tree.map(jnp.copy, state)
            batch = gather(images, step_members(settings, members, np.arange(4)))
            return train_step(settings, state, batch, jax.random.key(0))

        rates.append(1 / seconds(one_step))
    return "training step", "steps/s", *rates, "without any transform"


STAGES = {
    "googlenet": functools.partial(features, "googlenet", "inception_4b"),
    "vgg16": functools.partial(features, "vgg16", "pool4"),
    "alignment": alignment,
    "pseudo_gt": pseudo_ground_truth,
    "mean_maps": mean_maps,
    "pools": similar_pools,
    "step": training_step,
}


def main(names: list[str]) -> None:
    """Measure the stages named, or all."""
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        sys.exit(f"error: '{unknown[0]}' is no stage; allowed: {', '.join(STAGES)}")
    rows = []
    for name in names or STAGES:
        stage, unit, ours, other, what = STAGES[name]()
        rows.append([stage, unit, f"{ours:,.1f}", f"{other:,.1f}", f"{ours / other:.1f}", what])
        say(f"{stage}: {ours:,.1f} {unit}, {ours / other:.1f} x {what}")
    say("")
    table(
        f"{GRID[0]} x {GRID[1]} cells, {PARTS} parts, {jax.devices()[0].device_kind}",
        ["stage", "unit", "ours", "straightforward", "ratio", "straightforward version"],
        rows,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
