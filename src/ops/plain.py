"""Networks of depthwise and 1x1 convolutions (MobileNet, DPN, DenseNet) on plain arrays.

oneDNN keeps arrays in blocks of 16 channels; every operator of an extension gets and gives them
plain, (N, C, H, W).  Where both take turns, half of a training step is spent on reordering.  So in
these networks all of this is ours:

    Convolution, depthwise   arcface_depthwise
    Convolution 1x1          arcface_pointwise
    BatchNorm                arcface_batchnorm
    BatchNorm, then PReLU    arcface_batchnorm with a slope: one pass over the data
    BatchNorm, then ReLU     arcface_batchnorm with a slope of 0
    Dropout, in training     arcface_dropout, whose random numbers cost little
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


def is_dropout(node: Node) -> bool:
    """Tell whether a node drops single values, in training alone."""
    attrs = attrs_of(node)
    return (
        node["op"] == "Dropout"
        and attrs.get("mode", "training") == "training"
        and attrs.get("axes", "()") in ("()", "[]")
        and 0 < float(attrs.get("p", "0.5")) < 1
    )


def is_relu(node: Node) -> bool:
    return node["op"] == "Activation" and attrs_of(node).get("act_type") == "relu"


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
        self._heads = {rewriter.old[i]["name"] for i in rewriter.head_nodes}
        # Names of the BatchNorms whose only use is a PReLU or ReLU: they are computed there.
        self._absorbed = {
            rewriter.old[node["inputs"][0][0]]["name"]
            for node in rewriter.old
            if (is_prelu(node) or (whole and is_relu(node)))
            and is_batch_norm(rewriter.old[node["inputs"][0][0]])
            and uses[node["inputs"][0][0]] == 1
        }

    @staticmethod
    def suits(rewriter: Rewriter) -> bool:
        """Tell whether oneDNN's blocks would be broken up all over the graph.

        So it is where most convolutions are depthwise or 1x1 and some are of groups (MobileNet,
        DPN, ResNeXt), and where most are followed by Dropout (DenseNet), which knows no blocks.
        Where all others are whole 3x3 convolutions (ResNet of bottlenecks) oneDNN is faster.
        """
        convolutions = [node for node in rewriter.old if node["op"] == "Convolution"]
        ours = [node for node in convolutions if is_depthwise(node) or is_pointwise(node)]
        dropouts = [node for node in rewriter.old if node["op"] == "Dropout"]
        if 2 * len(dropouts) > len(convolutions) and any(map(is_pointwise, ours)):
            return True
        grouped = (int(attrs_of(node).get("num_group", "1")) > 1 for node in convolutions)
        return any(grouped) and 2 * len(ours) > len(convolutions)

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
        if self._whole and self._training and is_dropout(node) and node["name"] not in self._heads:
            options = {"p": attrs.get("p", "0.5")}
            return self._add(rewriter, "arcface_dropout", node, inputs, options)
        if is_batch_norm(node):
            if node["name"] in self._absorbed:
                return inputs[0]  # the activation that follows looks for its other inputs itself
            if not self._whole and not is_prelu(rewriter.old[node["inputs"][0][0]]):
                return None
            return self._batch_norm(rewriter, node, node, inputs)
        if is_prelu(node) or is_relu(node):
            norm = rewriter.old[node["inputs"][0][0]]
            if norm["name"] in self._absorbed:
                return self._batch_norm(rewriter, node, norm, inputs)
            if is_prelu(node):
                return self._add(rewriter, "arcface_prelu", node, inputs, {})
        return None

    def _batch_norm(self, rewriter, node, norm, inputs):
        """Add a BatchNorm under the name of `node`, itself or the activation that takes it in."""
        act = "none" if node is norm else "prelu" if is_prelu(node) else "relu"
        slope = node["inputs"][1:] if act == "prelu" else []
        _, gamma, beta, *states = norm["inputs"]
        sources = [norm["inputs"][0], gamma, beta, *slope, *states]
        entries = [inputs[0], *(rewriter.entry(entry) for entry in sources[1:])]
        attrs = attrs_of(norm)
        options = {
            "eps": attrs.get("eps", "0.001"),
            "momentum": attrs.get("momentum", "0.9"),
            "act": act,
            "training": int(self._training),
        }
        merged = dict(node, inputs=sources)
        return self._add(rewriter, "arcface_batchnorm", merged, entries, options, num_states=2)

    @staticmethod
    def _add(rewriter, op, node, inputs, options, num_states=0):
        options = {key: str(value) for key, value in options.items()}
        rewriter.set_ranks(inputs[1:], 4 if op in CONVOLUTIONS else 1)
        entries = own_gradient(rewriter, node, inputs, num_states)
        return rewriter.add(op, node["name"], entries, user_attrs(node) | options)
