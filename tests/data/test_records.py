"""RecordIO without MXNet: the bytes of mx.recordio, other people's files, damaged ones."""

from concurrent.futures import ThreadPoolExecutor
import hashlib
import json
import struct
import subprocess
import sys

from arcface_mxnet.data.framing import MAGIC
from arcface_mxnet.data.records import RecordReader, RecordWriter, read_index
from arcface_mxnet.data.repair import index_anew
import numpy as np
import pytest

MAGIC_BYTES = struct.pack("<I", MAGIC)

# Contents that MXNet writes in one, two, three and more pieces.
PAYLOADS = [
    b"",
    b"a",
    b"four",
    b"hello world",
    MAGIC_BYTES,
    MAGIC_BYTES * 3,
    b"1234" + MAGIC_BYTES + b"xy",
    b"12" + MAGIC_BYTES + b"misaligned, so it stays",
    b"12" + MAGIC_BYTES + b"12" + MAGIC_BYTES,
    b"1" * 1000 + MAGIC_BYTES + b"2" * 8 + MAGIC_BYTES + MAGIC_BYTES + b"3",
    MAGIC_BYTES[:3],
]
LABELS = [3.0, [1.0, 2.0], np.array([5, 1], np.float32)]


def cases():
    return [
        (key, LABELS[key % len(LABELS)], payload) for key, payload in enumerate(PAYLOADS, start=1)
    ] + [(0, [12, 14], b"")]


def write_ours(folder, items=None):
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key, label, payload in items or cases():
            writer.write(key, label, payload)
    return folder / "train.rec", folder / "train.idx"


def write_with_mxnet(folder):
    mx = pytest.importorskip("mxnet")
    rec, idx = folder / "mx.rec", folder / "mx.idx"
    writer = mx.recordio.MXIndexedRecordIO(str(idx), str(rec), "w")
    for key, label, payload in cases():
        writer.write_idx(
            key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), bytes(payload))
        )
    writer.close()
    return rec, idx


def test_writes_the_bytes_of_mxnet(tmp_path):
    rec, idx = write_ours(tmp_path)
    mx_rec, mx_idx = write_with_mxnet(tmp_path)
    assert rec.read_bytes() == mx_rec.read_bytes()
    assert idx.read_bytes() == mx_idx.read_bytes()


def test_reads_what_mxnet_wrote(tmp_path):
    with RecordReader(*write_with_mxnet(tmp_path)) as reader:
        check_cases(reader)


def check_cases(reader):
    for key, label, payload in cases():
        record = reader.read(key)
        assert record.payload == payload
        assert np.array_equal(record.label, label)
        assert record.flag == (np.size(label) if np.ndim(label) else 0)
        assert (record.id, record.id2) == (key, 0)
        assert record.first_label == np.ravel(label)[0]
    assert list(reader.keys) == [key for key, _, _ in cases()]
    assert 3 in reader and 99 not in reader and len(reader) == len(cases())


def test_mxnet_reads_what_we_wrote(tmp_path):
    mx = pytest.importorskip("mxnet")
    rec, idx = write_ours(tmp_path)
    theirs = mx.recordio.MXIndexedRecordIO(str(idx), str(rec), "r")
    for key, label, payload in cases():
        header, content = mx.recordio.unpack(theirs.read_idx(key))
        assert content == payload
        assert np.array_equal(header.label, label)
        assert header.id == key


def test_golden_bytes(tmp_path):
    rec, idx = write_ours(tmp_path, [(1, 2.0, b"abcde"), (0, [2, 3], b"")])
    assert rec.read_bytes().hex() == (
        "0a23d7ce" "1d000000" "00000000" "00000040" "0100000000000000" "0000000000000000"
        "6162636465" "000000"
        "0a23d7ce" "20000000" "02000000" "00000000" "0000000000000000" "0000000000000000"
        "0000004000004040"
    )  # fmt: skip
    assert idx.read_text() == "1\t0\n0\t40\n"


def test_reads_the_original_records(shared_data):
    folder = shared_data / "original_records"
    expected = json.loads((folder / "records.json").read_text())
    with RecordReader(folder / "train.rec", folder / "train.idx") as reader:
        assert len(reader) == len(expected) == 51
        for item in expected:
            record = reader.read(item["idx"])
            assert record.flag == item["flag"]
            assert list(np.ravel(record.label)) == list(np.ravel(item["label"]))
            assert (record.id, record.id2) == (item["id"], item["id2"])
            assert len(record.payload) == item["bytes"]
            assert hashlib.sha1(record.payload).hexdigest() == item["sha1"]


def test_without_an_index_the_file_is_walked(tmp_path):
    rec, _ = write_ours(tmp_path)
    with RecordReader(rec) as reader:
        check_cases(reader)


