"""The layout of the package: which room may know which, few hands between, config at the stages.

The arrows that are allowed stand in a table of CONTRIBUTING.md, which is read here.
"""

import ast
import importlib
import inspect
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "partdisc"
MODULES_AT_THE_TOP = 13
LINES = 310
ARGUMENTS = 6
# Pure functions of arrays: they may take each array as an argument of its own.
KERNELS = {"method", "evaluation"}
# Not installed with the tests: `make benchmark-peers`.
PEERS = {"torch", "cv2", "faiss"}
# A table of published figures is as long as the paper.
LONG = {"tables/paper.py"}
# The stages: what takes the whole config. Below them it is typed settings.
STAGES = {
    "config", "validation", "experiment",
    "discovery.check", "discovery.clusters", "discovery.features", "discovery.inputs",
    "discovery.identity", "discovery.loop", "discovery.parts", "discovery.pools",
    "discovery.settings", "discovery.training", "discovery.wanted",
    "scoring.other_programs", "scoring.results", "scoring.settings",
    "report", "report.diagnosis", "tables.command", "tables.sweep",
}  # fmt: skip


def module_of(path: pathlib.Path) -> str:
    """Name a file of the package: 'method.cells', 'report', '' for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for path in PACKAGE.rglob("*.py")}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}


def imported(tree: ast.Module) -> set[str]:
    """Return the modules of the package that a module imports, wherever it does."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name[9:] in FILES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    inside = {name for name in found if name.partition(".")[0] == "partdisc"}
    return {name.partition(".")[2] for name in inside}


def room_of(module: str) -> str:
    return module.partition(".")[0]


def arrows() -> dict[str, set[str]]:
    """Return which room imports which."""
    found: dict[str, set[str]] = {room_of(module): set() for module in FILES}
    for module, tree in TREES.items():
        found[room_of(module)] |= {room_of(name) for name in imported(tree)} - {room_of(module)}
    del found[""]  # The package itself.
    return found


def allowed() -> dict[str, set[str]]:
    """Read the table of CONTRIBUTING.md: room -> the rooms that it may import."""
    table = {}
    for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            rooms = {word.strip(" `") for word in cells[2].split(",")} - {"", "nothing"}
            table[cells[0].strip("`")] = rooms
    return table


def test_the_table_of_contributing_names_every_room():
    assert set(allowed()) == set(arrows())


@pytest.mark.parametrize("room", sorted(arrows()))
def test_no_arrow_runs_where_the_table_has_none(room):
    assert arrows()[room] <= allowed()[room]


@pytest.mark.parametrize("room", sorted(arrows()))
def test_the_table_has_no_arrow_that_is_not_there(room):
    assert allowed()[room] <= arrows()[room]


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return what is left when all that stands on something settled is taken away."""
    left = dict(graph)
    while settled := [name for name, below in left.items() if not below & left.keys()]:
        for name in settled:
            del left[name]
    return sorted(left)


def test_arrows_run_one_way():
    assert not circle(arrows())
    assert not circle({module: imported(tree) - {module} for module, tree in TREES.items()})


def test_a_circle_would_be_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


def test_kernels_know_no_config_and_metrics_no_model():
    assert arrows()["method"] == set()
    assert arrows()["evaluation"] <= {"errors"}
    assert arrows()["data"] <= {"errors", "paths"}
    assert "config" not in arrows()["detector"] | arrows()["backbones"] | arrows()["export"]
    above = {"scoring", "report", "experiment"}
    assert {room for room, below in arrows().items() if "discovery" in below} <= above


def test_the_top_of_the_package_is_small():
    at_the_top = [name for name in FILES if "." not in name and FILES[name].stem != "__init__"]
    assert len(at_the_top) + 1 <= MODULES_AT_THE_TOP


def test_files_are_short():
    long = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if len(path.read_text().splitlines()) > LINES
    }
    assert long <= LONG


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    """Return the functions and methods of a module, those inside functions left out."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    bodies = [tree.body, *(one.body for one in classes)]
    return [node for body in bodies for node in body if isinstance(node, ast.FunctionDef)]


def arguments(function: ast.FunctionDef) -> list[str]:
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


@pytest.mark.parametrize("module", sorted(set(FILES) - {""}))
def test_functions_take_few_arguments(module):
    if room_of(module) not in KERNELS:
        many = [f.name for f in functions(TREES[module]) if len(arguments(f)) > ARGUMENTS]
        assert not many, f"a noun is missing: {many}"


@pytest.mark.parametrize("module", sorted(set(FILES) - {""}))
def test_the_config_ends_at_the_stages(module):
    given = [f.name for f in functions(TREES[module]) if "config" in arguments(f)]
    assert bool(given) == (module in STAGES), given


@pytest.mark.parametrize(
    "file",
    sorted((ROOT / "benchmarks").rglob("*.py")),
    ids=lambda file: file.relative_to(ROOT / "benchmarks").as_posix(),
)
def test_benchmarks_name_what_there_is(file):
    """Nothing else imports them: a name that has gone would be noticed by nobody."""
    tree = ast.parse(file.read_text())
    named = {}
    for node in ast.walk(tree):
        for name, found in names_of(node):
            named[name] = found
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = named.get(node.value.id)
            if inspect.ismodule(owner):
                assert hasattr(owner, node.attr), f"{node.value.id}.{node.attr}"


def names_of(node):
    """Yield what an import names, but for the peers' libraries, which need not be here."""
    try:
        if isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
                bound = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or bound, importlib.import_module(bound)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
                yield alias.asname or alias.name, getattr(module, alias.name)
    except ModuleNotFoundError as error:
        if error.name not in PEERS:
            raise


def test_tests_lie_in_the_folders_of_what_they_test():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders == rooms | {"runs"}
