"""A foreign ONNX graph, node by node, as an MXNet symbol and its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..checkpoints.network import StoredNetwork
from ..engines.model_input import CHANNELS, norm_takes_raw_pixels, takes_raw_pixels
from ..limits import shown
from . import onnx_shape_operators  # noqa: F401  (registers its handlers)
from .constants import FOLDED, folded
from .onnx_node import OnnxNode
from .onnx_operators import HANDLERS
from .onnx_shapes import DOMAINS, Shapes
from .preprocessing import Preprocessing, ends_of, entered
from .symbol_writer import EMBEDDING, Affine, Entry, Shape, SymbolWriter, Tensor

PROBES = (2, 3)  # numbers of images for which shapes are worked out: what differs is theirs
MOST_GROWTH, SMALL = 8, 1 << 20  # bytes of constants for one of the file, and those always allowed
# What leaves an image an image.
OF_PIXELS = frozenset({"Add", "Sub", "Mul", "Div", "Identity", "Cast", "Transpose", "Shape"})
NORM_EPS = 2.0**-16  # with a variance of 1 - 2^-16 the square root is 1, to the bit
UNIT_VARIANCE = np.float32(1 - NORM_EPS)


class Importer:
    """One walk through a model.

    fed: what the network is fed.  restore: whether the bias of a convolution becomes a norm.
    notes: what a user should know of the outcome.  restored: layers whose norm was made of a bias.
    """

    def __init__(
        self, model: onnx.ModelProto, source: str, fed: Preprocessing, *, restore: bool = True
    ):
        self.writer = SymbolWriter(source)
        self.fed, self.notes, self.restored = fed, [], []
        self._restore, self._graph = restore, model.graph
        self._shapes = Shapes(model)
        self.opset = self._shapes.opset
        self._most_bytes = MOST_GROWTH * model.ByteSize() + SMALL
        self._made_bytes = 0
        self._stored = {tensor.name: tensor for tensor in self._graph.initializer}
        self._tensors: dict[str, Tensor] = {}
        self._readers: dict[str, list[str]] = {}  # tensor: operators that read it
        for node in self._graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node.op_type)
        self.stored_batch: int | None = None
        self.size: tuple[int, int] = (0, 0)
        self.is_channels_last = False

    def enter(self) -> str:
        """Write what comes before the first layer and return the name of the input.

        Raises ValueError if the file takes no image of three channels.
        """
        inputs = [
            value
            for value in self._graph.input
            if value.name not in self._stored and value.name in self._readers
        ]
        if len(inputs) != 1:
            names = ", ".join(shown(value.name) for value in inputs[:5]) or "none"
            raise ValueError(f"it takes {len(inputs)} inputs ({names}); a face network takes one")
        kind = inputs[0].type.tensor_type
        if kind.elem_type not in (1, 10, 11, 16):
            raise ValueError(f"its input {shown(inputs[0].name)} is of no float type")
        dims = [d.dim_value if d.dim_value > 0 else None for d in kind.shape.dim]
        if len(dims) != 4:
            raise ValueError(f"its input has {len(dims)} axes; images have 4")
        is_last = self.is_channels_last = dims[1] != CHANNELS and dims[3] == CHANNELS
        if not is_last and dims[1] not in (None, CHANNELS):
            raise ValueError(f"its images have {dims[1]} channels; wanted are 3")
        self.stored_batch = dims[0]
        stored = tuple(dims[1:3] if is_last else dims[2:])
        given = self.fed.size
        if given is None and None in stored:
            raise ValueError("its images have no fixed size; give --image-size HEIGHT,WIDTH")
        self.size = given or stored
        for mine, theirs in zip(self.size, stored, strict=True):
            if theirs not in (None, mine):
                raise ValueError(
                    f"it takes images of {stored[0]}x{stored[1]} (height x width), --image-size "
                    f"says {self.size[0]}x{self.size[1]}"
                )
        pixels = None if self.fed.is_declared else Affine(np.ones(1), np.zeros(1))
        shapes = tuple((count, CHANNELS, *self.size) for count in PROBES)
        data = Tensor(shapes, entered(self.writer, self.fed), pixels=pixels)
        if is_last:
            self.notes.append("its images have the channels last; the symbol turns them")
            data = self.transposed(data, (0, 2, 3, 1), "data_channels_last")
        self._tensors[inputs[0].name] = data
        return inputs[0].name

    def network(self, output: str) -> StoredNetwork:
        """Return the network that ends in an output of the file.  enter() comes first.

        Raises ValueError for what is not an embedding, or cannot be said in MXNet.
        """
        needed = self._needed(output)
        for proto in self._graph.node:
            if needed.intersection(proto.output):
                self._convert(proto, is_last=output in proto.output)
        found = self._tensors.get(output)
        if found is None or found.entry is None or found.entry == self.writer.data:
            raise ValueError(f"output {shown(output)} is not computed from the image")
        if found.rank > 2 and found.has_images_first and set(found.shape[2:]) == {1}:
            node = OnnxNode(helper.make_node("Flatten", [output], ["fc1"], name="fc1"), [found])
            found = self.reshaped(found, [s[:2] for s in found.shapes], node)
        if found.rank != 2 or not found.has_images_first or found.shape[1] < 2:
            raise ValueError(
                f"output {shown(output)} is {_shown_shape(found.shape)}, not one vector for each "
                "image: is it a face network, and not a detector?"
            )
        entry = found.entry
        operator = self.writer.node(entry).operator
        if operator in ("SliceChannel", "null"):  # its outputs have names of their own
            entry = self.writer.add("_copy", "fc1", [entry])
        return self.writer.network(entry)

    # What handlers use.

    def computed(self, node: OnnxNode, entry: Entry, pixels: Affine | None = None) -> Tensor:
        """Return what a node computes, with the shapes that ONNX says."""
        shapes = tuple(self._shapes.of(node, number) for number in range(len(PROBES)))
        return Tensor(shapes, entry, pixels=pixels)

    def reshaped(self, data: Tensor, shapes: Sequence[Shape], node: OnnxNode) -> Tensor:
        """Return a tensor in other shapes, of as many values."""
        made = Tensor(tuple(shapes), data.entry)
        if made.shapes == data.shapes:
            return data
        if made.has_images_first and data.has_images_first:
            if made.rank == 2:
                return Tensor(made.shapes, self.writer.add("Flatten", node.layer, [data.entry]))
            shape = (0, *made.shape[1:])
        elif None not in (*made.shape, *data.shape) and made.rank:
            shape = made.shape
        else:
            raise node.refusal(
                f"a reshape of {_shown_shape(data.shape)} to {_shown_shape(made.shape)}"
            )
        entry = self.writer.add("Reshape", node.layer, [data.entry], shape=shape)
        return Tensor(made.shapes, entry)

    def of_rank(self, data: Tensor, rank: int, node: OnnxNode) -> Entry:
        """Return a tensor with axes of length 1 put before its others, as ONNX broadcasts."""
        if data.rank == rank:
            return data.entry
        if None in data.shape:
            raise node.refusal(f"operands of {data.rank} and {rank} axes")
        shape = (1,) * (rank - data.rank) + data.shape
        return self.writer.add("Reshape", f"{node.layer}_operand", [data.entry], shape=shape)

    def transposed(self, data: Tensor, order: Sequence[int], layer: str) -> Tensor:
        """Return a tensor with its axes in another order; two that undo each other are none."""
        shapes = tuple(tuple(shape[axis] for axis in order) for shape in data.shapes)
        before = self.writer.node(data.entry)
        if before.operator == "transpose":
            first = before.attributes["axes"]
            if [first[axis] for axis in order] == list(range(len(order))):
                return Tensor(shapes, before.inputs[0], pixels=data.pixels)
        entry = self.writer.add("transpose", layer, [data.entry], axes=tuple(order))
        return Tensor(shapes, entry, pixels=data.pixels)

    def restores_norm(self, node: OnnxNode, data: Tensor) -> bool:
        """Return whether a convolution's bias is taken for what a folded norm left.

        Not where a norm follows anyway, nor after a pooling of the whole image, where
        squeeze-excitation has real biases.
        """
        is_normed = self._readers.get(node.proto.output[0], []) == ["BatchNormalization"]
        return self._restore and not is_normed and data.shape[2:] != (1, 1)

    def restored_norm(self, layer: str, entry: Entry, bias: np.ndarray) -> Entry:
        """Write a norm that adds a bias and no more, to the bit, and can be trained."""
        name = f"{layer}_norm"
        ones = np.ones_like(bias, dtype=np.float32)
        arrays = {
            "gamma": ones, "beta": bias, "moving_mean": 0 * ones,
            "moving_var": UNIT_VARIANCE * ones,
        }  # fmt: skip
        inputs = [self.writer.parameter(name, role, value) for role, value in arrays.items()]
        made = self.writer.add(
            "BatchNorm", name, [entry, *inputs], eps=NORM_EPS, momentum=0.9, fix_gamma=False,
            use_global_stats=True,
        )  # fmt: skip
        self.restored.append(self.writer.node(made).name)
        return made

    # How the walk goes.

    def _needed(self, output: str) -> set[str]:
        """Return the tensors that an output needs."""
        makers = {name: node for node in self._graph.node for name in node.output}
        needed, waiting = set(), [output]
        while waiting:
            name = waiting.pop()
            if name in needed or name not in makers:
                continue
            needed.add(name)
            waiting += makers[name].input
        return needed

    def _convert(self, proto: Any, is_last: bool) -> None:
        inputs = [self._tensor(name, proto) if name else None for name in proto.input]
        node = OnnxNode(proto, inputs)
        if is_last:
            node.layer = EMBEDDING
        if proto.domain not in DOMAINS:
            raise node.refusal(f"an operator of the domain {shown(proto.domain)}")
        given = [tensor for tensor in inputs if tensor is not None]
        if node.operator == "Shape" and given and given[0].entry is not None:
            made = [_shape_values(given[0], node)]
        elif all(tensor.entry is None for tensor in given) and node.operator in FOLDED:
            made = [self._folded(node, inputs)]
        else:
            if node.operator not in HANDLERS:
                raise node.refusal("an operator that has no handler here, and so")
            self._check_pixels(node, given)
            result = HANDLERS[node.operator](self, node)
            made = result if isinstance(result, list) else [result]
        node.check_all_read()
        for name, tensor in zip(proto.output, made, strict=False):
            self._tensors[name] = tensor
        for name in proto.output[len(made) :]:
            if name and self._readers.get(name):
                raise node.refusal(f"its output {shown(name)}, which is read,")

    def _tensor(self, name: str, proto: Any) -> Tensor:
        found = self._tensors.get(name)
        if found is None and name in self._stored:
            value = numpy_helper.to_array(self._stored[name])
            if value.dtype.kind == "f":
                value = value.astype(np.float32)
            found = self._tensors[name] = Tensor.constant((value,) * len(PROBES), name)
        if found is None:
            raise ValueError(
                f"{proto.op_type} {shown(proto.name)} reads {shown(name)}, which nothing before it "
                "makes"
            )
        return found

    def _folded(self, node: OnnxNode, inputs: Sequence[Tensor | None]) -> Tensor:
        values, results = [[t.values[k] if t else None for t in inputs] for k in (0, 1)], []
        is_same = all(t is None or t.value is not None for t in inputs)
        for numbers in values[: 1 if is_same else None]:
            result = folded(node, numbers, self._most_bytes - self._made_bytes)
            results.append(result)
            if node.operator not in ("Identity", "Reshape", "Transpose"):  # views of what is there
                self._made_bytes += result.nbytes
        source = inputs[0].source if inputs and inputs[0] else ""
        keeps_name = node.operator in ("Identity", "DequantizeLinear", "Reshape")
        if node.operator == "DequantizeLinear":
            source = source.removesuffix("_quantized")
        return Tensor.constant((results[0], results[-1]), source if keeps_name else "")

    def _check_pixels(self, node: OnnxNode, given: Sequence[Tensor]) -> None:
        """Refuse to guess what an image is fed as."""
        pixels = next((t.pixels for t in given if t.entry and t.pixels is not None), None)
        if pixels is None or node.operator in OF_PIXELS:
            return
        if node.operator == "BatchNormalization" and len(node.inputs) == 5:
            if norm_takes_raw_pixels(node.weight(3, "a mean"), node.weight(4, "a variance")):
                self.notes.append(f"its norm {node.layer} takes raw pixels, 0..255")
                return
        elif takes_raw_pixels(ends_of(pixels)):
            self.notes.append("its first layers scale raw pixels, 0..255")
            return
        raise ValueError(
            f"{node.operator} {shown(node.name)} is the first layer, and what it is fed is not "
            "certain: give --mean and --scale, as it was trained (it is fed (x - mean) / scale of "
            "raw pixels, 0..255; 127.5 and 127.5 are usual, 0 and 1 feed them raw)"
        )


def _shape_values(tensor: Tensor, node: OnnxNode) -> Tensor:
    start, end = node.integer("start", 0), node.integer("end")
    return Tensor.constant([np.array(s[start:end], np.int64) for s in tensor.shapes])


def _shown_shape(shape: Sequence[int | None]) -> str:
    return f"({', '.join('N' if size is None else str(size) for size in shape)})"