def test_without_an_index_repeated_ids_give_way_to_the_order(tmp_path):
    mx = pytest.importorskip("mxnet")
    writer = mx.recordio.MXRecordIO(str(tmp_path / "a.rec"), "w")
    for payload in (b"a", b"b", b"c"):
        writer.write(mx.recordio.pack(mx.recordio.IRHeader(0, 1.0, 0, 0), payload))
    writer.close()
    with RecordReader(tmp_path / "a.rec") as reader:
        assert [reader.read(key).payload for key in reader.keys] == [b"a", b"b", b"c"]
        assert list(reader.keys) == [0, 1, 2]


def test_headers_of_many_equal_the_records_read_singly(tmp_path):
    with RecordReader(*write_ours(tmp_path)) as reader:
        keys = [3, 0, 6, 10, 1, 5]
        headers = reader.headers(keys)
        for key, header in zip(keys, headers, strict=True):
            record = reader.read(key)
            assert (header["flag"], header["labels"][0]) == (record.flag, record.first_label)
            assert header["labels"][1] == (record.label[1] if record.flag else 0)
            assert header["size"] == len(record.payload)
            assert (header["id"], header["id2"]) == (record.id, record.id2)


def test_a_magic_word_inside_the_header_itself(tmp_path):
    """An id that happens to be the magic word cuts the record inside its header."""
    rec, idx = write_ours(tmp_path, [(MAGIC, [1.0, 1.0], b"abc"), (2, 1.0, b"")])
    with RecordReader(rec, idx) as reader:
        assert reader.read(MAGIC).payload == b"abc"
        assert list(reader.headers([2, MAGIC])["id"]) == [2, MAGIC]


def record_bytes(flag, label, body):
    content = struct.pack("<IfQQ", flag, label, 1, 0) + body
    return struct.pack("<II", MAGIC, len(content)) + content + bytes(-len(content) % 4)


def test_a_label_beside_the_labels_is_not_added_to_them(tmp_path):
    """im2rec in C++ leaves the first label in the header too."""
    body = struct.pack("<ff", 7.0, 1.0) + b"image"
    (tmp_path / "a.rec").write_bytes(record_bytes(2, 7.0, body) * 2)
    (tmp_path / "a.idx").write_text("1\t0\n2\t48\n")
    with RecordReader(tmp_path / "a.rec", tmp_path / "a.idx") as reader:
        assert list(reader.headers([1])["labels"][0]) == [7.0, 1.0]
        assert reader.read(1).first_label == 7.0


def test_a_record_too_long_for_the_format(tmp_path, monkeypatch):
    monkeypatch.setattr("arcface_mxnet.data.framing.MAX_LENGTH", 30)
    with (
        pytest.raises(ValueError, match=r"a\.rec: key 1: a record of 34 bytes; the most is 30"),
        RecordWriter(tmp_path / "a.rec", tmp_path / "a.idx") as writer,
    ):
        writer.write(0, 1.0, b"123456")
        writer.write(1, 1.0, b"1234567890")


