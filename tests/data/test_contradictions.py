"""Datasets that contradict themselves: refused when they are opened, told by check, repaired."""

from arcface_mxnet.data.contradictions import SHOWN, Faults
from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.data.labels import MOST, refuse_too_many
from arcface_mxnet.data.rec import main
from arcface_mxnet.data.records import RecordWriter
import numpy as np
import pytest

IDENTITIES = [0, 0, 1, 2, 2, 2]  # keys 1 to 6; identity records 7 to 9
RANGES = [(1, 3), (3, 4), (4, 7)]


@pytest.fixture
def write(tmp_path, encode, image_of):
    """Return write(labels=, header=, ranges=, ids=): a folder with these facts."""

    def make(labels=IDENTITIES, header=(7, 10), ranges=RANGES, payload=b"", first=False):
        folder = tmp_path / "set"
        folder.mkdir(exist_ok=True)
        with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
            if first and header:
                writer.write(0, header, payload)
            for key, label in enumerate(labels, start=1):
                writer.write(key, [label, 1], encode(image_of(key, 0)))
            if header and not first:
                writer.write(0, header, payload)
            for number, pair in enumerate(ranges):
                writer.write(len(labels) + 1 + number, pair)
        (folder / "property").write_text("3,16,16\n")
        return folder

    return make


def lines_of(folder):
    return (folder / "train.idx").read_text().splitlines(keepends=True)


def edit_index(change):
    """Return what edits the lines of an index, by key."""

    def edit(folder):
        lines = {line.split("\t")[0]: line for line in lines_of(folder)}
        change(lines)
        (folder / "train.idx").write_text("".join(lines.values()))

    return edit


def point(key, other):
    def change(lines):
        lines[key] = f"{key}\t{lines[other].split()[1]}\n"

    return edit_index(change)


def swap(one, two):
    def change(lines):
        a, b = lines[one].split()[1], lines[two].split()[1]
        lines[one], lines[two] = f"{one}\t{b}\n", f"{two}\t{a}\n"

    return edit_index(change)


def drop(*keys):
    return edit_index(lambda lines: [lines.pop(key) for key in keys])


# What is wrong, what opening says, what check says (None: the same).
CASES = [
    ({"ranges": [(1, 4), (4, 5), (5, 7)]}, None,
     "record 7 says that one identity has the images 1 to 3, but image 3 has label 1 and image 1 "
     "label 0", None),
    ({"ranges": [(1, 3), (2, 4), (4, 7)]}, None, "record 8 holds image 2, which record 7", None),
    ({"ranges": [(1, 3), (4, 7), (4, 7)]}, None,
     "no identity record holds the images 3 to 3", None),
    ({"ranges": [(1, 3), (3, 4), (4, 6)]}, None,
     "no identity record holds the images 6 to 6", None),
    ({"ranges": [(1, 3), (3, 4), (4, 9)]}, None, "record 9 says that identity 2 has the images 4 "
     "to 8 of 6", None),
    ({"header": (8, 10)}, None, "no identity record holds the images", None),
    ({"header": (6, 10)}, None, "record 6 says that identity 0 has the images", None),
    ({"header": (7, 12)}, None, "record 0 says that identities have the keys 7 to 11", None),
    ({}, point("3", "2"), "key 2 is at byte 892 and key 3 at byte 892",
     "the index has the record at byte 892 twice"),
    ({}, swap("3", "4"), "record 3 of the index says of itself that it is record 4", None),
    ({}, drop("3", "4"), "the index has no key 3, one of the images 1 to 6 that record 0 says; 2",
     None),
    ({}, drop("8"), "the index has no key 8, one of the identity records 7 to 9", None),
    ({"labels": [0, 0, 1, 2, 2.5, 2]}, None, "record 5 has the label 2.5, which is no identity",
     None),
    ({"labels": [0, 0, 1, 2, np.nan, 2]}, None, "record 5 has the label nan", None),
    ({"labels": [0, 0, 1, 2, -1, 2]}, None, "record 5 has the label -1", None),
    ({"labels": [0, 0, 1, 2, np.inf, 2]}, None, "record 5 has the label inf", None),
    ({"labels": [0, 0, 1, 3, 3, 3]}, None,
     "record 4 has identity 3, but .*says 3 identities", None),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "edit", "opening", "checking"), CASES)
def test_a_contradiction_is_refused_and_told(write, capsys, facts, edit, opening, checking):
    folder = write(**facts)
    if edit:
        edit(folder)
    with pytest.raises(ValueError, match=opening) as caught:
        FaceDataset(folder)
    assert "arcface-rec" in str(caught.value)
    assert main(["check", str(folder)]) == 1
    said = capsys.readouterr().out
    assert ((checking or opening).split(", but .*")[0]) in said
    assert "cure: " in said


