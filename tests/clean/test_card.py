"""The data card: counts and measures by hand, and fields that people fill in stay."""

import json

from arcface_mxnet.clean.balance import balance
from arcface_mxnet.clean.card import PROVENANCE
from arcface_mxnet.data.ranges import range_record
from arcface_mxnet.data.rec import main
from arcface_mxnet.data.records import RecordWriter
import cv2
import numpy as np
import pytest

from tests.clean.planting import people


def png(grey):
    return cv2.imencode(".png", np.full((16, 16), grey, np.uint8))[1].tobytes()


@pytest.fixture
def folder(tmp_path):
    """Return a dataset: identities 0 (3 images), 1 (2) and 2 (1); images 1 and 5 are the same
    bytes, image 6 is none."""
    folder = tmp_path / "set"
    folder.mkdir()
    payloads = [png(50), png(100), png(150), png(200), png(50), b"no image"]
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key, (identity, payload) in enumerate(
            zip([0, 0, 0, 1, 1, 2], payloads, strict=True), start=1
        ):
            writer.write(key, [identity, 1], payload)
        writer.write(0, range_record(7, 10)[0])
        for number, ends in enumerate([(1, 4), (4, 6), (6, 7)]):
            writer.write(7 + number, range_record(*ends)[0])
    (folder / "property").write_text("3,16,16\n")
    return folder


def test_a_card_tells_what_is_there(folder, tmp_path, capsys):
    assert main(["card", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert "6 images, 6 measured" in capsys.readouterr().out
    card = json.loads((tmp_path / "out/card.json").read_text())
    counts = card["counts"]
    assert (counts["images"], counts["identities"], counts["median"], counts["single"]) == (
        6, 3, 2.0, 1,
    )  # fmt: skip
    assert [(row["from"], row["identities"]) for row in card["per_identity"]] == [
        (1, 1), (2, 1), (3, 1),
    ]  # fmt: skip
    images = card["images"]
    assert images["brightness"][0] == 50 and images["brightness"][-1] == 200
    assert images["sharpness"][-1] == 0 and images["grey_share"] == 1
    assert images["sizes"] == [{"height": 16, "width": 16, "images": 5}]
    assert card["duplicates"]["equal"] == [{"keys": [1, 5], "identities": [0, 1]}]
    assert card["duplicates"]["equal_between_identities"] == 1
    assert card["num_undecodable"] == 1 and list(card["undecodable"]) == ["6"]
    page = (tmp_path / "out/card.html").read_text()
    assert page.count("<img") == 1 and "records hold no landmarks" in page
    assert "not filled in" in page and "1 images do not decode" in page


def test_what_people_filled_in_stays(folder, capsys):
    assert main(["card", str(folder)]) == 0
    path = folder / "card.json"
    card = json.loads(path.read_text())
    assert list(card["provenance"]) == list(PROVENANCE)
    card["provenance"] |= {"licence": "research <only>", "name": "Faces & more"}
    path.write_text(json.dumps(card))
    assert main(["card", str(folder)]) == 0
    assert json.loads(path.read_text())["provenance"]["licence"] == "research <only>"
    page = (folder / "card.html").read_text()
    assert "research &lt;only&gt;" in page and "Data card: Faces &amp; more" in page
    path.write_text("[]")
    assert main(["card", str(folder)]) == 2
    assert "not a data card" in capsys.readouterr().err


def test_a_sample_is_drawn_by_its_seed(folder, tmp_path):
    cards = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        out = tmp_path / name
        assert main(["card", str(folder), "--sample", "2", "--seed", seed, "--out", str(out)]) == 0
        cards.append(json.loads((out / "card.json").read_text()))
    assert cards[0] == cards[1] and cards[0]["images"] != cards[2]["images"]
    assert cards[0]["sample"] == {"images": 2, "is_all": False, "seed": 1}
    assert cards[0]["counts"]["images"] == 6
    assert "2 images drawn by seed 1" in (tmp_path / "a/card.html").read_text()
    assert main(["card", str(folder), "--sample", "0"]) == 2


def test_vectors_tell_near_duplicates_and_overlap(tmp_path, make_dataset, capsys):
    vectors, truth = people(6, 4)
    vectors[5] = vectors[4] * 2
    folder = make_dataset(tmp_path / "set", truth.tolist())
    other = make_dataset(tmp_path / "other", [0, 0, 1, 1])
    np.save(tmp_path / "v.npy", vectors)
    np.save(tmp_path / "w.npy", np.concatenate([vectors[8:10], -vectors[8:10]]))
    arguments = ["card", str(folder), "--vectors", str(tmp_path / "v.npy")]
    assert main([*arguments, "--against", f"{other}={tmp_path / 'w.npy'}"]) == 0
    card = json.loads((folder / "card.json").read_text())
    assert card["duplicates"]["nearly_equal"] == {
        "cosine": 0.95, "of_one_identity": 1, "between_identities": 0,
    }  # fmt: skip
    (overlap,) = card["overlap"]
    assert overlap["identities_at_cosine"]["0.6"] == 1 and overlap["highest"] > 0.6
    assert main([*arguments, "--against", str(other)]) == 2
    assert "give --against" in capsys.readouterr().err
    assert main(["card", str(folder), "--against", str(other)]) == 2


def test_balance_by_hand():
    even = balance(np.array([5, 5, 5, 5]))
    assert even["effective"] == 4.0 and even["share_of_largest_1_percent"] == 0.25
    assert balance(np.array([1, 1, 98]))["effective"] == pytest.approx(1.1, abs=0.05)
