"""Datasets made of others: exact where nothing changes, right where something does."""

import shutil

from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.data.framing import MAGIC
from arcface_mxnet.data.rec import main
from arcface_mxnet.data.records import RecordReader, RecordWriter
import numpy as np
import pytest

IDENTITIES = [0, 0, 1, 2, 2, 2, 3]
NAMES = ("train.rec", "train.idx", "property")


@pytest.fixture
def folder(tmp_path, make_dataset):
    folder = make_dataset(tmp_path / "set", IDENTITIES)
    (folder / "train.names").write_text("0\tann\n1\tbob\n2\tcyd\n3\tdan\n")
    return folder


def content(folder):
    return [(folder / name).read_bytes() for name in NAMES]


def payloads(folder):
    """Return the payloads of each identity, by number."""
    dataset = FaceDataset(folder)
    found = {}
    for keys in dataset.keys_by_identity:
        number = int(dataset.identities(keys[:1])[0])
        found[number] = sorted(dataset.records.read(key).payload for key in keys)
    return found


def names(folder):
    return (folder / "train.names").read_text()


@pytest.mark.parametrize("options", [[], ["--skip-bad"], ["--images-filter", "1"]])
def test_a_copy_of_a_sound_dataset_has_the_same_bytes(folder, tmp_path, options, capsys):
    new = tmp_path / "new"
    assert main(["copy", str(folder), str(new), *options]) == 0
    assert content(new) == content(folder) and names(new) == names(folder)
    assert "7 images of 4 identities; property 4,16,16" in capsys.readouterr().out
    assert main(["relabel", str(folder), str(tmp_path / "again")]) == 0
    assert content(tmp_path / "again") == content(folder)


def test_a_copy_of_other_layouts_has_the_same_bytes(tmp_path, make_plain, shared_data):
    plain = make_plain(tmp_path / "plain", [1, 1, 0, 1, 2])
    for number, folder in enumerate([plain, shared_data / "original_records"]):
        assert main(["copy", str(folder), str(tmp_path / f"{number}"), "--skip-bad"]) == 0
        assert content(tmp_path / f"{number}") == content(folder)


def break_image(folder, key):
    """Make the payload of a record something that is no image."""
    with RecordReader(folder / "train.rec", folder / "train.idx") as reader:
        offset = int(reader.offsets_of(np.array([key]))[0])
    rec = bytearray((folder / "train.rec").read_bytes())
    rec[offset + 8 + 24 + 8 : offset + 8 + 24 + 8 + 4] = b"none"
    (folder / "train.rec").write_bytes(rec)


@pytest.mark.parametrize("first", [True, False])
def test_skip_bad_leaves_out_what_does_not_decode(tmp_path, make_dataset, capsys, first):
    """The result is what packing the good images would have given."""
    bad = make_dataset(tmp_path / "bad", IDENTITIES)
    good = tmp_path / "good"
    kept = [1, 2, 3, 4, 6, 7]
    with (
        RecordReader(bad / "train.rec", bad / "train.idx") as reader,
        RecordWriter(good / "train.rec", good / "train.idx") as writer,
        RecordWriter(tmp_path / "a.rec", tmp_path / "a.idx") as other,
    ):
        if first:  # the header stands before the images
            other.write(0, [8, 12])
            writer.write(0, [7, 11])
        for number, key in enumerate(range(1, 8)):
            record = reader.read(key)
            other.write(key, record.label, record.payload)
            if key in kept:
                writer.write(kept.index(key) + 1, record.label, record.payload)
            assert record.first_label == IDENTITIES[number]
        if not first:
            other.write(0, [8, 12])
            writer.write(0, [7, 11])
        for number, pair in enumerate([(1, 3), (3, 4), (4, 7), (7, 8)]):
            other.write(8 + number, pair)
        for number, pair in enumerate([(1, 3), (3, 4), (4, 6), (6, 7)]):
            writer.write(7 + number, pair)
    (tmp_path / "a.rec").rename(bad / "train.rec")
    (tmp_path / "a.idx").rename(bad / "train.idx")
    (good / "property").write_text("4,16,16\n")
    break_image(bad, 5)
    assert main(["copy", str(bad), str(tmp_path / "new"), "--skip-bad"]) == 0
    said = capsys.readouterr().out
    assert "left out: 1 images" in said and "record 5: " in said and "no image" in said
    assert content(tmp_path / "new") == content(good)


