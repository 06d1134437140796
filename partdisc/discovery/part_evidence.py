"""What a trained layer's channels have to do with each other: evidence for the parts of it."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.backbones import unit_features
from partdisc.detector import padded
from partdisc.discovery.features import DTYPE
from partdisc.discovery.images import gather, with_pools
from partdisc.discovery.passes import batches, read_ahead
from partdisc.discovery.run import Run
from partdisc.discovery.supervision import forward, supervise
from partdisc.method.discriminant import Moments, moments
from partdisc.method.part_layer import packed_probabilities
from partdisc.method.parts import blur, joint, mirror
from partdisc.method.warp import Warp, mean_map, warp_between
from partdisc.progress import Progress

# Training images whose pools are looked at, at most, in so many blocks; and how many at a time.
SAMPLE, BLOCKS, BATCH = 240, 20, 4
# Mirror images that are kept, to see whether the parts lie where they should.
KEPT = 60


class Evidence(NamedTuple):
    """How often one channel holds a cell and another the same place elsewhere.

    Attributes:
      pools: [BLOCKS, K + 1, K + 1], in the aligned pool; a block is of its own images.
      mirror: [BLOCKS, K + 1, K + 1], in the mirrored image.
      beside: [K + 1, K + 1], a cell away in the same image.
      peaks: [n, 2, K + 1], each channel's largest p(channel | cell) in an image and mirrored.
      moments: what the channels' cells have for features.
    """

    pools: np.ndarray
    mirror: np.ndarray
    beside: np.ndarray
    peaks: np.ndarray
    moments: Moments


class Mirrored(NamedTuple):
    """Mirror images of m training images.

    Attributes:
      images: int [m], of the data set.
      features: float16 [m, P, C], unit features of the mirror images.
      extents: [m], where column 0 of the mirror image lies in the image, in cells.
    """

    images: np.ndarray
    features: np.ndarray
    extents: np.ndarray


def gather_evidence(run: Run) -> tuple[Evidence, Mirrored]:
    """Look at a sample of the training images, their aligned pools and their mirror images."""
    count = len(run.images.grids)
    sample = np.random.default_rng(run.seed).permutation(count)[:SAMPLE].astype(np.int32)
    with Progress("parts", total=2 * len(sample), unit="images") as progress:
        pools, beside, moments = _in_pools(run, sample, progress)
        joints, peaks, mirrored = _in_mirror(run, sample, progress)
    return Evidence(pools, joints, beside, peaks, moments), mirrored


def _block(place: int, count: int) -> int:
    """Return the block of the `place`-th of so many images."""
    return place * BLOCKS // count


def _in_pools(
    run: Run, sample: np.ndarray, progress: Progress
) -> tuple[np.ndarray, np.ndarray, Moments]:
    channels = run.settings.layer.parts + 1
    pools = np.zeros((BLOCKS, channels, channels), np.float32)
    beside = np.zeros((channels, channels), np.float32)
    total = Moments(0.0, 0.0, 0.0)
    members, key = run.pools.members, jax.random.key(run.seed)
    for start in range(0, len(sample), BATCH):
        targets = np.resize(sample[start : start + BATCH], BATCH)
        joints, near, own = _pool_joints(
            run.settings,
            run.detector.params,
            gather(run.images, with_pools(targets, members)),
            jax.random.fold_in(key, start),
        )
        joints, near = np.asarray(joints), np.asarray(near)
        count = min(BATCH, len(sample) - start)
        more = (np.asarray(field)[:count].sum(axis=0, dtype=float) for field in own)
        total = Moments(*(so_far + new for so_far, new in zip(total, more, strict=True)))
        for n in range(count):
            pools[_block(start + n, len(sample))] += joints[n]
            beside += near[n]
            progress.advance(1)
    return pools, beside, total


@functools.partial(jax.jit, static_argnums=0)
def _pool_joints(settings, params, batch, key):
    """Look at B targets and their pools.

    Returns:
      Joints [B, K + 1, K + 1] with the pools, and with cells beside, and the targets' moments.
    """
    probs = forward(settings, params, batch)
    warps = supervise(jax.random.split(key, len(probs)), settings, batch, probs).warps

    def one(maps, features, warps, valid, grid):
        own = maps[0]
        mean, coverage = mean_map(own, maps[1:], warps, False)
        near = joint(own, blur(own, grid), valid)
        return joint(own, mean, valid & (coverage > 1e-3)), near, moments(features, own)

    own = batch.features[:, 0]
    return jax.vmap(one)(probs, own, warps, batch.valid[:, 0], batch.grids[:, 0])


def _in_mirror(
    run: Run, sample: np.ndarray, progress: Progress
) -> tuple[np.ndarray, np.ndarray, Mirrored]:
    detector, inputs = run.detector, run.inputs
    channels = detector.layer.parts + 1
    joints = np.zeros((BLOCKS, channels, channels), np.float32)
    peaks = np.zeros((len(sample), 2, channels), np.float32)
    train = inputs.dataset.splits["train"][sample]
    sizes = np.asarray(inputs.geometry.working)[train]
    cells = run.features.features.shape[1]
    kept = Mirrored(
        train[:KEPT],
        np.zeros((len(train[:KEPT]), cells, detector.backbone.channels), DTYPE),
        np.zeros(len(train[:KEPT]), np.float32),
    )
    groups = list(batches(np.arange(len(train)), sizes, detector.batch))
    read = read_ahead(inputs, [train[group] for group in groups], detector.batch)
    for group, (index, pixels) in zip(groups, read, strict=True):
        flipped = unit_features(
            detector.backbone,
            detector.weights,
            pixels[:, :, ::-1],
            half_stride=detector.settings.half_stride,
        )
        own, grids = run.features.take_fine(index)
        extent = (pixels.shape[2] - 1 - 2 * detector.backbone.origin) / detector.stride
        own = np.pad(own, ((0, detector.batch - len(group)), (0, 0), (0, 0)))
        flipped = np.asarray(flipped)
        pairs = tuple(padded(one, grids[0], most=cells) for one in (own, flipped))
        found, largest = _mirror_joints(
            detector.layer,
            detector.params,
            pairs,
            grids[0],
            detector.offset,
            np.float32(extent),
        )
        for place, one in zip(group, np.asarray(found), strict=False):
            joints[_block(place, len(sample))] += one
            progress.advance(1)
        peaks[group] = np.asarray(largest)[: len(group)]
        early = np.flatnonzero(group < KEPT)
        kept.features[group[early], : flipped.shape[1]] = flipped[early]
        kept.extents[group[early]] = extent
    return joints, peaks, kept


@functools.partial(jax.jit, static_argnums=0)
def _mirror_joints(layer, params, pairs, grid, offset, extent):
    """Look at images of one size and their mirror images.

    Returns:
      Joints [B, K + 1, K + 1] of the two, and peaks [B, 2, K + 1] of both.
    """
    warp = warp_between(mirror(extent), grid, grid, pairs[0].shape[1])
    alone = Warp(*(part[None] for part in warp))

    def one(pair):
        maps, flipped = (packed_probabilities(layer, params, one, grid, offset) for one in pair)
        mean, coverage = mean_map(maps, flipped[None], alone, False)
        peaks = jnp.stack([jnp.max(maps, axis=0), jnp.max(flipped, axis=0)])
        return joint(maps, mean, coverage > 0.5), peaks

    return jax.lax.map(one, pairs)
