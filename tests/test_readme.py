"""The README's and the documents' commands and links are those of the program."""

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
import re
import runpy
import shlex

from arcface_mxnet.losses import LOSSES
from arcface_mxnet.networks import NETWORKS
import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = {entry.name: entry for entry in entry_points(group="console_scripts")}


def commands(path):
    """Yield the commands on lines of their own, continued lines joined."""
    for line in path.read_text().replace("\\\n", " ").splitlines():
        first, _, rest = line.strip().partition(" ")
        if rest and (first in SCRIPTS or first == "python"):
            yield shlex.split(line, comments=True)


FOUND = [(path.name, words) for path in DOCUMENTS for words in commands(path)]


def parser_of(words):
    program = words[0]
    if program == "torchrun":  # which starts Python
        return parser_of(["python", *words[words.index("-m") :]])
    if program in SCRIPTS:
        return import_module(SCRIPTS[program].module).build_parser(), words[1:]
    if words[1] == "-c":
        return None, []
    if words[1] == "-m":
        if not words[2].startswith("arcface_mxnet."):
            return None, []
        name = words[2]
        source = ROOT / "src" / name.removeprefix("arcface_mxnet.").replace(".", "/")
        name += ".__main__" if source.is_dir() else ""
        return import_module(name).build_parser(), words[3:]
    script = ROOT / words[1]
    if not script.is_file():
        script = ROOT / "src" / words[1]
    module = runpy.run_path(str(script))
    return (module["build_parser"]() if "build_parser" in module else None), words[2:]


def test_documents_hold_commands():
    assert len(FOUND) >= 20
    assert sum(name == "README.md" for name, _ in FOUND) >= 8


@pytest.mark.parametrize(
    ("name", "words"), FOUND, ids=[f"{name}-{i}" for i, (name, _) in enumerate(FOUND)]
)
def test_flags_exist(name, words):
    parser, arguments = parser_of(words)
    if parser is None:
        return
    known = set(re.findall(r"--[a-z][a-z0-9-]*", parser.format_help()))
    for action in parser._subparsers._group_actions if parser._subparsers else ():
        for command in action.choices.values():
            known |= set(re.findall(r"--[a-z][a-z0-9-]*", command.format_help()))
    given = {word.split("=")[0] for word in arguments if word.startswith("--")}
    assert given <= known, f"{name}: {' '.join(words)}: unknown {sorted(given - known)}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+?)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (r"(\d+) networks by their published names", len(NETWORKS)),
        (r"by published number or by name: `--loss-type 4` or `arcface`; (\d+) of them",
         len({LOSSES[key] for key in LOSSES.names()})),
    ],
)  # fmt: skip
def test_what_the_readme_counts_is_what_is_registered(words, count):
    assert re.findall(words, (ROOT / "README.md").read_text()) == [str(count)]


def test_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text())) <= targets
