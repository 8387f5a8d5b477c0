"""Learning from a teacher: which vectors come with which images, and what is refused."""

import logging
from pathlib import Path

from arcface_mxnet.checkpoints.embedding_part import load_slim
from arcface_mxnet.checkpoints.load import load_checkpoint
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.data.records import RecordWriter
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.training import teacher_network
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.mxnet_stepper import MxnetStepper
from arcface_mxnet.training.plan import make_plan
from arcface_mxnet.training.plan_only import write_plan
import mxnet as mx
import numpy as np
import pytest

from tests.training.conftest import IDENTITIES, IMAGES, SIDE, face

COUNT = IDENTITIES * IMAGES


@pytest.fixture
def teacher(options, tmp_path):
    """Return a checkpoint of a larger network, with embeddings of 12."""
    first = options | {"prefix": str(tmp_path / "large"), "emb_size": 12, "seed": 5}
    return train(TrainConfig(**first, max_steps=2)).checkpoint


@pytest.fixture
def alone(options):
    """Return options that learn from a teacher alone."""
    plain = {k: v for k, v in options.items() if not k.startswith("margin")}
    return plain | {"loss_type": "none", "rand_shift": 2, "color": 1}


@pytest.fixture
def fed(monkeypatch):
    """Return a list of the batches that a stepper is given."""
    batches, given = [], MxnetStepper.forward_backward

    def noting(self, inputs):
        batches.append({name: np.array(array) for name, array in inputs.items()})
        given(self, inputs)

    monkeypatch.setattr(MxnetStepper, "forward_backward", noting)
    return batches


def stores(options):
    return sorted(Path(options["prefix"]).parent.glob("*-teacher-*"))


def vectors_of(checkpoint, folder):
    """Return the verified vector of each image, by the bytes of its pixels."""
    embed, dataset = Embedder(checkpoint), FaceDataset(folder)
    images = [dataset.sample(int(key))[0] for key in dataset.image_keys]
    return {
        image.tobytes(): row for image, row in zip(images, embed(np.stack(images)), strict=True)
    }


def assert_own(batch, wanted):
    for image, row in zip(batch["data"], batch["teacher"], strict=True):
        pixels = image.transpose(1, 2, 0).astype(np.uint8).tobytes()
        np.testing.assert_allclose(row / np.linalg.norm(row), wanted[pixels], atol=2e-6)


@pytest.mark.parametrize("ctx", [[mx.cpu()], [mx.cpu(0), mx.cpu(1)]])
def test_each_image_brings_its_own_vector(alone, teacher, fed, ctx):
    run = alone | {"rand_mirror": 0, "rand_shift": 0, "color": 0, "teacher": teacher}
    train(TrainConfig(**run, max_steps=5, accumulate=2), ctx)
    wanted = vectors_of(teacher, run["data_dir"])
    assert len(fed) == 10
    for batch in fed:
        assert_own(batch, wanted)


def test_augmentation_does_not_change_it(alone, teacher, fed):
    train(TrainConfig(**alone, teacher=teacher, max_steps=4))
    known = np.array(list(vectors_of(teacher, alone["data_dir"]).values()))
    for batch in fed:
        assert (batch["teacher"] @ known.T).max(axis=1).min() > 1 - 1e-5


def test_triplets_bring_theirs(options, teacher, fed):
    plain = {k: v for k, v in options.items() if not k.startswith("margin")}
    run = plain | {"loss_type": "12", "per_batch_size": 6, "triplet_mining": "random",
                   "triplet_alpha": 4.0, "rand_mirror": 0}  # fmt: skip
    train(TrainConfig(**run, teacher=teacher, max_steps=2))
    for batch in fed:
        assert_own(batch, vectors_of(teacher, run["data_dir"]))


def spoilt(folder, *keys):
    """Write the dataset with records that do not decode."""
    folder.mkdir()
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for number in range(1, COUNT + 1):
            identity, image = divmod(number - 1, IMAGES)
            payload = b"no image" if number in keys else face(identity, image)
            writer.write(number, float(identity), payload)
    (folder / "property").write_text(f"{IDENTITIES},{SIDE},{SIDE}\n")
    return str(folder)


