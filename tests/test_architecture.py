"""docs/architecture.md names what exists, and its walks follow the imports."""

import ast
from pathlib import Path
import re

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text()
WALKS = {
    title: re.findall(r"^\d+\. `([^`]+)`(?:, from `([^`]+)`)?:( a command of its own)?", text, re.M)
    for title, text in re.findall(r"^## (An? .+?)\n(.+?)(?=^## |\Z)", PAGE, re.M | re.S)
}


def imports(path):
    """Return the files of this project that a file imports, at its top or in a function."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                folder = (ROOT / path).parents[node.level - 1]
                module = folder.joinpath(*(node.module or "").split("."))
            elif (node.module or "").startswith("arcface_mxnet"):
                module = ROOT.joinpath("src", *node.module.split(".")[1:])
            else:
                continue
            for place in (module, *(module / alias.name for alias in node.names)):
                found.add(place.with_suffix(".py").relative_to(ROOT).as_posix())
    return found


def test_every_file_named_exists():
    names = re.findall(r"`((?:src|deploy|docs|tests|recipes|benchmarks)/[^`]*)`", PAGE)
    assert len(names) > 60
    assert not [name for name in names if not (ROOT / name).exists()]


def test_every_folder_of_the_package_has_one_row():
    folders = {f"src/{path.parent.name}" for path in (ROOT / "src").glob("*/__init__.py")}
    rows = re.findall(r"^\| `(src/\w+)` \|", PAGE, re.M)
    assert sorted(rows) == sorted(folders)


def test_every_file_beside_the_folders_is_named():
    for path in (ROOT / "src").glob("*.py"):
        is_old_place = path.read_text().startswith('"""Moved to ')
        assert path.name in PAGE or is_old_place or path.name == "__init__.py", path.name


@pytest.mark.parametrize("title", WALKS)
def test_each_file_of_a_walk_is_imported_by_the_one_before_or_the_one_named(title):
    steps = WALKS[title]
    assert len(steps) == len(re.findall(r"^\d+\. ", PAGE.split(title)[1].split("## ")[0], re.M))
    earlier = [steps[0][0]]
    for file, caller, own_command in steps[1:]:
        if not own_command:
            assert not caller or caller in earlier, f"{caller} is named before its turn"
            caller = caller or earlier[-1]
            assert file in imports(caller), f"{caller} does not import {file}"
        else:
            assert "def main(" in (ROOT / file).read_text()
        earlier.append(file)


def test_there_are_three_walks():
    assert len(WALKS) == 3
    assert sum(map(len, WALKS.values())) > 45
