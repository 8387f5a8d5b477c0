"""A plan is applied into a new dataset, undone to the byte, and refused where it does not fit."""

import json

from arcface_mxnet.clean.command import main
from arcface_mxnet.clean.plan_file import COLUMNS, read_plan
from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.data.rec import main as rec
import numpy as np
import pytest

from tests.clean.planting import people

NAMES = ("train.rec", "train.idx", "property")


def content(folder):
    return [(folder / name).read_bytes() for name in NAMES]


def by_identity(folder):
    """Return the payloads of each identity, by its name."""
    dataset = FaceDataset(folder)
    names = dict(line.split("\t") for line in (folder / "train.names").read_text().splitlines())
    return {
        names[str(int(dataset.identities(keys[:1])[0]))]: sorted(
            dataset.records.read(key).payload for key in keys
        )
        for keys in dataset.keys_by_identity
    }


def write(path, rows):
    lines = ["\t".join(COLUMNS)]
    for key, identity, action, target in rows:
        lines.append(f"{key}\t{identity}\tx\t{action}\t{target}\tfar\t0.1\t-")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def folder(tmp_path, make_dataset):
    folder = make_dataset(tmp_path / "set", [0, 0, 0, 1, 2, 2, 2, 3, 3], property_text="4,16,16\n")
    (folder / "train.names").write_text("0\tann\n1\tbob\n2\tcyd\n3\tdan\n")
    return folder


ROWS = [(2, 0, "drop", "-"), (4, 1, "drop", "-"), (5, 2, "move", 3), (6, 2, "move", 4),
        (7, 2, "look", "-"), (9, 3, "keep", "-")]  # fmt: skip


def test_a_plan_is_applied_and_undone(folder, tmp_path, image_of, encode, capsys):
    new, back = tmp_path / "new", tmp_path / "back"
    plan = write(tmp_path / "plan.tsv", ROWS)
    assert main(["apply", str(folder), str(plan), str(new)]) == 0
    assert "7 images of 4 identities, 2 of them moved; 2 went" in capsys.readouterr().out

    def images(*pairs):
        return sorted(encode(image_of(*pair)) for pair in pairs)

    assert by_identity(new) == {
        "ann": images((1, 0), (3, 0)), "cyd": images((7, 2)),
        "dan": images((5, 2), (8, 3), (9, 3)), "cyd+4": images((6, 2)),
    }  # fmt: skip
    assert (new / "removed.tsv").read_text().splitlines()[1:] == [
        "2\t0\tann\tdrop\t-", "4\t1\tbob\tdrop\t-", "5\t2\tcyd\tmove\tdan",
        "6\t2\tcyd\tmove\tcyd+4",
    ]  # fmt: skip
    assert rec(["check", str(new)]) == 0
    removed = FaceDataset(new / "removed")
    assert removed.identities(removed.image_keys).tolist() == [0, 1]
    assert main(["undo", str(new), str(back)]) == 0
    assert content(back) == content(folder)
    assert (back / "train.names").read_text() == (folder / "train.names").read_text()


def test_other_layouts_are_restored_too(tmp_path, make_plain, shared_data):
    plain = make_plain(tmp_path / "plain", [1, 1, 0, 1, 2])
    original = shared_data / "original_records"
    for number, folder in enumerate([plain, original]):
        dataset = FaceDataset(folder)
        keys = dataset.image_keys[[1, 3]]
        rows = [(int(key), int(identity), "drop", "-")
                for key, identity in zip(keys, dataset.identities(keys), strict=True)]  # fmt: skip
        plan = write(tmp_path / f"{number}.tsv", rows)
        new, back = tmp_path / f"new{number}", tmp_path / f"back{number}"
        assert main(["apply", str(folder), str(plan), str(new)]) == 0
        assert main(["undo", str(new), str(back)]) == 0
        assert content(back) == content(folder)


def test_a_plan_that_changes_nothing(folder, tmp_path):
    plan = write(tmp_path / "plan.tsv", [])
    assert main(["apply", str(folder), str(plan), str(tmp_path / "new")]) == 0
    assert not (tmp_path / "new" / "removed").exists()
    assert main(["undo", str(tmp_path / "new"), str(tmp_path / "back")]) == 0
    assert content(tmp_path / "back") == content(folder)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(77, 0, "drop", "-")], "not the dataset of this plan"),
        ([(2, 1, "drop", "-")], "record 2 is of identity 1"),
        ([(2, 0, "delete", "-")], "line 2: action 'delete': give one of keep, drop, move, look"),
        ([(2, 0, "move", "-")], "line 2: .*no whole number"),
        ([(2, 0, "drop", "-"), (2, 0, "keep", "-")], "line 3: key 2 has a line already"),
        ([(key, identity, "drop", "-") for key, identity in
          enumerate([0, 0, 0, 1, 2, 2, 2, 3, 3], start=1)], "drops every image"),
    ],
)  # fmt: skip
def test_plans_that_do_not_fit_are_refused(folder, tmp_path, rows, words, capsys):
    plan = write(tmp_path / "plan.tsv", rows)
    assert main(["apply", str(folder), str(plan), str(tmp_path / "new")]) == 2
    import re

    assert re.search(words, capsys.readouterr().err)
    assert not (tmp_path / "new" / "train.rec").exists()


def test_what_is_no_plan_is_refused(tmp_path):
    path = tmp_path / "plan.tsv"
    path.write_text("key\taction\n")
    with pytest.raises(ValueError, match="line 1: .*identity is missing"):
        read_plan(path)
    path.write_text("\t".join(COLUMNS) + "\n1\t2\n")
    with pytest.raises(ValueError, match="line 2: 2 fields"):
        read_plan(path)


