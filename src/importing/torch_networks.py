"""The networks of arcface_torch by the names of their parameters, and the same networks here.

IResNet: conv1, bn1, prelu; in unit U of stage S `layerS.U`: bn1, conv1, bn2, prelu, conv2 of the
stride, bn3, and downsample, a 1x1 convolution and a norm, in a stage's first; bn2, fc of the
flattened (C, H, W), features, a norm.  It is LResNet-IR (unit 3, head E) but for the epsilon of
its norms, 1e-5, and (x - 127.5) / 127.5 before it.
MobileFaceNet: convolution, norm and slope are `layers.0`, `.1` and `.2` of a block; it is y1 with
GDC where its scale is 1.
Source: arcface_torch/backbones/iresnet.py and mobilefacenet.py of insightface, as facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
import functools
import math
import re

import mxnet as mx
import numpy as np

from ..networks.base import NetworkOptions
from ..networks.blocks import add, conv_block, scaled_data
from ..networks.heads import add_head
from ..networks.resnet import BASIC, build_resnet

EPS = 1e-5  # of every norm there
PIXEL_MEAN = PIXEL_SCALE = 127.5
IRESNETS = {
    18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3),
    200: (6, 26, 60, 6),
}  # fmt: skip
MOBILEFACENETS = {"MobileFaceNet": (1, 4, 6, 2), "MobileFaceNet large": (2, 8, 12, 4)}
SCALES = (1, 2, 4)  # widths of MobileFaceNet
REDUCTION = 16  # of the image by an IResNet
NORM = {
    "weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_var",
}  # fmt: skip


@dataclass(frozen=True)
class TorchNetwork:
    """A network there and here.

    names: by its name there, the name of each parameter here.  symbol: of it here, for vectors of
    a length, with the options of this project.  size: (height, width) of its images.
    """

    title: str
    names: dict[str, str]
    build: Callable[[int], mx.sym.Symbol]
    size: tuple[int, int]

    @property
    def is_mobile(self) -> bool:
        return self.title.startswith("MobileFaceNet")


def recognised(shapes: Mapping[str, tuple[int, ...]]) -> TorchNetwork:
    """Return the network that has parameters of these names and shapes there.

    Raises ValueError for another family, or a depth or width that the tables do not have; single
    names and shapes are the caller's to compare.
    """
    if "conv_sep.layers.0.weight" in shapes:
        return _mobilefacenet(shapes)
    if "layer1.0.bn1.weight" in shapes or "layer1.0.conv1.weight" in shapes:
        return _iresnet(shapes)
    some = ", ".join(list(shapes)[:4]) or "none"
    raise ValueError(
        f"its parameters ({some}, ..) are of no network that is known: IResNet of "
        f"{', '.join(map(str, IRESNETS))} layers and MobileFaceNet of arcface_torch are"
    )


def iresnet(units: tuple[int, ...], size: tuple[int, int] = (112, 112)) -> TorchNetwork:
    """Return the entry of an IResNet with so many units in its stages."""
    names = {
        **_pairs("conv1", "conv0"), **_norm("bn1", "bn0"), "prelu.weight": "relu0_gamma"
    }  # fmt: skip
    for stage, count in enumerate(units, start=1):
        for number in range(count):
            there, here = f"layer{stage}.{number}", f"stage{stage}_unit{number + 1}"
            names |= _norm(f"{there}.bn1", f"{here}_bn1")
            names |= _pairs(f"{there}.conv1", f"{here}_conv1")
            names |= _norm(f"{there}.bn2", f"{here}_bn2")
            names |= {f"{there}.prelu.weight": f"{here}_relu1_gamma"}
            names |= _pairs(f"{there}.conv2", f"{here}_conv2")
            names |= _norm(f"{there}.bn3", f"{here}_bn3")
            if number == 0:
                names |= _pairs(f"{there}.downsample.0", f"{here}_conv1sc")
                names |= _norm(f"{there}.downsample.1", f"{here}_sc")
    names |= _norm("bn2", "bn1")
    names |= {"fc.weight": "pre_fc1_weight", "fc.bias": "pre_fc1_bias"}
    names |= _norm("features", "fc1")
    depths = {units: depth for depth, units in IRESNETS.items()}

    def build(emb_size: int) -> mx.sym.Symbol:
        return build_resnet(units, BASIC, NetworkOptions(emb_size=emb_size))

    return TorchNetwork(f"IResNet{depths.get(units, f' of {units}')}", names, build, size)


def mobilefacenet(blocks: tuple[int, ...], scale: int) -> TorchNetwork:
    """Return the entry of a MobileFaceNet with so many blocks, of so many times 64 channels."""
    names = _block("layers.0", "conv_1")
    if blocks[0] == 1:
        names |= _block("layers.1", "conv_2_dw")
    else:
        names |= _residuals("layers.1", "res_2", blocks[0])
    for place, number in ((2, 23), (4, 34), (6, 45)):
        names |= _inverted(f"layers.{place}", f"dconv_{number}")
        names |= _residuals(f"layers.{place + 1}", f"res_{number // 10 + 1}", blocks[place // 2])
    names |= _block("conv_sep", "conv_6sep")
    names |= _block("features.layers.0", "conv_6dw7_7", has_slope=False)
    names |= {"features.layers.2.weight": "pre_fc1_weight"} | _norm("features.layers.3", "fc1")
    title = {counts: name for name, counts in MOBILEFACENETS.items()}.get(blocks, "MobileFaceNet")
    return TorchNetwork(
        f"{title} of scale {scale}", names,
        functools.partial(_built_mobilefacenet, blocks, scale), (112, 112),
    )  # fmt: skip


def _iresnet(shapes: Mapping[str, tuple[int, ...]]) -> TorchNetwork:
    units = tuple(_count(shapes, rf"layer{stage}\.(\d+)\..*") for stage in (1, 2, 3, 4))
    if units not in IRESNETS.values():
        known = ", ".join(f"{depth}: {counts}" for depth, counts in IRESNETS.items())
        raise ValueError(f"an IResNet of {units} units in its stages; known are {known}")
    width = shapes.get("fc.weight", (0, 0))[-1:]
    side = math.isqrt(width[0] // BASIC[-1]) if width else 0
    if not side or (BASIC[-1] * side * side,) != width:
        raise ValueError(f"fc.weight is {shapes.get('fc.weight', 'missing')}; wanted is (D, 25088)")
    return iresnet(units, (side * REDUCTION, side * REDUCTION))


def _mobilefacenet(shapes: Mapping[str, tuple[int, ...]]) -> TorchNetwork:
    is_block = "layers.1.layers.0.weight" in shapes
    first = 1 if is_block else _count(shapes, r"layers\.1\.layers\.(\d+)\..*")
    blocks = (first, *(_count(shapes, rf"layers\.{k}\.layers\.(\d+)\..*") for k in (3, 5, 7)))
    scale, rest = divmod((shapes.get("layers.0.layers.0.weight") or (0,))[0], 64)
    if blocks not in MOBILEFACENETS.values() or scale not in SCALES or rest:
        known = ", ".join(map(str, MOBILEFACENETS.values()))
        raise ValueError(
            f"a MobileFaceNet of {blocks} blocks, {scale} x 64 + {rest} channels; known are "
            f"{known} with {', '.join(map(str, SCALES))} x 64"
        )
    return mobilefacenet(blocks, scale)


def _count(names: Iterable[str], pattern: str) -> int:
    found = {int(match[1]) for name in names if (match := re.fullmatch(pattern, name[:200]))}
    return max(found) + 1 if found else 0


def _pairs(there: str, here: str) -> dict[str, str]:
    return {f"{there}.weight": f"{here}_weight"}


def _norm(there: str, here: str) -> dict[str, str]:
    return {f"{there}.{role}": f"{here}_{ours}" for role, ours in NORM.items()}


def _block(there: str, here: str, *, has_slope: bool = True) -> dict[str, str]:
    slope = {f"{there}.layers.2.weight": f"{here}_relu_gamma"} if has_slope else {}
    return {
        f"{there}.layers.0.weight": f"{here}_conv2d_weight",
        **_norm(f"{there}.layers.1", f"{here}_batchnorm"),
        **slope,
    }


def _inverted(there: str, here: str) -> dict[str, str]:
    return (
        _block(f"{there}.layers.0", f"{here}_conv_sep")
        | _block(f"{there}.layers.1", f"{here}_conv_dw")
        | _block(f"{there}.layers.2", f"{here}_conv_proj", has_slope=False)
    )


def _residuals(there: str, here: str, count: int) -> dict[str, str]:
    names: dict[str, str] = {}
    for number in range(count):
        names |= _inverted(f"{there}.layers.{number}", f"{here}_block{number}")
    return names


def _built_mobilefacenet(blocks: tuple[int, ...], scale: int, emb_size: int) -> mx.sym.Symbol:
    """Return the symbol; there only what a block passes on is scaled, not what it expands to."""
    square = {"kernel": (3, 3), "pad": (1, 1)}

    def inverted(data, name, expanded, filters, stride):
        body = conv_block(data, f"{name}_conv_sep", expanded)
        body = conv_block(
            body, f"{name}_conv_dw", expanded, stride=(stride, stride), num_group=expanded, **square
        )
        return conv_block(body, f"{name}_conv_proj", filters, act=None)

    def residuals(data, name, count, expanded, filters):
        for number in range(count):
            block = f"{name}_block{number}"
            data = add(inverted(data, block, expanded, filters, 1), data, f"{block}_plus")
        return data

    narrow, wide = 64 * scale, 128 * scale
    body = conv_block(scaled_data(), "conv_1", narrow, stride=(2, 2), **square)
    if blocks[0] == 1:
        body = conv_block(body, "conv_2_dw", narrow, num_group=64, **square)
    else:
        body = residuals(body, "res_2", blocks[0], 128, narrow)
    body = residuals(inverted(body, "dconv_23", 128, narrow, 2), "res_3", blocks[1], 128, narrow)
    body = residuals(inverted(body, "dconv_34", 256, wide, 2), "res_4", blocks[2], 256, wide)
    body = residuals(inverted(body, "dconv_45", 512, wide, 2), "res_5", blocks[3], 256, wide)
    body = conv_block(body, "conv_6sep", 512)
    return add_head(body, NetworkOptions(emb_size=emb_size, output="GDC"), 512)


def as_floats(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return arrays in float32.  Raises ValueError for one that is no float."""
    strangers = [name for name, array in arrays.items() if array.dtype.kind != "f"]
    if strangers:
        kind = arrays[strangers[0]].dtype.name
        raise ValueError(f"parameter {strangers[0]} is {kind}; a network's are floats")
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
