"""Walking a file without its index: blocks of any size, damage anywhere, nothing invented."""

import random
import struct

from arcface_mxnet.data.framing import MAGIC, framed
from arcface_mxnet.data.walk import Damage, walk
import pytest

MAGIC_BYTES = struct.pack("<I", MAGIC)
BLOCKS = (12, 16, 40, 100, 1 << 20)


def content(number, rng):
    """Return a record whose payload holds magic words at aligned and other places."""
    payload = b"".join(
        rng.choice([MAGIC_BYTES, b"abcd" * rng.randrange(5), bytes(rng.randrange(20))])
        for _ in range(rng.randrange(4))
    )
    return struct.pack("<IfQQ", 0, 1.0, number, 0) + payload


def write(path, contents):
    """Write records; return (offset, bytes, id) of each."""
    frames = [framed(each) for each in contents]
    path.write_bytes(b"".join(frames))
    offsets = [sum(map(len, frames[:number])) for number in range(len(frames))]
    return [
        (at, len(f), number) for number, (at, f) in enumerate(zip(offsets, frames, strict=True))
    ]


def walked(path, block):
    """Return (offset, bytes, id, payload) of each record, and the damage."""
    records, damage = [], []
    whole = path.read_bytes()
    for stretch in walk(path, block):
        damage += stretch.damage
        for number, (offset, header) in enumerate(
            zip(stretch.offsets.tolist(), stretch.headers, strict=True)
        ):
            span = int(header["span"])
            assert bytes(stretch.frames(number)) == whole[offset : offset + span]
            records.append((offset, span, int(header["id"]), bytes(stretch.payload(number))))
    return records, damage


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["whole", "cut off", "magic word"])
def test_records_and_damage_make_up_the_file(tmp_path, seed, kind):
    rng, path = random.Random(f"{seed}{kind}"), tmp_path / "a.rec"
    contents = [content(number, rng) for number in range(rng.randrange(1, 12))]
    expected = write(path, contents)
    whole = bytearray(path.read_bytes())
    if kind == "cut off":
        whole = whole[: rng.randrange(1, len(whole))]
        expected = [each for each in expected if each[0] + each[1] <= len(whole)]
    elif kind == "magic word":
        lost = rng.choice(expected)
        whole[lost[0] + rng.randrange(4)] ^= 0x55
        expected.remove(lost)
    path.write_bytes(whole)
    results = [walked(path, block) for block in BLOCKS]
    records, damage = results[0]
    assert all(result == results[0] for result in results), "the size of the blocks shows"
    assert [each[:3] for each in records] == expected
    assert [each[3] for each in records] == [contents[n][24:] for _, _, n in expected]
    parts = sorted([(a, a + n) for a, n, *_ in records] + [(d.begin, d.end) for d in damage])
    assert [0, *(end for _, end in parts)] == [*(begin for begin, _ in parts), len(whole)]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_wrong_length_loses_one_record_alone(tmp_path, block):
    path = tmp_path / "a.rec"
    records = write(path, [struct.pack("<IfQQ", 0, 1.0, n, 0) + bytes(50) for n in range(6)])
    whole = bytearray(path.read_bytes())
    for length in (30, 74 + 16, 74 + 84 + 8, 100_000, (1 << 29) - 1):
        whole[records[2][0] + 4 : records[2][0] + 8] = struct.pack("<I", length)
        path.write_bytes(whole)
        found, damage = walked(path, block)
        assert [number for _, _, number, _ in found] in ([0, 1, 3, 4, 5], [0, 1, 2, 3, 4, 5])
        assert len(damage) == 1 and damage[0].end == records[3][0]


def test_a_cut_off_end_is_told_from_damage(tmp_path):
    path = tmp_path / "a.rec"
    records = write(path, [struct.pack("<IfQQ", 0, 1.0, n, 0) + bytes(50) for n in range(3)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert walked(path, 40)[1] == [Damage(records[2][0], len(whole) - 5, is_cut_off=True)]
    path.write_bytes(whole + b"garbage!")
    assert walked(path, 40)[1] == [Damage(len(whole), len(whole) + 8)]
