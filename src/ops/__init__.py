"""Faster operators for networks on a CPU.

MXNet's own PReLU takes most of a training step on a CPU.  fast_graph(symbol, ctx, shapes) returns
the graph to bind there: same parameters, same results to float32 rounding, same gradients.
Save the symbol you gave, not the one you got: files keep the published operators.

    *.cc        the operators, C++ with OpenMP on MXNet's extension interface
    build.py    compiles it on first use into the user's cache folder
    library.py  loads and checks it; says once which way is taken
    rewrite.py  reads the graph of a symbol and writes it anew; refuses what rules get wrong
    own.py      one of our operators in the place of stock ones
    graph.py    fast_graph: what is replaced by what
    plain.py    the rules for networks of depthwise and 1x1 convolutions
    layouts.py  copies that keep BatchNorm off oneDNN's slow path

Without a compiler PReLU is composed of stock operators that are faster than the stock PReLU.
"""

from .graph import fast_graph

__all__ = ["fast_graph"]
