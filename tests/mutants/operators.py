"""Faults as people make them, drawn from the source with a seed.

    drop a call          a call that is a statement does not happen
    swap a comparison    < and <=, > and >=, == and !=, in and not in, is and is not
    option as default    config.NAME is the default of the field; an argument that is passed on is
                         left out where the function has a default
    off by one           a small whole number is one more

Left out is what says something and does nothing: messages, logs, what stands in a `raise`, and
what is not inside a function.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

from arcface_mxnet.config import TrainConfig
import numpy as np

from .equivalent import SAME
from .table import ROOT, Mutant

FOLDERS = ("training", "batches", "losses", "eval", "data")
SWAPPED = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
SAYS = {
    "debug", "info", "warning", "error", "exception", "print", "warn", "add_argument", "close",
    "flush", "set_description", "set_postfix",
}  # fmt: skip
LARGEST = 16  # a number above is a size or a bound of memory, where one more is no fault


def candidates(folder: str, defaults: dict[str, set[str]]) -> dict[str, list[Mutant]]:
    """Return by operator every fault that a folder of src/ can have."""
    found: dict[str, list[Mutant]] = {}
    for path in sorted((ROOT / "src" / folder).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for operator, node, new in _faults(ast.parse(source), defaults):
            mutant = _mutant(path, source, operator, node, new)
            if mutant is not None:
                found.setdefault(operator, []).append(mutant)
    return found


def draw(seed: int, count: int) -> list[Mutant]:
    """Return count faults, folders and operators in turn, the same for the same sources."""
    rng = np.random.default_rng(seed)
    defaults = _functions_with_defaults()
    pools = []
    for folder in FOLDERS:
        for operator, mutants in sorted(candidates(folder, defaults).items()):
            shuffled = [mutants[i] for i in rng.permutation(len(mutants))]
            pools.append((folder, operator, [one for one in shuffled if not _is_same(one)]))
    drawn: list[Mutant] = []
    # By operators first, so that the first four times five hold every kind of every folder.
    pools.sort(key=lambda pool: pool[1])
    while len(drawn) < count and any(pool[2] for pool in pools):
        for _, _, mutants in pools:
            if mutants and len(drawn) < count:
                drawn.append(mutants.pop())
    return drawn


def _faults(tree: ast.AST, defaults: dict[str, set[str]]) -> Iterator[tuple[str, ast.AST, str]]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and not _adds_flags(function.name):
            for statement in function.body:
                yield from _faults_of(statement, defaults)


def _faults_of(node: ast.AST, defaults: dict[str, set[str]]) -> Iterator[tuple[str, ast.AST, str]]:
    silent = (ast.Raise, ast.JoinedStr, ast.Assert, ast.FunctionDef, ast.AsyncFunctionDef)
    if isinstance(node, silent) or _says(node):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "drop a call", node, "pass"
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
        yield "swap a comparison", node, f"{left} {SWAPPED[type(node.ops[0])]} {right}"
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        default = _config_default(node)
        if default is not None:
            yield "option as default", node, default
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        for keyword in node.keywords:
            passed_on = isinstance(keyword.value, (ast.Name, ast.Attribute))
            if passed_on and keyword.arg in defaults.get(name, ()):
                others = [word for word in node.keywords if word is not keyword]
                yield "option as default", node, ast.unparse(ast.Call(node.func, node.args, others))
    if isinstance(node, ast.Constant) and type(node.value) is int and 0 <= node.value <= LARGEST:
        yield "off by one", node, str(node.value + 1)
    for child in ast.iter_child_nodes(node):
        yield from _faults_of(child, defaults)


def _is_same(mutant: Mutant) -> bool:
    """Return whether equivalent.py says that the program does the same with the fault."""
    return any(
        mutant.file == file and old in mutant.old and new in mutant.new
        for file, old, new, _ in SAME
    )


def _adds_flags(name: str) -> bool:
    """Return whether a function only tells a parser its flags; tables of all flags test those."""
    return name == "build_parser" or (name.startswith("add_") and name.endswith("_arguments"))


def _says(node: ast.AST) -> bool:
    """Return whether a statement only says something."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    function = node.value.func
    name = function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
    return name in SAYS or ast.unparse(function).startswith("super()")


def _config_default(node: ast.Attribute) -> str | None:
    """Return the default of config.NAME as source, None if it is no option with a default."""
    if ast.unparse(node.value) not in ("config", "self.config", "self._config"):
        return None
    for field in fields(TrainConfig):
        if field.name == node.attr and field.default is not MISSING:
            return repr(field.default)
    return None


def _functions_with_defaults() -> dict[str, set[str]]:
    """Return the parameters with defaults of every function of src/ whose name stands once."""
    found: dict[str, set[str]] = {}
    times: Counter[str] = Counter()
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                times[node.name] += 1
                spec = node.args
                with_default = [arg.arg for arg in spec.args[len(spec.args) - len(spec.defaults) :]]
                pairs = zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
                with_default += [arg.arg for arg, default in pairs if default is not None]
                found[node.name] = set(with_default)
    return {name: words for name, words in found.items() if times[name] == 1}


def _mutant(path: Path, source: str, operator: str, node: ast.AST, new: str) -> Mutant | None:
    """Return the fault as an exchange of whole lines that stand once, None if there are none."""
    lines = source.splitlines(keepends=True)
    first, last = node.lineno - 1, node.end_lineno - 1
    head = lines[first].encode()[: node.col_offset].decode()
    tail = lines[last].encode()[node.end_col_offset :].decode()
    changed = head + new + tail
    while source.count("".join(lines[first : last + 1])) != 1:
        if first == 0:
            return None
        first -= 1
        changed = lines[first] + changed
    old = "".join(lines[first : last + 1]).rstrip("\n")
    file = str(path.relative_to(ROOT))
    name = f"{operator}, {Path(file).stem}:{node.lineno}"
    if source.count(old) != 1 or old == changed.rstrip("\n"):
        return None
    return Mutant(name, file, old, changed.rstrip("\n"), ())