def test_an_index_that_cannot_be_flushed_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    rec, idx = write_ours(tmp_path)
    before = rec.read_bytes(), idx.read_bytes()
    writer = RecordWriter(rec, idx)  # held, so that it is not its end that removes the parts
    with pytest.raises(OSError, match="nothing was left behind") as error, writer:
        writer.write(1, 1.0, b"new")
        monkeypatch.setattr("arcface_mxnet.data.records.os.fsync", full)
    assert error.value.filename == str(rec)
    assert (rec.read_bytes(), idx.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.idx", "train.rec"]


def test_many_threads_read_the_same_bytes(tmp_path):
    rng = np.random.default_rng(0)
    items = [(key, float(key), rng.bytes(int(rng.integers(2000)))) for key in range(200)]
    with RecordReader(*write_ours(tmp_path, items)) as reader, ThreadPoolExecutor(8) as pool:
        keys = rng.integers(0, 200, 5000)
        payloads = list(pool.map(lambda key: reader.read(key).payload, keys))
    assert all(payload == items[key][2] for key, payload in zip(keys, payloads, strict=True))


def test_a_cut_off_file_is_refused(tmp_path):
    rec, idx = write_ours(tmp_path)
    whole = rec.read_bytes()
    for length in (len(whole) - 4, len(whole) - 39, len(whole) // 2, 4):
        rec.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cut off.*fetch or pack it again"):
            RecordReader(rec, idx)
    rec.write_bytes(whole[:-4])
    with pytest.raises(ValueError, match="cut off"):
        RecordReader(rec)


def test_the_cure_of_a_file_alone_fits_its_name(tmp_path):
    rec, _ = write_ours(tmp_path)
    other = tmp_path / "val.rec"
    for path, cure in (
        (rec, f"arcface-rec repair {tmp_path}"),
        (other, f"arcface-rec index {other}"),
    ):
        path.write_bytes(rec.read_bytes()[:-4] if path == rec else rec.read_bytes())
        with pytest.raises(ValueError, match=f"`{cure}`"):
            RecordReader(path)
    index_anew(other)
    assert len(RecordReader(other, tmp_path / "val.idx")) > 0


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.rec").touch()
    with pytest.raises(ValueError, match="a.rec: is empty"):
        RecordReader(tmp_path / "a.rec")


def test_an_index_that_leaves_out_the_beginning_is_refused(tmp_path):
    rec, idx = write_ours(tmp_path)
    idx.write_text("".join(idx.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(ValueError, match="covers bytes 40 to .*is cut off; rebuild the index"):
        RecordReader(rec, idx)


def test_the_index_of_another_file_is_refused(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    rec, _ = write_ours(first)
    _, shorter = write_ours(second, cases()[:5])
    with pytest.raises(ValueError, match="belongs to another .rec.*rec index"):
        RecordReader(rec, shorter)
    _, other = write_ours(second, [(1, 1.0, b"x" * 70), (2, 1.0, b"x" * 20)])
    with pytest.raises(ValueError, match="no record begins at byte.*belongs to another .rec"):
        RecordReader(rec, other)
    _, longer = write_ours(second, [(key, 1.0, b"x" * 700) for key in range(9)])
    with pytest.raises(ValueError, match="belongs to another .rec"):
        RecordReader(rec, longer)


@pytest.mark.parametrize(
    "text", ["", "hello\n", "1 2 3\n", "0\t0\t1\t40\n", "0\t0\n1\tx\n", "1.5\t2\n", "\0\1\2"]
)
def test_an_index_that_is_none(tmp_path, text):
    (tmp_path / "a.idx").write_text(text)
    with pytest.raises(ValueError, match="a.idx: is not an index of lines KEY<TAB>OFFSET"):
        read_index(tmp_path / "a.idx")


def test_damage_in_the_middle_is_found_when_it_is_read(tmp_path):
    rec, idx = write_ours(tmp_path)
    damaged = bytearray(rec.read_bytes())
    offset = int(idx.read_text().splitlines()[3].split("\t")[1])
    damaged[offset] ^= 1
    rec.write_bytes(damaged)
    with RecordReader(rec, idx) as reader:
        reader.read(3)
        with pytest.raises(ValueError, match=f"no record begins at byte {offset}, .* record 4"):
            reader.read(4)


def test_unknown_and_repeated_keys(tmp_path):
    rec, idx = write_ours(tmp_path)
    with RecordReader(rec, idx) as reader, pytest.raises(ValueError, match="no record with key 77"):
        reader.read(77)
    with (
        pytest.raises(ValueError, match="key 5 is written twice"),
        RecordWriter(tmp_path / "b.rec", tmp_path / "b.idx") as writer,
    ):
        writer.write(5, 1.0, b"")
        writer.write(5, 1.0, b"")
    idx.write_text(idx.read_text() + idx.read_text().splitlines()[0] + "\n")
    with pytest.raises(ValueError, match="a key stands twice"):
        RecordReader(rec, idx)


def test_nothing_appears_when_writing_fails(tmp_path):
    rec, idx = write_ours(tmp_path)
    before = rec.read_bytes(), idx.read_bytes()
    with pytest.raises(RuntimeError), RecordWriter(rec, idx) as writer:
        writer.write(1, 1.0, b"new")
        raise RuntimeError
    assert (rec.read_bytes(), idx.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.idx", "train.rec"]


FULL_DISK = """
import resource, signal, sys
from arcface_mxnet.data.records import RecordWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with RecordWriter(sys.argv[1] + "/train.rec", sys.argv[1] + "/train.idx") as writer:
        for key in range(100):
            writer.write(key, 1.0, bytes(5000))
except OSError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_old_files(tmp_path):
    pytest.importorskip("resource")
    rec, idx = write_ours(tmp_path)
    before = rec.read_bytes(), idx.read_bytes()
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True
    )
    assert "nothing was left behind, make room" in run.stdout
    assert str(rec) in run.stdout
    assert (rec.read_bytes(), idx.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.idx", "train.rec"]


def test_reading_needs_no_mxnet(tmp_path):
    rec, idx = write_ours(tmp_path)
    code = (
        "import sys; sys.modules['mxnet'] = None; sys.modules['cv2'] = None\n"
        "from arcface_mxnet.data.records import RecordReader\n"
        f"print(RecordReader({str(rec)!r}, {str(idx)!r}).read(3).payload)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "b'four'", run.stderr
