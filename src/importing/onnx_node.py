"""A node of a foreign ONNX graph as its handler reads it: typed, and nothing left unread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..limits import shown
from .symbol_writer import Tensor, plain

# AttributeProto.type: the field that holds it
FIELDS = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
MOST_NUMBERS = 64  # of one attribute
LARGEST = 1 << 31


class OnnxNode:
    """One node.  Each method returns an attribute, or the default where it is left out.

    proto: an onnx.NodeProto.  inputs: None for one that is left out.  layer: the name that its
    layer gets.  An attribute that a handler neither reads nor names in ignore() could change what
    is computed: check_all_read() refuses it.
    """

    def __init__(self, proto: Any, inputs: Sequence[Tensor | None]):
        self.proto, self.operator, self.inputs = proto, proto.op_type, list(inputs)
        self.name = proto.name or (proto.output[0] if proto.output else "")
        self.layer = plain(self.name)
        self._attributes = {attribute.name: attribute for attribute in proto.attribute}
        self._unread = set(self._attributes)

    def integer(self, name: str, default: int | None = None) -> int | None:
        value = self._read(name, "i", default)
        if value is not None and abs(value) >= LARGEST:
            raise self.refusal(f"{name} {value}")
        return value

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...] | None:
        values = self._read(name, "ints", default)
        if values is None:
            return None
        if len(values) > MOST_NUMBERS or any(abs(value) >= LARGEST for value in values):
            raise self.refusal(f"{name} of such numbers")
        return tuple(map(int, values))

    def number(self, name: str, default: float | None = None) -> float | None:
        return self._read(name, "f", default)

    def word(self, name: str, default: str = "") -> str:
        value = self._read(name, "s", default)
        return value.decode("latin1") if isinstance(value, bytes) else value

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self.integer(name, int(default)))

    def tensor(self, name: str) -> np.ndarray | None:
        from onnx import numpy_helper

        value = self._read(name, "t", None)
        return None if value is None else numpy_helper.to_array(value)

    def ignore(self, *names: str) -> None:
        """Name attributes that play no part here."""
        self._unread -= set(names)

    def check_all_read(self) -> None:
        if self._unread:
            raise self.refusal(f"the attribute {', '.join(sorted(map(shown, self._unread)))}")

    def axis(self, name: str, rank: int, default: int | None = None) -> int:
        axis = self.integer(name, default)
        if axis is None or not -rank <= axis < rank:
            raise self.refusal(f"{name} {axis} of {rank}")
        return axis % rank

    def data(self, position: int = 0) -> Tensor:
        """Return an input that is computed from the image."""
        tensor = self.inputs[position] if position < len(self.inputs) else None
        if tensor is None or tensor.entry is None:
            raise self.refusal(f"input {position}, which is no result of another layer,")
        return tensor

    def stored(self, position: int, what: str) -> np.ndarray | None:
        """Return an input that is a stored array, None where it is left out."""
        tensor = self.inputs[position] if position < len(self.inputs) else None
        if tensor is None:
            return None
        value = tensor.value
        if value is None:
            raise self.refusal(f"{what} that is computed and not stored")
        return value

    def weight(self, position: int, what: str) -> np.ndarray:
        """Return an input that is a stored array of floats."""
        value = self.stored(position, what)
        if value is None or value.dtype.kind != "f":
            kind = "left out" if value is None else f"of type {value.dtype.name}"
            raise self.refusal(f"{what} {kind}")
        return value

    def source(self, position: int) -> str:
        """Return the stored name of an input."""
        return self.inputs[position].source if position < len(self.inputs) else ""

    def numbers(self, attribute: str, position: int) -> tuple[int, ...] | None:
        """Return whole numbers that are an attribute in older opsets and an input in newer."""
        given = self.integers(attribute)
        value = self.stored(position, attribute)
        if value is None:
            return given
        if value.dtype.kind != "i" or value.ndim > 1 or value.size > MOST_NUMBERS:
            raise self.refusal(f"{attribute} of type {value.dtype.name} {value.shape}")
        return tuple(int(number) for number in value.reshape(-1))

    def refusal(self, what: str) -> ValueError:
        return ValueError(f"{self.operator} {shown(self.name)}: {what} is not taken")

    def _read(self, name: str, field: str, default: Any) -> Any:
        self._unread.discard(name)
        attribute = self._attributes.get(name)
        if attribute is None:
            return default
        if FIELDS.get(attribute.type) != field:
            raise self.refusal(f"{name} of another kind than numbers or text that it should be")
        return getattr(attribute, field)
