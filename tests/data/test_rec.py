"""The tool that looks into records, on whole and on damaged files."""

from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.data.rec import main
from arcface_mxnet.data.records import RecordReader
import numpy as np
import pytest

IDENTITIES = [0, 0, 1, 2, 2, 2]


@pytest.fixture
def folder(tmp_path, make_dataset):
    return make_dataset(tmp_path / "set", IDENTITIES)


def test_info(folder, capsys):
    assert main(["info", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "images      6, 16 high and 16 wide" in said
    assert "identities  3 with images, 3 in property" in said
    assert "1 to 3, median 2, 1 with a single image" in said
    assert "records     10 = images + 4 (1 header + identity records)" in said
    assert FaceDataset(folder).fingerprint() in said


def test_info_of_other_files(tmp_path, make_plain, make_dataset, capsys):
    assert main(["info", str(make_plain(tmp_path / "plain", IDENTITIES))]) == 0
    assert "records     6 = images + 0 (plain im2rec file" in capsys.readouterr().out
    assert main(["info", str(make_dataset(tmp_path / "mixed", [0, 1, 0]))]) == 0
    assert "3 runs for 2 identities: the list was not grouped" in capsys.readouterr().out


def test_check_of_a_whole_file(folder, capsys):
    assert main(["check", str(folder)]) == 0
    assert "10 of 10 records read, 0 faults" in capsys.readouterr().out
    assert main(["check", str(folder), "--sample", "4"]) == 0
    assert "4 of 6 images decoded, 0 faults" in capsys.readouterr().out
    assert main(["check", str(folder), "--sample", "4", "--no-decode"]) == 2
    assert "--no-decode: --sample is there to decode some" in capsys.readouterr().err


def damage(folder, key, at, byte):
    rec = folder / "train.rec"
    with RecordReader(rec, folder / "train.idx") as reader:
        offset = reader.offsets[list(reader.keys).index(key)] + at
    content = bytearray(rec.read_bytes())
    content[offset] = byte
    rec.write_bytes(content)


def test_check_names_every_bad_record(folder, capsys):
    damage(folder, 2, 0, 0)  # the magic word
    damage(folder, 4, 8 + 24 + 8 + 1, 0)  # the image's own first bytes
    damage(folder, 5, 8 + 24 + 3, 0x42)  # the label: 2.0 becomes 32.0
    damage(folder, 8, 8, 9)  # labels of an identity record
    assert main(["check", str(folder)]) == 1
    said = capsys.readouterr().out
    assert "where record 2 should be" in said
    assert "record 4: " in said and "no image" in said
    assert "record 5 has identity 32, but " in said and "property says 3 identities" in said
    assert "record 8 is too short for its 9 labels" in said
    assert "9 of 10 records read, 4 faults; 5 images decoded" in said
    assert main(["check", str(folder), "--no-decode"]) == 1
    assert "9 of 10 records read, 3 faults; 5 images not decoded" in capsys.readouterr().out


def test_extract_gives_the_files_back(folder, tmp_path, capsys, encode, image_of):
    out = tmp_path / "out"
    assert main(["extract", str(folder), str(out)]) == 0
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*.*"))
    assert files == [f"{i:06d}/{key:08d}.png" for key, i in enumerate(IDENTITIES, start=1)]
    assert (out / files[3]).read_bytes() == encode(image_of(4, 2))
    assert "wrote 6 images" in capsys.readouterr().out
    assert main(["extract", str(folder), str(tmp_path / "b"), "--identities", "1,0"]) == 0
    assert "wrote 3 images" in capsys.readouterr().out


def test_index_is_made_anew(folder, capsys):
    before = (folder / "train.idx").read_bytes()
    (folder / "train.idx").write_text("1\t4\n")
    assert main(["check", str(folder)]) == 1
    said = capsys.readouterr().out
    assert "key 1 of the index is at byte 4, where no record begins" in said
    assert "cure: `arcface-rec repair" in said
    assert main(["info", str(folder)]) == 2
    assert "rec index" in capsys.readouterr().err
    assert main(["index", str(folder / "train.rec")]) == 0
    assert (folder / "train.idx").read_bytes() == before
    assert main(["check", str(folder)]) == 0


def test_index_of_a_cut_off_file_goes_up_to_its_last_whole_record(folder, capsys, caplog):
    rec, idx = folder / "train.rec", folder / "train.idx"
    lines = idx.read_text().splitlines(keepends=True)
    rec.write_bytes(rec.read_bytes()[: int(lines[4].split()[1]) + 100])
    assert main(["info", str(folder)]) == 2
    assert "cut off" in capsys.readouterr().err
    assert main(["index", str(rec)]) == 0
    said = capsys.readouterr().out
    assert "train.idx: 4 records" in said
    assert "a record that the end of the file cuts off" in said
    assert idx.read_text() == "".join(lines[:4])
    assert main(["info", str(folder)]) == 0
    assert "images      4" in capsys.readouterr().out
    assert "ends inside a record, 100 bytes" in caplog.text
    with RecordReader(rec, idx) as reader:
        assert list(reader.keys) == [1, 2, 3, 4]


def test_the_original_records(shared_data, capsys):
    folder = shared_data / "original_records"
    assert main(["check", str(folder)]) == 0
    assert "51 of 51 records read, 0 faults" in capsys.readouterr().out


def test_missing_folder(tmp_path, capsys):
    assert main(["info", str(tmp_path / "nowhere")]) == 2
    assert "no dataset folder" in capsys.readouterr().err
    assert np.size(list(tmp_path.iterdir())) == 0


@pytest.mark.parametrize(
    "text, words",
    [
        ("0\ta\n0\tb\n", "line 2: 0 is named a second time"),
        ("a\tb\n", "is not NUMBER<TAB>NAME"),
        ("0\ta\n2\tc\n", "names identity 2, and 1 such, but property says 2 identities"),
    ],
)
def test_names_that_cannot_be_those_of_the_dataset(tmp_path, make_dataset, capsys, text, words):
    folder = make_dataset(tmp_path / "set", [0, 0, 1, 1])
    (folder / "train.names").write_text("0\ta\n")  # not all need a name
    assert main(["check", str(folder)]) == 0
    (folder / "train.names").write_text(text)
    capsys.readouterr()
    assert main(["check", str(folder)]) == 1
    out = capsys.readouterr().out
    assert words in out and "1 faults" in out and "cure: train.names is of another dataset" in out


@pytest.mark.parametrize("size", ["40000,40000", "16,8", "4000,4000"])
def test_a_property_of_which_no_image_has_the_size_is_corrected(folder, capsys, size):
    before = (folder / "property").read_text()
    (folder / "property").write_text(f"3,{size}\n")
    if size == "4000,4000":  # to which all can be resized
        assert main(["repair", str(folder)]) == 0
        assert "nothing to repair" in capsys.readouterr().out
        return
    assert main(["check", str(folder)]) == 1
    cure = f"`arcface-rec repair {folder}` takes the size for property from the images"
    assert cure in capsys.readouterr().out
    with pytest.raises(ValueError, match="record 1: is .* after resizing.*arcface-rec repair"):
        FaceDataset(folder).refuse_other_size()
    assert main(["repair", str(folder)]) == 0
    assert (folder / "property").read_text().strip() == before
    assert main(["check", str(folder)]) == 0
    FaceDataset(folder).refuse_other_size()


def test_one_image_of_another_size_does_not_change_property(folder, capsys, encode):
    damage(folder, 1, 8 + 24 + 8 + 16 + 3, 8)  # the width that its PNG says
    before = (folder / "property").read_text()
    main(["repair", str(folder)])
    assert (folder / "property").read_text() == before
    FaceDataset(folder).refuse_other_size()
