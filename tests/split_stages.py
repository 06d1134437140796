"""A program: do on several devices all that is split, and again unsplit; print both."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np

from partdisc import devices
from partdisc.backbones import backbone, load_weights, unit_features
from partdisc.config import base_config
from partdisc.discovery.images import Images, gather
from partdisc.discovery.pools import PoolSettings, find_pools
from partdisc.discovery.settings import step_settings
from partdisc.discovery.step import initial_state, step_members, train_step
from partdisc.method.clusters import fit_mixture

sizes = {}
for count in (1, 2, 3, 4, 6, 8, 12):
    array = devices.split(np.arange(2 * count).reshape(count, 2))
    assert np.array_equal(array, np.arange(2 * count).reshape(count, 2))
    sizes[count] = [shard.data.shape[0] for shard in array.addressable_shards]
# Four devices do a row each at a time; six rows are split among two devices.
for rows, rounds in ((0, 1), (1, 1), (2, 1), (4, 1), (6, 3), (8, 2), (12, 3), (7, 7)):
    array = np.arange(2 * rows).reshape(rows, 2)
    assert devices.rounds(devices.held(array)) == max(rows, 1)  # One device has it.
    array = devices.split(array)
    shares = devices.share(rows), devices.held(array)
    assert [devices.rounds(share) for share in shares] == [rounds, rounds], rows
    several = [devices.of_round(array, number, rounds) for number in range(rounds)]
    assert all(one.shape == (rows // rounds, 2) for one in several)
    assert np.array_equal(devices.of_all_rounds(jnp.stack(several)), array)
whole = devices.copy({"a": np.arange(5)})["a"]
assert [shard.data.shape for shard in whole.addressable_shards] == [(5,)] * 4
turns = []
for number in range(6):
    with devices.turn(number):
        turns += [device.id for device in (jnp.ones(2) * np.float32(number)).devices()]
assert turns == [0, 1, 2, 3, 0, 1]
# What is dealt out has the bits of what is split, and of single images.
network = backbone("googlenet", "inception_4b")
weights = load_weights(network, "random", seed=0)
pixels = np.random.default_rng(0).integers(0, 256, (4, 64, 80, 3), dtype=np.uint8)
encoded = functools.partial(unit_features, network, weights, half_stride=False)
single = np.concatenate([encoded(image[None]) for image in pixels])
assert np.array_equal(devices.fetch(encoded(devices.split(pixels))), single)
for number in range(2):
    with devices.turn(number):
        assert np.array_equal(encoded(pixels), single)

# Images of nine of twelve patches, each somewhere; the cells between are noise.
COUNT, SIDE, CHANNELS, PARTS = 16, 8, 24, 12
rng = np.random.default_rng(0)
patches = np.linalg.qr(rng.standard_normal((CHANNELS, CHANNELS)))[0][:PARTS]
features = 0.2 * rng.standard_normal((COUNT, SIDE, SIDE, CHANNELS))
for n in range(COUNT):
    for part in rng.permutation(PARTS)[:9]:
        y, x = np.array(divmod(part, 4)) * 2 + rng.integers(0, 2, 2)
        features[n, y, x] += rng.uniform(0.5, 2) * patches[part]
features = features.reshape(COUNT, SIDE * SIDE, CHANNELS)
features /= np.linalg.norm(features, axis=-1, keepdims=True)
config = base_config()
config.parts.count = PARTS
config.pools.update({"size": 3, "candidates": 6})
# The threshold of saliency is one of the cells' own: whether that one passes hangs on last digits.
config.pseudo_gt.background = "excluded"
settings, pooling = step_settings(config), PoolSettings(**config.pools)
key, noisy = jax.random.key(0), patches + 0.1 * rng.standard_normal(patches.shape)
params = {"centres": jnp.asarray(noisy, jnp.float32), "background": jnp.ones(CHANNELS)}
saliency = np.where(np.abs(features @ patches.T).max(axis=-1) > 0.8, 1.0, 0.2)
saliency = (saliency + rng.uniform(0, 0.1, saliency.shape)).astype(np.float32)


pools = (np.arange(COUNT)[:, None] + np.arange(1, 4)) % COUNT


def stages():
    """Do all that is split."""
    vectors = devices.split(features.reshape(-1, CHANNELS).astype(np.float32))
    mixture = fit_mixture(
        vectors, parts=PARTS, kappa=20.0, iterations=5, tolerance=0.0, seeding_vectors=500, seed=0
    )
    images = Images(
        devices.copy(features.astype(np.float16)),
        jnp.full((COUNT, 2), SIDE),
        saliency,
        jnp.zeros(CHANNELS),
    )
    members, distances = find_pools(pooling, settings, params, images, seed=0)
    state = devices.copy(jax.tree.map(jnp.copy, initial_state(settings, params)))
    for step in range(5):
        rows = step_members(settings, pools, np.arange(4 * step, 4 * step + 4) % COUNT)
        state, metrics = train_step(settings, state, gather(images, rows), key)
    batch = gather(images, rows)
    work = train_step.lower(settings, state, batch, key).compile().cost_analysis()["flops"]
    found = {
        "mixture": mixture.centres,
        "members": members,
        "distances": distances,
        "metrics": list(metrics.values()),
        **state.params,
    }
    return {name: np.asarray(value, float).tolist() for name, value in found.items()}, work


split, share = stages()
devices.split = devices.copy
together, work = stages()
print(json.dumps({"sizes": sizes, "split": split, "together": together, "share": share / work}))
