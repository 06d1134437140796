"""How fast frozen networks give features, and how near that is to what the processor can do.

  python -m benchmarks.features [name:layer ...]

A product of two large matrices of float32 shows the limit: it is measured in turn with the
networks. Weights are random, which costs the same.
"""

import functools
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.race import Way, measure
from partdisc.backbones import Backbone, backbone, load_weights
from partdisc.backbones.encoding import unit_features
from partdisc.progress import say, table

NETWORKS = ("vgg16:pool4", "googlenet:inception_4b", "dinov2_vits14:norm")
SIDE, BATCH, ROUNDS = 224, 4, 5
PRODUCT = 2048  # side of the matrices


def ways_of(names: list[str]) -> dict[str, tuple]:
    """Return for each way a function, its operations (as the compiler counts them) and its start.

    The start is the seconds until the first result: each size of image is compiled once.
    """
    rng = np.random.default_rng(0)
    square = jnp.asarray(rng.normal(size=(PRODUCT, PRODUCT)), jnp.float32)
    product = jax.jit(jnp.dot)
    ways = {"product of matrices": (lambda: product(square, square), 2 * PRODUCT**3, 0.0)}
    for name in names:
        network = backbone(*name.split(":"))
        weights = load_weights(network, "random", seed=0)
        pixels = rng.integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)
        for half in (False, True):

            def run(network=network, weights=weights, pixels=pixels, half=half):
                return unit_features(network, weights, pixels, half_stride=half)

            start = time.perf_counter()
            jax.block_until_ready(run())
            start = time.perf_counter() - start
            operations = _operations(network, weights.params, half)
            ways[f"{name}{', half stride' if half else ''}"] = (run, operations, start)
    return ways


def _operations(network: Backbone, params, half: bool) -> float:
    apply = jax.jit(functools.partial(network.apply, half_stride=half))
    images = jax.ShapeDtypeStruct((BATCH, SIDE, SIDE, 3), jnp.float32)
    return apply.lower(params, images).cost_analysis()["flops"]


def main(arguments: list[str]) -> None:
    """Measure the networks that the arguments name, or some."""
    ways = ways_of(arguments or list(NETWORKS))
    measured = measure([Way(name, run, 1) for name, (run, *_) in ways.items()], ROUNDS)
    times = {name: one.wall for name, one in zip(ways, measured, strict=True)}
    rates = {name: operations / times[name] / 1e9 for name, (_, operations, _) in ways.items()}
    limit = rates["product of matrices"]
    rows = []
    for name, (_, _, start) in ways.items():
        network = ":" in name
        rows.append([
            name,
            f"{BATCH / np.median(times[name]):.1f}" if network else "-",
            f"{np.median(rates[name]):.0f}",
            f"{100 * np.median(rates[name] / limit):.0f} %",
            f"{start:.1f}" if network else "-",
        ])  # fmt: skip
    head = ["", "images/s", "10^9 operations/s", "of the limit", "s until the first"]
    table(f"images of {SIDE} x {SIDE} pixels, batches of {BATCH}", head, rows)
    say("half stride: with the cells halfway between")


if __name__ == "__main__":
    main(sys.argv[1:])
