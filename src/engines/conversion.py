"""A stored network as an ONNX model.

Source: the operators as documented for MXNet 1.9 and ONNX opsets 11 to 17.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from ..align.template import SIZES, template
from ..checkpoints.network import DATA, StoredNetwork, read_network
from ..checkpoints.parts import EMBEDDING_OUTPUT
from ..files import replace_file
from . import pooling, shape_operators  # noqa: F401  (register their operators)
from .channels import RGB, input_channels
from .onnx_graph import DEFAULT_OPSET, EMBEDDING, OPSETS, OnnxGraph
from .operators import convert_node
from .original import facts_of

DEFAULT_SIZE = (112, 112)
# Images for which shapes are worked out: what differs between the two stays free.  The sizes of
# a free image are so far apart that they differ after every stride a network has.
PROBE_BATCHES = (2, 3)
PROBE_SIZES = ((240, 336), (1168, 1552))


def convert(
    network: StoredNetwork,
    size: tuple[int, int] | None = DEFAULT_SIZE,
    *,
    fold: bool = True,
    opset: int = DEFAULT_OPSET,
) -> onnx.ModelProto:
    """Return the checked ONNX model of a network, for any number of images.

    size: (height, width) of the images, None for any (only a network without dense layers).
    fold: work batch normalisation into the convolution or dense layer before it, where that is
    exact.  opset: 11 to 17, the version of ONNX's operators.  The model takes "data"; an embedding
    comes out as "fc1", other outputs under MXNet's names in MXNet's order.  Raises ValueError for
    an operator that has no handler or is used in a form that has none, parameters of other shapes
    than the symbol reads, a size that the network is not for, and another opset.
    """
    if opset not in OPSETS:
        raise ValueError(f"opset {opset}: this writes {OPSETS.start} to {OPSETS.stop - 1}")
    try:
        return _convert(network, size, fold, opset)
    except ValueError as error:
        raise ValueError(f"{network.graph.source}: {error}") from None


def _convert(
    network: StoredNetwork, size: tuple[int, int] | None, fold: bool, opset: int
) -> onnx.ModelProto:
    graph = network.graph
    if DATA not in graph.variables():
        raise ValueError(f"the symbol reads no variable {DATA!r}")
    names = graph.output_names()
    is_embedding = names == [EMBEDDING_OUTPUT]
    channels = RGB if is_embedding else input_channels(network)
    sizes = [size] * len(PROBE_BATCHES) if size else PROBE_SIZES
    probes = [(n, channels, *hw) for n, hw in zip(PROBE_BATCHES, sizes, strict=True)]
    writer = OnnxGraph(network, probes, fold, opset)
    for index, node in enumerate(graph.nodes):
        if not node.is_variable:
            convert_node(writer, node, index)
    if writer.faults:
        raise ValueError(
            f"the parameters do not fit the symbol{_for_images(size)}: "
            f"{'; '.join(writer.faults[:3])}"
        )
    if len(set(names)) < len(names):
        raise ValueError("two outputs of the symbol are the same")
    for entry, name in zip(graph.outputs, names, strict=True):
        if writer.tensor(entry) is None:
            raise ValueError(f"{name} cannot be exported to ONNX")
    (first, *_) = graph.outputs
    facts = {"layout": "NCHW", "fingerprint": network.fingerprint}
    if is_embedding:
        facts |= _embedding_facts(writer.shape(writer.tensor(first))[-1], size)
        names = [EMBEDDING]
    if size:
        facts["image_size"] = f"{size[0]},{size[1]}"
    if not fold:
        facts |= facts_of(network, writer.constants(), writer.forms)
    return writer.to_model(list(zip(graph.outputs, names, strict=True)), facts)


def to_onnx(
    symbol: Any,
    arg_params: Mapping[str, Any],
    aux_params: Mapping[str, Any],
    size: tuple[int, int] = DEFAULT_SIZE,
    *,
    fold: bool = True,
) -> onnx.ModelProto:
    """Return convert() of MXNet's symbol and parameters, cut at the embedding."""
    return convert(StoredNetwork.of(symbol, arg_params, aux_params), size, fold=fold)


def checkpoint_to_onnx(
    checkpoint: str, size: tuple[int, int] = DEFAULT_SIZE, *, fold: bool = True
) -> onnx.ModelProto:
    """Return convert() of the checkpoint "prefix,number", cut at its embedding."""
    return convert(read_network(checkpoint), size, fold=fold)


def _for_images(size: tuple[int, int] | None) -> str:
    return f" for images of {size[0]}x{size[1]} (height x width)" if size else ""


def _embedding_facts(emb_size: int | None, size: tuple[int, int] | None) -> dict[str, str]:
    facts = {
        "input_range": "0..255",
        "color_order": "RGB",
        "preprocessing": "none: mean and scale are part of the network",
        "embedding_size": str(emb_size),
        "normalized": "no",
    }
    if size in SIZES:  # x,y of left eye, right eye, nose, left and right mouth corner
        points = template(size)
        facts["template"] = ";".join(f"{x:.4f},{y:.4f}" for x, y in points)
    return facts


def write_model(path: str | Path, model: onnx.ModelProto) -> None:
    """Write an ONNX file, complete or not at all."""
    with replace_file(path) as file:
        file.write(model.SerializeToString())
