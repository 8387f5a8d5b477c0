"""Random changes of a training image, in one order, each seeded for itself.

An augmentation is a function change(image, rng, value, *, further options) -> image, registered
under the name of its option in AugmentationConfig and called where that is not 0.  The further
options are the names of its keyword-only parameters.  The order of the fields is the order of the
changes: what is worn on the face; what moves it; what the camera takes from it; and as published
re-compression, colour and cutoff at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
import inspect
from typing import Any
import zlib

import numpy as np

from ..config import AugmentationConfig
from ..flags import flag_of, shown
from .augmentations import AUGMENTATIONS, sharpness, worn  # noqa: F401  (each enters its own)
from .augmentations.colors import JITTER, LUMA, draw_color, jittered
from .augmentations.covering import FILL, blanked, draw_cutoff
from .augmentations.moves import shifted
from .planes import Plain, fastest

__all__ = [
    "AUGMENTATIONS", "FILL", "JITTER", "LUMA", "ORDER", "Augmentation", "blanked", "jittered",
    "ranges_of", "refuse_beyond", "shifted",
]  # fmt: skip

ORDER = tuple(field.name for field in fields(AugmentationConfig) if field.name in AUGMENTATIONS)
# These draw one after the other from an image's generator, as published.  Any other draws from a
# place in the same stream that its name decides, so that it changes nothing of what these and the
# others draw.
IN_TURN = frozenset({"rand_mirror", "rand_shift", "color", "cutoff"})
# Where nothing comes after them, these only draw, and the step that writes the image into its batch
# changes the pixels.
DRAWN = {"color": draw_color, "cutoff": draw_cutoff}
APART = 64  # bits: the places lie multiples of 2 ** APART numbers apart


class Augmentation:
    """The changes that options ask for; without any, none.  Called with RGB uint8 (H, W, 3) and
    a Generator of PCG64 it returns the changed image: uint8, or float32 where colour was changed;
    not clipped to 0..255, as published.

    is_random: whether anything is changed at all.
    """

    def __init__(self, options: AugmentationConfig | None = None):
        chosen = [name for name in (ORDER if options else ()) if getattr(options, name)]
        self.is_random = bool(chosen)
        self._changes = [_Change(name, options) for name in chosen]
        self._has_own_places = any(change.place is not None for change in self._changes)
        last = len(chosen)
        while last and chosen[last - 1] in DRAWN:
            last -= 1
        self._first = self._changes[:last]
        self._drawn = [(DRAWN[name], getattr(options, name)) for name in chosen[last:]]

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        changed = self._changed(image, rng, self._changes)
        return changed.copy() if changed.dtype == np.float32 else changed

    def write(self, image: np.ndarray, rng: np.random.Generator | None, planes: np.ndarray) -> None:
        """Write what a call returns into float32 planes (3, H, W), C order; but for the rounding
        of colours the same.  rng: None where nothing is random.

        Raises ValueError where a change gave an image of another size.
        """
        image, drawn = self._changed(image, rng, self._first), {}
        for draw, value in self._drawn:
            image, more = draw(image, rng, value)
            drawn |= more
        if image.shape != (*planes.shape[1:], 3) or not planes.flags.c_contiguous:
            raise ValueError(
                f"an image of {image.shape} does not go into planes of {planes.shape}: an "
                "augmentation must keep the size"
            )
        way = fastest() if image.dtype == np.uint8 else Plain()
        way.write(image, planes, **drawn)

    def _changed(
        self, image: np.ndarray, rng: np.random.Generator | None, changes: list[_Change]
    ) -> np.ndarray:
        """Return the image after changes.  Where it is float32, the thread's next call may write
        over it."""
        if not self._has_own_places:
            for change in changes:
                image = change(image, rng)
            return image
        generator = rng.bit_generator
        begin = generator.state
        for change in changes:
            if change.place is None:
                image = change(image, rng)
            else:
                in_turn = generator.state
                generator.state = begin
                generator.advance(change.place)
                image = change(image, rng)
                generator.state = in_turn
        return image


def refuse_beyond(options: AugmentationConfig, height: int, width: int) -> None:
    """Raise ValueError for changes that leave nothing of images of this size, or cannot be made
    of them."""
    side = min(height, width)
    faults = [
        f"{flag_of(name)} {getattr(options, name)}: the crops have {side} pixels, nothing of many "
        "would be left; give less"
        for name in ("rand_shift", "cutoff")
        if getattr(options, name) >= side
    ]
    for of, name, most, words in (
        ("low_res", "low_res_size", height, f"the crops have a height of {height} pixels"),
        ("motion_blur", "motion_blur_length", side, f"the crops have {side} pixels"),
    ):
        if getattr(options, of) and getattr(options, name)[-1] > most:
            given = shown(getattr(options, name))
            faults.append(f"{flag_of(name)} {given}: {words}; give no more")
    if faults:
        raise ValueError("\n".join(faults))
    if options.mask or options.glasses:
        worn.face_points(height, width)


class _Change:
    """An augmentation with the options that it is called with.  place: in the stream, None for
    those that draw in turn."""

    def __init__(self, name: str, options: AugmentationConfig):
        self._change, self._value = AUGMENTATIONS[name], getattr(options, name)
        self._ranges = {further: getattr(options, further) for further in ranges_of(self._change)}
        self.place = None if name in IN_TURN else (zlib.crc32(name.encode()) + 1) << APART

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._change(image, rng, self._value, **self._ranges)


def ranges_of(change: Callable[..., Any]) -> list[str]:
    """Return the names of the further options that an augmentation takes."""
    parameters = inspect.signature(change).parameters.values()
    return [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