def test_a_substitute_brings_its_own_vector(alone, teacher, fed, tmp_path):
    run = alone | {"rand_mirror": 0, "rand_shift": 0, "color": 0, "target": ()}
    run |= {"data_dir": spoilt(tmp_path / "spoilt", 7), "teacher": teacher, "per_batch_size": 6}
    train(TrainConfig(**run, max_steps=8))
    wanted = vectors_of(teacher, alone["data_dir"])
    for batch in fed:
        assert_own(batch, wanted)
    (store,) = stores(run)
    assert [int(i) for i in np.flatnonzero(~np.load(store).any(axis=1))] == [6]
    with pytest.raises(ValueError, match=r"do not decode: 1; --max-bad allows 0"):
        again = run | {"prefix": run["prefix"] + "-again"}
        train(TrainConfig(**again, max_bad=0, max_steps=1))


def test_a_dataset_of_which_nothing_decodes_is_refused(alone, teacher, tmp_path):
    folder = spoilt(tmp_path / "spoilt", *range(1, COUNT + 1))
    with pytest.raises(ValueError, match=r"--teacher .*: no image of .*spoilt decodes"):
        make_plan(TrainConfig(**alone | {"data_dir": folder, "target": (), "teacher": teacher}))


def test_it_is_kept_and_made_once(alone, teacher, monkeypatch):
    opened = []
    real = teacher_network.open_embedder
    monkeypatch.setattr(
        teacher_network, "open_embedder", lambda *a, **k: opened.append(1) or real(*a, **k)
    )
    train(TrainConfig(**alone, teacher=teacher, max_steps=2))
    (store,) = stores(alone)
    rows = np.load(store)
    assert (rows.shape, rows.dtype, len(opened)) == ((COUNT, 12), np.float32, 1)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    train(TrainConfig(**alone, teacher=teacher, max_steps=3, resume=True))
    assert (stores(alone), len(opened)) == ([store], 1)
    # and it serves as ready vectors
    ready = alone | {"prefix": alone["prefix"] + "-ready"}
    left, right = (
        train(TrainConfig(**run, max_steps=3)).checkpoint
        for run in (ready | {"teacher": str(store)}, alone | {"teacher": teacher, "resume": True})
    )
    for name, value in load_checkpoint(left)[1].items():
        np.testing.assert_array_equal(load_checkpoint(right)[1][name].asnumpy(), value.asnumpy())


def test_a_stored_vector_that_is_damaged_is_told(alone, teacher):
    train(TrainConfig(**alone, teacher=teacher, max_steps=1))
    (store,) = stores(alone)
    rows = np.load(store)
    rows[:, 3] = np.nan
    np.save(store, rows)
    with pytest.raises(ValueError, match=r"no vector for record \d+, which is damaged; remove"):
        train(TrainConfig(**alone, teacher=teacher, max_steps=2, resume=True))


def test_making_it_goes_on_where_it_was_cut_off(alone, teacher, monkeypatch):
    monkeypatch.setattr(teacher_network, "IMAGES_AT_ONCE", 5)
    vectors, parts = teacher_network.NetworkTeacher._vectors, []

    def cut_off(self, number, keys, bad_records):
        parts.append(keys.tolist())
        if len(parts) == 3:
            raise KeyboardInterrupt
        return vectors(self, number, keys, bad_records)

    monkeypatch.setattr(teacher_network.NetworkTeacher, "_vectors", cut_off)
    with pytest.raises(KeyboardInterrupt):
        train(TrainConfig(**alone, teacher=teacher, max_steps=1))
    (partial,) = stores(alone)
    assert partial.name.endswith(".npy.partial")
    train(TrainConfig(**alone, teacher=teacher, max_steps=1))
    assert [keys[0] for keys in parts] == [1, 6, 11, 11, 16, 21]
    wanted = np.array(list(vectors_of(teacher, alone["data_dir"]).values()))
    np.testing.assert_allclose(np.load(stores(alone)[0]), wanted, atol=2e-6)


