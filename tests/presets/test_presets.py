"""Configs by their names: which there are, and that they are installed."""

import importlib
import importlib.resources
import os

import pytest
from program import ROOT

from partdisc.errors import ConfigError
from partdisc.presets import NAMES, config_file
from partdisc.validation import validate


@pytest.mark.parametrize("name", NAMES)
def test_names_are_modules_and_files_of_configs(name):
    module = importlib.import_module(f"partdisc.presets.{name}")
    validate(module.get_config())
    assert f"--config={name}" in module.__doc__
    shown = (ROOT / "configs" / f"{name}.py").read_text()
    assert f"from partdisc.presets.{name} import get_config" in shown
    # Both say the same, but for how they are called.
    assert module.__doc__.splitlines()[0] in shown


def test_a_name_stands_for_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert NAMES == ("demo", "folder")
    folder = importlib.resources.files("partdisc.presets")
    assert config_file("demo") == str(folder / "demo.py")
    assert config_file("folder:/a:b") == f"{folder / 'folder.py'}:/a:b"
    # A folder of that name is no config.
    (tmp_path / "demo").mkdir()
    assert config_file("demo") == str(folder / "demo.py")


def test_a_file_counts_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_text("")
    for given in ("demo", "demo:argument", str(tmp_path / "demo")):
        assert config_file(given) == given


@pytest.mark.parametrize("given", ["dmeo", "configs/none.py", "", ":x", "__init__", "/"])
def test_what_is_neither_is_one_line_with_the_names(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        config_file(given)
    message = str(caught.value)
    assert message.startswith(f"--config: '{given.partition(':')[0]}' is neither a file")
    assert message.endswith("allowed: a file, or demo, folder")


def test_every_folder_of_the_package_is_installed():
    """Setuptools finds the folders that have an __init__.py."""
    for folder, _, files in os.walk(ROOT / "partdisc"):
        if any(name.endswith(".py") for name in files):
            assert "__init__.py" in files, folder
