"""What every network family shares: options, the registry and its entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import mxnet as mx

from ..registry import Registry

NETWORKS = Registry("network")


@dataclass(frozen=True)
class NetworkOptions:
    """The published version switches.  Field for field the flags --version-* of training."""

    emb_size: int = 512  # D, length of the embedding
    se: int = 0  # squeeze-excitation in every unit
    input: int = 1  # stem
    output: str = "E"  # head
    unit: str = "3"  # residual unit
    act: str = "prelu"
    multiplier: float = 1.0  # width of MobileNet
    bn_mom: float = 0.9


@dataclass(frozen=True)
class Network:
    """One registered network.

    build(options) returns the symbol from "data" (N, 3, 112, 112), raw RGB 0..255, to "fc1"
    (N, D).  uses names the fields of NetworkOptions that it reads.  initializer makes the
    published initializer of its family.  published are the options it was published with
    where they are not the defaults: they document, build_network never puts them in.
    """

    build: Callable[[NetworkOptions], mx.sym.Symbol]
    initializer: Callable[[], mx.init.Initializer]
    uses: frozenset[str]
    published: NetworkOptions = NetworkOptions()


def build_network(name: str, options: NetworkOptions) -> mx.sym.Symbol:
    """Return the symbol of a registered network, ending in "fc1" (N, options.emb_size).

    Raises ValueError for an unknown name, and for options that the network does not have:
    one that is not the default and would be ignored is an error.
    """
    network = NETWORKS[name]
    defaults = NetworkOptions()
    ignored = [
        f"{f.name} {getattr(options, f.name)!r}"
        for f in fields(options)
        if f.name not in network.uses and getattr(options, f.name) != getattr(defaults, f.name)
    ]
    if ignored:
        raise ValueError(
            f"network {name!r} has no option {', '.join(ignored)}; "
            f"it uses {', '.join(sorted(network.uses))}"
        )
    return network.build(options)
