"""Compile the operators of this folder into one shared library for MXNet to load."""

from __future__ import annotations

from pathlib import Path

import mxnet as mx

from ..compiler import BuildError, LibraryRecipe, cached_library

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.cc")))
HEADERS = tuple(sorted(Path(__file__).parent.glob("*.h")))


def operators_library(cache_dir: Path | None = None) -> Path:
    """Return the path of the compiled operators, as compiler.cached_library; raises BuildError."""
    return cached_library(_recipe(), cache_dir)


def _recipe() -> LibraryRecipe:
    root = Path(mx.__file__).parent
    include, glue = root / "include", root / "src" / "lib_api.cc"
    interface = include / "mxnet" / "lib_api.h"
    for path in (interface, glue):
        if not path.is_file():
            raise BuildError(
                f"MXNet {mx.__version__} has no extension interface ({path} is absent)"
            )
    return LibraryRecipe(
        "operators",
        (*SOURCES, glue),
        (*HEADERS, interface),
        ("-fopenmp", f"-I{include}"),
        (mx.__version__,),
    )
