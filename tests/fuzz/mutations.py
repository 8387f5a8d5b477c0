"""Damage to a file, drawn by number: case(seed, number, salt) is the same bytes every time.

The first numbers cut the seed, small ones at every byte; those after them change it in one to four
places: bits and bytes, pieces repeated, moved, left out or put in, numbers made large or odd.
"""

from __future__ import annotations

from collections.abc import Callable
import random
import re
import struct

EVERY_CUT = 400  # bytes of a seed up to which it is cut at each
CUTS = 200  # of a larger one
LARGEST_GROWTH = 1 << 16  # bytes
NUMBERS = (
    b"0", b"-1", b"1.5", b"nan", b"inf", b"-inf", b"1e999", b"1e-999", b"00", b"+1", b"1_0", b"0x1",
    b"2147483648", b"4294967296", b"8589934593", b"9223372036854775808", b"99999999999999999999",
    b"9" * 400, b"\xd9\xa3", b"\xc2\xb2", b"true", b"null", b"", b" ",
)  # fmt: skip
PIECES = (
    b"\0", b"\xff", b"\xe9", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\r",
    b"\n", b"\r\n", b"\t", b"\t\t", b" ", b"\x0b", b"\x1a", b"\x1b[2J", "\u2028\u0085".encode(),
    b"../", b"/", b"\\", b"..\\", b"~/", b'"', b"'", b",", b"{}", b"[]", b"[" * 2000,
    b'{"a":' * 2000, b"(" * 3000, b"%s", b"#", b"=", b"NaN", b"Infinity", b"1e400", b"x" * 5000,
    b"\xf0\x9f\x98\x80",
)  # fmt: skip
INTEGERS = (
    0, 1, -1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
    1 << 20, 1 << 28, 1 << 30, 1 << 32, 1 << 40, (1 << 63) - 1, 1 << 63,
)  # fmt: skip


def num_cuts(seed: bytes) -> int:
    """Return how many of the first cases are cuts."""
    return len(seed) if len(seed) <= EVERY_CUT else CUTS


def case(seed: bytes, number: int, salt: str) -> bytes:
    """Return the seed with the damage of this number.  salt: what the seed is of."""
    cuts = num_cuts(seed)
    if number < cuts:
        return seed[: number * len(seed) // cuts]
    rng = random.Random(f"{salt} {number}")
    data = seed
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        changed = rng.choice(CHANGES)(data, rng)
        data = changed if len(changed) <= len(seed) + LARGEST_GROWTH else data
    return data


def _place(data: bytes, rng: random.Random) -> int:
    """Return a place in the data; headers are hit as often as all the rest."""
    return rng.randrange(max(min(len(data), rng.choice((64, len(data)))), 1))


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    begin = _place(data, rng)
    return begin, min(begin + rng.choice((1, 2, 4, 8, 16, 64, 300)), len(data))


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return data
    at = _place(data, rng)
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _set(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _leave_out(data: bytes, rng: random.Random) -> bytes:
    begin, end = _span(data, rng)
    return data[:begin] + data[end:]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    begin, end = _span(data, rng)
    return data[:end] + data[begin:end] * rng.choice((1, 1, 2, 50)) + data[end:]


def _move(data: bytes, rng: random.Random) -> bytes:
    begin, end = _span(data, rng)
    at = _place(data, rng)
    return data[:at] + data[begin:end] + data[at + end - begin :]


def _put_in(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    piece = rng.choice(PIECES) if rng.random() < 0.7 else rng.randbytes(rng.choice((1, 4, 20)))
    return data[:at] + piece + data[at:]


def _number_of_text(data: bytes, rng: random.Random) -> bytes:
    found = list(re.finditer(rb"-?[0-9]+(\.[0-9]+)?", data[: 1 << 16]))
    if not found:
        return _flip(data, rng)
    one = rng.choice(found)
    return data[: one.start()] + rng.choice(NUMBERS) + data[one.end() :]


def _integer(data: bytes, rng: random.Random) -> bytes:
    size, letter = rng.choice(((1, "B"), (2, "H"), (4, "I"), (4, "I"), (8, "Q")))
    value = rng.choice(INTEGERS) & ((1 << 8 * size) - 1)
    at = _place(data, rng)
    at -= at % size if rng.random() < 0.5 else 0
    return data[:at] + struct.pack(rng.choice("<>") + letter, value) + data[at + size :]


def _floating(data: bytes, rng: random.Random) -> bytes:
    value = struct.pack("<f", rng.choice((float("nan"), float("inf"), 1e38, -1.0, 0.5)))
    at = _place(data, rng) // 4 * 4
    return data[:at] + value + data[at + 4 :]


def _end(data: bytes, rng: random.Random) -> bytes:
    return data + rng.choice((b"\0", b"\n", data[-20:], rng.randbytes(9)))


CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip, _flip, _set, _leave_out, _repeat, _move, _put_in, _put_in, _number_of_text,
    _number_of_text, _integer, _integer, _floating, _end,
)  # fmt: skip
