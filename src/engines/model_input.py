"""What an ONNX network wants for its images, as a person declares it or a file says it.

A network of others is fed (x - mean) / scale, where x is a crop's pixel, 0..255.  How it was
trained decides colour, mean, scale and alignment; with others its embeddings are wrong, and
nothing in the file says so.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ..cli import parse_size
from ..limits import shown
from ..text import finite_number

COLORS = ("rgb", "bgr")
LAYOUTS = ("nchw", "nhwc")
ARCFACE = "arcface"  # the five points of align/template.py
BOX = "box"  # the detector's box scaled, no landmarks, as facenet's
TEMPLATES = (ARCFACE, BOX)
CHANNELS = 3
# What first layers make of 0..255 when that is certainly what they take.
LARGEST_VALUE, LEAST_SPAN, MOST_SPAN = 6.0, 0.5, 8.0


@dataclass(frozen=True)
class Declaration:
    """What is known of an input; None is not known.

    size: (height, width) in pixels.  color: order of the channels, "rgb" or "bgr".  mean, scale:
    of 0..255 pixels, a number for each channel in that order.  layout: "nchw" or "nhwc".
    output: name of the output that is the embedding.  template: how crops are aligned.
    Raises ValueError for values that are none of these.
    """

    size: tuple[int, int] | None = None
    color: str | None = None
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    layout: str | None = None
    output: str | None = None
    template: str | None = None

    def __post_init__(self) -> None:
        for name, known in (("color", COLORS), ("layout", LAYOUTS), ("template", TEMPLATES)):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise ValueError(f"{name} {value!r}: known are {', '.join(known)}")
        if self.scale is not None and 0 in self.scale:
            raise ValueError("scale 0: pixels are divided by it; 1 changes nothing")

    def over(self, other: Declaration) -> Declaration:
        """Return what both say; where they differ, what this one says."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(other, **{name: v for name, v in given.items() if v is not None})

    @property
    def missing(self) -> list[str]:
        """Return the names of what an input cannot do without and is not known."""
        needed = ("size", "color", "mean", "scale", "layout")
        return [name for name in needed if getattr(self, name) is None]

    def describe(self) -> str:
        """Return it in words, for messages and as a part of what cached embeddings are of."""
        words = [f"{self.size[0]},{self.size[1]}" if self.size else "", self.color, self.layout]
        for name in ("mean", "scale"):
            values = getattr(self, name)
            words.append(f"{name} {shown_numbers(values)}" if values else "")
        words.append(f"aligned as {self.template}" if self.template else "")
        words.append(f"output {self.output}" if self.output else "")
        return ", ".join(word for word in words if word)


UNDECLARED = Declaration()
OUR_INPUT = Declaration(color="rgb", mean=(0.0,), scale=(1.0,), layout="nchw", template=ARCFACE)


def fed(batch: np.ndarray, declared: Declaration) -> np.ndarray:
    """Return what the network is fed of float32 RGB (n, 3, H, W), 0..255, contiguous."""
    if declared.color == "bgr":
        batch = batch[:, ::-1]
    mean, scale = (np.asarray(part, np.float32) for part in (declared.mean, declared.scale))
    if mean.any() or (scale != 1).any():
        made = np.subtract(batch, mean.reshape(1, -1, 1, 1), out=np.empty(batch.shape, np.float32))
        batch = np.divide(made, scale.reshape(1, -1, 1, 1), out=made)
    if declared.layout == "nhwc":
        batch = batch.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(batch)


def takes_raw_pixels(ends: np.ndarray) -> bool:
    """Return whether layers certainly take pixels of 0..255.

    ends: (2, C), what they make of 0 and of 255 in each channel.
    """
    span = np.abs(ends[1] - ends[0])
    is_near = bool(np.abs(ends).max() <= LARGEST_VALUE)
    return is_near and float(span.min()) >= LEAST_SPAN and float(span.max()) <= MOST_SPAN


def norm_takes_raw_pixels(mean: np.ndarray, var: np.ndarray) -> bool:
    """Return whether a norm with these statistics certainly stands on pixels of 0..255."""
    deviation = np.sqrt(np.maximum(var, 0))
    return bool(((mean > 40) & (mean < 210)).all() and ((deviation > 20) & (deviation < 110)).all())


READERS = {
    "size": lambda text: parse_size(text.replace("x", ",")),
    "mean": lambda text: numbers(text, "mean"),
    "scale": lambda text: numbers(text, "scale"),
}


def declaration_of(options: dict[str, str], source: str) -> Declaration:
    """Return the declaration of texts by name.  source: where they stand, for messages.

    Raises ValueError for a name or a value that is none.
    """
    known = [field.name for field in fields(Declaration)]
    values: dict[str, Any] = {}
    for name, text in options.items():
        if name not in known:
            raise ValueError(f"{source}: unknown option {name!r}; known: {', '.join(known)}")
        values[name] = READERS.get(name, str)(text)
    try:
        return Declaration(**values)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def numbers(text: str, name: str) -> tuple[float, ...]:
    """Return one number, or one for each channel: "127.5", "123.7,116.3,103.5"."""
    try:
        values = tuple(finite_number(part.strip()) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (1, CHANNELS):
        raise ValueError(
            f"{name} {shown(text)}: give one number, or three, one for each channel, with commas, "
            "in units of raw pixels"
        )
    return values


def shown_numbers(values: tuple[float, ...]) -> str:
    """Return numbers as a command line takes them."""
    return ",".join(f"{value:g}" for value in values)