def test_a_label_that_is_no_number_is_told_once_with_its_cure(write):
    folder = write(labels=[0, 0, 1, 2, np.nan, 2])
    with pytest.raises(ValueError, match="record 5 has the label nan") as caught:
        FaceDataset(folder)
    assert "says that one identity" not in str(caught.value)
    assert "arcface-rec repair" not in str(caught.value)  # it refuses such labels


@pytest.mark.parametrize(("facts", "edit"), [case[:2] for case in CASES])
def test_the_cure_cures(write, facts, edit):
    folder = write(**facts)
    sound = "labels" not in facts
    if edit:
        edit(folder)
    if main(["repair", str(folder)]):
        assert "labels" in facts
        new = folder.parent / "new"
        assert main(["copy", str(folder), str(new), "--skip-bad"]) == 0
        folder = new
    assert main(["check", str(folder)]) == 0
    dataset = FaceDataset(folder)
    assert len(dataset.image_keys) == 6 - (folder.name == "new")
    labels = np.array(facts.get("labels", IDENTITIES))
    labels = labels[np.isfinite(labels) & (labels >= 0) & (labels == np.floor(labels))]
    assert dataset.identities(dataset.image_keys).tolist() == labels.tolist()
    if sound:
        repaired = (folder / "train.rec").read_bytes(), (folder / "train.idx").read_text()
        whole = write()
        assert repaired[0] == (whole / "train.rec").read_bytes()
        assert sorted(repaired[1].splitlines()) == sorted(
            (whole / "train.idx").read_text().splitlines()
        )


@pytest.mark.parametrize("payload", [b"", b"a picture"])
@pytest.mark.parametrize("first", [True, False])
def test_the_header_of_other_writers(write, capsys, payload, first):
    folder = write(header=(7, 3), ranges=[], payload=payload, first=first)
    dataset = FaceDataset(folder)
    assert list(dataset.image_keys) == [1, 2, 3, 4, 5, 6]
    assert dataset.identity_ranges.tolist() == [list(pair) for pair in RANGES]
    assert [list(keys) for keys in dataset.keys_by_identity] == [[1, 2], [3], [4, 5, 6]]
    assert list(FaceDataset(folder, images_filter=2).image_keys) == [1, 2, 4, 5, 6]
    assert main(["check", str(folder)]) == 0
    assert main(["info", str(folder)]) == 0
    assert "header of another writer" in capsys.readouterr().out
    before = (folder / "train.idx").read_bytes()
    assert main(["index", str(folder / "train.rec")]) == 0
    assert (folder / "train.idx").read_bytes() == before


def test_neighbouring_ranges_of_one_label_are_one_person(write):
    dataset = FaceDataset(write(header=(7, 11), ranges=[(1, 2), (2, 3), (3, 4), (4, 7)]))
    assert dataset.identity_ranges.tolist() == [[1, 3], [3, 4], [4, 7]]
    assert [list(keys) for keys in dataset.keys_by_identity] == [[1, 2], [3], [4, 5, 6]]


@pytest.mark.parametrize("header", [(9, 3), (9, 10), None])
def test_identity_records_without_a_record_0_that_fits(write, header):
    """What is no image is taken for none, and the labels give the identity records anew."""
    folder = write(header=header, ranges=[(5, 3), (3, 4), (4, 7)])
    assert main(["check", str(folder)]) == 1
    assert main(["repair", str(folder)]) == 0
    assert main(["check", str(folder)]) == 0
    dataset = FaceDataset(folder)
    assert list(dataset.image_keys) == [1, 2, 3, 4, 5, 6]
    assert dataset.identity_ranges.tolist() == [list(pair) for pair in RANGES]


def test_a_property_that_is_too_large_is_told(write, capsys, caplog):
    folder = write()
    (folder / "property").write_text("85742,16,16\n")
    assert FaceDataset(folder).num_classes == 85742
    assert "property says 85742 identities, but record 0 has only 3" in caplog.text
    assert main(["check", str(folder)]) == 1
    assert "says 85742 identities, but the labels of the images end with 2" in (
        capsys.readouterr().out
    )
    assert main(["repair", str(folder)]) == 0
    assert (folder / "property").read_text() == "3,16,16\n"


def test_a_bad_label_that_opening_did_not_see_is_named_when_it_is_drawn(write, monkeypatch):
    monkeypatch.setattr("arcface_mxnet.data.opening.SAMPLE", 2)
    folder = write(labels=[0, 0, 1.5, 2, 2, 2], header=(7, 3), ranges=[])
    dataset = FaceDataset(folder)
    with pytest.raises(ValueError, match="record 3 has the label 1.5, which is no identity"):
        dataset.sample(3)
    with pytest.raises(ValueError, match="record 3 has the label 1.5"):
        _ = dataset.keys_by_identity
    assert dataset.sample(4)[1] == 2


