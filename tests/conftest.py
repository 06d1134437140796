"""Strict JAX for every test, the real data and weights where they are, whole runs."""

import fcntl
import gc
import os
import pathlib
import shutil
import subprocess
import sys

from program import DEMO, DRAWN, OPTIMISED, QUICK, ROOT

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK}"

import jax
import numpy as np
import pytest

# What JAX has traced stays: looking through it for garbage took a twelfth of the time.
gc.set_threshold(100_000, 50, 50)
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_debug_nans", True)


def pytest_configure(config):
    """Share compiled programs among the workers, and with the next session."""
    if not config.pluginmanager.has_plugin("cacheprovider"):
        raise pytest.UsageError("compiled programs are kept by pytest's cacheprovider; leave it on")
    jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("compiled")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def pytest_collection_modifyitems(items):
    """Mark the tests that start the program, so that `make check` leaves them out.

    They come first, those on real data before all: then no worker waits for a long one at
    the end, and few have to make the same whole run.
    """
    for item in items:
        if {"run", "start", "whole"} & set(item.fixturenames):
            item.add_marker("runs")

    def late(item) -> int:
        if item.get_closest_marker("runs") is None:
            return 2
        return 0 if "real_data" in item.fixturenames else 1

    items.sort(key=late)


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
def environment(pytestconfig, tmp_path_factory):
    """An environment whose runs share quickly compiled programs, with one device."""
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(pytestconfig.cache.mkdir("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": QUICK,
        "PYTHONPATH": str(ROOT),
        "PARTDISC_DATA": "",
        "PARTDISC_WEIGHTS": "",
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }


@pytest.fixture(scope="session")
def run(environment):
    """Call run.py; returns the ended process. `optimised` programs are for long runs."""

    def call(*arguments, timeout=600, optimised=False, start=("run.py",), cwd=ROOT, **options):
        flags = f"{OPTIMISED if optimised else QUICK} {options.pop('flags', '')}".strip()
        return subprocess.run(
            [sys.executable, *start, *map(str, arguments)],
            cwd=cwd,
            env=environment | {"XLA_FLAGS": flags} | options.pop("env", {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            **options,
        )

    return call


@pytest.fixture(scope="session")
def whole(run, tmp_path_factory, worker_id):
    """The work directory of a run that nothing disturbed, and what it printed.

    The first worker that needs it makes it, and the others take it from there. What JAX compiled
    is in `compiled.txt` beside it.
    """
    common = tmp_path_factory.getbasetemp()
    folder = (common if worker_id == "master" else common.parent) / "whole"
    folder.mkdir(exist_ok=True)
    workdir, printed = folder / "run", folder / "printed.txt"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            logged = {"JAX_LOG_COMPILES": "1"}
            ended = run(*DEMO, *DRAWN, f"--workdir={workdir}", env=logged)
            assert ended.returncode == 0, ended.stderr
            (folder / "compiled.txt").write_text(ended.stderr)
            printed.write_text(ended.stdout)
    own = tmp_path_factory.mktemp("whole") / "run"
    shutil.copytree(workdir, own)
    shutil.copy(folder / "compiled.txt", own.parent)
    return own, printed.read_text()
