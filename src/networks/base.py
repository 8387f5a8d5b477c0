"""What every network family shares: options, the registry and its entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from ..lazy_mxnet import mx
from ..registry import Registry

NETWORKS = Registry("network", "--network")

ACTIVATIONS = ("prelu", "relu", "sigmoid", "softrelu", "softsign", "tanh")

# Published names whose layers are not known well enough to say: this is that network.
_UNKNOWN_LAYERS = "what is published of it does not settle its layers; m05, m2, y1 and y2 are built"
NOT_BUILT = dict.fromkeys(("mnas", "mnas05", "mnas025", "vargfacenet"), _UNKNOWN_LAYERS)


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
    published initializer of its family.  published are the options it was published with:
    they document it and serve its tables, but build_network never puts them in by itself.
    """

    build: Callable[[NetworkOptions], mx.sym.Symbol]
    initializer: Callable[[], mx.init.Initializer]
    uses: frozenset[str]
    published: NetworkOptions = NetworkOptions()


def find_network(name: str) -> Network:
    """Return the entry of a network, or that of a file PREFIX-symbol.json.

    Raises ValueError for one unknown or known but not built, FileNotFoundError for no such file.
    """
    if name.endswith("-symbol.json"):
        from .stored import stored_network

        return stored_network(name)
    if name in NOT_BUILT:
        raise ValueError(f"--network {name!r} is not built: {NOT_BUILT[name]}")
    return NETWORKS[name]


def build_network(name: str, options: NetworkOptions) -> mx.sym.Symbol:
    """Return the symbol of a registered network, ending in "fc1" (N, options.emb_size).

    Raises ValueError for an unknown name, for a value that no network has, and for options
    that this network does not have: one that was changed and would be ignored is an error.
    """
    network = find_network(name)
    faults = _faults(name, network, options)
    if faults:
        raise ValueError("\n".join(faults))
    return network.build(options)


def _faults(name: str, network: Network, options: NetworkOptions) -> list[str]:
    faults = []
    if options.emb_size < 1:
        faults.append(f"--emb-size {options.emb_size}: give at least 1")
    if options.se not in (0, 1):
        faults.append(f"--version-se {options.se}: there are 0 and 1")
    if options.act not in ACTIVATIONS:
        faults.append(f"--version-act {options.act!r}: there are {', '.join(ACTIVATIONS)}")
    ignored = [
        f"{f.name} {getattr(options, f.name)!r}"
        for f in fields(options)
        if f.name not in network.uses
        and getattr(options, f.name) not in (f.default, getattr(network.published, f.name))
    ]
    if ignored:
        faults.append(
            f"network {name!r} has no option {', '.join(ignored)}; "
            f"it uses {', '.join(sorted(network.uses))}"
        )
    return faults
