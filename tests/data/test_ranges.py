"""Ranges of identities: as published, rounded by float32, damaged."""

from arcface_mxnet.data.ranges import EXACT, Layout, layout_of, range_record, read_ranges
from arcface_mxnet.data.records import RecordReader, RecordWriter
import numpy as np
import pytest

# Images per identity; the second begins below 2^24 and the others end above it.
COUNTS = [EXACT - 9, 7, 6, 1, 1, 1, 9, 2, 1, 4]
ENDS = 1 + np.cumsum(COUNTS)
TRUE_RANGES = np.stack([ENDS - COUNTS, ENDS], axis=1)
NUM_IMAGES = int(ENDS[-1]) - 1
START = NUM_IMAGES + 1


def write_large(folder, *, exact, labels=None):
    """Write the records of a file of 2^24 + 23 images, leaving out most of the first identity."""
    with RecordWriter(folder / "a.rec", folder / "a.idx") as writer:

        def write(key, first, past_last):
            floats, id2 = range_record(first, past_last)
            writer.write(key, floats, id2=id2 if exact else 0)

        for identity, (first, end) in enumerate(TRUE_RANGES):
            for key in range(first, end) if identity else [first, end - 1]:
                writer.write(key, [identity, 1], b"image")
        write(0, START, START + len(COUNTS))
        for number, (first, end) in enumerate(TRUE_RANGES.tolist()):
            write(START + number, first, end)
    return RecordReader(folder / "a.rec", folder / "a.idx")


@pytest.mark.parametrize("exact", [True, False])
def test_ranges_above_two_to_the_24_come_back_exact(tmp_path, exact):
    with write_large(tmp_path, exact=exact) as reader:
        stored = reader.headers([START + 3])["labels"][0].astype(int)
        assert list(stored) != list(TRUE_RANGES[3]), "float32 should have rounded these"
        assert np.array_equal(read_ranges(reader, layout_of(reader)), TRUE_RANGES)


def test_old_readers_still_find_their_fields(tmp_path):
    with write_large(tmp_path, exact=True) as reader:
        record = reader.read(START + 3)
        assert record.flag == 2 and record.payload == b"" and record.id == START + 3
        assert np.array_equal(record.label, TRUE_RANGES[3].astype(np.float32))


def test_small_files_keep_the_published_bytes():
    assert range_record(5, 9) == ([5.0, 9.0], 0)
    assert range_record(5, EXACT)[1] == 0
    assert range_record(5, EXACT + 1)[1] == 5 << 32 | EXACT + 1


def test_rounded_ranges_that_do_not_fit_the_labels_are_refused(tmp_path):
    with RecordWriter(tmp_path / "a.rec", tmp_path / "a.idx") as writer:
        for key in (1, EXACT - 1, EXACT, EXACT + 1, EXACT + 2):
            writer.write(key, [key % 2, 1], b"image")
        writer.write(0, [EXACT + 3, EXACT + 5])
        writer.write(EXACT + 3, [1, EXACT])
        writer.write(EXACT + 4, [EXACT, EXACT + 4])
    with (
        RecordReader(tmp_path / "a.rec", tmp_path / "a.idx") as reader,
        pytest.raises(ValueError, match="rounded in the identity records.*arcface-rec repair"),
    ):
        read_ranges(reader, layout_of(reader))


def one_identity(folder, header, identity_record):
    with RecordWriter(folder / "a.rec", folder / "a.idx") as writer:
        writer.write(1, [0, 1], b"image")
        writer.write(2, [0, 1], b"image")
        writer.write(0, header)
        writer.write(3, identity_record)
    return RecordReader(folder / "a.rec", folder / "a.idx")


@pytest.mark.parametrize("header", [[3, 9], [9, 12], [3, 3], [0, 4], [np.nan, 4]])
def test_a_header_that_does_not_fit_the_keys(tmp_path, header):
    reader = one_identity(tmp_path, header, [1, 3])
    with pytest.raises(ValueError, match="record 0 says .* go from 0 to 3.*arcface-rec repair"):
        layout_of(reader)


def test_an_image_as_record_0_is_no_header(tmp_path, make_plain, make_dataset):
    for write, expected in ((make_plain, "plain"), (make_dataset, "ranges")):
        folder = write(tmp_path / write.__name__, [0, 0, 1])
        with RecordReader(folder / "train.rec", folder / "train.idx") as reader:
            assert layout_of(reader).kind == expected


@pytest.mark.parametrize(
    ("labels", "kind"), [([3, 4], "ranges"), ([1], "plain"), ([1, 3, 5], "plain")]
)
def test_a_header_has_two_labels(tmp_path, labels, kind):
    with one_identity(tmp_path, labels, [1, 3]) as reader:
        assert layout_of(reader).kind == kind


@pytest.mark.parametrize("payload", [b"", b"a picture"])
@pytest.mark.parametrize(("second", "declared"), [(2, 2), (6, 2)])
def test_the_header_of_other_writers(tmp_path, payload, second, declared):
    """[N + 1, identities], or [N + 1, N + 1 + identities], and no identity records."""
    with RecordWriter(tmp_path / "a.rec", tmp_path / "a.idx") as writer:
        writer.write(0, [4, second], payload)
        for key in (1, 2, 3):
            writer.write(key, key // 3, b"image")
    with RecordReader(tmp_path / "a.rec", tmp_path / "a.idx") as reader:
        assert layout_of(reader) == Layout("count", 3, 4, 4, declared)


def test_neighbouring_rounded_ranges_of_one_label_are_one(tmp_path):
    with RecordWriter(tmp_path / "a.rec", tmp_path / "a.idx") as writer:
        for key in range(EXACT - 4, EXACT + 8):
            writer.write(key, [1, 1], b"image")
        writer.write(0, [EXACT + 8, EXACT + 11])
        pairs = [(1, EXACT - 4), (EXACT - 4, EXACT + 2), (EXACT + 2, EXACT + 8)]
        for number, pair in enumerate(pairs):
            writer.write(EXACT + 8 + number, pair)
    with RecordReader(tmp_path / "a.rec", tmp_path / "a.idx") as reader:
        found = read_ranges(reader, layout_of(reader))
    assert found.tolist() == [[1, EXACT - 4], [EXACT - 4, EXACT + 8]]
