"""Whole runs whose classifier is shared out: as a dense one, gone on from, saved and refused."""

from dataclasses import replace
from pathlib import Path

from arcface_mxnet.checkpoints import slim
from arcface_mxnet.checkpoints.last_state import read_last
from arcface_mxnet.checkpoints.params import read_params
from arcface_mxnet.checkpoints.shards import stored_classifier, with_classifier
from arcface_mxnet.training import recorder
from arcface_mxnet.training.loop import train
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.torch_engine import free_memory  # noqa: E402
from arcface_mxnet.training import on_torch  # noqa: E402

from tests.torch_engine.test_training import assert_near, config, dataset_dir  # noqa: E402, F401

KINDS = {
    "sharded": {"classifier": "sharded"},
    "partial": {"classifier": "partial", "sample_rate": 0.5},
    "host": {"classifier": "partial", "sample_rate": 0.5, "classifier_memory": "host"},
    "adamw": {"classifier": "partial", "sample_rate": 0.5, "optimizer": "adamw", "lr": 0.001},
    "several batches": {"classifier": "partial", "sample_rate": 0.5, "accumulate": 2},
}


@pytest.fixture
def shared(config):  # noqa: F811
    return replace(config, engine="torch", classifier="sharded")


def everything(prefix):
    """Return what a run left, with the rows of its classifier."""
    last = with_classifier(read_last(prefix), prefix)
    return last.arg_params | last.aux_params | {f"state {k}": v for k, v in last.state.items()}


def files_of(prefix):
    folder = Path(prefix).parent
    return sorted(path.name for path in folder.iterdir() if "fc7" in path.name)


@pytest.mark.parametrize("options", [{}, {"grad_clip": 0.05}, {"optimizer": "adamw", "lr": 0.001},
                                     {"loss_type": "adaface"}, {"accumulate": 2}],
                         ids=str)  # fmt: skip