def test_without_labels_one_identity_will_do(alone, teacher, options, tmp_path):
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for number in range(12):
            writer.write(number + 1, 0.0, face(number, 0))
    (folder / "property").write_text(f"1,{SIDE},{SIDE}\n")
    here = {"data_dir": str(folder), "target": (), "teacher": teacher}
    done = train(TrainConfig(**alone | here, max_steps=3))
    assert done.steps == 3
    with pytest.raises(ValueError, match="images of 1 identity"):
        make_plan(TrainConfig(**options | here))


def test_nothing_of_it_is_saved_but_what_goes_on(alone, teacher, caplog):
    run = alone | {"verbose": 2, "ckpt": 2, "teacher": teacher}
    train(TrainConfig(**run, max_steps=2))
    symbol, arg_params, _ = load_checkpoint(f"{run['prefix']},1")
    assert {*symbol.list_arguments()} - {"data", "softmax_label"} == {*arg_params}
    assert "teacher" not in symbol.tojson()
    last = f"{run['prefix']},last"
    assert load_checkpoint(last)[1]["teacher_map_weight"].shape == (12, 8)
    assert "teacher_map_weight" not in load_slim(last)[1]
    caplog.clear()
    image = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    np.testing.assert_array_equal(Embedder(last)(image), Embedder(f"{run['prefix']},1")(image))
    assert "does not read" not in caplog.text
    # another run starts from it, with a teacher or without
    for more in ({}, {"loss_type": "4", "teacher": ""}):
        prefix = f"{run['prefix']}-{len(more)}"
        done = train(
            TrainConfig(**run | {"prefix": prefix, "pretrained": last} | more, max_steps=2)
        )
        assert done.steps == 2


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_map_is_taken_up_if_it_leads_to_the_same_teacher(
    alone, tmp_path, caplog, is_stored, monkeypatch
):
    caplog.set_level(logging.INFO)
    run = alone | {"teacher": ready(tmp_path, drawn())}
    if is_stored:  # as where MXNet is not installed
        pytest.importorskip("torch", reason="needs torch")
        run |= {"engine": "torch"}
    train(TrainConfig(**run, max_steps=1))
    last = f"{run['prefix']},last"
    wanted = load_checkpoint(last)[1]["teacher_map_weight"].asnumpy()
    of_another = ready(tmp_path, drawn() + 1, "other.npy")
    for teacher, is_same in ((run["teacher"], True), (of_another, False)):
        caplog.clear()
        more = run | {
            "teacher": teacher,
            "pretrained": last,
            "prefix": f"{run['prefix']}-{is_same}",
        }
        if is_stored:
            write_plan(TrainConfig(**more))
            symbol = Path(f"{more['prefix']}-train-symbol.json")
            bare = symbol.rename(tmp_path / "bare.json")
            more |= {"train_symbol": str(bare)}
        plan = make_plan(TrainConfig(**more))
        args, _ = plan.engine.first_parameters(plan)
        found = args["teacher_map_weight"]
        found = found if is_stored else found.asnumpy()
        assert found.shape == wanted.shape and np.array_equal(found, wanted) == is_same
        assert found.any()
        assert ("to the vectors of another teacher" in caplog.text) != is_same


def ready(tmp_path, rows, name="v.npy"):
    np.save(tmp_path / name, rows)
    return str(tmp_path / name)


def drawn(rows=COUNT, size=5):
    return np.random.default_rng(0).normal(size=(rows, size)).astype(np.float32)


def test_ready_vectors_are_kept_in_no_other_type(alone, tmp_path):
    run = TrainConfig(**alone, teacher=ready(tmp_path, drawn()), teacher_dtype="float16")
    with pytest.raises(ValueError, match="--teacher-dtype float16: a file of ready vectors does"):
        make_plan(run)


