"""How a source of embeddings is written on a command line.

    PREFIX,NUMBER               a checkpoint
    FILE.onnx                   an export of ours, or a network of others as flags declare it
    FILE.onnx@PRESET            the same as a preset declares it, whatever the flags say
    FILE.onnx@NAME=VALUE;..     the same as these declare it: size, color, mean, scale, layout,
                                output, template; a preset may be one of them
    FILE.npy, .npz, .parquet, .csv      ready vectors; @list=NAMES, @joined (vectors.py)
    ALIAS=...                   any of them, under another name

An alias has letters, figures and _ . + - alone; a path that begins like one is taken for a path
where it is there, and is written ./a=b,1 otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
import re

from ..engines.model_input import UNDECLARED, Declaration, declaration_of
from ..engines.presets import PRESETS

NETWORK = ".onnx"
VECTORS = (".npy", ".npz", ".parquet", ".csv")
ALIAS = re.compile(r"([\w.+-]+)=(.+)", re.DOTALL)
WITH_OPTIONS = re.compile(rf"(.+(?:{'|'.join(map(re.escape, (NETWORK, *VECTORS)))}))@(.*)", re.S)


@dataclass(frozen=True)
class SourceText:
    """alias: "" if none is given.  model: checkpoint or path.  options: what stands behind the @;
    a word without = has the value ""."""

    alias: str
    model: str
    options: dict[str, str]

    @property
    def name(self) -> str:
        """What people call it."""
        return self.alias or self.model

    @property
    def is_vectors(self) -> bool:
        return self.model.lower().endswith(VECTORS)


def parse_source(text: str) -> SourceText:
    """Return the parts of a source.  Raises ValueError for what is none."""
    found = None if _is_there(text) else ALIAS.fullmatch(text)
    alias, model = found.groups() if found else ("", text)
    with_options = WITH_OPTIONS.fullmatch(model)
    options: dict[str, str] = {}
    if with_options:
        model, words = with_options.groups()
        for word in words.split(";"):
            name, _, value = word.strip().partition("=")
            if not name or name in options:
                raise ValueError(f"{text!r}: after @ give NAME=VALUE;NAME=VALUE, each once")
            options[name] = value
    if not model:
        raise ValueError(f"{text!r}: names no model")
    return SourceText(alias, model, options)


def _is_there(text: str) -> bool:
    """Return whether a text with a = in it names a file, or a checkpoint, as it stands."""
    prefix = text.rpartition(",")[0] or text
    return "=" in text and (Path(text).is_file() or Path(f"{prefix}-symbol.json").is_file())


def check_aliases(sources: Sequence[SourceText]) -> None:
    """Raise ValueError if two different sources would go by one name."""
    names = Counter()
    for source in {(one.name, one.model, tuple(one.options.items())) for one in sources}:
        names[source[0]] += 1
    twice = [name for name, count in names.items() if count > 1]
    given = Counter(one.alias for one in sources if one.alias)
    twice += [name for name, count in given.items() if count > 1]
    if twice:
        raise ValueError(f"two models are called {twice[0]!r}: give each an alias of its own")


def declarations(source: SourceText) -> tuple[Declaration, Declaration]:
    """Return what the text of a network declares, and its preset's.  Raises ValueError."""
    words = {name: value for name, value in source.options.items() if value}
    presets = [name for name, value in source.options.items() if not value]
    presets += [words.pop("preset")] if "preset" in words else []
    if len(presets) > 1:
        raise ValueError(f"{source.model}@: two presets, {' and '.join(presets)}")
    preset = PRESETS[presets[0]].declared if presets else UNDECLARED
    return declaration_of(words, f"{source.model}@"), preset
