"""Parts of a trained layer: partitions of planted evidence, and what images show of them."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from partdisc.config import base_config
from partdisc.detector import Detector
from partdisc.discovery import parts as stage
from partdisc.discovery.part_equivariance import part_shifts
from partdisc.discovery.part_evidence import BLOCKS, Evidence, Mirrored
from partdisc.discovery.parts import Looked, Partition, partition, parts_stage
from partdisc.errors import ConfigError
from partdisc.method.discriminant import Discriminant, Moments
from partdisc.method.part_layer import PartLayer
from partdisc.validation import validate
from partdisc.workdir import Workdir

GROUPS = np.repeat([0, 1, 2, 3], [4, 3, 2, 5])
CHANNELS = len(GROUPS)


def planted_moments(rng, channels=CHANNELS, size=8):
    """Moments of channels whose features have means of their own."""
    mass = rng.uniform(1, 9, channels).astype(np.float32)
    means = rng.normal(size=(channels, size)).astype(np.float32)
    second = (means * mass[:, None]).T @ means + mass.sum() * np.eye(size, dtype=np.float32)
    return Moments(mass, means * mass[:, None], second)


def planted_evidence(rng, noise=0.0):
    """Evidence in which channels of a group hold the same places; the background is last."""
    alike = (GROUPS[:, None] == GROUPS).astype(np.float32)
    joint = np.ones((CHANNELS + 1, CHANNELS + 1), np.float32)
    joint[:-1, :-1] = alike
    blocks = joint[None] + noise * rng.random((BLOCKS, *joint.shape)).astype(np.float32)
    # Group 3 lies beside group 0, and nothing else beside anything.
    beside = np.zeros_like(joint)
    beside[np.ix_(np.flatnonzero(GROUPS == 0), np.flatnonzero(GROUPS == 3))] = 1.0
    # Mirroring swaps the last two channels.
    peaks = rng.random((6, 1, CHANNELS + 1)).astype(np.float32).repeat(2, axis=1)
    peaks[:, :, -3:-1] = [[0.9, 0.1], [0.1, 0.9]]
    return Evidence(blocks, blocks[::-1].copy(), beside, peaks, planted_moments(rng))


def test_planted_groups_are_the_most_stable_partition(rng):
    found = partition(planted_evidence(rng, noise=0.4), [2, 3, 4, 5, 6], seed=0)
    assert [len(one.kept) for one in found] == [2, 3, 4, 5, 6]
    best = found[2]
    assert adjusted_rand_score(GROUPS, best.labels) == 1.0
    assert best.stability == pytest.approx(1.0) and best.kept == pytest.approx(np.ones(4))
    assert max(one.stability for one in found[3:]) < 1.0
    again = partition(planted_evidence(np.random.default_rng(0), noise=0.4), [4], seed=0)
    assert adjusted_rand_score(again[0].labels, best.labels) == 1.0


@pytest.mark.parametrize(
    ("stability", "again", "wanted"),
    [
        ((0.9, 0.8, 0.75), (0.9, 0.6, 0.55), 4),
        ((0.9, 0.8, 0.65), (0.9, 0.6, 0.55), 3),  # as a whole, 4 are not stable
        ((0.9, 0.8, 0.75), (0.9, 0.6, 0.45), 3),  # one of 4 is not found again
        ((0.9, 0.5, 0.75), (0.9, 0.2, 0.55), 4),  # that 3 are not stable says nothing of 4
        ((0.7, 0.1, 0.1), (0.5, 0.1, 0.1), 2),
        ((0.6, 0.1, 0.1), (0.4, 0.1, 0.1), 2),  # none is: the fewest
    ],
)
def test_the_most_parts_that_are_stable_each_by_itself(stability, again, wanted):
    partitions = [
        Partition(np.zeros(4, int), whole, np.array([0.95] * (count - 1) + [least]), None)
        for count, whole, least in zip((2, 3, 4), stability, again, strict=True)
    ]
    assert stage.most_stable(partitions) == wanted


def test_what_the_mirror_moves_is_measured_in_sides_of_the_object(run):
    _, mirrored = stage.gather_evidence(run)
    (four,) = partition(planted_evidence(np.random.default_rng(0)), [4], seed=0)
    read = [four.discriminant]
    scores, shifts = part_shifts(run, mirrored, read)
    assert scores.shape == shifts.shape == (6, 4) and shifts.max() < 1e-5
    # Mirror images that lie a cell further move every point by a cell.
    _, moved = part_shifts(run, mirrored._replace(extents=mirrored.extents + 1.0), read)
    probs = np.asarray(run.detector.probabilities(run.features.features, run.features.grids))
    for one, row in zip(probs, moved, strict=False):
        inside = np.argwhere(one[:, :-1].sum(axis=1).reshape(4, 5) > 0.5)
        side = max(np.ptp(inside, axis=0) + 1) if len(inside) else 5
        np.testing.assert_allclose(row, 1 / side, rtol=1e-4)


def test_what_is_known_of_a_part_is_counted(rng):
    labels = np.array([0, 0, 1, 1])
    joint = np.array(
        [[4, 2, 1, 1, 9], [2, 4, 0, 0, 9], [1, 0, 6, 0, 9], [1, 0, 0, 6, 9], [9] * 5], np.float32
    )
    evidence = Evidence(joint[None], 2 * joint[None], joint, joint, None)
    looked = Looked(
        scores=np.array([[0.1, 0.9], [0.8, 0.9], [0.1, 0.9], [0.8, 0.7]]),
        areas=np.array([[0.0, 0.5], [0.2, 0.5], [0.0, 0.5], [0.4, 0.1]]),
        places=np.array([[[np.nan] * 2, [0.5, 0.5]]] + [[[0.2, 0.3], [0.5, 0.7]]] * 3),
        mirror_scores=np.array([[0.9, 0.9], [0.1, 0.9], [0.8, 0.0]]),
        shifts=np.array([[0.1, 0.2], [0.9, 0.4], [0.2, 0.9]]),
    )
    given = Discriminant(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0]))
    cut = Partition(labels, 1.0, np.array([0.6, 0.9]), given)
    (first, second), read = stage._describe(evidence, cut, looked)
    # The discriminant has the parts in the same order.
    np.testing.assert_array_equal(read.weights, [[2.0, 1.0], [4.0, 3.0]])
    np.testing.assert_array_equal(read.bias, [6.0, 5.0])
    # Part 1 is the one that more images show.
    assert first.channels == (2, 3) and second.channels == (0, 1)
    assert (first.presence, second.presence) == (1.0, 0.5)
    assert (first.maximum, second.maximum) == (0.9, 0.8)
    assert (first.equivariance, second.equivariance) == pytest.approx((0.3, 0.15))
    assert first.threshold == pytest.approx(0.45) and second.threshold == pytest.approx(0.4)
    assert second.area == pytest.approx(0.3) and first.area == pytest.approx(0.4)
    assert second.place == pytest.approx((0.2, 0.3)) and first.place == pytest.approx((0.5, 0.65))
    assert first.agreement == first.mirror == pytest.approx(12 / 14)
    assert second.agreement == pytest.approx(12 / 14)
    assert (first.stability, second.stability) == (0.9, 0.6)
    assert first.neighbours == (2,) and second.neighbours == (1,)
    assert (first.id, second.id) == (1, 2) and first.colour != second.colour


def test_a_part_is_measured_in_the_largest_piece_of_the_object():
    foreground = np.zeros(30)
    foreground[:18] = 1.0  # Three rows of six; then cells beyond the map.
    foreground[24:] = 1.0
    winners = np.zeros((30, 2), np.uint8)
    winners[0:3, 0] = 1
    winners[:, 1] = 2
    scores = np.arange(5.0)
    got, areas, places = stage._in_object(scores, winners, foreground, np.array([4, 6]), [2, 3])
    np.testing.assert_array_equal(got, scores)
    np.testing.assert_allclose(areas, [15 / 18, 3 / 18, 0, 0, 1])
    np.testing.assert_allclose(places[1], [0.5 / 3, 1.5 / 6])
    np.testing.assert_allclose(places[4], [0.5, 0.5])
    assert np.isnan(places[2:4]).all()
    _, areas, places = stage._in_object(scores, winners, 0 * foreground, np.array([4, 6]), [2, 3])
    assert not areas.any() and np.isnan(places).all()


class Fields(SimpleNamespace):
    """Stand-in features: the maps are given."""

    def take_fine(self, index):
        return self.features[index], self.grids[index]


@pytest.fixture
def run(rng, monkeypatch):
    """A run whose evidence is planted, on made-up features of nine images."""
    vectors = rng.normal(size=(9, 20, 8))
    features = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float16)
    params = {
        "centres": jnp.asarray(rng.normal(size=(CHANNELS, 8)), jnp.float32),
        "background": jnp.asarray(rng.normal(size=8), jnp.float32),
    }
    layer = PartLayer(CHANNELS, 5.0, "mean")
    detector = Detector(None, None, None, layer, params, np.zeros(8, np.float32), None, 1)
    evidence = planted_evidence(rng, noise=0.4)
    # The mirror images are what they should be; column 4 of five lies where column 0 did.
    flipped = features.reshape(9, 4, 5, 8)[:, :, ::-1].reshape(9, 20, 8)
    mirrored = Mirrored(np.arange(6), flipped[:6], np.full(6, 4.0, np.float32))
    monkeypatch.setattr(stage, "gather_evidence", lambda run: (evidence, mirrored))
    return SimpleNamespace(
        detector=detector,
        start=SimpleNamespace(key="start"),
        pools=SimpleNamespace(key="pools"),
        seed=0,
        inputs=SimpleNamespace(dataset=SimpleNamespace(splits={"train": np.arange(9)})),
        features=Fields(features=features, grids=np.array([(4, 5)] * 9, np.int32)),
    )


def config_with(wanted):
    config = base_config()
    config.parts.update({"count": CHANNELS, "wanted": wanted})
    validate(config)
    return config


def test_the_stage_gives_parts_of_every_number_and_is_kept(run, tmp_path, monkeypatch):
    with Workdir(tmp_path) as workdir:
        found = parts_stage(config_with("auto"), workdir, run)
        assert sorted(found.choices) == list(range(2, CHANNELS + 1))
        assert len(found.parts) >= 4
        for count, (parts, discriminant) in found.choices.items():
            assert len(parts) == count and discriminant.weights.shape == (8, count)
            assert all(part.equivariance < 1e-4 for part in parts if part.presence)
            assert sorted(k for part in parts for k in part.channels) == list(range(CHANNELS))
            presence = [part.presence for part in parts]
            assert presence == sorted(presence, reverse=True)
        probs = np.asarray(found.probabilities(run.features.features, run.features.grids))
        np.testing.assert_allclose(found.best, probs[..., :-1].max(axis=(0, 1)), rtol=1e-5)
        weights = np.abs(found.facing.weights)
        assert weights[:-2].max() < 1e-3 * weights[-2:].min()
        monkeypatch.setattr(stage, "gather_evidence", None)
        again = parts_stage(config_with("5"), workdir, run)
        for count, one in found.choices.items():
            assert again.choices[count].parts == one.parts
            for array, other in zip(
                again.choices[count].discriminant, one.discriminant, strict=True
            ):
                np.testing.assert_array_equal(array, other)
        assert again.parts == found.choices[5].parts
        for one, other in zip(again.facing, found.facing, strict=True):
            np.testing.assert_array_equal(one, other)
        # Other params are other parts.
        run.detector = run.detector.with_params(
            run.detector.params | {"background": jnp.zeros(8, jnp.float32)}
        )
        with pytest.raises(TypeError):
            parts_stage(config_with("auto"), workdir, run)


@pytest.mark.parametrize("wanted", ["1", "15", "25", "many", "", "-3", "2.5"])
def test_a_number_that_there_cannot_be_is_refused(wanted):
    with pytest.raises(ConfigError, match=r"parts\.wanted.*auto, or a number from 2 to 14"):
        config_with(wanted)


def test_two_channels_are_two_parts(run, tmp_path):
    params = run.detector.params | {"centres": run.detector.params["centres"][:2]}
    layer = PartLayer(2, 5.0, "mean")
    run.detector = Detector(None, None, None, layer, params, np.zeros(8, np.float32), None, 1)
    config = base_config()
    config.parts.count = 2
    evidence = planted_evidence(np.random.default_rng(0))
    few = Evidence(*(array[..., -3:, -3:] for array in evidence[:-1]), planted_moments(
        np.random.default_rng(0), channels=2))  # fmt: skip
    with Workdir(tmp_path) as workdir, pytest.MonkeyPatch.context() as patch:
        _, mirrored = stage.gather_evidence(run)
        patch.setattr(stage, "gather_evidence", lambda run: (few, mirrored))
        found = parts_stage(config, workdir, run)
    assert [len(part.channels) for part in found.parts] in ([1, 1], [2, 0])
    assert found.best.shape == (2,)
