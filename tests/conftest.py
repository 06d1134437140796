"""Strict JAX for every test, the real data and weights where they are, whole runs."""

import os
import pathlib
import subprocess
import sys

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)

import jax
import numpy as np
import pytest
from program import DEMO, ROOT

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


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """An environment whose runs share compiled programs, with one device as users have it."""
    base = tmp_path_factory.getbasetemp()
    # The folder above a worker's own is that of all workers of this session.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(shared / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": "",
        "PARTDISC_DATA": "",
        "PARTDISC_WEIGHTS": "",
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }


@pytest.fixture(scope="session")
def run(environment):
    """Call run.py; returns the ended process."""

    def call(*arguments, timeout=600, **options):
        return subprocess.run(
            [sys.executable, "run.py", *map(str, arguments)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            **options,
        )

    return call


@pytest.fixture(scope="session")
def whole(run, tmp_path_factory):
    """The work directory of a run that nothing disturbed, and what it printed."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    ended = run(*DEMO, f"--workdir={workdir}")
    assert ended.returncode == 0, ended.stderr
    return workdir, ended.stdout