@pytest.mark.parametrize("key", [1, 3])
def test_the_keys_close_up_over_a_record_that_is_lost(folder, tmp_path, key):
    with RecordReader(folder / "train.rec", folder / "train.idx") as reader:
        offset = int(reader.offsets_of(np.array([key]))[0])
    rec = bytearray((folder / "train.rec").read_bytes())
    rec[offset : offset + 4] = b"lost"
    (folder / "train.rec").write_bytes(rec)
    assert main(["copy", str(folder), str(tmp_path / "new"), "--skip-bad"]) == 0
    assert FaceDataset(tmp_path / "new").image_keys.tolist() == [1, 2, 3, 4, 5, 6]
    found = payloads(tmp_path / "new")
    assert [len(found.get(number, [])) for number in range(4)] == (
        [1, 1, 3, 1] if key == 1 else [2, 0, 3, 1]
    )


def test_skip_bad_passes_over_damaged_bytes_and_labels(folder, tmp_path):
    rec = bytearray((folder / "train.rec").read_bytes())
    with RecordReader(folder / "train.rec", folder / "train.idx") as reader:
        first, third = reader.offsets_of(np.array([1, 3]))
    rec[first] ^= 1
    rec[third + 32 : third + 36] = np.float32(np.nan).tobytes()
    (folder / "train.rec").write_bytes(rec)
    assert main(["copy", str(folder), str(tmp_path / "no")]) == 2
    assert not (tmp_path / "no").exists()
    assert main(["copy", str(folder), str(tmp_path / "new"), "--skip-bad"]) == 0
    dataset = FaceDataset(tmp_path / "new")
    assert dataset.identities(dataset.image_keys).tolist() == [0, 2, 2, 2, 3]
    assert main(["check", str(tmp_path / "new")]) == 0


def test_a_part_keeps_its_numbers(folder, tmp_path):
    whole = payloads(folder)
    assert main(["copy", str(folder), str(tmp_path / "a"), "--identities", "0,2-3"]) == 0
    assert payloads(tmp_path / "a") == {n: whole[n] for n in (0, 2, 3)}
    assert names(tmp_path / "a") == "0\tann\n2\tcyd\n3\tdan\n"
    assert main(["copy", str(folder), str(tmp_path / "b"), "--images-filter", "2"]) == 0
    assert payloads(tmp_path / "b") == {n: whole[n] for n in (0, 2)}
    assert main(["check", str(tmp_path / "b")]) == 0
    for given, said in (("9", "has no image of it"), ("2-0", "give numbers and ranges"), ("x", "")):
        assert main(["copy", str(folder), str(tmp_path / "c"), "--identities", given]) == 2, said


