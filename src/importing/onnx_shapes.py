"""The shapes that a foreign ONNX graph's operators give, as the onnx package says."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from .onnx_node import OnnxNode
from .symbol_writer import Shape

DOMAINS = ("", "ai.onnx")
OLDEST_OPSET = 7  # before it, operands broadcast by an attribute
MOST_VALUES = 1 << 28  # in one layer, of a probe
FAULTS = (
    shape_inference.InferenceError, onnx.checker.ValidationError, onnx.defs.SchemaError, KeyError,
    RuntimeError, TypeError, ValueError,
)  # fmt: skip


class Shapes:
    """What the operators of a model's opset give.  Raises ValueError for an opset not read."""

    def __init__(self, model: onnx.ModelProto):
        versions = [entry.version for entry in model.opset_import if entry.domain in DOMAINS]
        newest = onnx.defs.onnx_opset_version()
        if len(versions) != 1 or not OLDEST_OPSET <= versions[0] <= newest:
            said = ", ".join(map(str, versions[:3])) or "none"
            raise ValueError(f"is of opset {said}; read are {OLDEST_OPSET} to {newest}")
        self.opset = versions[0]
        self._imports = [helper.make_opsetid("", self.opset)]
        self._ir_version = model.ir_version

    def of(self, node: OnnxNode, probe: int) -> Shape:
        """Return the shape of a node's first output.  All floats are float32 here.

        Raises ValueError if none follows, or it is larger than a network's can be.
        """
        proto, types, small = node.proto, {}, {}
        for name, tensor in zip(proto.input, node.inputs, strict=True):
            if tensor is None:
                continue
            kind = onnx.TensorProto.FLOAT
            if tensor.values is not None and tensor.values[probe].dtype.kind != "f":
                value = np.ascontiguousarray(tensor.values[probe])
                kind = helper.np_dtype_to_tensor_dtype(value.dtype)
                small[name] = numpy_helper.from_array(value, name)
            types[name] = helper.make_tensor_type_proto(kind, tensor.shapes[probe])
        try:
            schema = onnx.defs.get_schema(proto.op_type, self.opset, "")
            made = shape_inference.infer_node_outputs(
                schema, proto, types, small, opset_imports=self._imports,
                ir_version=self._ir_version,
            )  # fmt: skip
            found = made[proto.output[0]].tensor_type
            if not found.HasField("shape"):
                raise ValueError("none")
            shape = tuple(d.dim_value for d in found.shape.dim)
        except FAULTS as error:
            reason = (str(error).strip().splitlines() or [""])[-1]
            given = ", ".join(str(t.shapes[probe]) for t in node.inputs if t)
            raise node.refusal(f"{given}: no shape follows ({reason[:160]}), which") from None
        if min(shape, default=1) < 1 or np.prod(shape, dtype=np.float64) > MOST_VALUES:
            raise node.refusal(f"a result of shape {shape}")
        return shape
