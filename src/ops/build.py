"""What the operators of this folder are compiled of: one shared library for MXNet to load."""

from __future__ import annotations

from pathlib import Path

import mxnet as mx

from ..compiler import BuildError, LibraryRecipe

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.cc")))
HEADERS = tuple(sorted(Path(__file__).parent.glob("*.h")))


def recipe() -> LibraryRecipe:
    """Return what the operators are compiled of.  Raises BuildError if MXNet takes none."""
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
        trial="arcface_mxnet.ops.library:try_operators",
    )
