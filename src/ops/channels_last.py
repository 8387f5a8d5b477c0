"""ResNets and SphereNets in inference: convolutions of ours on (N, H, W, C) arrays.

One operator computes a convolution with what surrounds it in a residual unit,

    BatchNorm, [Convolution, BatchNorm, PReLU, elemwise_add]

all but the convolution where the graph has it; of 3x3 and stride 1 with a quarter of the
multiplications (winograd.h).  Its loops run over channels, so these lie together.  Arrays stay
so from one of these operators to the next; a transpose stands where another operator reads or
makes them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import mxnet as mx

from .plain import is_batch_norm, pair
from .rewrite import Entry, Node, Rewriter, attrs_of, is_prelu

OPERATOR = "arcface_convolution"
# For each convolution of 3x3 and stride 1.  Measured: a pre-activation r18 has 1.7 of them and
# gains little, DenseNets and the pre-activation ResNet-50 have 2 and more and lose.
MOST_TRANSPOSES = 1.8
TO_CHANNELS_LAST = {"axes": "(0, 2, 3, 1)"}
TO_CHANNELS_FIRST = {"axes": "(0, 3, 1, 2)"}


@dataclass(frozen=True)
class Chain:
    """Nodes of the old graph, by number, that become one operator; -1 where there is none."""

    convolution: int
    before: int = -1
    after: int = -1
    prelu: int = -1
    sum: int = -1
    other: int = -1  # which input of the sum is the other one

    @property
    def members(self) -> list[int]:
        """The numbers of its nodes in the order of the graph."""
        nodes = (self.before, self.convolution, self.after, self.prelu, self.sum)
        return [node for node in nodes if node >= 0]


def channels_last_graph(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return the symbol for forward(is_train=False) with our convolutions, if that pays.

    It does by the convolutions of 3x3 and stride 1, unless too many transposes are left.
    """
    rewriter = Rewriter(symbol)
    fast = sum(is_ours(n) and _geometry(n) == [[3, 3], [1, 1], [1, 1]] for n in rewriter.old)
    graph = rewriter.run(ChannelsLastRule(rewriter))
    transposes = [node for node in Rewriter(graph).old if node["op"] == "transpose"]
    return graph if fast and len(transposes) <= MOST_TRANSPOSES * fast else symbol


