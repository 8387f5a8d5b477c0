"""An ONNX file as an embedder runs it: our own export, or a network of others as it is declared."""

from __future__ import annotations

from dataclasses import replace
import logging
from typing import Any

import numpy as np

from ..align.template import SIZES, template
from ..engines.choice import Engine
from ..engines.graph_input import RAW, layout_of, own_scaling, size_of
from ..engines.model_input import ARCFACE, OUR_INPUT, UNDECLARED, Declaration, fed
from ..engines.onnx_file import drop_unread_inputs, parse_onnx
from ..engines.parity import Parity
from ..engines.session import Session
from ..limits import shown

logger = logging.getLogger(__name__)

# What our exports say of themselves (engines/conversion.py); others say nothing of the kind.
OUR_METADATA = {"input_range": "0..255", "color_order": "RGB", "layout": "NCHW"}
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
PROBES = 2
FLAGS = {
    "size": "--image-size H,W", "color": "--input-color rgb|bgr", "mean": "--mean",
    "scale": "--scale", "layout": "--layout nchw|nhwc",
}  # fmt: skip
TEMPLATE_TOLERANCE = 0.01  # pixels


class OnnxFileRunner:
    """Runs the bytes of an ONNX file.

    declared: what a person says of its input; preset: the same of a family (presets.py), which
    gives way to a graph that scales its pixels itself.
    input: what it is fed, and from where that is known.
    Raises ValueError if the file is damaged, is no network of one vector an image, or its input is
    not known.
    """

    def __init__(
        self,
        model: bytes,
        engine: Engine,
        name: str,
        declared: Declaration = UNDECLARED,
        preset: Declaration = UNDECLARED,
    ):
        parsed = parse_onnx(model, name)  # onnxruntime believes what it reads
        if drop_unread_inputs(parsed):
            model = parsed.SerializeToString()
        self._session = Session(model, gpu=engine.devices[0], dtype=engine.dtype, name=name)
        self._name = name
        self._input, shape = _image_input(self._session, name)
        self._type = _input_type(self._session, self._input, name)
        self._output = _output(self._session, declared.output or preset.output, name)
        said = self._session.metadata
        self.is_ours = all(said.get(key) == value for key, value in OUR_METADATA.items())
        if self.is_ours:
            self.input = _our_input(said, declared, shape, name)
        else:
            scaling = own_scaling(parsed, self._input)
            self.input = _foreign_input(declared, preset, shape, scaling, name)
        if self._type is np.uint8 and (self.input.mean, self.input.scale) != ((0.0,), (1.0,)):
            raise ValueError(f"{name}: takes whole numbers, uint8; give --mean 0 --scale 1")
        self._fixed = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else 0
        self._single: Session | None = None  # what another engine or dtype is held against, once
        if engine.dtype != "float32":
            self._single = Session(model, gpu=engine.devices[0], name=name)
        if not self.is_ours:
            logger.info("%s: fed %s", name, self.input.describe())
            self._probe(model)

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Return embeddings float32 (n, D) of float32 RGB (n, 3, H, W), 0..255."""
        if batch.shape[2:] != self.input.size:
            height, width = self.input.size
            raise ValueError(
                f"images are {batch.shape[2]}x{batch.shape[3]} (height x width); {self._name} "
                f"takes {height}x{width}"
            )
        found = self._run(self._session, batch)
        if self._single is not None:
            parity = Parity.of([self._run(self._single, batch)], [found])
            logger.warning("%s in bfloat16 against float32: %s", self._name, parity)
            self._single = None
        return found

    def _run(self, session: Session, batch: np.ndarray) -> np.ndarray:
        pixels = fed(batch, self.input).astype(self._type, copy=False)
        if not self._fixed:
            return self._vectors(session.run({self._input: pixels}), len(batch))
        rows = []
        for start in range(0, len(pixels), self._fixed):
            part = pixels[start : start + self._fixed]
            missing = self._fixed - len(part)
            if missing:
                part = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
            found = self._vectors(session.run({self._input: part}), len(part))
            rows.append(found[: len(part) - missing])
        return np.concatenate(rows)

    def _vectors(self, outputs: list[np.ndarray], count: int) -> np.ndarray:
        """Return the embeddings (count, D).  Raises ValueError for an output that is none."""
        found = outputs[self._session.outputs.index(self._output)]
        vectors = found.reshape(found.shape[:2]) if found.shape[2:] == (1, 1) else found
        if vectors.ndim != 2 or len(vectors) != count or vectors.shape[1] < 2:
            others = [name for name in self._session.outputs if name != self._output]
            more = f"; other outputs are {_names(others)} (--output)" if others else ""
            raise ValueError(
                f"{self._name}: output {shown(self._output)} is {found.shape} for {count} images; "
                f"wanted is one vector an image, (N, D): is it a detector, or cut off before its "
                f"embedding?{more}"
            )
        return vectors.astype(np.float32, copy=False)

    def _probe(self, model: bytes) -> None:
        """Embed noise: is it one vector an image, and what onnxruntime's own kernels give?

        A network that is written for any number of images, but holds one number inside, is run
        image by image.
        """
        shape = (PROBES, 3, *self.input.size)
        noise = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
        try:
            found = self._run(self._session, noise)
        except ValueError as error:
            if self._fixed:
                raise
            self._fixed = 1
            try:
                found = self._run(self._session, noise)
            except ValueError:
                raise error from None
            logger.warning("%s: takes one image at a time, whatever it says", self._name)
        if not np.isfinite(found).all():
            raise ValueError(f"{self._name}: gives NaN or infinity for noise: it is damaged")
        if self._session.is_plain or self._single is not None:
            return
        plain = Session(model, name=self._name, plain=True)
        parity = Parity.of([self._run(plain, noise)], [found])
        if not parity.is_faithful:
            logger.warning(
                "%s: %s and onnxruntime's CPU provider disagree, %s; the CPU provider runs it",
                self._name, self._session.provider, parity,
            )  # fmt: skip
            self._session = plain


def _image_input(session: Session, name: str) -> tuple[str, tuple[Any, ...]]:
    inputs = list(session.inputs.items())
    if len(inputs) != 1 or len(inputs[0][1]) != 4:
        shapes = ", ".join(f"{shown(one)} {shape}" for one, shape in inputs[:5])
        raise ValueError(
            f"{name}: takes {shapes}; wanted is one batch of images, (N, 3, H, W) or (N, H, W, 3)"
        )
    return inputs[0]


def _input_type(session: Session, input_name: str, name: str) -> type:
    said = session.input_types[input_name]
    if said not in TYPES:
        raise ValueError(f"{name}: takes {said}; known are {', '.join(TYPES)}")
    return TYPES[said]


def _our_input(said: Any, declared: Declaration, shape: tuple[Any, ...], name: str) -> Declaration:
    """Return the input of an export of ours, which says all of it."""
    size = size_of(shape, "nchw")
    known = replace(OUR_INPUT, size=size)
    wrong = [
        field for field in ("size", "color", "mean", "scale", "layout", "template")
        if getattr(declared, field) not in (None, getattr(known, field))
    ]  # fmt: skip
    if wrong:
        raise ValueError(
            f"{name}: says itself that it is fed {known.describe()}; leave {', '.join(wrong)} out, "
            "or give it to the other model alone: FILE.onnx@NAME=VALUE"
        )
    if size in SIZES and "template" in said:
        _check_template(said["template"], size, name)
    return known


def _check_template(text: str, size: tuple[int, int], name: str) -> None:
    """Refuse a network whose file says that its crops are aligned to other points than ours."""
    try:
        points = np.array([[float(v) for v in point.split(",")] for point in text.split(";")])
        is_ours = points.shape == (5, 2) and np.abs(points - template(size)).max() < (
            TEMPLATE_TOLERANCE
        )
    except ValueError:
        is_ours = False
    if not is_ours:
        raise ValueError(
            f"{name}: wants crops aligned to other points than those of {size[0]},{size[1]} here: "
            f"{shown(text)}"
        )


def _foreign_input(
    declared: Declaration,
    preset: Declaration,
    shape: tuple[Any, ...],
    scaling: str,
    name: str,
) -> Declaration:
    """Return the input of a network of others.  Raises ValueError naming what is not known."""
    if scaling:
        if declared.mean is None and declared.scale is None:
            logger.info("%s: scales its pixels itself, so it is fed raw ones: %s", name, scaling)
            preset = RAW.over(preset)
        elif (declared.mean, declared.scale) != (RAW.mean, RAW.scale):
            logger.warning(
                "%s: is fed scaled pixels, as declared, but scales them itself: %s", name, scaling
            )
    known = declared.over(preset)
    told = layout_of(shape)
    if known.layout and told and known.layout != told:
        raise ValueError(f"{name}: takes {shape}, which is {told}, not {known.layout}")
    known = replace(known, layout=known.layout or told)
    size = size_of(shape, known.layout) if known.layout else None
    if known.size and size and known.size != size:
        raise ValueError(
            f"{name}: takes images of {size[0]}x{size[1]} (height x width), not the "
            f"{known.size[0]}x{known.size[1]} that are declared"
        )
    known = replace(known, size=known.size or size)
    if known.missing:
        flags = ", ".join(FLAGS[field] for field in known.missing)
        raise ValueError(
            f"{name}: an ONNX file of others, which does not say what it is fed: give --preset, or "
            f"{flags} (takes {shape}; pixels x, 0..255, are fed as (x - mean) / scale)"
        )
    for field in ("mean", "scale"):
        if len(getattr(known, field)) not in (1, 3):
            raise ValueError(f"{name}: {field} {getattr(known, field)}: give one number or three")
    return replace(known, template=known.template or ARCFACE)


def _output(session: Session, wanted: str | None, name: str) -> str:
    outputs = session.output_shapes
    if wanted is not None and wanted not in outputs:
        raise ValueError(f"{name}: no output {wanted!r}; it has {_names(outputs)}")
    if wanted is None and len(outputs) > 1:
        shapes = ", ".join(f"{shown(one)} {shape}" for one, shape in list(outputs.items())[:10])
        raise ValueError(
            f"{name}: has {len(outputs)} outputs, {shapes}: name the embedding with --output NAME "
            "(a detector has none)"
        )
    return wanted or next(iter(outputs))


def _names(names: Any) -> str:
    return ", ".join(shown(name) for name in list(names)[:10])
