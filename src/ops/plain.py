"""Networks of depthwise and 1x1 convolutions (MobileFaceNet) on plain (N, C, H, W) arrays.

oneDNN keeps arrays in blocks of 16 channels; every operator of an extension gets and gives them
plain.  Where both take turns, half of a training step is spent on reordering.  So in these
networks, which have few other convolutions, all of this is ours:

    Convolution, depthwise   arcface_depthwise
    Convolution 1x1          arcface_pointwise
    BatchNorm                arcface_batchnorm
    BatchNorm, then PReLU    arcface_batchnorm with a slope: one pass over the data
"""

from __future__ import annotations

from collections import Counter
import json

from .rewrite import Entry, Node, Rewriter, attrs_of, is_prelu, own_gradient, user_attrs

CONVOLUTIONS = ("arcface_depthwise", "arcface_pointwise")
TRUE = ("True", "true", "1")


def pair(attrs: dict[str, str], key: str, default: str) -> list[int]:
    """Return an attribute like "(3, 3)" as a list."""
    text = attrs.get(key, default).replace("(", "[").replace(")", "]").replace(",]", "]")
    return json.loads(text) or json.loads(default.replace("(", "[").replace(")", "]"))


def is_convolution(node: Node) -> bool:
    """Tell whether a node is a convolution without bias that ours may be in place of."""
    attrs = attrs_of(node)
    return (
        node["op"] == "Convolution"
        and len(node["inputs"]) == 2
        and pair(attrs, "dilate", "(1, 1)") == [1, 1]
        and attrs.get("layout", "None") in ("None", "NCHW")
        and len(pair(attrs, "kernel", "()")) == 2
    )


def is_depthwise(node: Node) -> bool:
    if not is_convolution(node):
        return False
    attrs = attrs_of(node)
    groups = int(attrs.get("num_group", "1"))
    squares = [
        pair(attrs, "kernel", "()"),
        pair(attrs, "stride", "(1, 1)"),
        pair(attrs, "pad", "(0, 0)"),
    ]
    return groups > 1 and groups == int(attrs["num_filter"]) and all(a == b for a, b in squares)


def is_pointwise(node: Node) -> bool:
    if not is_convolution(node):
        return False
    attrs = attrs_of(node)
    return (
        attrs.get("num_group", "1") == "1"
        and pair(attrs, "kernel", "()") == [1, 1]
        and pair(attrs, "stride", "(1, 1)") == [1, 1]
        and pair(attrs, "pad", "(0, 0)") == [0, 0]
    )


def is_batch_norm(node: Node) -> bool:
    """Tell whether a node is a BatchNorm of axis 1 with a free gamma, and gives only its data."""
    attrs = attrs_of(node)
    return (
        node["op"] == "BatchNorm"
        and attrs.get("axis", "1") == "1"
        and attrs.get("fix_gamma", "True") not in TRUE
        and attrs.get("output_mean_var", "False") not in TRUE
        and attrs.get("use_global_stats", "False") not in TRUE
    )


class PlainRule:
    """The rule for Rewriter.run.  training: statistics of the batch, or the moving ones.

    whole False leaves convolutions to oneDNN, and every BatchNorm that no PReLU follows; but
    one that a PReLU feeds would get plain data there, which oneDNN is slow with.
    """

    def __init__(self, rewriter: Rewriter, training: bool, *, whole: bool = True):
        self._training = training
        self._whole = whole
        uses = Counter(entry[0] for node in rewriter.old for entry in node["inputs"])
        uses.update(rewriter.head_nodes)
        # Names of the BatchNorms whose only use is a PReLU: they are computed there.
        self._absorbed = {
            rewriter.old[node["inputs"][0][0]]["name"]
            for node in rewriter.old
            if is_prelu(node)
            and is_batch_norm(rewriter.old[node["inputs"][0][0]])
            and uses[node["inputs"][0][0]] == 1
        }

    @staticmethod
    def suits(rewriter: Rewriter, training: bool) -> bool:
        """Tell whether most convolutions of the graph are depthwise or 1x1.

        In training most BatchNorms must be ours as well: with those of a fixed gamma (MobileNet
        v1), which stay with oneDNN, a step took a third longer.
        """
        norms = [node for node in rewriter.old if node["op"] == "BatchNorm"]
        if training and 2 * sum(map(is_batch_norm, norms)) <= len(norms):
            return False
        all_of_them = [node for node in rewriter.old if node["op"] == "Convolution"]
        ours = [node for node in all_of_them if is_depthwise(node) or is_pointwise(node)]
        return any(map(is_depthwise, ours)) and 2 * len(ours) > len(all_of_them)

    def __call__(self, rewriter: Rewriter, node: Node, inputs: list[Entry]) -> Entry | None:
        attrs = attrs_of(node)
        if self._whole and is_depthwise(node):
            options = {
                "kernel": pair(attrs, "kernel", "()")[0],
                "stride": pair(attrs, "stride", "(1, 1)")[0],
                "pad": pair(attrs, "pad", "(0, 0)")[0],
            }
            return self._add(rewriter, "arcface_depthwise", node, inputs, options)
        if self._whole and is_pointwise(node):
            options = {"filters": attrs["num_filter"]}
            return self._add(rewriter, "arcface_pointwise", node, inputs, options)
        if is_batch_norm(node):
            if node["name"] in self._absorbed:
                return inputs[0]  # the PReLU that follows looks for its other inputs itself
            if not self._whole and not is_prelu(rewriter.old[node["inputs"][0][0]]):
                return None
            return self._batch_norm(rewriter, node, node, inputs, prelu=False)
        if is_prelu(node):
            norm = rewriter.old[node["inputs"][0][0]]
            if norm["name"] not in self._absorbed:
                return self._add(rewriter, "arcface_prelu", node, inputs, {})
            data, slope = inputs
            _, gamma, beta, *states = (rewriter.entry(entry) for entry in norm["inputs"])
            sources = [*norm["inputs"][:3], node["inputs"][1], *norm["inputs"][3:]]
            fused = dict(node, inputs=sources)
            inputs = [data, gamma, beta, slope, *states]
            return self._batch_norm(rewriter, fused, norm, inputs, prelu=True)
        return None

    def _batch_norm(self, rewriter, node, norm, inputs, *, prelu):
        attrs = attrs_of(norm)
        options = {
            "eps": attrs.get("eps", "0.001"),
            "momentum": attrs.get("momentum", "0.9"),
            "prelu": int(prelu),
            "training": int(self._training),
        }
        return self._add(rewriter, "arcface_batchnorm", node, inputs, options, num_states=2)

    @staticmethod
    def _add(rewriter, op, node, inputs, options, num_states=0):
        options = {key: str(value) for key, value in options.items()}
        rewriter.set_ranks(inputs[1:], 4 if op in CONVOLUTIONS else 1)
        entries = own_gradient(rewriter, node, inputs, num_states)
        return rewriter.add(op, node["name"], entries, user_attrs(node) | options)