def test_a_changed_dataset_is_not_undone(folder, tmp_path, capsys):
    new = tmp_path / "new"
    main(["apply", str(folder), str(write(tmp_path / "plan.tsv", ROWS)), str(new)])
    assert main(["undo", str(folder), str(tmp_path / "back")]) == 2
    assert "only what `arcface-clean apply` wrote" in capsys.readouterr().err
    assert rec(["copy", str(folder), str(new), "--overwrite"]) == 0
    assert main(["undo", str(new), str(tmp_path / "back")]) == 2
    assert main(["apply", str(folder), str(tmp_path / "plan.tsv"), str(folder)]) == 2


def test_other_labels_under_the_same_keys_are_not_undone(folder, tmp_path, capsys):
    new, other = tmp_path / "new", tmp_path / "other"
    main(["apply", str(folder), str(write(tmp_path / "plan.tsv", ROWS)), str(new)])
    assert rec(["shuffle", str(new), str(other), "--seed", "3"]) == 0
    for name in NAMES:
        (new / name).write_bytes((other / name).read_bytes())
    capsys.readouterr()
    assert main(["undo", str(new), str(tmp_path / "back")]) == 2
    assert "was changed since the plan was applied" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("restore.json", b"[]", "not a note of an applied plan"),
        ("restore.json", b'{"kind": "odd", "height": 16, "width": 16}', "not a note"),
        ("restore.npz", b"PK\x03\x04 cut off", "not a .npz file that can be read"),
        ("restore.npz", None, "no file of arrays"),
    ],
)
def test_damaged_notes_are_refused(folder, tmp_path, name, content, words, capsys):
    new = tmp_path / "new"
    main(["apply", str(folder), str(write(tmp_path / "plan.tsv", ROWS)), str(new)])
    (new / name).unlink()
    if content is not None:
        (new / name).write_bytes(content)
    assert main(["undo", str(new), str(tmp_path / "back")]) == 2
    assert words in capsys.readouterr().err


def test_options_of_a_check_that_is_not_made_are_refused(capsys):
    words = ["plan", "d", "w", "--model", "m", "--checks", "merge", "--mode", "dbscan"]
    assert main([*words, "--duplicate", "0.9", "--threshold", "1"]) == 2
    told = capsys.readouterr().err
    assert "--mode, --threshold: only the check 'images' uses it, which is not among" in told
    assert "--duplicate: only the check 'duplicates' uses it" in told


def test_the_command_from_vectors_to_undone(tmp_path, make_dataset, read_page, capsys):
    vectors, truth = people(12, 6)
    labels = truth.copy()
    labels[3] = 7  # out of order: the plan goes by keys
    folder = make_dataset(tmp_path / "set", labels.tolist(), property_text="12,16,16\n")
    np.save(tmp_path / "v.npy", vectors)
    work, new = tmp_path / "work", tmp_path / "new"
    arguments = ["plan", str(folder), str(work), "--model", str(tmp_path / "v.npy")]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "flip" in out and "1 to drop, 0 to move, 0 to look at" in out
    header, line = (work / "plan.tsv").read_text().splitlines()
    fields = dict(zip(header.split("\t"), line.split("\t"), strict=True))
    assert (fields["key"], fields["identity"], fields["action"], fields["other"]) == (
        "4", "7", "drop", "0",
    )  # fmt: skip
    figures = json.loads((work / "summary.json").read_text())
    assert figures["reasons"] == {"flip": {"images": 1, "identities": 1}}
    assert figures["before"]["images"] == 72 and figures["after"]["images"] == 71
    lines = (work / "identities.tsv").read_text().splitlines()
    assert len(lines) == 13 and lines[8].split("\t")[-2:] == ["1", "6"]
    assert np.load(work / "centres.npy").shape == (12, 128)
    page = (work / "flip.html").read_text()
    assert page.count("<img") == 3 and "record 4 of 7" in page
    assert main(["apply", str(folder), str(work), str(new)]) == 0
    assert main(["undo", str(new), str(tmp_path / "back")]) == 0
    assert content(tmp_path / "back") == content(folder)
    rows = "".join(f"{key}\t{identity}\n" for key, identity in enumerate(truth, start=1))
    (tmp_path / "v.index.tsv").write_text(f"name\tidentity\n{rows}")
    assert main([*arguments, "--anew"]) == 2
    assert "v.index.tsv: record 4 is one of identity 0 there, of 7 in" in capsys.readouterr().err
    np.save(tmp_path / "w.npy", vectors[:-1])
    arguments[-1] = str(tmp_path / "w.npy")
    assert main([*arguments, "--anew"]) == 2
    assert "71 vectors for 72 images" in capsys.readouterr().err
    assert main([*arguments, "--checks", "all", "--link", "3"]) == 2
    err = capsys.readouterr().err
    assert "--checks 'all': known are" in err and "--link 3.0: a cosine" in err


def test_a_plan_for_other_images_under_the_same_keys_is_refused(tmp_path, make_plain, capsys):
    labels = [0, 0, 1, 1]
    planned, other = (
        make_plain(tmp_path / "planned", labels),
        make_plain(tmp_path / "o", labels[:3]),
    )
    work = tmp_path / "work"
    np.save(tmp_path / "v.npy", np.eye(4, 8, dtype=np.float32) + 1)
    assert main(["plan", str(planned), str(work), "--model", str(tmp_path / "v.npy")]) == 0
    write(work / "plan.tsv", [(1, 0, "drop", "-")])  # a line that fits both
    assert main(["apply", str(other), str(work), str(tmp_path / "new")]) == 2
    assert "work.json beside it says that it was made for other images" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert main(["apply", str(planned), str(work), str(tmp_path / "new")]) == 0
