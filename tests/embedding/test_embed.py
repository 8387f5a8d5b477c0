"""arcface-embed: every kind of input and output, failures, kills, and the way back in."""

import csv
import json
import re

from arcface_mxnet.align.aligner import FACTS
from arcface_mxnet.checkpoints.load import save_checkpoint
from arcface_mxnet.data.records import RecordWriter
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.embedding import embed
from arcface_mxnet.embedding.embed_inputs import Inputs, read_inputs
from arcface_mxnet.embedding.ready_vectors import ReadyVectors
from arcface_mxnet.eval.pair_sets import PairSet, write_pair_set
from arcface_mxnet.megaface.packed import FeatureStore
import cv2
import mxnet as mx
import numpy as np
import pytest

SIZE = (8, 6)  # height, width


@pytest.fixture
def model(tmp_path):
    """A network that embeds images of SIZE by a random projection."""
    data = mx.sym.Variable("data")
    symbol = mx.sym.FullyConnected((data - 127.5) / 128, num_hidden=5, name="fc1")
    weight = np.random.default_rng(0).normal(size=(5, 3 * SIZE[0] * SIZE[1]))
    params = {"fc1_weight": mx.nd.array(weight), "fc1_bias": mx.nd.zeros(5)}
    save_checkpoint(str(tmp_path / "net"), 1, symbol, params, {})
    return f"{tmp_path / 'net'},1"


def picture(seed, size=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.fixture
def crops(tmp_path):
    """Eleven crops of three people, RGB by name."""
    made = {}
    for number in range(11):
        name = f"p{number % 3}/{number}.png"
        path = tmp_path / "crops" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        made[name] = picture(number)
        cv2.imwrite(str(path), made[name][..., ::-1])
    return dict(sorted(made.items()))


def run(model, source, output, *more):
    fixed = ["--gpu", "-1", "--image-size", "8,6", "--batch-size", "2"]
    return embed.main([str(source), str(output), "--model", model, *fixed, *more])


@pytest.mark.parametrize("ending", [".npy", ".csv", ".parquet"])
def test_a_folder_and_what_is_written_is_read_back(crops, model, tmp_path, ending):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    output = tmp_path / f"out/v{ending}"
    assert run(model, tmp_path / "crops", output) == 0
    ready = ReadyVectors(output)
    assert ready.names == list(crops)
    wanted = Embedder(model)(np.stack(list(crops.values())))
    np.testing.assert_allclose(ready.rows(np.arange(11))[0], wanted, atol=1e-6)
    lines = (tmp_path / "out/v.index.tsv").read_text().splitlines()
    assert lines[0].split("\t")[:3] == ["name", "identity", "path"] and len(lines) == 12
    assert lines[1].split("\t")[:2] == ["p0/0.png", "p0"]
    note = json.loads((tmp_path / "out/v.json").read_text())
    assert (note["count"], note["failed"]) == (11, 0)
    assert {"model", "engine", "dtype", "flip", "alignment"} <= note["origin"].keys()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"v{ending}", "v.index.tsv", "v.json"} | ({"v.names"} & names)
    assert ("v.names" in names) == (ending == ".npy")


def test_a_store_is_one_that_megaface_reads(crops, model, tmp_path):
    run(model, tmp_path / "crops", tmp_path / "v.npy")
    store = FeatureStore(tmp_path / "v.npy")
    assert store.names == list(crops) and store.dim == 5


@pytest.mark.parametrize("flip", ["none", "sum", "joined"])
@pytest.mark.parametrize("normalize", [0, 1])
def test_flip_and_length(crops, model, tmp_path, flip, normalize):
    run(model, tmp_path / "crops", tmp_path / "v.npy", "--flip", flip, "--normalize", normalize and
        "1" or "0")  # fmt: skip
    found = np.load(tmp_path / "v.npy")
    plain, flipped = Embedder(model).plain_and_flipped(crops.values())
    parts = {"none": [plain], "sum": [plain + flipped], "joined": [plain, flipped]}[flip]
    if normalize:
        parts = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
    np.testing.assert_allclose(found, np.concatenate(parts, axis=1), rtol=1e-4, atol=1e-5)


