"""The program as its user runs it: a run small enough for tests, and what to ask of one."""

import contextlib
import importlib.util
import io
import pathlib
import subprocess
import types

import numpy as np
from PIL import Image

from partdisc.config import KEYS
from partdisc.data import shapes

# Nearly all of the time goes into compiling small programs once. Without LLVM's optimisation
# that takes a third; without a compiler for every fusion and its threads, a quarter of that.
SOON = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
QUICK = f"--xla_backend_optimization_level=0 {SOON}"
# For runs that are long enough.
OPTIMISED = f"--xla_backend_optimization_level=1 {SOON}"
ROOT = pathlib.Path(__file__).parents[1]
SMALL = [
    "--config.backbone.layer=pool3",
    "--config.data.short_side=64",
    "--config.parts.count=8",
    "--config.pools.size=3",
    "--config.train.batch=2",
    "--config.train.steps=12",
    "--config.train.checkpoint_every=4",
    "--config.report.images=0",
]
DEMO = [
    "--config=configs/demo.py",
    "--config.data.shapes_train=12",
    "--config.data.shapes_fit=8",
    "--config.data.shapes_test=5",
    "--config.data.shapes_size=64",
    "--config.evaluation.protocols=default,cub_box",
    *SMALL,
]
# Pictures take as long as all the rest.
DRAWN = ["--config.report.images=2", "--config.report.channels=2"]
FOLDER = [
    "--config.backbone.weights=random",
    "--config.backbone.center=True",
    "--config.pools.size=1",
    "--config.train.batch=1",
    *SMALL[:3],
    *SMALL[5:],
]


def script(path: pathlib.Path) -> types.ModuleType:
    """Import a file that is in no package, afresh."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_here(*arguments):
    """Do what run.py does, in this process: what was compiled before need not be again.

    Returns what the ended process would be. Mistakes are raised.
    """
    from partdisc import experiment
    from partdisc.discovery.training import POLICIES

    words = [str(argument).removeprefix("--") for argument in arguments]
    policies = [word for word in words if word in POLICIES]
    given = dict(word.split("=", 1) for word in words if word not in policies)
    file, _, argument = given.pop("config").partition(":")
    module = script(ROOT / file)
    config = module.get_config(argument) if argument else module.get_config()
    keys = {name[7:]: text for name, text in given.items() if name.startswith("config.")}
    for name, text in keys.items():
        kind = type(KEYS[name].default)
        keys[name] = text == "True" if kind is bool else kind(text)
    config.update_from_flattened_dict(keys)
    asked = experiment.Asked(*policies, given=keys)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = experiment.run(config, given["workdir"], given.get("mode", "train"), asked)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def demo_config(arguments):
    """Return the config that arguments as `DEMO` are of."""
    config = script(ROOT / "configs" / "demo.py").get_config()
    for argument in arguments[1:]:
        key, _, value = argument.removeprefix("--config.").partition("=")
        section, name = key.split(".")
        config[section][name] = type(config[section][name])(value)
    return config


def trained(workdir, steps=12):
    """Return the trained params: name -> array, as the last checkpoint has them."""
    import orbax.checkpoint as ocp

    (folder,) = set((workdir / "checkpoints").iterdir()) - {workdir / "checkpoints" / "previous"}
    last = max(int(step.name) for step in folder.iterdir() if step.name.isdigit())
    assert last == steps
    with ocp.PyTreeCheckpointer() as checkpointer:
        tree = checkpointer.restore(folder / str(last) / "default")
    return {name: np.asarray(value) for name, value in tree["params"].items()}


def one_line(ended, *words):
    """Check that a run ended in one line of error that has all the words."""
    assert ended.returncode not in (0, None)
    lines = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and ended.stderr.strip().endswith(lines[0]), ended.stderr
    assert "Traceback" not in ended.stderr
    for word in words:
        assert word in lines[0]


def photos(folder, count, size=64):
    """Write drawings as photos."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(shapes.draw(0, number, size)[0]).save(folder / f"{number}.png")
    return folder
