"""ONNX files of others: whole in themselves, and no tensor that says more than it has.

A tensor may name another file for its values ("external data"), any file that can be read: such
models are refused.  So is a tensor whose sizes do not fit its bytes: what runs or reads the model
would believe them.  Source: onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import math
import os
from typing import Any

from ..limits import check_count, read_limited, shown

LARGEST_FILE = (1 << 31) - 1  # bytes; protobuf's own limit
DEEPEST = 8  # graphs in graphs
# Bytes of a number, and the field that holds numbers which are not raw, by TensorProto.DataType.
KINDS = {
    1: (4, "float_data"), 2: (1, "int32_data"), 3: (1, "int32_data"), 4: (2, "int32_data"),
    5: (2, "int32_data"), 6: (4, "int32_data"), 7: (8, "int64_data"), 9: (1, "int32_data"),
    10: (2, "int32_data"), 11: (8, "double_data"), 12: (4, "uint64_data"),
    13: (8, "uint64_data"), 16: (2, "int32_data"),
}  # fmt: skip
MERGE = (
    "make it one file: python -c \"import onnx; onnx.save_model(onnx.load('IN.onnx'), 'OUT.onnx')\""
)


def read_onnx(path: str | os.PathLike) -> bytes:
    """Return the bytes of an ONNX file.  Raises FileNotFoundError, or ValueError over 2 GiB."""
    return read_limited(path, LARGEST_FILE, "ONNX file")


def parse_onnx(data: bytes, source: str) -> Any:
    """Return the onnx.ModelProto of a file's bytes.  source: where they are from, for messages.

    Raises ValueError if they are no ONNX model, if values lie in other files, if a tensor's sizes
    do not fit its values, or the onnx package is not installed.
    """
    try:
        from google.protobuf.message import DecodeError
        import onnx
    except ImportError:
        raise ValueError(
            f"{source}: reading ONNX needs the onnx package: pip install onnx (the extra [export] "
            "has it)"
        ) from None
    check_count(len(data), LARGEST_FILE, f"{source}: an ONNX file", "bytes")
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ValueError(f"{source}: not an ONNX file, or truncated ({error})") from None
    if not model.graph.node and not model.graph.initializer:
        raise ValueError(f"{source}: not an ONNX file with a network in it")
    for tensor in _tensors(model, source):
        fault = _fault_of(tensor)
        if fault:
            raise ValueError(f"{source}: tensor {shown(tensor.name)} {fault}")
    return model


def drop_unread_inputs(model: Any) -> bool:
    """Take the inputs that nothing reads off a model; return whether there were any.

    Quantised files have them (OpenCV's zoo): names of weights that were replaced.  What runs the
    model would want a value for each.
    """
    read = {name for node in _every_node(model.graph, DEEPEST) for name in node.input}
    read |= {output.name for output in model.graph.output}
    unread = [given for given in model.graph.input if given.name not in read]
    for given in unread:
        model.graph.input.remove(given)
    return bool(unread)


def _every_node(graph: Any, depth: int) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute if depth else ():
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _every_node(inner, depth - 1)


def _tensors(model: Any, source: str) -> Iterator[Any]:
    """Yield every tensor of a model, wherever it stands."""
    yield from _of_graph(model.graph, source, DEEPEST)
    for function in model.functions:
        yield from _of_nodes(function.node, source, DEEPEST)
    if model.training_info:
        raise ValueError(f"{source}: holds how to train the network; export what it computes alone")


def _of_graph(graph: Any, source: str, depth: int) -> Iterator[Any]:
    if depth == 0:
        raise ValueError(f"{source}: graphs lie in graphs more than {DEEPEST} deep")
    yield from graph.initializer
    if graph.sparse_initializer:
        raise ValueError(f"{source}: has sparse weights, which are not read")
    yield from _of_nodes(graph.node, source, depth)


def _of_nodes(nodes: Iterable[Any], source: str, depth: int) -> Iterator[Any]:
    for node in nodes:
        names = (*node.input, *node.output, node.name, node.op_type)
        if not all(isinstance(name, str) for name in names):  # protobuf gives bytes for others
            raise ValueError(f"{source}: node {shown(node.name)} has a name that is no UTF-8")
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise ValueError(f"{source}: has sparse weights, which are not read")
            graphs = [attribute.g] if attribute.HasField("g") else []
            for graph in [*graphs, *attribute.graphs]:
                yield from _of_graph(graph, source, depth - 1)


def _fault_of(tensor: Any) -> str:
    """Return what is wrong with a tensor, "" for nothing."""
    if not isinstance(tensor.name, str):
        return "has a name that is no UTF-8"
    if tensor.external_data or tensor.data_location:
        return f"has its values in another file, which is not read; {MERGE}"
    if tensor.data_type not in KINDS:
        return f"is of type {tensor.data_type}; known are {', '.join(map(str, KINDS))}"
    if min(tensor.dims, default=0) < 0 or tensor.HasField("segment"):
        return f"has dimensions {shown(str(list(tensor.dims)))}, or is a segment"
    size, field = KINDS[tensor.data_type]
    held = [descriptor.name for descriptor, _ in tensor.ListFields()]
    held = [name for name in held if name.endswith("_data")]
    if len(held) > 1:
        return f"has its values twice, as {' and '.join(held)}: damaged"
    wanted = math.prod(tensor.dims)
    if tensor.HasField("raw_data"):
        found, wanted, unit = len(tensor.raw_data), wanted * size, "bytes"
    else:
        found, unit = len(getattr(tensor, field)), "values"
    if found == wanted:
        return ""
    dims = shown(str(list(tensor.dims)))
    return f"has {found} {unit}, its dimensions {dims} need {shown(wanted)}: damaged"
