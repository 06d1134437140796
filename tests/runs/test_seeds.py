"""Nothing random without the seed: another one gives another result, the same one the same bits."""

import jax
import numpy as np
import pytest
from program import DEMO, demo_config

from partdisc import experiment
from partdisc.data import DataSettings, list_dataset
from partdisc.discovery import label_free, loop
from partdisc.discovery.clusters import ClusterSettings, cluster
from partdisc.discovery.part_evidence import gather_evidence
from partdisc.discovery.parts import partition
from partdisc.discovery.pool_alignment import align_pools, aligner_of
from partdisc.discovery.pools import find_pools
from partdisc.discovery.wanted import look
from partdisc.scoring.alignment import alignment_quality, labelled_pools
from partdisc.scoring.equivariance import equivariance_error
from partdisc.scoring.settings import scoring_settings
from partdisc.workdir import Workdir

pytestmark = pytest.mark.runs


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the stages of a run have made before training, and its config."""
    config = demo_config(DEMO)
    with Workdir(tmp_path_factory.mktemp("seeds") / "run") as workdir:
        run = experiment.prepare(config, workdir, look(config, workdir))
        yield config, run


def clusters(config, run, seed):
    parts = config.parts
    settings = ClusterSettings(
        parts=parts.count, kappa=parts.kappa, background=parts.background, center=True, seed=seed,
        **config.clusters,
    )  # fmt: skip
    return cluster(settings, run.features, run.inputs.dataset.splits["train"])


def hypotheses(config, run, seed):
    aligner = aligner_of(run.settings, run.detector.params, run.images, seed=seed)
    rows = np.arange(len(run.pools.members))
    return align_pools(aligner, rows, run.pools.members, label="pools").transforms


def pools(config, run, seed):
    # Of two candidates that align by chance alone, the seed chooses.
    few = run.settings._replace(alignment=run.settings.alignment._replace(hypotheses=1, polish=0))
    pooling = run.pooling._replace(size=1, candidates=6)
    return find_pools(pooling, few, run.detector.params, run.images, seed=seed)


def training(config, run, seed, tmp_path, monkeypatch, what):
    """Train two steps with the seed of the targets alone, or with that of the hypotheses."""
    other = {"targets": ("key", 0), "hypotheses": ("targets", 0)}[what]
    if other[0] == "targets":
        real = loop.targets_of_step
        monkeypatch.setattr(loop, "targets_of_step", lambda *args: real(*args[:3], seed=0))
    else:
        real_key = jax.random.key
        monkeypatch.setattr(loop.jax.random, "key", lambda seed: real_key(0))
    changed = config.copy_and_resolve_references()
    changed.seed, changed.train.steps = seed, 2
    with Workdir(
        tmp_path / f"{what}-{seed}-{np.random.default_rng().integers(1 << 60)}"
    ) as workdir:
        key = experiment.Training(None, "key", 2)
        state = loop.train(changed, workdir, key, run)
    monkeypatch.undo()
    return state.params


def evidence(config, run, seed):
    return gather_evidence(run._replace(seed=seed))


def partitions(config, run, seed):
    return [one.labels for one in partition(gather_evidence(run)[0], [2, 3, 5], seed)]


def quality(config, run, seed):
    members = run.pools.members
    return label_free.measure(run.settings, run.detector, run.images, members, seed=seed).agreement


def scored_alignment(config, run, seed):
    run = run._replace(seed=seed)
    return alignment_quality(run, labelled_pools(scoring_settings(config), run), run.detector)


def equivariance(config, run, seed):
    test = run.inputs.dataset.splits["test"]
    return equivariance_error(run.detector, run.inputs, test, seed=seed)


def same(a, b) -> bool:
    left, right = jax.tree.leaves(a), jax.tree.leaves(b)
    assert len(left) == len(right) > 0
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(left, right, strict=True))


STAGES = [
    clusters, hypotheses, pools, evidence, partitions, quality, scored_alignment, equivariance,
]  # fmt: skip


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_every_stage_that_draws_draws_by_the_seed(made, stage):
    first, again, *others = (stage(*made, seed) for seed in (0, 0, 1, 2, 3))
    assert same(first, again)
    assert not all(same(first, other) for other in others)


@pytest.mark.parametrize("what", ["targets", "hypotheses"])
def test_training_draws_by_the_seed(made, tmp_path, monkeypatch, what):
    first, again, other = (training(*made, seed, tmp_path, monkeypatch, what) for seed in (0, 0, 1))
    assert same(first, again) and not same(first, other)


def test_the_training_images_are_drawn_by_the_seed(tmp_path):
    config = demo_config(DEMO)
    for changes in ({"train_subset": 4}, {}):
        wanted = DataSettings(**(config.data.to_dict() | changes))
        found = [list_dataset(wanted, tmp_path, seed=seed).training for seed in (0, 0, 1)]
        assert found[0] == found[1] != found[2]
