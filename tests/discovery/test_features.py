"""The feature cache: what it holds, and how it is taken up after an interruption."""

import errno
import functools
import json
import os

import jax
import numpy as np
import pytest

from partdisc.backbones import Backbone, Preprocessing, Weights, encoding, preprocess, unit_features
from partdisc.backbones.layers import Conv, MaxPool
from partdisc.data import images
from partdisc.discovery import feature_file, features
from partdisc.discovery.features import cache_features, recomputed_features
from partdisc.discovery.inputs import Inputs

STRIDE, CHANNELS, BATCH = 4, 5, 3
NETWORK = Backbone("tiny", "pool", (Conv("conv", CHANNELS, 3, 2), MaxPool("pool", 2, 2)))


class Interruption(Exception):
    pass


class Photos:
    """Random images of mixed sizes that count how often each is read."""

    def __init__(self, sizes: np.ndarray):
        self.sizes = sizes
        self.read: list[int] = []
        self.broken: int | None = None
        self.contents = [f"content {i}" for i in range(len(sizes))]

    def image(self, index: int) -> np.ndarray:
        if index == self.broken:
            raise Interruption
        self.read.append(index)
        rng = np.random.default_rng(index)
        return rng.integers(0, 256, (*self.sizes[index], 3), np.uint8)

    def working_image(self, index: int, geometry) -> np.ndarray:
        return images.prepare(self.image(index), geometry)


