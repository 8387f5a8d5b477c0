"""What the modules of arcface_torch compute, written as an ONNX graph of their own parameters.

It knows nothing of MXNet's symbols or names: what an imported checkpoint gives is held against it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .torch_networks import EPS, TorchNetwork

INPUT, OUTPUT, OPSET, IR_VERSION = "input", "output", 13, 7


class _Module:
    """Writes layers that read the parameters of a name."""

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        self._arrays = arrays
        self.nodes: list[onnx.NodeProto] = []
        self.stored: dict[str, onnx.TensorProto] = {}

    def _add(self, operator: str, inputs: list[str], **attributes: object) -> str:
        for name in inputs:
            if name in self._arrays and name not in self.stored:
                self.stored[name] = numpy_helper.from_array(self._arrays[name], name)
        output = f"made{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def conv(self, data: str, name: str, *, stride: int = 1, pad: int = 0) -> str:
        weight = self._arrays[f"{name}.weight"]
        groups = self.channels[data] // weight.shape[1]
        made = self._add(
            "Conv", [data, f"{name}.weight"], strides=[stride] * 2, pads=[pad] * 4, group=groups,
            kernel_shape=list(weight.shape[2:]),
        )  # fmt: skip
        self.channels[made] = len(weight)
        return made

    def norm(self, data: str, name: str) -> str:
        roles = ("weight", "bias", "running_mean", "running_var")
        inputs = [data, *(f"{name}.{role}" for role in roles)]
        return self._with_channels(data, self._add("BatchNormalization", inputs, epsilon=EPS))

    def slopes(self, data: str, name: str) -> str:
        key = f"{name}.weight"
        value = self._arrays[key].reshape(-1, 1, 1)
        self.stored[key] = numpy_helper.from_array(value, key)
        return self._with_channels(data, self._add("PRelu", [data, key]))

    def sum(self, one: str, other: str) -> str:
        return self._with_channels(one, self._add("Add", [one, other]))

    def dense(self, data: str, name: str, *, bias: bool) -> str:
        flat = self._add("Flatten", [data], axis=1)
        inputs = [flat, f"{name}.weight", *([f"{name}.bias"] if bias else [])]
        return self._with_channels(data, self._add("Gemm", inputs, transB=1))

    def _with_channels(self, data: str, made: str) -> str:
        self.channels[made] = self.channels[data]
        return made

    channels: dict[str, int]


def reference_model(network: TorchNetwork, arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return an ONNX file that computes what the module there does.

    arrays: its parameters, float32, by their names there.  The file takes "input" (N, 3, H, W),
    scaled as it is fed, and gives "output" (N, D).
    """
    module = _Module(arrays)
    module.channels = {INPUT: 3}
    made = (_mobilefacenet if network.is_mobile else _iresnet)(module, set(arrays))
    module.nodes[-1].output[0] = OUTPUT
    size = arrays["fc.weight" if not network.is_mobile else "features.layers.2.weight"].shape[0]
    graph = helper.make_graph(
        module.nodes, made,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", 3, *network.size])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", size])],
        list(module.stored.values()),
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    return model.SerializeToString()


def _iresnet(module: _Module, names: set[str]) -> str:
    data = module.slopes(module.norm(module.conv(INPUT, "conv1", pad=1), "bn1"), "prelu")
    for stage in (1, 2, 3, 4):
        number = 0
        while f"layer{stage}.{number}.conv1.weight" in names:
            unit, stride = f"layer{stage}.{number}", 2 if number == 0 else 1
            body = module.norm(data, f"{unit}.bn1")
            body = module.norm(module.conv(body, f"{unit}.conv1", pad=1), f"{unit}.bn2")
            body = module.slopes(body, f"{unit}.prelu")
            body = module.conv(body, f"{unit}.conv2", stride=stride, pad=1)
            body = module.norm(body, f"{unit}.bn3")
            if f"{unit}.downsample.0.weight" in names:
                data = module.conv(data, f"{unit}.downsample.0", stride=stride)
                data = module.norm(data, f"{unit}.downsample.1")
            data = module.sum(body, data)
            number += 1
    return module.norm(module.dense(module.norm(data, "bn2"), "fc", bias=True), "features")


def _mobilefacenet(module: _Module, names: set[str]) -> str:
    def block(data: str, name: str, *, stride: int = 1, pad: int = 0) -> str:
        data = module.conv(data, f"{name}.layers.0", stride=stride, pad=pad)
        data = module.norm(data, f"{name}.layers.1")
        has_slope = f"{name}.layers.2.weight" in names
        return module.slopes(data, f"{name}.layers.2") if has_slope else data

    def inverted(data: str, name: str, stride: int) -> str:
        body = block(data, f"{name}.layers.0")
        body = block(body, f"{name}.layers.1", stride=stride, pad=1)
        return block(body, f"{name}.layers.2")

    def residuals(data: str, name: str) -> str:
        number = 0
        while f"{name}.layers.{number}.layers.0.layers.0.weight" in names:
            data = module.sum(data, inverted(data, f"{name}.layers.{number}", 1))
            number += 1
        return data

    data = block(INPUT, "layers.0", stride=2, pad=1)
    is_block = "layers.1.layers.0.weight" in names
    data = block(data, "layers.1", pad=1) if is_block else residuals(data, "layers.1")
    for place in (2, 4, 6):
        data = residuals(inverted(data, f"layers.{place}", 2), f"layers.{place + 1}")
    data = block(block(data, "conv_sep"), "features.layers.0")
    return module.norm(module.dense(data, "features.layers.2", bias=False), "features.layers.3")
