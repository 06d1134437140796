"""The program as its user runs it: a run small enough for tests, and what to ask of one."""

import pathlib

import numpy as np
from PIL import Image

from partdisc.data import shapes

# Nearly all of the time goes into compiling small programs once, and without LLVM's
# optimisation that takes a third.
QUICK = "--xla_backend_optimization_level=0"
ROOT = pathlib.Path(__file__).parents[1]
SMALL = [
    "--config.backbone.layer=pool3",
    "--config.data.short_side=64",
    "--config.parts.count=8",
    "--config.pools.size=3",
    "--config.train.batch=2",
    "--config.train.steps=12",
    "--config.train.checkpoint_every=4",
    "--config.report.images=2",
    "--config.report.channels=2",
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
FOLDER = [
    "--config.backbone.weights=random",
    "--config.backbone.center=True",
    "--config.pools.size=1",
    "--config.train.batch=1",
    *SMALL[:3],
    *SMALL[5:],
]


def trained(workdir):
    """Return the trained params: name -> array, as the last checkpoint has them."""
    import orbax.checkpoint as ocp

    (folder,) = (workdir / "checkpoints").iterdir()
    last = max(int(step.name) for step in folder.iterdir() if step.name.isdigit())
    assert last == 12
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