def test_vectors_of_another_dataset_are_refused(alone, tmp_path):
    def planned(teacher, **more):
        make_plan(TrainConfig(**alone | {"teacher": teacher} | more))

    with pytest.raises(ValueError, match=r"--teacher .*23 vectors for 24 images"):
        planned(ready(tmp_path, drawn(COUNT - 1)))
    names = tmp_path / "names"
    names.write_text("".join(f"{key}\n" for key in range(2, COUNT + 2)))
    with pytest.raises(ValueError, match=r"--teacher .*none for 1 of 24 images"):
        planned(ready(tmp_path, drawn()) + f"@list={names}")
    names.write_text("".join(f"{key}\n" for key in range(1, COUNT + 10)))
    with pytest.raises(ValueError, match=r"33 vectors for the 24 images .*another dataset"):
        planned(ready(tmp_path, drawn(COUNT + 9)) + f"@list={names}")
    names.write_text("".join(f"{key}\n" for key in range(COUNT, 0, -1)))
    path = ready(tmp_path, drawn()) + f"@list={names}"
    planned(path)
    index = tmp_path / "v.index.tsv"
    index.write_text("name\tidentity\n" + "".join(f"{k}\t{k % 3}\n" for k in range(1, COUNT + 1)))
    with pytest.raises(ValueError, match=r"record 1 is one of identity 1 there, of 0 in"):
        planned(path)
    index.unlink()
    with pytest.raises(
        ValueError, match="holds the vectors of one dataset, and --data-dir names 2"
    ):
        both = f"{alone['data_dir']},{alone['data_dir']}"
        planned(ready(tmp_path, drawn()), data_dir=both, loss_type="12", per_batch_size=6)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([f"a/{number}.png" for number in range(COUNT)], r"names 'a/0.png' where .* has record 1,"),
        (range(COUNT, 0, -1), r"names '24' where .* has record 1, and .*v.npy has no names itself"),
        (range(1, COUNT + 1), ""),
    ],
)
def test_an_index_says_whether_rows_are_in_the_order_of_the_records(
    alone, tmp_path, names, message
):
    run = TrainConfig(**alone, teacher=ready(tmp_path, drawn()))
    index = tmp_path / "v.index.tsv"
    index.write_text("name\tidentity\n" + "".join(f"{name}\t\n" for name in names))
    if not message:
        make_plan(run)
        return
    with pytest.raises(ValueError, match=message):
        make_plan(run)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0])
def test_vectors_that_are_none_are_refused_before_the_first_step(alone, tmp_path, fed, value):
    rows = drawn()
    rows[9] = value
    with pytest.raises(ValueError, match="row 9, of record 10: "):
        train(TrainConfig(**alone, teacher=ready(tmp_path, rows), max_steps=1))
    assert not fed


def test_a_vector_and_its_mirror_images_that_add_up_to_nothing_are_refused(alone, tmp_path, fed):
    both = np.stack([drawn(), drawn()], axis=1)
    both[9, 1] = -both[9, 0]
    with pytest.raises(ValueError, match="row 9, of record 10: all zeros"):
        train(TrainConfig(**alone, teacher=ready(tmp_path, both), max_steps=1))
    assert not fed


def test_a_run_goes_on_with_the_same_teacher_alone(alone, tmp_path):
    first = ready(tmp_path, drawn(), "first.npy")
    moved = ready(tmp_path, drawn(), "moved.npy")
    other = ready(tmp_path, 1 - drawn(), "other.npy")
    train(TrainConfig(**alone, teacher=first, max_steps=2))
    with pytest.raises(ValueError, match=r"--teacher: was [0-9a-f]{16}, now [0-9a-f]{16}"):
        train(TrainConfig(**alone, teacher=other, max_steps=4, resume=True))
    assert train(TrainConfig(**alone, teacher=moved, max_steps=4, resume=True)).steps == 4


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, "--loss-type none learns from a teacher alone: name it with --teacher"),
        ({"loss_type": "4", "teacher_weight": 3.0}, "--teacher-weight 3.0: a run without"),
        ({"teacher": "absent/m,1"}, "--teacher absent/m,1: .*absent"),
        ({"teacher": "absent.npy"}, "--teacher absent.npy: no file of vectors"),
        ({"teacher": "absent.onnx"}, "--teacher absent.onnx: .*no file"),
    ],
)
def test_refused(alone, changed, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        make_plan(TrainConfig(**alone | changed))


def test_a_network_for_images_of_another_size_is_refused(alone, teacher, tmp_path):
    run = alone | {"image_size": (20, 20), "target": (), "teacher": teacher}
    with pytest.raises(ValueError, match=r"--teacher .*20.20"):
        make_plan(TrainConfig(**run))
