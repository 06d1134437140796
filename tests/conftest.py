"""Strict JAX for every test, and the real data and weights where they are."""

import os
import pathlib

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_debug_nans", True)


def _folder(variable: str) -> pathlib.Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: no real files to test on")
    return pathlib.Path(value)


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """The folder of the real data sets (PARTDISC_DATA), or skip."""
    return _folder("PARTDISC_DATA")


@pytest.fixture(scope="session")
def real_weights() -> pathlib.Path:
    """The folder of the real backbone weights (PARTDISC_WEIGHTS), or skip."""
    return _folder("PARTDISC_WEIGHTS")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