def test_relabel_closes_gaps(folder, tmp_path):
    assert main(["copy", str(folder), str(tmp_path / "a"), "--identities", "1,3"]) == 0
    assert main(["relabel", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    whole = payloads(folder)
    assert payloads(tmp_path / "b") == {0: whole[1], 1: whole[3]}
    assert names(tmp_path / "b") == "0\tbob\n1\tdan\n"
    assert (tmp_path / "b" / "property").read_text() == "2,16,16\n"


def test_relabel_of_labels_that_begin_at_1(tmp_path, make_dataset):
    folder = make_dataset(tmp_path / "set", [1, 1, 2], property_text="2,16,16")
    assert main(["relabel", str(folder), str(tmp_path / "new")]) == 0
    assert sorted(payloads(tmp_path / "new")) == [0, 1]
    assert names(tmp_path / "new") == "0\t1\n1\t2\n"


def test_relabel_brings_a_person_together(tmp_path, make_dataset):
    folder = make_dataset(tmp_path / "set", [0, 5, 0, 5])
    assert main(["relabel", str(folder), str(tmp_path / "new")]) == 0
    assert FaceDataset(tmp_path / "new").identity_ranges.tolist() == [[1, 3], [3, 5]]


def test_merge_numbers_on(folder, tmp_path, make_plain):
    plain = make_plain(tmp_path / "plain", [1, 1, 0])
    third = tmp_path / "third"
    shutil.copytree(folder, third)
    assert main(["merge", str(tmp_path / "new"), str(folder), str(plain), str(third)]) == 0
    one, two = payloads(folder), payloads(plain)
    expected = one | {4 + n: two[n] for n in two} | {6 + n: one[n] for n in one}
    assert payloads(tmp_path / "new") == expected
    assert names(tmp_path / "new").splitlines()[3:6] == ["3\tdan", "4\tplain/0", "5\tplain/1"]
    assert main(["check", str(tmp_path / "new")]) == 0


def test_merge_takes_nobody_for_two(folder, tmp_path, capsys):
    (tmp_path / "link").symlink_to(folder)
    assert main(["merge", str(tmp_path / "new"), str(folder), str(tmp_path / "link")]) == 2
    assert f"{folder} is given twice; its people would be two each" in capsys.readouterr().err


def test_merge_of_other_sizes_is_refused(folder, tmp_path, make_dataset, capsys):
    other = make_dataset(tmp_path / "b", [0], property_text="1,16,8")
    assert main(["merge", str(tmp_path / "new"), str(folder), str(other)]) == 2
    assert "different height and width" in capsys.readouterr().err


def test_labels_that_are_none_are_left_out_where_property_is_lost_too(folder, tmp_path, capsys):
    with RecordReader(folder / "train.rec", folder / "train.idx") as reader:
        at = int(reader.offsets_of(np.array([3]))[0]) + 8 + 24
    data = bytearray((folder / "train.rec").read_bytes())
    data[at : at + 4] = np.float32(1.5).tobytes()
    (folder / "train.rec").write_bytes(data)
    (folder / "property").unlink()
    assert main(["repair", str(folder)]) == 2
    assert f"`arcface-rec copy {folder} NEW --skip-bad`" in capsys.readouterr().err
    assert main(["copy", str(folder), str(tmp_path / "new"), "--skip-bad"]) == 0
    assert (tmp_path / "new/property").read_text() == "4,16,16\n"
    assert payloads(tmp_path / "new").keys() == {0, 2, 3}


def test_split_and_merge_give_everybody_back(folder, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    assert main(["split", str(folder), str(a), str(b), "--count", "2", "--seed", "3"]) == 0
    assert main(["merge", str(tmp_path / "new"), str(a), str(b)]) == 0
    assert sorted(payloads(tmp_path / "new").values()) == sorted(payloads(folder).values())
    people = [line.split("\t")[1] for line in names(a).splitlines() + names(b).splitlines()]
    assert sorted(people) == ["ann", "bob", "cyd", "dan"]
    args = ["split", str(folder), str(a), str(b), "--identities", "3"]
    assert main(args) == 2, "they exist"
    assert main([*args, "--overwrite"]) == 0
    assert names(b) == "0\tdan\n"
    assert main(["split", str(folder), str(tmp_path / "c"), str(tmp_path / "d")]) == 2


def test_shuffle_changes_the_order_alone(folder, tmp_path):
    new = tmp_path / "new"
    assert main(["shuffle", str(folder), str(new), "--seed", "1"]) == 0
    old, other = FaceDataset(folder), FaceDataset(new)
    assert other.identity_ranges.tolist() == old.identity_ranges.tolist()
    for key in old.image_keys:
        assert other.records.read(key).payload == old.records.read(key).payload
        assert other.records.read(key).label.tolist() == old.records.read(key).label.tolist()
    order = [int(line.split()[0]) for line in (new / "train.idx").read_text().splitlines()]
    assert sorted(order[:7]) == [1, 2, 3, 4, 5, 6, 7] != order[:7] and order[7] == 0
    assert main(["check", str(new)]) == 0


def test_shuffle_for_readers_from_beginning_to_end(folder, tmp_path):
    mx = pytest.importorskip("mxnet")
    new = tmp_path / "new"
    assert main(["shuffle", str(folder), str(new), "--plain"]) == 0
    assert payloads(new) == payloads(folder)
    record = mx.recordio.MXRecordIO(str(new / "train.rec"), "r")
    labels = [mx.recordio.unpack(record.read())[0].label for _ in IDENTITIES]
    assert sorted(labels) == IDENTITIES != labels and record.read() is None
    assert main(["check", str(new)]) == 0


def test_sample_draws_people_and_images(folder, tmp_path):
    whole = payloads(folder)
    args = ["sample", str(folder), str(tmp_path / "a"), "--count", "3", "--images", "2"]
    assert main([*args, "--seed", "5"]) == 0
    found = payloads(tmp_path / "a")
    assert sorted(found) == [0, 1, 2] and max(map(len, found.values())) == 2
    assert all(any(set(some) <= set(all_) for all_ in whole.values()) for some in found.values())
    assert main(["check", str(tmp_path / "a")]) == 0
    assert main(["sample", str(folder), str(tmp_path / "b"), "--count", "9"]) == 2
    assert main(["sample", str(folder), str(tmp_path / "b")]) == 2


def test_records_in_several_pieces_are_kept(tmp_path, make_dataset):
    """A payload that holds the magic word, at a place that depends on nothing but itself."""
    folder = make_dataset(tmp_path / "set", [0, 1])
    whole = b"1234" + MAGIC.to_bytes(4, "little") + b"12345"
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key in (1, 2, 3):
            writer.write(key, [key - 1, 1], whole * key)
        writer.write(0, [4, 7])
        for key in (1, 2, 3):
            writer.write(3 + key, [key, key + 1])
    (folder / "property").write_text("3,16,16\n")
    new = tmp_path / "new"
    assert main(["copy", str(folder), str(new), "--identities", "1,2"]) == 0
    assert payloads(new) == {1: [whole * 2], 2: [whole * 3]}
    assert main(["check", str(new), "--no-decode"]) == 0


def test_a_dataset_that_is_there_stays(folder, tmp_path, capsys):
    before = content(folder)
    assert main(["copy", str(folder), str(folder)]) == 2
    assert "give --overwrite" in capsys.readouterr().err
    assert content(folder) == before


def test_repair_of_a_cut_off_file(tmp_path, make_dataset, capsys):
    folder = make_dataset(tmp_path / "set", IDENTITIES)
    rec = folder / "train.rec"
    with RecordReader(rec, folder / "train.idx") as reader:
        at = int(reader.offsets_of(np.array([6]))[0])
    rec.write_bytes(rec.read_bytes()[: at + 50])
    assert main(["repair", str(folder)]) == 0
    assert "the end of the file cuts off" in capsys.readouterr().out
    assert main(["check", str(folder)]) == 0
    dataset = FaceDataset(folder)
    assert dataset.num_classes == 3 and len(dataset.image_keys) == 5


def test_repair_makes_index_and_property_of_a_lone_file(tmp_path, make_dataset):
    folder = make_dataset(tmp_path / "set", IDENTITIES, property_text="4,16,16\n")
    before = content(folder)
    (folder / "train.idx").unlink()
    (folder / "property").unlink()
    with pytest.raises(FileNotFoundError, match="no file train.idx; `arcface-rec repair .*train"):
        FaceDataset(folder)
    assert main(["repair", str(folder)]) == 0
    assert content(folder) == before


def test_extract_into_a_folder_that_is_not_empty(folder, tmp_path, capsys):
    assert main(["extract", str(folder), str(folder)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main(["extract", str(folder), str(folder), "--overwrite", "--identities", "3"]) == 0


def test_split_into_its_own_source_is_refused(folder, tmp_path, capsys):
    before, link = content(folder), tmp_path / "link"
    link.symlink_to(folder)
    for first, second in ((folder, tmp_path / "b"), (tmp_path / "a", link)):
        some = ["--identities", "3", "--overwrite"]
        assert main(["split", str(folder), str(first), str(second), *some]) == 2
        assert "is given twice" in capsys.readouterr().err
    assert content(folder) == before and not (tmp_path / "a").exists()


@pytest.mark.parametrize("said", [2, 9])
def test_relabel_mends_a_wrong_property_where_numbers_have_no_gaps(folder, tmp_path, said):
    (folder / "property").write_text(f"{said},16,16\n")
    assert main(["relabel", str(folder), str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "property").read_text() == "4,16,16\n"
    assert main(["check", str(tmp_path / "new")]) == 0
    assert payloads(tmp_path / "new").keys() == {0, 1, 2, 3}


def test_a_person_without_a_good_image_is_told_with_a_cure(folder, tmp_path, capsys, caplog):
    break_image(folder, 3)
    new, closed = tmp_path / "new", tmp_path / "closed"
    assert main(["copy", str(folder), str(new), "--skip-bad"]) == 0
    said = capsys.readouterr().out
    assert "1 identities have no image any more (1)" in said
    assert f"`arcface-rec relabel {new} NEW`" in said
    FaceDataset(new)
    assert f"`arcface-rec relabel {new} NEW`" in caplog.text
    caplog.clear()
    assert main(["relabel", str(new), str(closed)]) == 0
    assert FaceDataset(closed).num_classes == FaceDataset(closed).count_identities() == 3
    assert not caplog.text.count(str(closed))


def test_numbers_that_no_label_can_hold_are_refused_at_once(folder, tmp_path, capsys):
    numbers = "0-16777216"
    assert main(["copy", str(folder), str(tmp_path / "new"), "--identities", numbers]) == 2
    assert "the numbers end with 16,777,215" in capsys.readouterr().err


def test_index_of_a_file_without_a_whole_record_stays(folder, capsys):
    rec, index = folder / "train.rec", (folder / "train.idx").read_bytes()
    rec.write_bytes(rec.read_bytes()[:20])
    assert main(["index", str(rec)]) == 2
    assert "holds no whole record" in capsys.readouterr().err
    assert (folder / "train.idx").read_bytes() == index


def test_extract_refuses_people_that_are_not_there(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["extract", str(folder), str(out), "--identities", "0,77,78"]) == 2
    assert f"--identities 77: {folder} has no image of it; 2 such" in capsys.readouterr().err
    assert not out.exists()


def test_a_byte_order_mark_in_front_of_names_is_no_name(folder, tmp_path):
    before = names(folder)
    (folder / "train.names").write_text(before, encoding="utf-8-sig")
    assert main(["copy", str(folder), str(tmp_path / "new")]) == 0
    assert names(tmp_path / "new") == before


@pytest.mark.parametrize("first", [7, 8, 25])
@pytest.mark.parametrize("header_id", [0, 1])  # some writers count records from 1, or not at all
def test_the_picture_of_a_wrong_header_becomes_no_person(
    tmp_path, encode, image_of, first, header_id
):
    folder = tmp_path / "set"
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        writer.write(0, [first, 3], encode(image_of(0, 0)))
        for key, identity in enumerate([0, 0, 1, 1, 2], start=1):
            writer.write(key, [identity, 0], encode(image_of(key, identity)))
    content = bytearray((folder / "train.rec").read_bytes())
    content[16] = header_id
    (folder / "train.rec").write_bytes(content)
    (folder / "property").write_text("3,16,16\n")
    assert main(["check", str(folder)]) == 1
    assert main(["copy", str(folder), str(tmp_path / "new"), "--skip-bad"]) == 0
    assert main(["repair", str(folder)]) == 0
    assert main(["check", str(folder)]) == 0
    for some in (folder, tmp_path / "new"):
        assert (some / "property").read_text() == "3,16,16\n"
        assert [len(found) for found in payloads(some).values()] == [2, 2, 1]
    assert FaceDataset(folder).layout.kind == "count"
