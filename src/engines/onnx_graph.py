"""An ONNX graph while it is being written: nodes, shapes, constants and folding into weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from .. import __version__
from ..checkpoints.network import DATA, StoredNetwork
from ..checkpoints.nodes import Entry

OPSETS = range(11, 18)  # the handlers write for each of these
DEFAULT_OPSET = 17
AXES_ARE_INPUT = {"ReduceSum": 13, "Squeeze": 13, "Unsqueeze": 13}  # from this opset on
EMBEDDING = "fc1"
BATCH = "batch"
NAME = "arcface_mxnet"
SMALL = 64  # values of a constant that the checker is shown

Shape = tuple[int, ...]


class OnnxGraph:
    """Collects what the operator handlers write.  Tensors are known by their ONNX names.

    probes: shapes (N, C, H, W) of images for which all shapes are worked out.  What differs
    between them, as the batch does, stays free in the model.  opset: one of OPSETS.
    """

    def __init__(self, network: StoredNetwork, probes: Sequence[Shape], fold: bool, opset: int):
        self.network = network
        self.opset = opset
        self._imports = [helper.make_opsetid("", opset)]
        # The oldest that carries the opset, so that older runtimes take the file.
        self._ir_version = helper.find_min_ir_version_for(self._imports)
        self.probes = tuple(probes)
        self.faults: list[str] = []  # parameters of wrong shape
        self._fold = fold
        self._nodes: list[onnx.NodeProto] = []
        self._producers: dict[str, onnx.NodeProto] = {}
        self._constants: dict[str, np.ndarray] = {}
        self._shapes: dict[str, tuple[Shape, ...]] = {}
        self._types: dict[str, int] = {}  # ONNX element types
        self._tensors: dict[Entry, str] = {}
        graph = network.graph
        self.forms: dict[str, list[str]] = {}  # of a parameter: tensors made of it
        self._reads = Counter(e for node in graph.nodes for e in node.inputs)
        self._reads.update(graph.outputs)
        self._readers: Counter[str] = Counter()  # how often a tensor is read, at most
        self._names = {DATA, EMBEDDING, *network.parameters}
        for index, node in enumerate(graph.nodes):
            if node.name == DATA and node.is_variable:
                self._shapes[DATA], self._types[DATA] = self.probes, onnx.TensorProto.FLOAT
                self.bind(Entry(index, 0), DATA)
            elif node.is_variable:
                self._store(node.name, network.parameters[node.name])
                self.bind(Entry(index, 0), node.name)

    def tensor(self, entry: Entry) -> str | None:
        """Return the ONNX name of an MXNet output, None if nothing was written for it."""
        return self._tensors.get(entry)

    def bind(self, entry: Entry, tensor: str) -> None:
        """Let an MXNet output be an ONNX tensor."""
        self._tensors[entry] = tensor
        self._readers[tensor] += self._reads[entry]

    def shapes(self, tensor: str) -> tuple[Shape, ...]:
        """Return the shape of a tensor for each probe."""
        return self._shapes[tensor]

    def shape(self, tensor: str) -> tuple[int | None, ...]:
        """Return the shape of a tensor, None where it is free."""
        shapes = self._shapes[tensor]
        return tuple(d[0] if len(set(d)) == 1 else None for d in zip(*shapes, strict=True))

    def rank(self, tensor: str) -> int:
        return len(self._shapes[tensor][0])

    def value(self, tensor: str) -> np.ndarray | None:
        """Return the values of a tensor that is a constant, else None."""
        return self._constants.get(tensor)

    def expect(self, tensor: str, shape: Shape) -> None:
        """Note it if a parameter has another shape than its operator reads."""
        actual = self.shape(tensor)
        if actual == shape:
            return
        self.faults.append(f"{tensor} is {actual}, the symbol reads {shape}")
        if tensor in self._constants:  # go on with the right shape, to find what else is wrong
            self._store(tensor, np.broadcast_to(np.float32(0), shape))

    def add(
        self, op_type: str, inputs: Sequence[str], output: str | Sequence[str], **attributes: Any
    ) -> str:
        """Append a node and return its first output.

        output: wanted names; one that is taken gets a number.  Raises ValueError if no shapes
        follow from the shapes of the inputs.
        """
        wanted = [output] if isinstance(output, str) else output
        outputs = [self._free_name(name) for name in wanted]
        node = helper.make_node(op_type, list(inputs), outputs, name=outputs[0], **attributes)
        self._infer(node)
        self._nodes.append(node)
        self._producers |= dict.fromkeys(outputs, node)
        return outputs[0]

    def add_over(
        self, op_type: str, tensor: str, output: str, axes: Sequence[int], **attributes: Any
    ) -> str:
        """Append a node that works over axes of a tensor and return its output."""
        if self.opset < AXES_ARE_INPUT.get(op_type, OPSETS.stop):
            return self.add(op_type, [tensor], output, axes=list(axes), **attributes)
        places = self.constant(f"{output}_axes", np.array(axes, np.int64))
        return self.add(op_type, [tensor, places], output, **attributes)

    def add_split(self, tensor: str, output: Sequence[str], axis: int) -> list[str]:
        """Append a node that cuts a tensor into equal parts and return them."""
        self.add("Split", [tensor], output, axis=axis)
        return list(self._nodes[-1].output)

    def constant(self, name: str, value: np.ndarray) -> str:
        """Store a constant and return its name."""
        name = self._free_name(name)
        self._store(name, value)
        return name

    def changed(self, tensor: str, value: np.ndarray) -> str:
        """Store a parameter in another form: under its own name, where nothing else reads it."""
        if self._readers[tensor] > 1:
            form = self.constant(tensor, value)
            self.forms.setdefault(tensor, []).append(form)
            return form
        self._store(tensor, value)
        return tensor

    def scale_output(self, entry: Entry, scale: np.ndarray, shift: np.ndarray) -> str | None:
        """Fold entry * scale + shift, per channel, into the weights that make it.

        Return the tensor, or None where that would not be exact: it is when a convolution or a
        dense layer of its own weights makes it and nothing else reads it.  Padding does not
        matter: it comes before.
        """
        tensor = self._tensors[entry]
        node = self._producers.get(tensor)
        if not self._fold or self.faults or node is None or node.op_type not in ("Conv", "Gemm"):
            return None
        weight, *bias = node.input[1:]
        if any(self._readers[name] > 1 for name in (tensor, weight, *bias)):
            return None
        if any(name not in self._constants for name in (weight, *bias)):
            return None
        value = self._constants[weight]
        # In double precision, without a copy of the weights in it.
        scaled = np.empty(value.shape, np.float32)
        factors = scale.reshape(-1, *[1] * (value.ndim - 1))
        np.multiply(value, factors, out=scaled, dtype=np.float64, casting="same_kind")
        self._constants[weight] = scaled
        if not bias:
            bias = [self.constant(f"{node.name}_bias", np.zeros(len(value)))]
            node.input.append(bias[0])
        self._constants[bias[0]] = self._constants[bias[0]] * scale + shift
        return tensor

    def constants(self) -> dict[str, np.ndarray]:
        """Return the constants that a node reads, by name."""
        read = {name for node in self._nodes for name in node.input}
        return {name: value for name, value in self._constants.items() if name in read}

    def to_model(
        self, outputs: Sequence[tuple[Entry, str]], metadata: Mapping[str, str]
    ) -> onnx.ModelProto:
        """Return the checked model.  outputs: what comes out of it, under which names."""
        named: set[str] = set()
        for entry, name in outputs:
            if (tensor := self._tensors[entry]) != name:
                if name == EMBEDDING and name not in self._constants:
                    self._names.discard(name)  # it was kept free for this
                if name in self._names:
                    raise ValueError(f"two tensors would be called {name!r}; rename that parameter")
                if tensor in self._producers and tensor not in named:
                    self._rename(tensor, name)
                else:
                    self.add("Identity", [tensor], name)
            named.add(name)
        constants = self.constants()
        small = [name for name, value in constants.items() if value.size <= SMALL]
        large = [name for name, value in constants.items() if value.size > SMALL]
        model = onnx.ModelProto(
            ir_version=self._ir_version,
            producer_name=NAME,
            producer_version=__version__,
            opset_import=self._imports,
        )
        graph = model.graph
        graph.name = NAME
        graph.node.extend(self._nodes)
        graph.output.extend(self._info(name) for _, name in outputs)
        helper.set_model_props(model, dict(metadata))
        # Weights stand as inputs while the model is checked: their bytes need no checking, and to
        # check them takes longer than all the rest.
        graph.input.extend(self._info(name) for name in (DATA, *large))
        for name in small:
            self._add_constant(graph, name)
        onnx.checker.check_model(model, full_check=True)
        del graph.input[1:]
        for name in large:
            self._add_constant(graph, name)
        return model

    def _rename(self, tensor: str, name: str) -> None:
        """Give what a node makes another name, a free one."""
        self._names.add(name)
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [name if old == tensor else old for old in names]
        producer = self._producers[name] = self._producers.pop(tensor)
        producer.name = producer.output[0]
        self._shapes[name], self._types[name] = self._shapes[tensor], self._types[tensor]
        self._tensors = {e: name if old == tensor else old for e, old in self._tensors.items()}

    def _add_constant(self, graph: onnx.GraphProto, name: str) -> None:
        """Append a constant in place: a message handed over would be copied, weights and all."""
        value = self._constants[name]
        value = value.astype("<f4" if value.dtype.kind == "f" else "<i8", copy=False)
        tensor = graph.initializer.add()
        tensor.name, tensor.data_type = name, self._types[name]
        tensor.dims.extend(value.shape)
        tensor.raw_data = value.tobytes()

    def _info(self, name: str) -> onnx.ValueInfoProto:
        """Return what the model says of a tensor: free axes by name where they are the image's."""
        own = {
            sizes: label
            for sizes, label in zip(
                zip(*self.probes, strict=True), (BATCH, "", "height", "width"), strict=True
            )
            if len(set(sizes)) > 1
        }
        dimensions: list[int | str | None] = [
            sizes[0] if len(set(sizes)) == 1 else own.get(sizes)
            for sizes in zip(*self._shapes[name], strict=True)
        ]
        return helper.make_tensor_value_info(name, self._types[name], dimensions)

    def _infer(self, node: onnx.NodeProto) -> None:
        schema = onnx.defs.get_schema(node.op_type, self.opset, "")
        small = {
            name: numpy_helper.from_array(self._constants[name], name)
            for name in node.input
            if name in self._constants and self._constants[name].dtype.kind == "i"
        }
        found: dict[str, list[Shape]] = {name: [] for name in node.output}
        for number in range(len(self.probes)):
            given = [self._shapes[name][number] for name in node.input]
            types = {
                name: helper.make_tensor_type_proto(self._types[name], shape)
                for name, shape in zip(node.input, given, strict=True)
            }
            try:
                inferred = shape_inference.infer_node_outputs(
                    schema,
                    node,
                    types,
                    small,
                    opset_imports=self._imports,
                    ir_version=self._ir_version,
                )
            except (shape_inference.InferenceError, onnx.checker.ValidationError) as error:
                raise self._unfit(node, given, str(error).strip().splitlines()[-1]) from None
            for name in node.output:
                if name not in inferred or not inferred[name].tensor_type.HasField("shape"):
                    raise self._unfit(node, given, "no shape follows")
                tensor = inferred[name].tensor_type
                shape = tuple(d.dim_value for d in tensor.shape.dim)
                if min(shape, default=1) < 1:
                    raise self._unfit(node, given, f"{shape} would come out")
                found[name].append(shape)
                self._types[name] = tensor.elem_type
        self._shapes |= {name: tuple(shapes) for name, shapes in found.items()}

    def _unfit(self, node: onnx.NodeProto, given: Sequence[Shape], reason: str) -> ValueError:
        image = tuple(d if d is not None else "free" for d in self.shape(DATA)[1:])
        return ValueError(
            f"the network does not take images of shape {image} (channels, height, width): "
            f"{node.op_type} {node.name!r} gets {', '.join(map(str, given))}: {reason}"
        )

    def _store(self, name: str, value: np.ndarray) -> None:
        self._constants[name] = value
        self._shapes[name] = (value.shape,) * len(self.probes)
        is_float = value.dtype.kind == "f"
        self._types[name] = helper.np_dtype_to_tensor_dtype(
            np.dtype(np.float32) if is_float else value.dtype
        )

    def _free_name(self, name: str) -> str:
        number, free = 1, name
        while free in self._names:
            number, free = number + 1, f"{name}_{number}"
        self._names.add(free)
        return free
