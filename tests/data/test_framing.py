"""Frames of RecordIO: what is no beginning, or no continuation, of a record."""

import struct

from arcface_mxnet.data.framing import MAGIC, framed, unframed
import pytest

MAGIC_BYTES = struct.pack("<I", MAGIC)
CONTENT = b"1234" + MAGIC_BYTES + b"5678" + MAGIC_BYTES + b"9"  # three frames of 12 bytes


def part_at(frames, at, part):
    """Return the frames with another part number at byte `at`."""
    _, word = struct.unpack_from("<II", frames, at)
    return frames[: at + 4] + struct.pack("<I", part << 29 | word & 0x1FFFFFFF) + frames[at + 8 :]


def test_round_trip():
    frames = framed(CONTENT)
    assert unframed(b"abcd" + frames, 4, "a.rec", "record 1") == (CONTENT, 4 + len(frames))


@pytest.mark.parametrize("at", [12, 24])
def test_the_middle_of_a_record_is_no_beginning(at):
    with pytest.raises(ValueError, match=f"a.rec: no record begins at byte {at}, where record 1"):
        unframed(framed(CONTENT), at, "a.rec", "record 1")


@pytest.mark.parametrize(("at", "part"), [(0, 2), (12, 0), (12, 1), (24, 1)])
def test_frames_out_of_order_are_damage(at, part):
    frames = part_at(framed(CONTENT), at, part) + framed(b"next")
    with pytest.raises(ValueError, match=f"no record begins at byte {at}"):
        unframed(frames, 0, "a.rec", "record 1")


def test_an_offset_outside_the_file():
    for offset in (-4, 400):
        with pytest.raises(ValueError, match="a.rec: has 8 bytes, but record 1 reaches to"):
            unframed(framed(b""), offset, "a.rec", "record 1")