def fix_weights(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return the symbol for parameters that stay: weights are transformed in the first pass."""
    if not any(node["op"] == OPERATOR for node in Rewriter(symbol).old):
        return symbol

    def rule(rewriter: Rewriter, node: Node, inputs: list[Entry]) -> Entry | None:
        if node["op"] != OPERATOR:
            return None
        return rewriter.add(OPERATOR, node["name"], inputs, attrs_of(node) | {"fixed": "1"})

    return Rewriter(symbol).run(rule)


def is_ours(node: Node) -> bool:
    """Tell whether a node is a convolution that the operator computes: no groups, all square."""
    attrs = attrs_of(node)
    return (
        node["op"] == "Convolution"
        and attrs.get("num_group", "1") == "1"
        and attrs.get("layout", "None") in ("None", "NCHW")
        and pair(attrs, "dilate", "(1, 1)") == [1, 1]
        and all(len(sizes) == 2 and sizes[0] == sizes[1] for sizes in _geometry(node))
    )


def _geometry(node: Node) -> list[list[int]]:
    """Return kernel, stride and pad of a convolution."""
    attrs = attrs_of(node)
    defaults = {"kernel": "()", "stride": "(1, 1)", "pad": "(0, 0)"}
    return [pair(attrs, key, default) for key, default in defaults.items()]


class ChannelsLastRule:
    """The rule for Rewriter.run."""

    def __init__(self, rewriter: Rewriter):
        self._nodes = rewriter.old
        self._heads = set(rewriter.head_nodes)
        self._users: dict[int, list[int]] = {}
        for number, node in enumerate(self._nodes):
            for source, *_ in node["inputs"]:
                self._users.setdefault(source, []).append(number)
        self._chains: dict[int, Chain] = {}  # by the last node
        self._inner: set[int] = set()  # nodes of chains but for the last ones
        for number, node in enumerate(self._nodes):
            if not is_ours(node):
                continue
            chain = self._chain(number)
            first = self._nodes[chain.members[0]]["inputs"][0][0]
            # One of 1x1 gains nothing but the transpose before it.
            if _geometry(node)[0] != [1, 1] or first in self._chains:
                self._chains[chain.members[-1]] = chain
                self._inner.update(chain.members[:-1])
        self._channels_last: dict[tuple[int, ...], Entry] = {}  # of an entry (N, C, H, W)

    def __call__(self, rewriter: Rewriter, node: Node, inputs: list[Entry]) -> Entry | None:
        number = rewriter.num_passed
        if number in self._inner:
            return inputs[0]  # nobody reads it: the chain looks for its inputs itself
        if number not in self._chains:
            return None
        made = self._add(rewriter, self._chains[number])
        plain = rewriter.add("transpose", node["name"], [made], TO_CHANNELS_FIRST)
        self._channels_last[tuple(plain)] = made
        return plain

    def _chain(self, convolution: int) -> Chain:
        """Return the longest chain around a convolution of nodes that have no other use."""
        chain = Chain(convolution)
        source = self._nodes[convolution]["inputs"][0][0]
        if is_batch_norm(self._nodes[source]) and self._only_user(source) == convolution:
            chain = replace(chain, before=source)
        last, user = convolution, self._only_user(convolution)
        if user >= 0 and is_batch_norm(self._nodes[user]):
            chain = replace(chain, after=user)
            last, user = user, self._only_user(user)
        if user >= 0 and is_prelu(self._nodes[user]):
            chain = replace(chain, prelu=user)
            last, user = user, self._only_user(user)
        taken = user in self._chains
        if user >= 0 and self._nodes[user]["op"] in ("elemwise_add", "_Plus") and not taken:
            sources = [entry[0] for entry in self._nodes[user]["inputs"]]
            chain = replace(chain, sum=user, other=1 - sources.index(last))
        return chain

    def _only_user(self, number: int) -> int:
        """Return the only node that reads a node, or -1."""
        users = self._users.get(number, [])
        return users[0] if len(users) == 1 and number not in self._heads else -1

    def _add(self, rewriter: Rewriter, chain: Chain) -> Entry:
        """Append the operator; return its entry, (N, H, W, C)."""
        convolution = self._nodes[chain.convolution]
        first = self._nodes[chain.before] if chain.before >= 0 else convolution
        weights = [rewriter.entry(entry) for entry in convolution["inputs"][1:]]
        rewriter.set_ranks(weights[:1], 4)
        vectors = weights[1:]
        for norm in (chain.before, chain.after):
            if norm >= 0:
                vectors += [rewriter.entry(entry) for entry in self._nodes[norm]["inputs"][1:]]
        if chain.prelu >= 0:
            vectors.append(rewriter.entry(self._nodes[chain.prelu]["inputs"][1]))
        rewriter.set_ranks(vectors, 1)
        data = self._last(rewriter, rewriter.entry(first["inputs"][0]))
        inputs = [data, weights[0], *vectors]
        if chain.sum >= 0:
            other = self._nodes[chain.sum]["inputs"][chain.other]
            inputs.append(self._last(rewriter, rewriter.entry(other)))
        kernel, stride, pad = _geometry(convolution)
        options = {
            "kernel": kernel[0],
            "stride": stride[0],
            "pad": pad[0],
            "filters": attrs_of(convolution)["num_filter"],
            "bias": len(weights) - 1,
            "before": int(chain.before >= 0),
            "after": int(chain.after >= 0),
            "prelu": int(chain.prelu >= 0),
            "sum": int(chain.sum >= 0),
            "eps_before": self._eps(chain.before),
            "eps_after": self._eps(chain.after),
            "fixed": 0,
        }
        options = {key: str(value) for key, value in options.items()}
        return rewriter.add(OPERATOR, f"{convolution['name']}_fused", inputs, options)

    def _eps(self, norm: int) -> str:
        return attrs_of(self._nodes[norm]).get("eps", "0.001") if norm >= 0 else "0"

    def _last(self, rewriter: Rewriter, entry: Entry) -> Entry:
        """Return the entry with its channels last."""
        key = tuple(entry)
        if key not in self._channels_last:
            name = f"{rewriter.new[entry[0]]['name']}_channels_last"
            self._channels_last[key] = rewriter.add("transpose", name, [entry], TO_CHANNELS_LAST)
        return self._channels_last[key]
