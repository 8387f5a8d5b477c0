"""The operators with parameters, and what stands between them: MXNet's, in torch's kernels."""

from __future__ import annotations

import torch
from torch import Tensor
import torch.nn.functional as F

from ..checkpoints.options import Options
from .table import Computed, Mode, operator

CHANNELS_FIRST = (None, "None", "NCW", "NCHW", "NCDHW")
CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def window(options: Options) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return kernel, stride and padding, one number per axis of the image."""
    kernel = options.integers("kernel")
    strides = options.integers("stride", ()) or (1,) * len(kernel)
    pads = options.integers("pad", ()) or (0,) * len(kernel)
    if len({len(kernel), len(strides), len(pads)}) > 1 or not 1 <= len(kernel) <= 3:
        raise options.refusal(f"kernel {kernel}, stride {strides}, padding {pads}")
    return kernel, strides, pads


def check_layout(options: Options) -> None:
    if options.word("layout", None) not in CHANNELS_FIRST:
        raise options.refusal("a layout that has the channels last")


def check_bias(options: Options) -> None:
    if options.flag("no_bias", False) != (options.num_inputs == 2):
        raise options.refusal("a bias where the option no_bias says the opposite")


def check_rank(data: Tensor, kernel: tuple[int, ...]) -> None:
    """torch takes an image without a batch too, MXNet does not."""
    if data.ndim != len(kernel) + 2:
        raise ValueError(f"a kernel {kernel} over {data.ndim} axes")


@operator("Convolution", inputs=(2, 3))
def convolution(options: Options, mode: Mode):
    kernel, strides, pads = window(options)
    dilations = options.integers("dilate", ()) or (1,) * len(kernel)
    groups, filters = options.integer("num_group", 1), options.integer("num_filter")
    check_layout(options)
    check_bias(options)
    convolve, dtype = CONVOLUTIONS[len(kernel)], mode.dtype

    def call(data: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if weight.shape[0] != filters or weight.shape[2:] != kernel:
            raise ValueError(f"weight {tuple(weight.shape)} is not of {filters} filters {kernel}")
        check_rank(data, kernel)
        if dtype:
            data, weight = data.to(dtype), weight.to(dtype)
            bias = bias if bias is None else bias.to(dtype)
        return convolve(data, weight, bias, strides, pads, dilations, groups)

    return call


@operator("FullyConnected", inputs=(2, 3))
def fully_connected(options: Options, mode: Mode):
    hidden, is_flat = options.integer("num_hidden"), options.flag("flatten", True)
    check_bias(options)
    dtype = mode.dtype

    def call(data: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if weight.shape[0] != hidden:
            raise ValueError(f"weight {tuple(weight.shape)} is not of {hidden} outputs")
        if bias is not None and bias.shape != (hidden,):
            raise ValueError(f"bias {tuple(bias.shape)} is not of {hidden} outputs")
        if is_flat and data.ndim != 2:
            data = data.flatten(1)
        if dtype:
            data, weight = data.to(dtype), weight.to(dtype)
            bias = bias if bias is None else bias.to(dtype)
        return F.linear(data, weight, bias)

    return call


@operator("BatchNorm", inputs=5)
def batch_norm(options: Options, mode: Mode) -> Computed:
    """fix_gamma takes gamma as 1.  The running variance is that of the batch, biased."""
    eps, momentum = options.number("eps", 1e-3), options.number("momentum", 0.9)
    is_fixed = options.flag("fix_gamma", True)
    is_frozen = options.flag("use_global_stats", False)
    if options.integer("axis", 1) != 1:
        raise options.refusal("batch normalisation over another axis than the channels'")
    if options.flag("output_mean_var", False):
        raise options.refusal("batch normalisation that also gives mean and variance")
    options.ignore("min_calib_range", "max_calib_range")
    normalise, cudnn = torch.batch_norm, torch.backends.cudnn.enabled

    def by_running(data: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        if is_fixed:
            gamma = torch.ones_like(gamma)
        return normalise(data, gamma, beta, mean, var, False, 0.0, eps, cudnn)

    def by_batch(data: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor):
        if is_fixed:
            gamma = torch.ones_like(gamma)
        # torch leaves mean and unbiased variance of the batch where a momentum of 1 puts them.
        found = torch.zeros((2, mean.shape[0]), dtype=mean.dtype, device=mean.device)
        out = normalise(data, gamma, beta, found[0], found[1], True, 1.0, eps, cudnn)
        count = data.numel() // data.shape[1]
        if count == 1:  # 0 / 0
            return out, found[0], torch.zeros_like(var)
        return out, found[0], found[1] * ((count - 1) / count)

    ones = (1,) if is_fixed else ()
    if is_frozen or not mode.training:
        return Computed(by_running, sets_one=ones)
    return Computed(by_batch, advances=((3, 1, momentum), (4, 2, momentum)), sets_one=ones)


ACTIVATIONS = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softrelu": F.softplus,
    "softsign": F.softsign,
}


@operator("Activation")
def activation(options: Options, mode: Mode):
    kind = options.word("act_type")
    if kind not in ACTIVATIONS:
        raise options.refusal(f"act_type {kind}")
    return ACTIVATIONS[kind]


@operator("LeakyReLU", inputs=(1, 2))
def leaky_relu(options: Options, mode: Mode):
    kind, slope = options.word("act_type", "leaky"), options.number("slope", 0.25)
    lower, upper = options.number("lower_bound", 0.125), options.number("upper_bound", 0.334)

    def prelu(data: Tensor, slopes: Tensor) -> Tensor:
        return F.prelu(data, slopes.to(data.dtype).reshape(-1))

    def rrelu(data: Tensor) -> Tensor:
        return F.rrelu(data, lower, upper, mode.training)

    kinds = {
        "prelu": prelu,
        "rrelu": rrelu,
        "leaky": lambda data: F.leaky_relu(data, slope),
        "elu": lambda data: F.elu(data, slope),
        "gelu": F.gelu,
    }
    if kind not in kinds:
        raise options.refusal(f"act_type {kind}")
    return kinds[kind]


@operator("Pooling")
def pooling(options: Options, mode: Mode):
    kind = options.word("pool_type", "max")
    convention = options.word("pooling_convention", "valid")
    counted = options.flag("count_include_pad", True)
    check_layout(options)
    if kind not in ("max", "avg", "sum"):
        raise options.refusal(f"pool_type {kind}")
    if options.flag("global_pool", False):
        options.ignore("kernel", "stride", "pad", "pooling_convention", "p_value")
        return _global_pooling(kind)
    options.ignore("p_value")  # of pool_type lp
    kernel, strides, pads = window(options)
    if len(kernel) != 2:
        raise options.refusal(f"pooling over {len(kernel)} axes")
    if convention not in ("valid", "full"):
        raise options.refusal(f"pooling_convention {convention}")
    if any(2 * pad > size for pad, size in zip(pads, kernel, strict=True)):
        raise options.refusal(f"padding {pads} of kernel {kernel}")
    is_ceil = convention == "full"

    def check(data: Tensor, pooled: Tensor) -> Tensor:
        """A last window that begins behind the image is MXNet's alone."""
        for axis, (size, stride, pad) in enumerate(zip(kernel, strides, pads, strict=True), 2):
            room = data.shape[axis] + 2 * pad - size
            if room < 0 or pooled.shape[axis] != 1 + -(-room // stride):
                raise ValueError(f"pooling_convention full of {tuple(data.shape)}")
        return pooled

    def largest(data: Tensor) -> Tensor:
        check_rank(data, kernel)
        pooled = F.max_pool2d(data, kernel, strides, pads, ceil_mode=is_ceil)
        return check(data, pooled) if is_ceil else pooled

    def average(data: Tensor) -> Tensor:
        check_rank(data, kernel)
        pooled = F.avg_pool2d(data, kernel, strides, pads, is_ceil, counted)
        return check(data, pooled) if is_ceil else pooled

    def total(data: Tensor) -> Tensor:
        check_rank(data, kernel)
        pooled = F.avg_pool2d(data, kernel, strides, pads, is_ceil, True, 1)
        return check(data, pooled) if is_ceil else pooled

    return {"max": largest, "avg": average, "sum": total}[kind]


def _global_pooling(kind: str):
    def largest(data: Tensor) -> Tensor:
        flat = data.flatten(2)
        pooled = F.max_pool1d(flat, flat.shape[2])
        return pooled.reshape(*data.shape[:2], *[1] * (data.ndim - 2))

    def average(data: Tensor) -> Tensor:
        return data.mean(dim=tuple(range(2, data.ndim)), keepdim=True)

    def total(data: Tensor) -> Tensor:
        return data.sum(dim=tuple(range(2, data.ndim)), keepdim=True)

    return {"max": largest, "avg": average, "sum": total}[kind]


@operator("Dropout")
def dropout(options: Options, mode: Mode):
    """Kept values are divided by 1 - p.  axes: those along which all share one draw."""
    p, axes = options.number("p", 0.5), options.integers("axes", ())
    is_on = mode.training or options.word("mode", "training") == "always"
    options.ignore("cudnn_off")
    if not is_on or p == 0:
        return lambda data: data
    if not axes:
        return lambda data: F.dropout(data, p)

    def shared(data: Tensor) -> Tensor:
        shape = [1 if axis in axes else size for axis, size in enumerate(data.shape)]
        return data * F.dropout(data.new_ones(shape), p)

    return shared


@operator("L2Normalization")
def l2_normalization(options: Options, mode: Mode):
    kind, eps = options.word("mode", "instance"), options.number("eps", 1e-10)
    first = {"instance": 1, "channel": 1, "spatial": 2}
    if kind not in first:
        raise options.refusal(f"mode {kind}")

    def call(data: Tensor) -> Tensor:
        if data.ndim < (2 if kind == "instance" else 3):
            raise ValueError(f"mode {kind} of {data.ndim} axes")
        axes = (1,) if kind == "channel" else tuple(range(first[kind], data.ndim))
        return data / torch.sqrt((data * data).sum(dim=axes, keepdim=True) + eps)

    return call