def test_ranges_are_compared_with_both_their_ends_when_they_are_used(write, monkeypatch):
    monkeypatch.setattr("arcface_mxnet.data.opening._ends_around", lambda images, ranges: images)
    monkeypatch.setattr("arcface_mxnet.data.opening.SAMPLE", 2)
    dataset = FaceDataset(write(ranges=[(1, 4), (4, 5), (5, 7)]))
    with pytest.raises(ValueError, match="record 7 says .* image 3 has label 1"):
        _ = dataset.keys_by_identity


def test_an_image_is_compared_with_its_range_when_it_is_drawn_by_it(write, monkeypatch):
    monkeypatch.setattr("arcface_mxnet.data.opening.SAMPLE", 2)
    dataset = FaceDataset(write(labels=[0, 0, 1, 2, 1, 2], ranges=[(1, 3), (3, 4), (4, 7)]))
    assert dataset.sample(5)[1] == 1, "its label decides"
    assert len(dataset.keys_by_identity) == 3
    with pytest.raises(ValueError, match="record 5 has label 1, but an identity record .* of id"):
        dataset.sample(5)
    assert dataset.sample(4)[1] == 2


def test_an_image_without_bytes_is_told(write, caplog, tmp_path, capsys):
    folder = write()
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        writer.write(1, [0, 0], b"")
        writer.write(2, [0, 0], b"x")
    assert FaceDataset(folder).num_classes == 3
    assert "record 1 has no image" in caplog.text
    assert main(["check", str(folder)]) == 1
    assert "record 1: 0 bytes that are no image" in capsys.readouterr().out


def test_more_identities_than_labels_can_tell_apart(write):
    folder = write()
    refuse_too_many(MOST, "here")
    (folder / "property").write_text(f"{MOST + 1},16,16\n")
    with pytest.raises(ValueError, match="above 16,777,216 .* cannot say who it is"):
        FaceDataset(folder)


def test_ids_that_were_not_kept_are_no_fault(write, tmp_path):
    """Some writers leave every id 0; copies of a part keep the old ones."""
    folder = write()
    rec = bytearray((folder / "train.rec").read_bytes())
    for line in lines_of(folder):
        at = int(line.split()[1]) + 16
        rec[at : at + 8] = bytes(8)
    (folder / "train.rec").write_bytes(rec)
    assert main(["check", str(folder)]) == 0
    before = (folder / "train.idx").read_bytes()
    (folder / "train.idx").unlink()
    with pytest.raises(FileNotFoundError, match="no file train.idx; `arcface-rec repair"):
        FaceDataset(folder)
    assert main(["repair", str(folder)]) == 0
    assert (folder / "train.idx").read_bytes() == before


def test_many_faults_are_counted_and_some_told():
    faults = Faults()
    faults.add_at(np.arange(1000), lambda i: f"fault {i}", "nothing")
    assert faults.count == 1000 and len(faults.texts) == SHOWN + 1
    assert faults.texts[-1] == f"... and {1000 - SHOWN} more of this kind"
    assert str(faults).endswith("cure: nothing")


INPUTS = {
    "range_off": "record 26 says that one identity has the images 5 to 9",
    "range_overlap": "record 27 holds image 5, which record 26",
    "idx_middle_lost": "the index has no key 9, one of the images 1 to 24",
}


@pytest.mark.parametrize("name", INPUTS)
def test_datasets_of_users(shared_data, name):
    folder = shared_data.parent / "findings" / "inputs" / name
    if not folder.is_dir():
        pytest.skip(f"absent: {folder}")
    with pytest.raises(ValueError, match=INPUTS[name]):
        FaceDataset(folder)


def test_labels_are_compared_across_the_blocks_in_which_they_are_taken(write, capsys, monkeypatch):
    monkeypatch.setattr("arcface_mxnet.data.contradictions.AT_ONCE", 2)
    folder = write(ranges=[(1, 3), (3, 5), (5, 7)])
    assert main(["check", str(folder)]) == 1
    said = capsys.readouterr().out
    assert "the images 3 to 4, but image 4 has label 2 and image 3 label 1" in said
    assert "1 faults" in said


@pytest.mark.parametrize("payload", [b"", b"a picture"])
def test_a_part_of_a_dataset_with_another_writers_header_has_its_numbers_right(
    write, tmp_path, payload
):
    folder, new = write(header=(7, 3), ranges=[], payload=payload), tmp_path / "new"
    assert main(["copy", str(folder), str(new), "--identities", "0-1"]) == 0
    dataset = FaceDataset(new)
    assert dataset.layout.kind == "count" and dataset.layout.declared == 2
    assert dataset.records.read(0).label.tolist() == [4, 2]
    assert dataset.records.read(0).payload == payload
    assert dataset.identities(dataset.image_keys).tolist() == [0, 0, 1]


def test_a_hole_in_the_index_of_a_plain_file_is_found_when_it_is_opened(tmp_path, make_plain):
    folder = make_plain(tmp_path, [0, 0, 1, 1])
    drop("2")(folder)
    with pytest.raises(ValueError, match="record 1 ends at byte .* the next record of the index"):
        FaceDataset(folder)
