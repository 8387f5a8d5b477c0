"""An ONNX graph while it is being written: nodes, constants and folding into weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .symbol_graph import Shape, SymbolGraph

OPSET = 17
IR_VERSION = 8  # the oldest that carries opset 17, so that older runtimes take the file
DATA = "data"
EMBEDDING = "fc1"
BATCH = "batch"


class OnnxGraph:
    """Collects what the operator handlers write.  Tensors are known by name throughout."""

    def __init__(self, source: SymbolGraph, parameters: Mapping[str, np.ndarray], fold: bool):
        self.source = source
        self.parameters = parameters
        self.fold = fold
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self._alias: dict[str, str] = {}  # an MXNet tensor that another one stands for

    def shape(self, tensor: str) -> Shape:
        """Return the shape of an MXNet tensor, for PROBE_BATCH images."""
        return self.source.shapes[tensor]

    def resolve(self, tensor: str) -> str:
        """Return the name under which an MXNet tensor stands in the ONNX graph.

        A parameter enters the graph as a constant when it is first asked for.
        """
        name = self._alias.get(tensor, tensor)
        if name in self.parameters and name not in self.constants:
            self.constants[name] = self.parameters[name]
        return name

    def alias(self, tensor: str, other: str) -> None:
        """Let an MXNet tensor stand for another ONNX tensor (an operator that does nothing)."""
        self._alias[tensor] = other

    def add(
        self, op_type: str, inputs: Sequence[str], outputs: str | Sequence[str], **attributes: Any
    ) -> str:
        """Append a node and return its first output.  inputs are ONNX names."""
        outputs = [outputs] if isinstance(outputs, str) else list(outputs)
        node = helper.make_node(op_type, list(inputs), outputs, name=outputs[0], **attributes)
        self.nodes.append(node)
        return outputs[0]

    def constant(self, name: str, value: np.ndarray) -> str:
        """Store a constant and return its name."""
        self.constants[name] = value
        return name

    def scale_output(self, tensor: str, scale: np.ndarray, shift: np.ndarray) -> bool:
        """Fold tensor * scale + shift, per channel, into the weights that make the tensor.

        True if it was done: exact when a convolution or a dense layer of its own weights makes
        the tensor and nothing else reads it.  Padding does not matter: it comes before.
        """
        node = next((n for n in reversed(self.nodes) if tensor in n.output), None)
        if not self.fold or node is None or node.op_type not in ("Conv", "Gemm"):
            return False
        weight, *bias = node.input[1:]
        if any(self.source.readers(name) != 1 for name in (tensor, weight, *bias)):
            return False
        value = self.constants[weight].astype(np.float64)  # (out, ...)
        self.constants[weight] = value * scale.reshape(-1, *[1] * (value.ndim - 1))
        if not bias:
            bias = [self.constant(f"{node.name}_bias", np.zeros(len(value)))]
            node.input.append(bias[0])
        self.constants[bias[0]] = self.constants[bias[0]] * scale + shift
        return True

    def to_model(self, output: str, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """Return the model with a free batch size.  output: the MXNet tensor it ends in."""
        result = self.add("Identity", [self.resolve(output)], EMBEDDING)
        read = {name for node in self.nodes for name in node.input}
        constants = [
            numpy_helper.from_array(_single(value), name)
            for name, value in self.constants.items()
            if name in read
        ]
        graph = helper.make_graph(
            self.nodes,
            "arcface_mxnet",
            [_free_batch(DATA, self.shape(DATA))],
            [_free_batch(result, self.shape(output))],
            constants,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="arcface_mxnet"
        )
        model.ir_version = IR_VERSION
        helper.set_model_props(model, dict(metadata))
        return model


def _single(value: np.ndarray) -> np.ndarray:
    """Return floats as float32 (half precision, and the double that folding works in)."""
    return value.astype(np.float32) if value.dtype.kind == "f" else value


def _free_batch(name: str, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [BATCH, *shape[1:]])
