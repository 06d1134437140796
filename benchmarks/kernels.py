"""The stages of partdisc beside the straightforward version of each: `python -m benchmarks`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import reference
from benchmarks.inputs import CELLS, CHANNELS, GRID, PARTS, maps
from benchmarks.race import Race, Way
from partdisc.backbones import backbone, load_weights, unit_features
from partdisc.config import base_config
from partdisc.discovery import pools
from partdisc.discovery.images import Images, gather
from partdisc.discovery.settings import step_settings
from partdisc.discovery.step import initial_state, step_members, train_step
from partdisc.method import matching, pseudo_gt
from partdisc.method.alignment import align_pool
from partdisc.method.cells import normalise
from partdisc.method.part_layer import initial_params
from partdisc.method.warp import mean_map, warp_between
from partdisc.progress import Progress


def features(name, layer):
    """Backbone features, a batch against one image at a time."""
    network = backbone(name, layer)
    weights = load_weights(network, "random", seed=0)
    batch = base_config().backbone.batch
    pixels = np.random.default_rng(0).integers(
        0, 256, (batch, 16 * GRID[0], 16 * GRID[1], 3), np.uint8
    )
    run = functools.partial(
        unit_features, network, weights, half_stride=base_config().detection.half_stride
    )
    ways = [
        Way("partdisc", lambda: run(pixels), batch),
        Way("one by one", lambda: run(pixels[:1]), 1),
    ]
    return Race(f"features {name} {layer}", "images", ways)


def alignment():
    """Matching and alignment, against a RANSAC loop of 256 hypotheses."""
    rng = np.random.default_rng(0)
    probs, grid = maps(rng, 61), jnp.array(GRID, jnp.int32)
    unit = jax.vmap(lambda p: normalise(matching.peak_normalise(p)))(probs)
    settings = step_settings(base_config())
    run = jax.jit(
        functools.partial(align_pool, matching=settings.matching, alignment=settings.alignment)
    )
    arguments = {
        "maps": unit,
        "saliency": jnp.ones((61, CELLS)),
        "grids": jnp.tile(grid, (61, 1)),
    }
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
    ways = [
        Way("partdisc", lambda: run(jax.random.key(0), **arguments), 60),
        Way("loop over hypotheses", loop, 1),
    ]
    return Race("match and align", "pairs", ways)


def pseudo_ground_truth():
    """Labels of mean maps, against Algorithm 1 as printed."""
    rng = np.random.default_rng(0)
    means = np.stack([maps(rng, 15).mean(axis=0) for _ in range(4)])
    capacity = np.array([3] * PARTS + [CELLS])
    everywhere = np.ones((4, CELLS), bool)
    run = jax.jit(jax.vmap(pseudo_gt.deferred_acceptance, in_axes=(0, 0, None)))
    printed = functools.partial(reference.printed_algorithm_1, means[0], capacity)
    ways = [
        Way("partdisc", lambda: run(means, everywhere, capacity), 4),
        Way("Algorithm 1 as printed", printed, 1),
    ]
    same = np.mean(np.asarray(run(means, everywhere, capacity))[0] == printed())
    return Race("pseudo ground truth", "maps", ways, [f"labels that agree: {100 * same:.1f} %"])


def mean_maps():
    """Means of 15 warped maps, against products with the matrices of the same warps."""
    rng = np.random.default_rng(0)
    probs, grid = jnp.asarray(maps(rng, 16)), jnp.array(GRID, jnp.int32)
    transforms = jnp.eye(3) + jnp.asarray(rng.normal(0, [0.05, 0.05, 1], (15, 3, 3)), jnp.float32)
    transforms = transforms.at[:, 2].set(jnp.array([0.0, 0, 1]))
    between = functools.partial(warp_between, source_grid=grid, target_grid=grid, cells=CELLS)
    warps = jax.jit(jax.vmap(between))(transforms)
    own, others = probs[0], probs[1:]
    matrices = reference.matrices(warps, CELLS)
    ours = jax.jit(functools.partial(mean_map, include_own=True))
    theirs = jax.jit(reference.matrix_mean)
    ways = [
        Way("partdisc", lambda: ours(own, others, warps), 15),
        Way("matrix products", lambda: theirs(own, others, matrices), 15),
    ]
    return Race("mean of warped maps", "maps", ways)


def similar_pools():
    """Pools of 15 by divergence, of 1,000 images of 49 cells, against all pairs."""
    rng = np.random.default_rng(0)
    descriptors = rng.dirichlet(np.full(PARTS + 1, 0.05), (1000, 49)).astype(np.float32)
    on_device = jnp.asarray(descriptors)

    def of_all():
        with Progress("pools", total=1000, unit="images") as progress:
            return pools.similar(on_device, "spatial_js", 15, progress)

    few = 12
    ways = [
        Way("partdisc", of_all, 1000),
        Way("pair by pair", lambda: reference.pairwise_js(descriptors[:few]), few**2 / 1000),
    ]
    return Race("JS pools", "images", ways)


def training_step():
    """Whole training steps of 4 x 15 neighbours, against no alignment."""
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
    ways = []
    for transform, name in (("affine", "partdisc"), ("none", "without any transform")):
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

        ways.append(Way(name, one_step, 1))
    return Race("training step", "steps", ways)


STAGES = {
    "googlenet": functools.partial(features, "googlenet", "inception_4b"),
    "vgg16": functools.partial(features, "vgg16", "pool4"),
    "alignment": alignment,
    "pseudo_gt": pseudo_ground_truth,
    "mean_maps": mean_maps,
    "pools": similar_pools,
    "step": training_step,
}
