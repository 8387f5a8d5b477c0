"""The pickle inside torch's files, read as data: nothing in the file can call anything.

The machine of eval/pair_pickle.py, with dictionaries and torch's storages: a tensor is a note of
where its numbers lie, an OrderedDict a dict.  Any other name is refused before anything is done
with it.  Source: torch/serialization.py and torch/_utils.py, format of torch 1.6 and later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..eval.pair_pickle import PickleMachine, by_code, run_machine
from ..eval.pickled_names import ForbiddenPickle, Name, described
from ..limits import shown

HOSTILE = (
    "a checkpoint of a network holds numbers and their names only; nothing of it was run.  If you "
    "trust the file, save the names and numbers alone, where torch is: "
    "torch.save(model.state_dict(), 'backbone.pth')"
)
# Numbers of a storage by the name of its class; "<V2" is bfloat16.
STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "<V2",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "|i1",
    "ByteStorage": "|u1", "BoolStorage": "|b1",
}  # fmt: skip
MOST_DIMENSIONS = 16


@dataclass(frozen=True)
class StorageKind:
    """The class of a storage: the type of its numbers, as numpy writes it."""

    dtype: str


@dataclass(frozen=True)
class Storage:
    """A storage: the member "data/KEY" of the archive, with so many numbers."""

    dtype: str
    key: str
    count: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor: numbers of a storage from an offset on, by shape and steps, all within it."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]


def load_torch_pickle(data: bytes) -> Any:
    """Return what a pickle of torch's holds: dicts, lists, numbers, text, StoredTensors.

    Raises ForbiddenPickle for an opcode or a name that a checkpoint never needs, ValueError with
    the byte for what is damaged.
    """
    return run_machine(_TorchMachine(data))


def _rebuild_tensor(
    storage: Any, offset: Any, shape: Any, steps: Any, gradient: Any = False, hooks: Any = None,
    metadata: Any = None,
) -> StoredTensor:  # fmt: skip
    if not isinstance(storage, Storage):
        raise ValueError(f"a tensor of {shown(storage)}")
    sizes = (shape, steps)
    is_sound = all(
        isinstance(each, tuple) and all(type(n) is int and 0 <= n < 1 << 48 for n in each)
        for each in sizes
    )
    if not is_sound or type(offset) is not int or not len(shape) == len(steps) <= MOST_DIMENSIONS:
        raise ValueError(f"a tensor of shape {shown(shape)} with steps {shown(steps)}")
    last = offset + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    if offset < 0 or (0 not in shape and last >= storage.count):
        raise ValueError(f"a tensor that ends at number {last} of {storage.count}")
    return StoredTensor(storage, offset, shape, steps)


def _rebuild_parameter(tensor: Any, gradient: Any = False, hooks: Any = None) -> StoredTensor:
    if not isinstance(tensor, StoredTensor):
        raise ValueError(f"a parameter of {shown(tensor)}")
    return tensor


def _ordered(items: Any = ()) -> dict:
    pairs = list(items) if isinstance(items, list | tuple) else None
    if pairs is None or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise ValueError("an OrderedDict of other than pairs")
    return _checked({}, [part for pair in pairs for part in pair])


def _checked(target: Any, items: list[Any]) -> dict:
    if not isinstance(target, dict) or len(items) % 2:
        raise ValueError(f"items are set in {shown(target)}")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str | int):
            raise ValueError(f"a key that is {shown(key)}")
        target[key] = value
    return target


class _TorchMachine(PickleMachine):
    hostile = HOSTILE
    names: ClassVar = {
        ("collections", "OrderedDict"): Name(_ordered),
        ("torch._utils", "_rebuild_tensor_v2"): Name(_rebuild_tensor),
        ("torch._utils", "_rebuild_parameter"): Name(_rebuild_parameter),
        **{("torch", name): StorageKind(dtype) for name, dtype in STORAGES.items()},
    }

    def reduce(self) -> None:
        arguments = self.stack.pop()
        name = self.stack[-1]
        if not isinstance(name, Name) or name.call is None or not isinstance(arguments, tuple):
            raise ForbiddenPickle(f"a call of {described(name)}; {self.hostile}")
        self.stack[-1] = name.call(*arguments)

    def build(self) -> None:
        """Take the state of an OrderedDict, which holds versions of modules, and drop it."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], dict) or not isinstance(state, dict):
            raise ForbiddenPickle(f"setting the state of {described(self.stack[-1])}; {HOSTILE}")

    def storage(self) -> None:
        said = self.stack.pop()
        is_tuple = isinstance(said, tuple) and len(said) == 5 and said[0] == "storage"
        kind, key, count = (said[1], said[2], said[4]) if is_tuple else (None, None, None)
        is_key = isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) < 20
        if not isinstance(kind, StorageKind) or not is_key or type(count) is not int or count < 0:
            raise ForbiddenPickle(f"a persistent object that is no storage; {self.hostile}")
        self.stack.append(Storage(kind.dtype, key, count))

    def set_items(self) -> None:
        items = self.since_mark()
        _checked(self.stack[-1], items)

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _checked(self.stack[-1], [key, value])

    def push(self, value: Any) -> None:
        self.stack.append(value)


_BY_NAME: dict[str, Callable[[Any], Any]] = {
    "EMPTY_DICT": lambda machine: machine.push({}),
    "DICT": lambda machine: machine.push(_checked({}, machine.since_mark())),
    "SETITEM": _TorchMachine.set_item,
    "SETITEMS": _TorchMachine.set_items,
    "BINPERSID": _TorchMachine.storage,
    "BINFLOAT": lambda machine: machine.push(machine.number(">d")),
}
_TorchMachine.opcodes = PickleMachine.opcodes | by_code(_BY_NAME)
