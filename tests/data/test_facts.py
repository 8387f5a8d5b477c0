"""Datasets of next to nothing, walked as a whole."""

import struct

from arcface_mxnet.data.facts import gather
from arcface_mxnet.data.framing import framed
from arcface_mxnet.data.records import RecordWriter
from arcface_mxnet.data.repair import index_anew
from arcface_mxnet.data.scan import scan
import numpy as np


def test_record_0_alone_contradicts_what_it_says(tmp_path):
    with RecordWriter(tmp_path / "train.rec", tmp_path / "train.idx") as writer:
        writer.write(0, [5, 9], b"")
    (tmp_path / "property").write_text("2,16,16\n")
    (text,) = gather(tmp_path).faults.texts
    assert "says that identities have the keys 5 to 8, but the keys go from 0 to 0" in text


def framed_records(*payloads):
    """Return the bytes of image records 1, 2 .. of identity 0."""
    header = struct.Struct("<IfQQ")
    return [framed(header.pack(0, 0.0, key, 0) + payload)
            for key, payload in enumerate(payloads, start=1)]  # fmt: skip


def test_a_record_straight_after_four_bytes_of_damage_is_found(tmp_path):
    first, second, third = framed_records(b"aaaa", b"bbbb", b"cccc")
    path = tmp_path / "train.rec"
    path.write_bytes(first + b"junk" + second + third)
    places = [0, len(first) + 4, len(first) + 4 + len(second)]
    assert scan(path).offsets.tolist() == places


def test_damage_is_told_by_the_records_that_should_be_there(tmp_path):
    records = framed_records(b"aaaa", b"bbbb", b"cccc", b"dddd")
    places = np.cumsum([0, *map(len, records[:-1])])
    records[1] = b"\0" * len(records[1])
    (tmp_path / "train.rec").write_bytes(b"".join(records))
    index = "".join(f"{key}\t{place}\n" for key, place in enumerate(places, start=1))
    (tmp_path / "train.idx").write_text(index)
    (tmp_path / "property").write_text("1,16,16\n")
    told = "\n".join(gather(tmp_path).faults.texts)
    assert "where record 2 should be" in told and "more" not in told


def test_an_index_of_record_0_alone(tmp_path):
    path = tmp_path / "train.rec"
    with RecordWriter(path, tmp_path / "train.idx") as writer:
        writer.write(0, 0.0, b"image")
    before = (tmp_path / "train.idx").read_bytes()
    (tmp_path / "train.idx").unlink()
    assert index_anew(path) == [f"wrote {tmp_path / 'train.idx'}: 1 records"]
    assert (tmp_path / "train.idx").read_bytes() == before
