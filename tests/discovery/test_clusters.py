"""The clusters' stage: what it refuses."""

import numpy as np
import pytest

from partdisc.discovery import clusters
from partdisc.discovery.clusters import ClusterSettings, cluster
from partdisc.discovery.features import Features
from partdisc.errors import ConfigError


def settings(kind, most=1000):
    return ClusterSettings(
        parts=3, kappa=30.0, background="mean", center=False, kind=kind, cells_per_image=20,
        most=most, border=0, iterations=5, tolerance=1e-5, seeding_vectors=100, seed=0,
    )  # fmt: skip


def of_maps(features):
    """Return the cache of maps [N, 25, C], and the index of all."""
    features = (features / np.linalg.norm(features, axis=-1, keepdims=True)).astype(np.float16)
    grids = np.full((len(features), 2), 5, np.int32)
    return Features(features, grids, None, 1), np.arange(len(features))


@pytest.mark.parametrize("kind", ["nmf", "vmf", "kmeans"])
@pytest.mark.parametrize("signed", [False, True])
def test_only_factors_need_features_without_a_sign(rng, kind, signed):
    """Rectified features have none, tokens of a transformer do."""
    features = rng.normal(size=(4, 25, 6))
    features = features if signed else np.abs(features)
    cache = of_maps(features)
    if kind == "nmf" and signed:
        with pytest.raises(ConfigError, match=r"clusters\.kind is nmf.* never negative"):
            cluster(settings(kind), *cache)
    else:
        found = cluster(settings(kind), *cache)
        assert all(np.isfinite(array).all() for array in found.values())


@pytest.mark.parametrize(("most", "cells"), [(1000, 20), (79, 19), (12, 3), (5, 1), (1, 1)])
def test_of_many_images_fewer_cells_each_are_clustered(rng, monkeypatch, most, cells):
    seen = []
    real = clusters._untrained
    monkeypatch.setattr(clusters, "_untrained", lambda *args: seen.append(args[1]) or real(*args))
    cache, index = of_maps(rng.normal(size=(4, 25, 6)))
    cluster(settings("vmf", most), cache, index)
    (vectors,) = seen
    assert vectors.shape == (4 * cells, 6)
    known = {tuple(cell) for cell in cache.features.reshape(-1, 6).astype(np.float32)}
    # Unit vectors anew: halves are not quite of length 1.
    norms = {tuple(np.float16(one / np.linalg.norm(one))) for one in known}
    assert all(tuple(np.float16(one)) in norms for one in vectors)
