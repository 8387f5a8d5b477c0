"""Faster operators for networks on a CPU.

MXNet's own PReLU takes most of a training step on a CPU.  fast_graph(symbol, ctx) returns the
graph to bind there: same parameters, same results to float32 rounding, same gradients.  Save
the symbol you gave, not the one you got: files keep the published operators.

    *.cc        the operators, C++ with OpenMP on MXNet's extension interface
    build.py    compiles it on first use into the user's cache folder
    library.py  loads and checks it; says once which way is taken
    rewrite.py  reads and writes the graph of a symbol, node by node
    graph.py    fast_graph: what is replaced by what
    plain.py    the rule for networks of depthwise and 1x1 convolutions
    channels_last.py  the rule for networks of 3x3 convolutions, for inference alone
    folding.py  fold_norms: BatchNorms folded into convolutions, for embedding alone
    layouts.py  copies that keep BatchNorm off oneDNN's slow path

Without a compiler PReLU is composed of stock operators that are faster than the stock PReLU.
"""

from .folding import fold_norms
from .graph import fast_graph

__all__ = ["fast_graph", "fold_norms"]
