"""The order of the layers, the names of modules, and other rules that every file keeps."""

import ast
from pathlib import Path
import re
import sys

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
FILES = sorted(SRC.rglob("*.py"))

# Who may import whom: a layer imports itself and those above it.
LAYERS = (
    (
        "registry", "flags", "config", "recipes", "locks", "files", "limits", "paths", "text",
        "errors", "cli", "given", "interrupted", "compiler", "cores", "cuda",
    ),
    (
        "data.framing", "data.headers", "data.index", "data.labels", "data.offsets", "data.walk",
        "data.scan", "data.roles", "data.keyed", "data.contradictions", "data.opening",
        "data.identity_lists",
        "data.records", "data.ranges", "data.lists", "data.folders",
        "data.image_files", "data.list_faults", "data.list_forms", "checkpoints.params",
        "checkpoints.names", "checkpoints.aliases", "checkpoints.nodes", "checkpoints.parts",
        "checkpoints.ranges", "checkpoints.graph", "checkpoints.options", "checkpoints.network",
        "checkpoints.pixels",
        "eval.scores", "eval.protocols", "eval.intervals", "embedding.vectors",
        "embedding.row_store", "embedding.npy", "align.template", "align.similarity",
        "megaface.features",
        "megaface.lists", "megaface.search", "megaface.packed", "megaface.tile", "megaface.tally",
        "megaface.pairs", "megaface.inner_loops", "batches.order",
        "batches.grouped", "torch_engine.table", "torch_engine.layers", "torch_engine.arithmetic",
        "torch_engine.shapes", "torch_engine.cuts", "torch_engine.losses", "torch_engine.graph",
        "report.curves", "report.histograms", "report.labels", "report.marks",
        "report.names", "report.page", "report.pictures", "report.scales", "report.sentences",
        "report.steps", "report.style", "report.svg", "report.tables",
    ),
    ("devices", "networks", "losses", "ops", "checkpoints"),
    (
        "engines", "data", "align", "fetch", "importing", "eval.pair_sets", "eval.pair_bin",
        "eval.pair_containers", "eval.pair_pickle", "eval.pickled_names", "eval.pair_columns",
    ),
    ("batches", "embedding", "export"),
    ("training", "torch_engine", "eval", "megaface", "clean"),
    ("serve", "doctor"),
)  # fmt: skip
NUMPY_ONLY = (*LAYERS[1], "batches.augment")


def module_of(path):
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def is_script(path):
    return 'if __name__ == "__main__":' in path.read_text() or path.name == "__main__.py"


def is_old_place(path):
    """Tell whether a module only keeps the names that moved elsewhere."""
    return path.read_text().startswith('"""Moved to ')


def layer_of(module):
    """Return the index of the layer that names the module itself or its folder."""
    best = max(
        (
            (len(name), index)
            for index, names in enumerate(LAYERS)
            for name in names
            if module == name or module.startswith(name + ".")
        ),
        default=None,
    )
    return best[1] if best else None


def imported(path, toplevel_only=False):
    """Yield the modules of this package that a file imports."""
    tree = ast.parse(path.read_text())
    here = (
        module_of(path).split(".")
        if path.name == "__init__.py"
        else module_of(path).split(".")[:-1]
    )
    nodes = tree.body if toplevel_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = here[: len(here) - node.level + 1]
                target = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            elif (node.module or "").startswith("arcface_mxnet"):
                target = node.module.removeprefix("arcface_mxnet").strip(".")
            else:
                continue
            for alias in node.names:
                inner = f"{target}.{alias.name}".strip(".")
                exists = (SRC / inner.replace(".", "/")).with_suffix(".py").is_file()
                yield inner if exists else target


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_point_upwards(path):
    module = module_of(path)
    mine = layer_of(module)
    if mine is None or is_script(path) or is_old_place(path):
        return
    for target in imported(path, toplevel_only=True):
        other = layer_of(target)
        assert other is None or other <= mine, f"{module} imports {target}, a layer below"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_scripts_are_imported_by_nobody(path):
    for target in imported(path):
        file = (SRC / target.replace(".", "/")).with_suffix(".py")
        if file.is_file() and file != path:
            assert not is_script(file), f"{module_of(path)} imports the script {target}"


def test_networks_and_losses_do_not_know_each_other():
    for path in FILES:
        module = module_of(path)
        for mine, other in (("networks", "losses"), ("losses", "networks")):
            if module.startswith(mine + ".") or module == mine:
                assert not any(t.split(".")[0] == other for t in imported(path)), module


@pytest.mark.parametrize("name", NUMPY_ONLY)
def test_pure_parts_need_no_mxnet(name):
    path = (SRC / name.replace(".", "/")).with_suffix(".py")
    if not path.is_file():
        pytest.skip(f"no module {name}")
    seen, waiting = set(), [path]
    while waiting:
        file = waiting.pop()
        seen.add(file)
        text = file.read_text()
        assert not re.search(r"^(import|from) mxnet", text, re.M), f"{name} reaches {file.name}"
        for target in imported(file, toplevel_only=True):
            found = (SRC / target.replace(".", "/")).with_suffix(".py")
            if found.is_file() and found not in seen:
                waiting.append(found)


def test_no_module_hides_a_standard_one():
    assert not {path.stem for path in FILES} & set(sys.stdlib_module_names) - {"__init__"}


def test_every_folder_is_a_package():
    for path in FILES:
        assert (path.parent / "__init__.py").is_file(), path.parent


def test_no_drawers_for_odds_and_ends():
    assert not {path.stem for path in FILES} & {"utils", "common", "helpers", "helper", "misc"}


@pytest.mark.parametrize("path", [p for p in FILES if is_script(p)], ids=module_of)
def test_scripts_have_a_parser_and_a_main(path):
    names = {node.name for node in ast.parse(path.read_text()).body if hasattr(node, "name")}
    assert {"build_parser", "main"} <= names


@pytest.mark.parametrize("path", [path for path in FILES if is_script(path)], ids=module_of)
def test_no_option_takes_an_empty_name_for_this_folder(path):
    assert "type=Path" not in path.read_text(), "given.path_name refuses what an unset variable is"
