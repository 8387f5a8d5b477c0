"""A teacher on PyTorch: as on MXNet, beside a shared classifier, from a stored symbol."""

from dataclasses import replace
from pathlib import Path

from arcface_mxnet.checkpoints.load import load_checkpoint
from arcface_mxnet.embedding.embedder import Embedder
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.plan import make_plan
from arcface_mxnet.training.plan_only import write_plan
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.torch_engine.embedder import TensorEmbedder  # noqa: E402
from arcface_mxnet.training import on_torch  # noqa: E402
from arcface_mxnet.training.machines import Machines  # noqa: E402

from tests.torch_engine.test_shared_training import everything  # noqa: E402
from tests.torch_engine.test_training import assert_near, config, dataset_dir, end  # noqa: E402, F401

ALONE = {"loss_type": "none", "margin_s": 64.0, "margin_m": 0.5, "teacher_weight": 3.0}


@pytest.fixture
def vectors(tmp_path):
    """vectors(T) -> the path of vectors of that size for the images."""

    def write(size):
        path = tmp_path / f"{size}.npy"
        np.save(path, np.random.default_rng(size).normal(size=(24, size)).astype(np.float32))
        return str(path)

    return write


@pytest.mark.parametrize("size", [8, 5])
@pytest.mark.parametrize("options", [ALONE, {"teacher_loss": "squared", "accumulate": 2}], ids=str)
def test_a_run_is_mxnets(config, vectors, size, options):  # noqa: F811
    ends = []
    for engine in ("mxnet", "torch"):
        prefix = f"{config.prefix}-{engine}"
        one = replace(config, engine=engine, prefix=prefix, teacher=vectors(size), **options)
        train(one)
        ends.append(end(one))
    assert ("teacher_map_weight" in ends[0]) == (size != 8)
    assert_near(ends[1], ends[0], 2e-4)
    assert "teacher_map_weight" not in load_checkpoint(f"{config.prefix}-torch,1")[1]


def test_beside_a_classifier_that_is_shared_out(config, vectors):  # noqa: F811
    """From the same parameters: a dense step, then two sharded ones."""
    whole = replace(config, engine="torch", teacher=vectors(8), teacher_weight=2.0, verbose=1)
    parted = replace(whole, prefix=f"{whole.prefix}-parted")
    train(replace(whole, max_steps=3))
    for steps, kind in [(1, "dense"), (3, "sharded")]:
        train(replace(parted, classifier=kind, max_steps=steps, resume=True))
    assert_near(everything(parted.prefix), everything(whole.prefix), 1e-5)
    alone = replace(whole, teacher="", teacher_weight=1.0, prefix=f"{whole.prefix}-alone")
    train(replace(alone, max_steps=3))
    shifts = [everything(one.prefix)["fc1_beta"] for one in (whole, alone)]
    assert np.abs(shifts[0] - shifts[1]).max() > 1e-4


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        (5, {}, "has a parameter of its own, teacher_map_weight, which no slice is"),
        (8, ALONE, "none"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(config, vectors, size, options, message):  # noqa: F811
    shared = replace(config, engine="torch", classifier="sharded", teacher=vectors(size))
    with pytest.raises(ValueError, match=message):
        make_plan(replace(shared, **options))


def test_from_a_stored_symbol(config, vectors, monkeypatch):  # noqa: F811
    """As where MXNet is not installed; what is saved has no trace of the teacher either."""
    built = replace(config, engine="torch", teacher=vectors(5), **ALONE)
    write_plan(built)
    assert "teacher" in Path(f"{built.prefix}-train-symbol.json").read_text()
    stored = replace(built, train_symbol=f"{built.prefix}-train-symbol.json")
    train(stored)
    whole = replace(built, prefix=f"{built.prefix}-built")
    train(whole)
    assert_near(end(stored), end(whole), 1e-6)
    assert "teacher" not in Path(f"{built.prefix}-symbol.json").read_text()
    image = np.full((1, 16, 16, 3), 99, np.uint8)
    rows = [Embedder(f"{one.prefix},1")(image) for one in (stored, whole)]
    np.testing.assert_allclose(*rows, atol=1e-6)
    with pytest.raises(ValueError, match="--teacher-loss: was 'cosine', now squared"):
        make_plan(replace(stored, prefix=f"{built.prefix}-x", teacher_loss="squared"))
    with pytest.raises(ValueError, match="teacher.*5.*9"):
        make_plan(replace(stored, prefix=f"{built.prefix}-x", teacher=vectors(9)))
    with pytest.raises(ValueError, match="is no training symbol of this loss"):
        other = {"teacher": "", "teacher_weight": 1.0, "loss_type": "4"}
        train(
            replace(stored, prefix=f"{built.prefix}-y", train_symbol=stored.train_symbol, **other)
        )


def test_a_teacher_on_pytorch_is_the_same_network(config, tmp_path, monkeypatch):  # noqa: F811
    """As on a GPU, and where neither MXNet nor onnxruntime embeds."""
    large = replace(config, prefix=str(tmp_path / "large"), emb_size=12, engine="torch")
    teacher = train(replace(large, max_steps=2)).checkpoint
    taught = replace(config, engine="torch", teacher=teacher, **ALONE)
    made, fingerprints = [], []
    for kind in (False, True):
        monkeypatch.setattr(on_torch, "has_mxnet", lambda kind=kind: not kind)
        monkeypatch.setattr(on_torch, "has_onnxruntime", lambda kind=kind: not kind)
        one = replace(taught, prefix=f"{taught.prefix}-{kind}")
        plan = make_plan(one)
        assert isinstance(plan.teacher._embedder, TensorEmbedder) == kind
        plan.teacher.prepare(Machines())
        made.append(np.load(plan.teacher.paths[0]))
        fingerprints.append(plan.teacher.fingerprint)
    np.testing.assert_allclose(made[1], made[0], atol=1e-5)
    assert fingerprints[0] == fingerprints[1]
