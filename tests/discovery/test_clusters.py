"""The clusters' stage: what it refuses."""

import numpy as np
import pytest

from partdisc.discovery.clusters import ClusterSettings, _cluster
from partdisc.errors import ConfigError


def settings(kind):
    return ClusterSettings(
        parts=3, kappa=30.0, background="mean", center=False, kind=kind, cells_per_image=20,
        border=0, iterations=5, tolerance=1e-5, seeding_vectors=100, seed=0,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["nmf", "vmf", "kmeans"])
@pytest.mark.parametrize("signed", [False, True])
def test_only_factors_need_features_without_a_sign(rng, kind, signed):
    """Rectified features have none, tokens of a transformer do."""
    features = rng.normal(size=(4, 25, 6))
    features = features if signed else np.abs(features)
    features = (features / np.linalg.norm(features, axis=-1, keepdims=True)).astype(np.float16)
    grids = np.full((4, 2), 5, np.int32)
    if kind == "nmf" and signed:
        with pytest.raises(ConfigError, match=r"clusters\.kind is nmf.* never negative"):
            _cluster(settings(kind), features, grids)
    else:
        found = _cluster(settings(kind), features, grids)
        assert all(np.isfinite(array).all() for array in found.values())