@pytest.fixture
def weights() -> Weights:
    rng = np.random.default_rng(1)
    params = {
        "conv/kernel": rng.standard_normal((3, 3, 3, CHANNELS)).astype(np.float32),
        "conv/bias": rng.standard_normal(CHANNELS).astype(np.float32),
    }
    scaled = Preprocessing("RGB", 1 / 255, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return Weights(params, scaled, "digest", "made up", "nowhere", 0)


@pytest.fixture
def photos() -> Photos:
    sides = [(16, 16), (16, 24), (24, 16), (40, 18), (16, 24), (11, 11), (17, 25)]
    return Photos(np.array([sides[i % 7] for i in range(20)]))


@pytest.fixture
def cache(tmp_path, photos, weights, monkeypatch):
    """Return a function that caches the photos' features, by default all."""
    monkeypatch.setattr(features, "BLOCK", 4)
    framing = images.Framing(16, 2.0)
    geometry = images.geometry(photos.sizes, None, framing.short_side, STRIDE, framing.max_aspect)

    def run(name: str = "features.npy", key: str = "key", geometry=geometry, half_stride=False):
        inputs = Inputs(photos, NETWORK, weights, framing, geometry, "inputs")
        return cache_features(tmp_path / name, key, inputs, batch=BATCH, half_stride=half_stride)

    run.geometry, run.weights = geometry, weights
    return run


def contents(path) -> bytes:
    return path.read_bytes()


def finished(path) -> list[int]:
    """Return which images the mark beside a cache says are in it."""
    mark = path.with_suffix(".json")
    if not mark.exists():
        return []
    return np.flatnonzero(np.array(json.loads(mark.read_text())["sums"]) >= 0).tolist()


def test_features_equal_those_of_each_image_alone(cache, photos, weights):
    found = cache()
    assert found.features.dtype == np.float16 and found.features.shape == (20, 32, CHANNELS)
    assert len(set(map(tuple, found.grids))) >= 3
    for i in range(20):
        pixels = images.prepare(photos.image(i), cache.geometry.take(i))
        maps = np.asarray(
            NETWORK.apply(weights.params, preprocess(pixels[None], weights.preprocessing))
        )[0]
        assert tuple(found.grids[i]) == maps.shape[:2]
        cells = maps.reshape(-1, CHANNELS).astype(np.float64)
        norm = np.linalg.norm(cells, axis=1, keepdims=True)
        expected = np.divide(cells, norm, out=np.zeros_like(cells), where=norm > 0)
        np.testing.assert_allclose(found.features[i, : len(cells)], expected, atol=1e-3)
        np.testing.assert_array_equal(found.features[i, len(cells) :], 0.0)


def test_unit_features_of_dark_cells_are_zero(weights):
    params = {name: np.zeros_like(array) for name, array in weights.params.items()}
    dark = np.zeros((2, 8, 8, 3), np.uint8)
    found = unit_features(NETWORK, weights._replace(params=params), dark, half_stride=False)
    np.testing.assert_array_equal(found, np.zeros((2, 4, CHANNELS)))


@pytest.mark.parametrize("half_stride,cells", [(False, 4), (True, 9)])
def test_unit_features_of_any_number_of_images_are_those_of_single_ones(
    weights, rng, half_stride, cells
):
    pixels = rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    compute = functools.partial(unit_features, NETWORK, weights, half_stride=half_stride)
    found = np.asarray(compute(pixels))
    assert found.shape == (3, cells, CHANNELS) and found.any()
    for image, one in zip(pixels, found, strict=True):
        np.testing.assert_allclose(compute(image[None]), one[None], atol=1e-3)
    assert compute(pixels[:0]).shape == (0, cells, CHANNELS)


def test_cells_halfway_lie_between_the_others(cache):
    coarse, fine = cache("coarse.npy"), cache("fine.npy", half_stride=True)
    assert (coarse.step, fine.step) == (1, 2)
    np.testing.assert_array_equal(fine.grids, 2 * coarse.grids - 1)
    wanted = np.array([3, 0, 19, 7])
    cells = coarse.features.shape[1]
    for one in (fine, coarse):
        np.testing.assert_array_equal(one.coarse_grids(wanted), coarse.grids[wanted])
        np.testing.assert_array_equal(one.take(wanted, cells), coarse.features[wanted])
        assert one.take(wanted[:0], cells).shape == (0, cells, CHANNELS)
    found, grids = fine.take_fine(wanted)
    np.testing.assert_array_equal(grids, fine.grids[wanted])
    np.testing.assert_array_equal(found, fine.features[wanted])


def test_vectors_of_cells_are_those_of_the_maps(cache, rng):
    coarse, fine = cache("coarse.npy"), cache("fine.npy", half_stride=True)
    rows = rng.integers(0, 20, 50)
    cells = rng.integers(0, coarse.grids[rows].prod(axis=1))
    for one in (fine, coarse):
        np.testing.assert_array_equal(one.vectors(rows, cells), coarse.features[rows, cells])


@pytest.mark.parametrize("half_stride", [False, True])
def test_recomputed_features_have_the_bits_of_those_that_are_kept(cache, photos, rng, half_stride):
    kept = cache(half_stride=half_stride)
    inputs = Inputs(photos, NETWORK, cache.weights, None, cache.geometry, "inputs")
    made = recomputed_features(inputs, batch=BATCH, half_stride=half_stride)
    assert (made.features.shape, made.features.dtype) == (kept.features.shape, kept.features.dtype)
    some = np.array([[3, 0, 19], [7, 3, 3]])
    for rows in (some, some[0], some[:, :0], np.arange(20), np.int64(4)):
        np.testing.assert_array_equal(made.features[rows], kept.features[rows])
    for rows in (np.array([19, 3, 3, 0]), np.arange(20), np.arange(0)):
        for ours, theirs in zip(made.take_fine(rows), kept.take_fine(rows), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(made.take(rows, 32), kept.take(rows, 32))
    rows = rng.integers(0, 20, 50)
    cells = rng.integers(0, made.coarse_grids(rows).prod(axis=1))
    np.testing.assert_array_equal(made.vectors(rows, cells), kept.vectors(rows, cells))
    assert made.vectors(rows[:0], cells[:0]).shape == (0, CHANNELS)


def test_recomputed_features_read_an_image_once_a_pass(cache, photos):
    inputs = Inputs(photos, NETWORK, cache.weights, None, cache.geometry, "inputs")
    made = recomputed_features(inputs, batch=BATCH, half_stride=False)
    assert photos.read == []
    made.vectors(np.array([5, 2, 5, 5, 2]), np.zeros(5, int))
    assert sorted(photos.read) == [2, 5]
    made.take(np.array([7]), 32)
    assert sorted(photos.read) == [2, 5, 7]


def test_a_map_larger_than_the_room_for_it_is_refused(cache):
    found = cache()
    with pytest.raises(ValueError, match="broadcast"):
        found.take(np.arange(20), int(found.grids.prod(axis=1).max()) - 1)


def test_every_image_is_read_once_and_never_again(cache, photos):
    first = np.array(cache().features)
    assert sorted(photos.read) == list(range(20))
    again = cache()
    assert len(photos.read) == 20
    np.testing.assert_array_equal(again.features, first)


def test_images_are_taken_in_any_order_and_again(cache):
    found = cache()
    for wanted in ([11, 2], [3, 3, 7], []):
        some = found.take(np.array(wanted, int), found.features.shape[1])
        np.testing.assert_array_equal(some, found.features[wanted])


def test_no_image_has_an_empty_cache(cache):
    nothing = cache.geometry.take(np.zeros(0, int))
    assert cache(geometry=nothing).features.shape[0] == 0


@pytest.mark.parametrize("broken", [0, 5, 13])
def test_an_interrupted_run_is_taken_up(cache, photos, tmp_path, broken):
    cache("whole.npy")
    photos.read.clear()
    photos.broken = broken
    with pytest.raises(Interruption):
        cache()
    done = len(finished(tmp_path / "features.npy"))
    assert done < 20
    photos.broken = None
    photos.read.clear()
    cache()
    # What was marked as done is not read again, all else is read once.
    assert len(photos.read) == len(set(photos.read)) == 20 - done
    assert contents(tmp_path / "features.npy") == contents(tmp_path / "whole.npy")


def test_an_interruption_half_way_keeps_the_finished_images(cache, photos, tmp_path):
    order = np.lexsort((np.arange(20), *cache.geometry.working.T[::-1]))
    photos.broken = int(order[12])
    with pytest.raises(Interruption):
        cache()
    done = finished(tmp_path / "features.npy")
    assert 5 <= len(done) <= 12 and set(done) == set(order[: len(done)].tolist())
    photos.broken = None
    photos.read.clear()
    cache()
    assert set(photos.read) == set(range(20)) - set(done)


def test_another_key_starts_afresh(cache, photos, tmp_path):
    cache(key="old")
    before = contents(tmp_path / "features.npy")
    photos.read.clear()
    cache(key="new")
    assert sorted(photos.read) == list(range(20))
    assert contents(tmp_path / "features.npy") == before
    photos.read.clear()
    cache(key="new")
    assert photos.read == []


def test_only_what_is_new_is_computed(cache, photos, weights, tmp_path):
    cache()
    whole = np.array(np.load(tmp_path / "features.npy"))
    # One photo goes, one changes, two come; the others move.
    photos.read.clear()
    kept = np.array([3, 0, 19, 7, 8, 9, 1])
    photos.contents = [f"content {i}" for i in kept]
    photos.contents[4] = "changed"
    original, photos.image = photos.image, lambda row: original(int(kept[row]))
    geometry = cache.geometry.take(kept)
    found = cache(geometry=geometry)
    assert photos.read == [8]
    for row, (image, grid) in enumerate(zip(kept, found.grids, strict=True)):
        np.testing.assert_array_equal(
            found.features[row, : grid.prod()], whole[image, : grid.prod()]
        )
        assert not found.features[row, grid.prod() :].any()
    # A photo of another size, or cropped otherwise, is another input.
    photos.read.clear()
    cache(geometry=geometry._replace(crop=geometry.crop + [0, 0, 0, -1]))
    assert len(photos.read) == 7


def test_a_kill_while_features_move_loses_none(cache, photos, tmp_path, monkeypatch):
    cache()
    photos.contents[4] = "changed"
    photos.read.clear()

    def killed(source, target):
        raise Interruption

    with monkeypatch.context() as patch:
        patch.setattr(feature_file.os, "replace", killed)
        with pytest.raises(Interruption):
            cache()
    cache()
    assert 4 in photos.read and len(set(photos.read)) == len(photos.read)


def test_without_room_for_two_files_features_are_computed_again(
    cache, photos, tmp_path, monkeypatch, capsys
):
    cache()
    photos.contents[4] = "changed"
    photos.read.clear()
    real = os.posix_fallocate

    def full(descriptor, start, size):
        if (tmp_path / ".features.npy.draft.npy").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor, start, size)

    monkeypatch.setattr(feature_file.os, "posix_fallocate", full)
    cache()
    assert sorted(photos.read) == list(range(20))
    assert not (tmp_path / ".features.npy.draft.npy").exists()
    assert "no room to keep those of 19 images" in capsys.readouterr().out


def damage(path, how: str) -> None:
    if how == "cut":
        os.truncate(path, path.stat().st_size // 2)
    elif how == "one byte short":
        os.truncate(path, path.stat().st_size - 1)
    elif how == "header":
        path.write_bytes(b"garbage" + path.read_bytes()[7:])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "gone":
        path.unlink()
    elif how == "other shape":
        np.save(path, np.zeros((20, 3, CHANNELS), np.float16))
    elif how == "other type":
        np.save(path, np.zeros((20, 32, CHANNELS), np.float32))
    else:
        path.with_suffix(".json").write_text('{"key": "key", "ha')


@pytest.mark.parametrize(
    "how",
    ["cut", "one byte short", "header", "empty", "gone", "other shape", "other type", "mark"],
)
def test_a_damaged_cache_is_computed_again(cache, photos, tmp_path, capsys, how):
    cache()
    capsys.readouterr()
    path = tmp_path / "features.npy"
    before = contents(path)
    photos.read.clear()
    damage(path, how)
    found = cache()
    assert sorted(photos.read) == list(range(20))
    assert contents(path) == before
    assert found.features.dtype == np.float16
    assert (f"{path} is damaged" in capsys.readouterr().out) == (how != "mark")


@pytest.mark.parametrize("images", [[0], [19], [3, 7, 8]])
def test_changed_rows_are_computed_again_and_no_others(cache, photos, tmp_path, capsys, images):
    cache()
    path = tmp_path / "features.npy"
    before = contents(path)
    rows = np.load(path, mmap_mode="r+")
    for image in images:
        rows[image, 2].view(np.uint8)[1] ^= 1
    rows.flush()
    assert contents(path) != before
    photos.read.clear()
    capsys.readouterr()
    cache()
    assert sorted(photos.read) == images and contents(path) == before
    said = f"{path} is damaged: {len(images)} of 20 images are made again\n"
    assert said in capsys.readouterr().out
    photos.read.clear()
    cache()
    assert photos.read == []


def test_each_image_size_is_compiled_once(cache):
    jax.clear_caches()
    cache()
    sizes = {tuple(size) for size in cache.geometry.working.tolist()}
    assert encoding._unit_features._cache_size() == len(sizes)