def test_failures_are_listed_and_counted_and_the_others_done(crops, model, tmp_path, capsys):
    folder = tmp_path / "crops"
    (folder / "p0/0.png").write_bytes(b"no image")
    cv2.imwrite(str(folder / "p1/1.png"), np.zeros((9, 6, 3), np.uint8))
    assert run(model, folder, tmp_path / "v.npy") == 1
    out = capsys.readouterr().out
    assert "9 vectors of 5 values, 2 of 11 images failed" in out
    failures = (tmp_path / "v.failures.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in failures] == ["p0/0.png", "p1/1.png"]
    assert "is 9x6 (height x width), crops of 8x6 are embedded" in failures[1]
    ready = ReadyVectors(tmp_path / "v.npy")
    assert ready.names == [name for name in crops if name not in ("p0/0.png", "p1/1.png")]
    wanted = Embedder(model)(np.stack([crops[name] for name in ready.names]))
    np.testing.assert_allclose(ready.rows(np.arange(9))[0], wanted, atol=1e-6)


def test_nothing_but_failures_is_an_error(crops, model, tmp_path, capsys):
    for path in (tmp_path / "crops").rglob("*.png"):
        cv2.imwrite(str(path), picture(0, (7, 7)))
    assert run(model, tmp_path / "crops", tmp_path / "v.npy") == 2
    assert "none of 11 images has a vector; the first: p0/0.png: is 7x7" in capsys.readouterr().err
    assert not list(tmp_path.glob("v.*")), "no work is left either"


@pytest.mark.parametrize("ending", [".npy", ".csv"])
def test_a_kill_costs_what_was_not_written(crops, model, tmp_path, monkeypatch, ending):
    seen = []

    class Killed(Embedder):
        def forward(self, batch):
            seen.append(len(batch))
            if sum(seen) > 14:
                raise KeyboardInterrupt
            return super().forward(batch)

    (tmp_path / "crops/p0/0.png").write_bytes(b"no image")
    monkeypatch.setattr("arcface_mxnet.embedding.arguments.Embedder", Killed)
    output = tmp_path / f"v{ending}"
    assert run(model, tmp_path / "crops", output) == 130
    assert not output.exists() and (tmp_path / f"v{ending}.work.tsv").exists()
    with (tmp_path / f"v{ending}.work.tsv").open("a") as file:
        # Killed between the lines of a block and its rows, in the midst of a line.
        file.write("\t".join(["a reason", *[""] * len(FACTS)]) + "\na line that a ki")
    monkeypatch.undo()
    counted = []
    forward = Embedder.forward
    monkeypatch.setattr(
        Embedder, "forward", lambda self, batch: counted.append(len(batch)) or forward(self, batch)
    )
    assert run(model, tmp_path / "crops", output) == 1
    assert 0 < sum(counted) < 20, "10 images, plain and flipped, from the start"
    once = tmp_path / f"once{ending}"
    assert run(model, tmp_path / "crops", once) == 1
    assert once.read_bytes() == output.read_bytes()
    assert {path.name.replace("once", "v") for path in tmp_path.glob("once*")} == {
        path.name for path in tmp_path.glob("v*")
    }, "no work is left"


def test_another_job_is_not_mixed_in(crops, model, tmp_path, capsys):
    output = tmp_path / "v.npy"
    assert run(model, tmp_path / "crops", output) == 0
    assert run(model, tmp_path / "crops", output) == 0
    assert "v.npy is complete" in capsys.readouterr().out
    assert run(model, tmp_path / "crops", output, "--flip", "none") == 2
    assert "holds vectors of another model, other images or other opt" in capsys.readouterr().err
    note = {"origin": {"model": "x"}, "dimension": 5}
    (tmp_path / "w.npy.work.json").write_text(json.dumps(note))
    assert run(model, tmp_path / "crops", tmp_path / "w.npy") == 2
    assert "work of another job lies there (other " in capsys.readouterr().err


def test_a_list_with_paths_below_a_root(crops, model, tmp_path):
    names = list(crops)[3:6]
    (tmp_path / "list.txt").write_text("\n".join(names))
    assert run(model, tmp_path / "list.txt", tmp_path / "v.npy", "--root",
               str(tmp_path / "crops")) == 0  # fmt: skip
    assert ReadyVectors(tmp_path / "v.npy").names == names


def test_a_published_list_says_what_is_aligned(crops, model, tmp_path):
    first, second = list(crops)[:2]
    (tmp_path / "crops/train.lst").write_text(f"1\t{first}\t4\n0\t{second}\t5\n")
    assert run(model, tmp_path / "crops/train.lst", tmp_path / "v.npy") == 1
    assert ReadyVectors(tmp_path / "v.npy").names == [first]
    assert "listed as a photo, without landmarks: give --detect" in (
        tmp_path / "v.failures.tsv").read_text()  # fmt: skip
    assert (tmp_path / "v.index.tsv").read_text().splitlines()[1].split("\t")[1] == "4"


@pytest.mark.parametrize("changed", ["1\t{}\t7\n", "0\t{}\t4\n"])
def test_a_list_that_says_something_else_of_its_images_is_another_job(
    crops, model, tmp_path, capsys, changed
):
    name = list(crops)[0]
    (tmp_path / "crops/train.lst").write_text(f"1\t{name}\t4\n")
    assert run(model, tmp_path / "crops/train.lst", tmp_path / "v.npy") == 0
    (tmp_path / "crops/train.lst").write_text(changed.format(name))
    assert run(model, tmp_path / "crops/train.lst", tmp_path / "v.npy") == 2
    assert "holds vectors of another model, other images or other opt" in capsys.readouterr().err


@pytest.mark.parametrize("bound", ["--max-yaw", "--max-clipped"])
def test_a_bound_of_nothing_is_another_job_than_no_bound(crops, model, tmp_path, bound):
    words = [str(tmp_path / "crops"), str(tmp_path / "v.npy"), "--model", model, "--detect"]
    parser = embed.build_parser()
    images = Inputs([], "")
    plain, bounded = (
        embed.origin_of(parser.parse_args([*words, *more]), images) for more in ([], [bound, "0"])
    )
    assert plain["alignment"] != bounded["alignment"]


@pytest.mark.parametrize("source", ["", "train.rec"])
def test_records(model, tmp_path, make_dataset, image_of, source):
    folder = make_dataset(tmp_path / "data", [0, 0, 1, 1, 1])
    network = tmp_path / "wide"
    symbol = mx.sym.FullyConnected(mx.sym.Variable("data") / 255, num_hidden=4, name="fc1")
    weight = mx.nd.array(np.random.default_rng(1).normal(size=(4, 3 * 16 * 16)))
    save_checkpoint(str(network), 1, symbol, {"fc1_weight": weight, "fc1_bias": mx.nd.ones(4)}, {})
    output = tmp_path / "v.csv"
    assert run(f"{network},1", folder / source, output, "--image-size", "16,16") == 0
    with output.open() as file:
        rows = list(csv.reader(file))[1:]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    images = np.stack([image_of(key, identity) for key, identity in enumerate([0, 0, 1, 1, 1], 1)])
    wanted = Embedder(f"{network},1")(images)
    np.testing.assert_allclose(np.array(rows)[:, 1:].astype(float), wanted, atol=1e-6)
    identities = [line.split("\t")[1] for line in
                  (tmp_path / "v.index.tsv").read_text().splitlines()[1:]]  # fmt: skip
    assert identities == ["0", "0", "1", "1", "1"]


def test_identities_beyond_a_million_stay_apart(tmp_path):
    labels = [999_999, 1_234_567, 1_234_568, (1 << 24) - 1]
    with RecordWriter(tmp_path / "d.rec", tmp_path / "d.idx") as writer:
        for key, label in enumerate(labels, 1):
            writer.write(key, float(label), b"")
    found = read_inputs(tmp_path / "d.rec").items
    assert [item.identity for item in found] == [str(label) for label in labels]


def test_a_pair_set_has_a_row_for_every_image_and_is_embedded_once(model, tmp_path, encode):
    images = [encode(picture(seed)) for seed in (1, 2, 1, 3)]
    write_pair_set(tmp_path / "p.bin", PairSet(images, np.array([True, False]),
                                               list("aabc"), list("wxyz")))  # fmt: skip
    assert run(model, tmp_path / "p.bin", tmp_path / "v.npy") == 0
    found = ReadyVectors(tmp_path / "v.npy")
    assert found.names == ["0", "1", "2", "3"]
    wanted = Embedder(model)(np.stack([picture(seed) for seed in (1, 2, 1, 3)]))
    np.testing.assert_allclose(found.rows(np.arange(4))[0], wanted, atol=1e-6)
    lines = (tmp_path / "v.index.tsv").read_text().splitlines()
    assert lines[2].split("\t")[:3] == ["1", "a", "x"]


def test_photos_are_detected_aligned_and_measured(models, shared_data, tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("Abel_Pacheco/Abel_Pacheco_0001", "Abdul_Rahman/Abdul_Rahman_0001"):
        data = (shared_data / f"lfw/fold_1/{name}.jpg").read_bytes()
        (photos / f"{name.rpartition('/')[2]}.jpg").write_bytes(data)
    cv2.imwrite(str(photos / "black.png"), np.zeros((90, 90), np.uint8))
    words = [str(photos), str(tmp_path / "v.npy"), "--model", f"{models}/sface-m1,0", "--gpu", "-1",
             "--detect", "--detector", f"{models}/mtcnn"]  # fmt: skip
    assert embed.main(words) == 1
    assert (tmp_path / "v.failures.tsv").read_text() == "black.png\tno face found\n"
    head, *lines = (tmp_path / "v.index.tsv").read_text().splitlines()
    facts = dict(zip(head.split("\t"), lines[1].split("\t"), strict=True))
    assert facts["name"] == "Abel_Pacheco_0001.jpg" and facts["turn"] == "0"
    assert 20 < float(facts["eye_distance"]) < 120 and 0.9 < float(facts["score"]) <= 1
    assert np.load(tmp_path / "v.npy").shape == (2, 128)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["crops", "v.txt"], "OUTPUT 'v.txt': unknown|unknown form of vectors"),
        (["crops", "v.npy", "--batch-size", "9999999"], "--batch-size 9999999: must be at most"),
        (["crops", "v.npy", "--root", "x"], "--root: a folder does not use it"),
        (["nowhere", "v.npy"], "no folder, list, .rec or pair set /"),
        (["crops", "v.npy", "--threads", "0"], "--threads 0: must be at least 1"),
        (["crops", "v.npy", "--detect", "--detector", "mtcnn", "--image-size", "8,6"],
         "the points that faces are aligned to are known for 112,112"),
    ],
)  # fmt: skip
def test_bad_input(crops, model, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert embed.main([*words, "--model", model, "--gpu", "-1"]) == 2
    assert re.search(message, capsys.readouterr().err)
