"""Small datasets with every identity's images known."""

from pathlib import Path

from arcface_mxnet.data.ranges import range_record
from arcface_mxnet.data.records import RecordWriter
import cv2
import numpy as np
import pytest

SIZE = 16  # pixels; the height and width of the small images


def small_image(key: int, identity: int) -> np.ndarray:
    """Return a random RGB image of which no two are alike, uint8 (SIZE, SIZE, 3)."""
    return np.random.default_rng((key, identity)).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


def encoded(rgb: np.ndarray) -> bytes:
    """Return the PNG of an RGB image: it decodes to the very same pixels."""
    return cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


def write_dataset(folder: Path, identities, *, property_text: str | None = None) -> Path:
    """Pack one small image for each entry of identities, in order, with header and ranges."""
    folder.mkdir(parents=True, exist_ok=True)
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        starts = []
        for key, identity in enumerate(identities, start=1):
            if key == 1 or identity != identities[key - 2]:
                starts.append(key)
            writer.write(key, [identity, 1], encoded(small_image(key, identity)))
        past = len(identities) + 1
        writer.write(0, range_record(past, past + len(starts))[0])
        for number, (first, end) in enumerate(zip(starts, [*starts[1:], past], strict=True)):
            writer.write(past + number, range_record(first, end)[0])
    text = property_text or f"{max(identities) + 1},{SIZE},{SIZE}"
    (folder / "property").write_text(text)
    return folder


def write_plain(folder: Path, identities) -> Path:
    """Pack as im2rec does: one label in the header, keys from 0, no record of ranges."""
    folder.mkdir(parents=True, exist_ok=True)
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key, identity in enumerate(identities):
            writer.write(key, identity, encoded(small_image(key, identity)))
    (folder / "property").write_text(f"{max(identities) + 1},{SIZE},{SIZE}\n")
    return folder


@pytest.fixture
def make_dataset():
    return write_dataset


@pytest.fixture
def make_plain():
    return write_plain


@pytest.fixture
def image_of():
    return small_image


@pytest.fixture
def encode():
    return encoded