def test_a_run_goes_from_dense_to_sharded_and_back(shared, options):
    shared = replace(shared, verbose=1, **options)
    whole = replace(shared, classifier="dense", prefix=f"{shared.prefix}-whole")
    train(replace(whole, max_steps=3))
    for steps, kind in [(1, "dense"), (2, "sharded"), (3, "dense")]:
        train(replace(shared, classifier=kind, max_steps=steps, resume=True))
        assert ("fc7_weight" in read_last(shared.prefix).arg_params) == (kind == "dense")
        assert bool([n for n in files_of(shared.prefix) if "last" in n]) == (kind == "sharded")
    assert_near(everything(shared.prefix), everything(whole.prefix), 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_goes_on_is_the_whole_one(shared, kind):
    shared = replace(shared, **KINDS[kind])
    whole = replace(shared, prefix=f"{shared.prefix}-whole", max_steps=3)
    train(replace(shared, max_steps=2))
    first = everything(shared.prefix)
    train(replace(shared, max_steps=3, resume=True))
    train(whole)
    found, wanted = everything(shared.prefix), everything(whole.prefix)
    assert found.keys() == wanted.keys() and "fc7_weight" in found
    for name, value in wanted.items():
        assert np.array_equal(found[name], value), name
    assert (found["fc7_weight"] != first["fc7_weight"]).any()


def test_an_imprinted_run_goes_on_shared_out(shared):
    """As the refusal of imprinting for one that begins so advises."""
    train(replace(shared, classifier="dense", max_steps=1))
    begun = {"pretrained": f"{shared.prefix},last", "fc7_init": "imprint", "verbose": 1}
    shared = replace(shared, **begun, prefix=f"{shared.prefix}-imprinted")
    train(replace(shared, classifier="dense", max_steps=1))
    train(replace(shared, max_steps=2, resume=True))
    assert read_last(shared.prefix).record["classifier"]["step"] == 2


def test_rows_on_the_host_are_those_on_the_device(shared):
    found = []
    for kind in ("partial", "host"):
        one = replace(shared, prefix=f"{shared.prefix}-{kind}", **KINDS[kind])
        train(one)
        found.append(everything(one.prefix))
    for name, value in found[0].items():
        assert np.array_equal(found[1][name], value), name


def test_a_numbered_checkpoint_has_its_rows_beside_it(shared, tmp_path):
    train(shared)
    params = read_params(f"{shared.prefix}-0001.params")
    assert not any("fc7" in name for name in params) and "arg:conv0_weight" in params
    stored = stored_classifier(shared.prefix, 1)
    last = everything(shared.prefix)
    assert np.array_equal(stored.whole("fc7_weight"), last["fc7_weight"])
    assert files_of(shared.prefix) == [
        "model-0001-fc7-0-of-1.params", "model-0001-fc7.json",
        "model-last-fc7-000000004-0-of-1-state.params", "model-last-fc7-000000004-0-of-1.params",
    ]  # fmt: skip
    for path in Path(shared.prefix).parent.glob("*fc7*"):
        path.unlink()
    assert slim.main(["--model", f"{shared.prefix},1", "--output", str(tmp_path / "slim")]) == 0
    assert "arg:conv0_weight" in read_params(tmp_path / "slim-0000.params")


@pytest.mark.parametrize("failing", ["save_checkpoint", "keep_shards"])
def test_rows_never_stand_beside_the_network_of_another_run(shared, monkeypatch, failing):
    """A number that is written again, by a run that is killed in that."""
    train(shared)
    Path(f"{shared.prefix}-last.params").unlink()

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(recorder, failing, fail)
    with pytest.raises(KeyboardInterrupt):
        train(replace(shared, lr=shared.lr / 2))
    assert stored_classifier(shared.prefix, 1) is None


def test_rows_of_another_run_with_the_same_step_are_refused(shared):
    """A last state that was set aside comes back, beside the files of the run after it."""
    path, aside = Path(f"{shared.prefix}-last.params"), Path(f"{shared.prefix}-aside")
    train(shared)
    path.rename(aside)
    train(replace(shared, seed=shared.seed + 1))
    aside.rename(path)
    said = "rows of another saving than the state that names it"
    for kind in ("sharded", "dense"):
        with pytest.raises(ValueError, match=said):
            train(replace(shared, classifier=kind, max_steps=5, resume=True))


def test_a_step_saved_twice_keeps_its_mark(shared, monkeypatch):
    """A run that is killed between the second rows and the state that names them has whole ones."""
    saved = []
    save = recorder.save_last
    monkeypatch.setattr(recorder, "save_last", lambda *given: saved.append(save(*given)))
    after_step = recorder.Recorder.after_step

    def twice(self, lr):
        after_step(self, lr)
        if saved:
            self._run.save_shard()

    monkeypatch.setattr(recorder.Recorder, "after_step", twice)
    train(shared)
    assert len(saved) == 1 and "fc7_weight" in everything(shared.prefix)


def test_published_numbers_have_all_of_it(shared):
    train(replace(shared, classifier_save="published"))
    params = read_params(f"{shared.prefix}-0001.params")
    assert np.array_equal(params["arg:fc7_weight"], everything(shared.prefix)["fc7_weight"])
    assert stored_classifier(shared.prefix, 1) is None


@pytest.mark.parametrize("save", ["shards", "published"])
@pytest.mark.parametrize("number", ["1", "last"])
def test_pretrained_gives_the_rows_too(shared, number, save):
    train(replace(shared, classifier_save=save))
    after = replace(shared, pretrained=f"{shared.prefix},{number}", prefix=f"{shared.prefix}-b",
                    lr=0.0, max_steps=1)  # fmt: skip
    train(after)
    wanted = everything(shared.prefix)["fc7_weight"]
    assert np.array_equal(everything(after.prefix)["fc7_weight"], wanted)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"loss_type": "center"}, "--classifier sharded: loss center keeps a state of every"),
        ({"loss_type": "triplet"}, "--classifier sharded: loss triplet has no classifier"),
        (
            {"loss_type": "arcface-inter", "margin_b": 0.1, "classifier": "partial"},
            "cannot be sampled: .* is a mean over all identities",
        ),
        (
            {"loss_type": "0", "incay": 0.1, "classifier": "partial"},
            "cannot be sampled: 'incay_loss' asks which of all identities is nearest",
        ),
        ({"engine": "mxnet"}, "--classifier sharded: is of --engine torch"),
        ({"pretrained": "x,1", "fc7_init": "imprint"}, "--fc7-init imprint --classifier sharded"),
    ],
)
def test_what_cannot_be_is_refused(shared, options, said):
    default = {"margin_s": 64.0, "margin_m": 0.5} if "loss_type" in options else {}
    if options.get("loss_type") == "center":
        default |= {"margin_s": 64.0}
    with pytest.raises(ValueError, match=said):
        train(replace(shared, **default | options))
    assert not Path(shared.prefix).parent.exists()


@pytest.mark.parametrize(
    "options, said",
    [
        ({"sample_rate": 0.2}, "--sample-rate and --classifier-memory serve --classifier partial"),
        ({"classifier_memory": "host"}, "serve --classifier partial alone, not sharded"),
        ({"classifier": "dense", "classifier_save": "published"}, "saved as published anyway"),
        ({"classifier": "partial", "sample_rate": 0.0}, "--sample-rate 0.0: must be above 0"),
    ],
)
def test_options_that_would_be_ignored_are_refused(shared, options, said):
    with pytest.raises(ValueError, match=said):
        train(replace(shared, **options))


def test_partial_is_another_run_than_dense(shared):
    train(shared)
    with pytest.raises(ValueError, match="--classifier: was sharded, now partial"):
        train(replace(shared, classifier="partial", resume=True, max_steps=5))


def test_rows_that_do_not_fit_are_refused_with_the_sum(shared, monkeypatch):
    monkeypatch.setattr(on_torch, "free_on_host", lambda: 100)
    partial = replace(shared, **KINDS["host"])
    with pytest.raises(ValueError, match=r"weights 0.00 \+ moments .* = 0.06 GB on each process"):
        train(partial)
    assert not Path(shared.prefix).parent.exists()


def test_what_is_free_is_the_least_of_machine_and_container(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 100 kB\nMemAvailable: 50 kB\n")
    assert free_memory.free_on_host(meminfo, tmp_path) == 50 * 1024
    for name, text in [("max", "40000"), ("current", "30000"), ("stat", "inactive_file 5000\n")]:
        (tmp_path / f"memory.{name}").write_text(text)
    assert free_memory.free_on_host(meminfo, tmp_path) == 15000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory.free_on_host(meminfo, tmp_path) == 50 * 1024
