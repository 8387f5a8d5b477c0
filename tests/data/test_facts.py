"""Datasets of next to nothing, walked as a whole."""

from arcface_mxnet.data.facts import gather
from arcface_mxnet.data.records import RecordWriter


def test_record_0_alone_contradicts_what_it_says(tmp_path):
    with RecordWriter(tmp_path / "train.rec", tmp_path / "train.idx") as writer:
        writer.write(0, [5, 9], b"")
    (tmp_path / "property").write_text("2,16,16\n")
    (text,) = gather(tmp_path).faults.texts
    assert "says that identities have the keys 5 to 8, but the keys go from 0 to 0" in text
