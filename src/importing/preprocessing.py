"""From raw RGB, 0..255, to what a foreign network is fed: in its symbol, exactly.

Networks are fed (x - mean) / scale, RGB or BGR.  Where that is said, it becomes the first layers
of the symbol.  Where a network does it itself, its first layers bring 0..255 to about -1..1: that
is seen, and needs no saying; anything else has to be said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..engines.model_input import CHANNELS, Declaration, fed
from .onnx_node import OnnxNode
from .symbol_writer import Affine, Entry, SymbolWriter, Tensor

if TYPE_CHECKING:
    from .importer import Importer


@dataclass(frozen=True)
class Preprocessing:
    """What a network is fed: (x - mean) / scale of crops of a size.

    color: the order of its channels, "rgb" or "bgr".  mean, scale: numbers of raw pixels, one or
    three in the network's order; None: its own first layers do it.  size: (height, width), None
    as the file says.
    """

    color: str
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        Declaration(color=self.color, mean=self.mean, scale=self.scale)  # refuses what is none

    @property
    def is_declared(self) -> bool:
        return self.mean is not None or self.scale is not None

    def means(self) -> tuple[float, ...]:
        return self.mean or (0.0,)

    def scales(self) -> tuple[float, ...]:
        return self.scale or (1.0,)

    def apply(self, rgb_nchw: np.ndarray) -> np.ndarray:
        """Return what the network is fed for raw images (N, 3, H, W), float32."""
        declared = Declaration(
            color=self.color, mean=self.means(), scale=self.scales(), layout="nchw"
        )
        return fed(rgb_nchw.astype(np.float32), declared)


def entered(writer: SymbolWriter, wanted: Preprocessing) -> Entry:
    """Write the layers before the network's first, and return what it is fed."""
    entry = writer.data
    if wanted.color == "bgr":
        channels = _channels(writer, entry, "data_rgb")
        entry = _joined(writer, channels[::-1], "data_bgr")
    for numbers, operator, neutral in (
        (wanted.means(), "_minus_scalar", 0.0),
        (wanted.scales(), "_div_scalar", 1.0),
    ):
        if set(numbers) != {neutral}:
            entry = _by_channel(writer, entry, operator, numbers, f"data{operator[:-7]}")
    return entry


def _by_channel(
    writer: SymbolWriter, entry: Entry, operator: str, numbers: tuple[float, ...], name: str
) -> Entry:
    if len(set(numbers)) == 1:
        return writer.add(operator, name, [entry], scalar=numbers[0])
    parts = [
        writer.add(operator, name, [part], scalar=number)
        for part, number in zip(_channels(writer, entry, f"{name}_in"), numbers, strict=True)
    ]
    return _joined(writer, parts, f"{name}_out")


def _channels(writer: SymbolWriter, entry: Entry, name: str) -> list[Entry]:
    made = writer.add("SliceChannel", name, [entry], num_outputs=CHANNELS, axis=1)
    return [made._replace(output=number) for number in range(CHANNELS)]


def _joined(writer: SymbolWriter, parts: list[Entry], name: str) -> Entry:
    return writer.add("Concat", name, parts, dim=1, num_args=len(parts))


def changed_pixels(
    importer: Importer, node: OnnxNode, data: Tensor, value: np.ndarray, operator: str, first: bool
) -> Tensor:
    """Write arithmetic of the image with a stored number, or with one for each channel."""
    numbers = tuple(float(str(np.float32(number))) for number in value.reshape(-1))
    by_channel = (1,) * (4 - value.ndim) + value.shape
    axis = data.shape.index(CHANNELS, 1) if CHANNELS in data.shape[1:] else 1
    wanted = tuple(CHANNELS if k == axis else 1 for k in range(4))
    if not operator or (len(numbers) > 1 and (by_channel != wanted or axis != 1)):
        raise node.refusal(f"arithmetic of the image with numbers of shape {value.shape}")
    entry = _by_channel(importer.writer, data.entry, operator, numbers, node.layer)
    before, number = data.pixels, np.array(numbers)
    with np.errstate(all="ignore"):
        after = {
            "_plus_scalar": lambda: Affine(before.factor, before.shift + number),
            "_minus_scalar": lambda: Affine(before.factor, before.shift - number),
            "_rminus_scalar": lambda: Affine(-before.factor, number - before.shift),
            "_mul_scalar": lambda: Affine(before.factor * number, before.shift * number),
            "_div_scalar": lambda: Affine(before.factor / number, before.shift / number),
        }.get(operator, lambda: None)()
    return importer.computed(node, entry, pixels=after)


def ends_of(pixels: Affine) -> np.ndarray:
    """Return what 0 and 255 become, (2, C)."""
    return np.stack(np.broadcast_arrays(pixels.shift, pixels.factor * 255 + pixels.shift))
