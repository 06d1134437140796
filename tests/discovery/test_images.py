"""The training images: on the device or on the disk they are the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from partdisc.config import base_config
from partdisc.discovery import images as training_images
from partdisc.discovery.features import Features
from partdisc.discovery.images import Images, OnDisk, collect, each, gather, open_images, with_pools
from partdisc.discovery.pool_alignment import align_pools, aligner_of
from partdisc.discovery.pools import PoolSettings, find_pools
from partdisc.discovery.settings import step_settings
from partdisc.method.cells import centred
from partdisc.method.matching import saliency

COUNT, CHANNELS, PARTS = 11, 6, 7
# Of the images that are meant, none is 4 x 5.
INDEX = np.array([0, 2, 3, 5, 6, 7, 9, 10])
GRIDS = np.array([(4, 5) if n in (1, 4, 8) else (3 + n % 2, 4) for n in range(COUNT)])
MOST = 16


@pytest.fixture(params=[1, 2], ids=["strides", "halves"])
def cache(request, rng) -> Features:
    """Features of images of mixed sizes, a cell a stride, or with those halfway too."""
    step = request.param
    grids = step * (GRIDS - 1) + 1
    features = np.zeros((COUNT, grids.prod(axis=1).max(), CHANNELS))
    for packed, cells in zip(features, grids.prod(axis=1), strict=True):
        found = np.abs(rng.standard_normal((cells, CHANNELS)))
        packed[:cells] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return Features(features.astype(np.float16), grids.astype(np.int32), None, step)


def opened(cache, budget) -> Images:
    return open_images(cache, INDEX, np.full(CHANNELS, 0.1, np.float32), budget)


@pytest.fixture
def both(cache) -> tuple[Images, Images]:
    """The same images held, and read as needed."""
    size = len(INDEX) * MOST * CHANNELS * 2
    held, read = opened(cache, size), opened(cache, size - 1)
    assert isinstance(held.features, jax.Array) and isinstance(read.features, OnDisk)
    return held, read


def test_images_are_what_the_cache_holds(both, cache):
    for found in both:
        assert found.features.shape == (len(INDEX), MOST, CHANNELS)
        np.testing.assert_array_equal(found.grids, GRIDS[INDEX])
        for n, row in enumerate(INDEX):
            fine = cache.features[row, : cache.grids[row].prod()].reshape(*cache.grids[row], -1)
            expected = np.zeros((MOST, CHANNELS), np.float16)
            cells = GRIDS[row].prod()
            expected[:cells] = fine[:: cache.step, :: cache.step].reshape(cells, CHANNELS)
            np.testing.assert_array_equal(found.take(np.array([n]))[0], expected)
            alone = saliency(
                centred(jnp.asarray(expected), found.offset), GRIDS[row].astype(np.int32)
            )
            np.testing.assert_allclose(found.saliency[n], alone, atol=1e-6)


def test_batches_have_the_same_bits_wherever_the_images_are(both):
    held, read = both
    small = np.flatnonzero(GRIDS[INDEX].prod(axis=1) <= 12)
    pools = np.stack([np.roll(small, n) for n in range(3)], axis=1)
    for targets, cells in ((np.array([0]), 12), (np.array([2, 1]), 0), (np.zeros(0, int), 12)):
        members = with_pools(targets, pools)
        assert members.shape == (len(targets), 4)
        for one, other in zip(*(gather(some, members, cells) for some in both), strict=True):
            assert one.shape[:2] == members.shape
            np.testing.assert_array_equal(one, other)
    assert held.budget == read.budget + 1


@pytest.mark.parametrize("chunk", [1, 3, 8, 64])
def test_a_program_sees_all_images_in_order(both, monkeypatch, chunk):
    monkeypatch.setattr(training_images, "CHUNK", chunk)
    sizes = []

    def sums(packed, grids, factor):
        sizes.append(len(packed))
        return factor * jnp.sum(packed.astype(jnp.float32), axis=(1, 2)) + grids[:, 0].astype(
            jnp.float32
        )

    for found in both:
        sizes.clear()
        parts = list(each(found, sums, 2.0))
        got = collect(len(INDEX), parts)
        expected = [
            2 * np.float32(found.take(np.array([n]))).sum() + GRIDS[row, 0]
            for n, row in enumerate(INDEX)
        ]
        np.testing.assert_allclose(got, expected, rtol=1e-5)
        # One size: one program. All are seen, the last chunk may begin before the one ended.
        assert set(sizes) == {min(chunk, len(INDEX))}
        assert len(sizes) == -(-len(INDEX) // chunk)


@pytest.mark.parametrize("similarity", ["spatial_js", "position_free"])
@pytest.mark.parametrize("candidates", [0, 5])
def test_pools_are_the_same_without_memory(both, rng, similarity, candidates):
    config = base_config()
    config.parts.count = PARTS
    config.alignment.hypotheses = 8
    config.pools.update({"similarity": similarity, "candidates": candidates, "size": 3})
    params = {
        "centres": jnp.asarray(rng.standard_normal((PARTS, CHANNELS)), jnp.float32),
        "background": jnp.ones(CHANNELS),
    }
    held, read = both
    pooling, settings = PoolSettings(**config.pools), step_settings(config)
    found = [
        find_pools(pooling, settings, params, one._replace(budget=budget), seed=0)
        for one, budget in ((held, 1 << 30), (read, 0))
    ]
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-6)


def test_maps_that_do_not_fit_are_made_anew(both, rng):
    config = base_config()
    config.parts.count = PARTS
    config.alignment.hypotheses = 8
    settings = step_settings(config)
    params = {
        "centres": jnp.asarray(rng.standard_normal((PARTS, CHANNELS)), jnp.float32),
        "background": jnp.ones(CHANNELS),
    }
    size = 4 * len(INDEX) * MOST * (PARTS + 1)
    targets, members = np.array([3, 0]), np.array([[1, 2], [7, 5]])
    found = []
    for one, budget in zip(both, (size, size - 1), strict=True):
        aligner = aligner_of(settings, params, one._replace(budget=budget), seed=4)
        assert (aligner.maps is None) == (budget < size)
        found.append(align_pools(aligner, targets, members, label="aligning"))
    for name, held, read in zip(found[0]._fields, *found, strict=True):
        np.testing.assert_allclose(held, read, atol=1e-4, err_msg=name)


def test_what_does_not_fit_is_said(cache, capsys):
    opened(cache, 1000)
    said = capsys.readouterr().out
    assert "features of 8 images" in said and "config.memory" in said
    opened(cache, 1 << 20)
    assert "config.memory" not in capsys.readouterr().out
