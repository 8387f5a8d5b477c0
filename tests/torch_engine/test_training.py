"""Whole runs on PyTorch: as MXNet's, gone on from by either, and where MXNet is not installed."""

from dataclasses import replace
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

from arcface_mxnet.checkpoints.last_state import load_last
from arcface_mxnet.checkpoints.load import load_checkpoint
from arcface_mxnet.checkpoints.names import params_path
from arcface_mxnet.checkpoints.params import read_params, write_params
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.embedding.embedder import Embedder
from arcface_mxnet.networks import NETWORKS, Network
from arcface_mxnet.training import engine as engine_module
from arcface_mxnet.training import stored_symbol
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.machines import Machines
from arcface_mxnet.training.plan import make_plan
from arcface_mxnet.training.plan_only import write_plan
import mxnet as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from tests.test_without_mxnet import HIDE  # noqa: E402
from tests.training.conftest import write_dataset  # noqa: E402

ENGINES = ("mxnet", "torch")


def build_dry(options):
    """A network without dropout, which the engines draw differently."""
    net = (mx.sym.Variable("data") - 127.5) * 0.0078125
    net = mx.sym.Convolution(net, num_filter=8, kernel=(3, 3), stride=(2, 2), no_bias=True,
                             name="conv0")  # fmt: skip
    net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn0")
    net = mx.sym.LeakyReLU(net, act_type="prelu", name="relu0")
    net = mx.sym.FullyConnected(net, num_hidden=options.emb_size, no_bias=True, name="pre_fc1")
    return mx.sym.BatchNorm(net, fix_gamma=True, name="fc1")


@pytest.fixture(scope="module")
def dataset_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "tiny"
    write_dataset(folder)
    return folder


@pytest.fixture
def config(monkeypatch, dataset_dir, tmp_path):
    entry = Network(build_dry, mx.init.Xavier, frozenset({"emb_size"}))
    monkeypatch.setitem(NETWORKS._entries, "tiny", entry)
    return TrainConfig(
        data_dir=str(dataset_dir), prefix=str(tmp_path / "out" / "model"), network="tiny",
        emb_size=8, per_batch_size=6, target=("held",), verbose=4, frequent=1, lr=0.01,
        margin_s=8.0, margin_m=0.1, max_steps=4, ckpt=2,
    )  # fmt: skip


def end(config):
    """Return everything that a run left, as numpy's."""
    last = load_last(config.prefix)
    arrays = last.arg_params | last.aux_params | {f"state {k}": v for k, v in last.state.items()}
    return {name: array.asnumpy() for name, array in arrays.items()}


def assert_near(found, wanted, tolerance):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "adamw", "lr": 0.001, "lr_schedule": "cosine", "grad_clip": 0.5},
        {"accumulate": 2, "margin_warmup": 3, "lr_warmup": 2, "lr_steps": (2,)},
        {"loss_type": "1", "margin_s": 64.0, "margin_m": 0.5, "beta": 20.0},
    ],
    ids=lambda options: ",".join(options) or "arcface",
)  # fmt: skip
def test_a_run_is_mxnets(config, options):
    ends = []
    for engine in ENGINES:
        prefix = f"{config.prefix}-{engine}"
        train(replace(config, engine=engine, prefix=prefix, **options))
        ends.append(end(replace(config, prefix=prefix)))
        run = json.loads(Path(f"{prefix}-run.json").read_text())
        assert run["engine"] == engine and engine in run["versions"]
    assert_near(ends[1], ends[0], 2e-4)


@pytest.mark.parametrize("first", ENGINES)
@pytest.mark.parametrize("second", ENGINES)
def test_what_began_on_one_engine_goes_on_on_the_other(config, first, second):
    whole = replace(config, engine=second, prefix=f"{config.prefix}-whole", max_steps=3)
    train(replace(config, engine=first, max_steps=2))
    train(replace(config, engine=second, max_steps=3, resume=True))
    train(whole)
    if first == second:
        for name, value in end(whole).items():
            assert np.array_equal(end(config)[name], value), name
    assert_near(end(config), end(whole), 1e-5 if first == second else 1e-4)


# What is spoilt in a last state: how, and what is said.
SPOILT = {
    "a weight missing": (lambda a: a.pop("arg:fc7_weight"), "fc7_weight is missing"),
    "a statistic missing": (lambda a: a.pop("aux:bn0_moving_mean"), "bn0_moving_mean is missing"),
    "a weight too many": (lambda a: a.update({"arg:b": np.zeros(8, "f4")}), "b is .8,., none want"),
    "one slope": (lambda a: a.update({"arg:relu0_gamma": np.zeros(1, "f4")}), "relu0_gamma is .1,"),
    "whole numbers": (lambda a: a.update({"arg:relu0_gamma": np.zeros(8, "i4")}), "is int32"),
    "a weight twice": (lambda a: a.update({"aux:fc7_weight": a["arg:fc7_weight"]}), "there twice"),
    "a device's missing": (lambda a: a.pop("state:aux0:bn0_moving_var"), "bn0_moving_var is missi"),
    "a device's shape": (
        lambda a: a.update({"state:aux0:bn0_moving_var": np.zeros(1, "f4")}), "moving_var is .1,",
    ),
    "another device": (
        lambda a: a.update({"state:aux1:bn0_moving_var": np.zeros(8, "f4")}), "aux1:.* is missing",
    ),
    "a moment missing": (lambda a: a.pop("state:mean:fc7_weight"), "differs in mean:fc7_weight"),
    "a moment's shape": (
        lambda a: a.update({"state:var:fc7_weight": np.zeros((5, 8), "f4")}), r"is \(5, 8\), not",
    ),
    "a count below 0": (
        lambda a: a.update({"state:count:updates": np.array([-5])}), "no number of updates",
    ),
    "no count": (
        lambda a: a.update({"state:count:updates": np.zeros(0, "i8")}), "no number of updates",
    ),
}  # fmt: skip


def test_a_last_state_that_does_not_fit_is_refused_by_both_engines(config):
    config = replace(config, optimizer="adamw", engine="torch", max_steps=1)
    train(config)
    path = params_path(config.prefix, "last")
    whole = path.read_bytes()
    for what, (spoil, message) in SPOILT.items():
        arrays = read_params(path)
        spoil(arrays)
        write_params(path, arrays)
        spoilt = path.read_bytes()
        for engine in ENGINES:
            with pytest.raises(ValueError, match=f"(?s)cannot go on from it: .*{message}"):
                train(replace(config, engine=engine, max_steps=2, resume=True))
                pytest.fail(what)
            assert path.read_bytes() == spoilt, what
        path.write_bytes(whole)


def test_dropout_of_a_resumed_run_is_that_of_a_whole_one(config, monkeypatch):
    def build(options):
        net = mx.sym.Dropout((mx.sym.Variable("data") - 127.5) * 0.01, p=0.4)
        net = mx.sym.FullyConnected(net, num_hidden=options.emb_size, name="pre_fc1")
        return mx.sym.BatchNorm(net, fix_gamma=True, name="fc1")

    monkeypatch.setitem(
        NETWORKS._entries, "tiny", Network(build, mx.init.Xavier, frozenset({"emb_size"}))
    )
    whole = replace(config, engine="torch", prefix=f"{config.prefix}-whole")
    train(whole)
    for steps in (2, 4):
        train(replace(config, engine="torch", max_steps=steps, resume=True))
    for name, value in end(whole).items():
        assert np.array_equal(end(config)[name], value), name


def test_what_is_verified_is_what_was_saved(config):
    (result,) = train(replace(config, engine="torch")).results
    _, args, aux = load_checkpoint(f"{config.prefix},1")
    for name, value in (args | aux).items():
        assert np.array_equal(end(config)[name], value.asnumpy()), name
    plan = make_plan(replace(config, engine="torch"))
    stepper = plan.engine.stepper(plan, args, aux, Machines())
    images = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), np.uint8)
    found = plan.engine.embedder(plan, stepper)(images)
    wanted = Embedder(f"{config.prefix},1", normalize=False, engine="mxnet")(images)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert result.xnorm > 0


def test_triplets_are_mined_by_torch(config, caplog):
    caplog.set_level("INFO")
    triplets = replace(
        config, engine="torch", loss_type="12", margin_s=64.0, margin_m=0.5, triplet_bag_size=20,
        triplet_alpha=3.0, triplet_dtype="float32", max_steps=3,
    )  # fmt: skip
    train(triplets)
    assert "bag 0: found triplets" in caplog.text
    before = end(triplets)
    train(replace(triplets, max_steps=5, resume=True))
    assert (end(triplets)["conv0_weight"] != before["conv0_weight"]).any()


def test_half_precision_and_frozen_statistics(config, caplog):
    caplog.set_level("INFO")
    train(replace(config, engine="torch", dtype="bfloat16"))
    assert "by torch" in caplog.text and "bfloat16 on cpu" in caplog.text
    held = end(config)
    assert {value.dtype for name, value in held.items()} == {np.dtype(np.float32)}
    frozen = replace(
        config, engine="torch", freeze_bn=1, pretrained=f"{config.prefix},1",
        prefix=f"{config.prefix}-frozen",
    )  # fmt: skip
    train(frozen)
    for name, value in end(frozen).items():
        if name.endswith(("moving_mean", "moving_var")):
            assert np.array_equal(value, held[name]), name
    assert (end(frozen)["bn0_beta"] != held["bn0_beta"]).any()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"engine": "mxnet", "dtype": "bfloat16"}, "--dtype bfloat16: MXNet computes none"),
        ({"engine": "mxnet", "compile": 1}, "--compile 1: MXNet compiles nothing"),
        (
            {"engine": "mxnet", "train_symbol": "x"},
            "--train-symbol: MXNet builds the symbol",
        ),
        ({"engine": "torch", "dtype": "float16"}, "--dtype float16 needs a GPU"),
        ({"engine": "torch", "gpus": "0,1"}, "--engine torch trains on one GPU, and 2 are named"),
        ({"engine": "torch", "gpus": "7"}, "GPU 7 not found: PyTorch sees"),
        ({"engine": "torch", "kvstore": "dist_sync"}, "--kvstore dist_sync"),
        ({"engine": "torch", "per_batch_size": 1}, "would see one value per channel"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(config, options, message):
    with pytest.raises(ValueError, match=message):
        make_plan(replace(config, **options))


def test_torch_that_is_not_installed_is_told(config, monkeypatch):
    monkeypatch.setattr(engine_module, "has_torch", lambda: False)
    with pytest.raises(ValueError, match=r"--engine torch is not installed: pip install 'arcface"):
        make_plan(replace(config, engine="torch"))
    assert make_plan(config).engine.name == "mxnet"
    monkeypatch.setattr(engine_module, "has_mxnet", lambda: False)
    with pytest.raises(ValueError, match="neither PyTorch .*nor MXNet .*is installed"):
        engine_module.open_engine(config)


def test_a_gpu_that_mxnet_cannot_serve(config, monkeypatch):
    for place in ("arcface_mxnet.cuda", "arcface_mxnet.training.engine"):
        monkeypatch.setattr(f"{place}.compute_capabilities", lambda: [(9, 0)])
    with pytest.raises(ValueError, match="capability 9.0: MXNet cannot run.*--engine torch"):
        make_plan(replace(config, engine="mxnet", gpus="0"))
    name, reason = engine_module._chosen(replace(config, gpus="0"), None)
    assert (name, reason) == ("torch", "MXNet has no code for compute capability 9.0")
    assert engine_module._chosen(config, None)[0] == "mxnet", "on the CPU it is MXNet"
    assert engine_module._chosen(replace(config, dtype="bfloat16"), None)[0] == "torch"


def test_a_memory_limit_counts_what_torch_takes(config):
    plan = make_plan(replace(config, engine="torch"))
    small = plan.engine.estimate(plan)
    args, _, _ = plan.published.infer_shape(**plan.shapes)
    own = [a for a, name in zip(args, plan.published.list_arguments(), strict=True)
           if name not in plan.shapes]  # fmt: skip
    assert small.weights == 4 * sum(int(np.prod(shape)) for shape in own)
    twice = make_plan(replace(config, engine="torch", per_batch_size=12))
    large = twice.engine.estimate(twice)
    assert large.activations == pytest.approx(2 * small.activations, rel=0.01)
    with pytest.raises(ValueError, match="more than --memory-limit 0.1 GB"):
        train(replace(config, engine="torch", memory_limit=0.1))


RUN = """
import json, logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s")
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.networks import NETWORKS, Network
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.machines import Machines
NETWORKS._entries["tiny"] = Network(None, None, frozenset({"emb_size"}))
for options in json.loads(sys.argv[1]):
    train(TrainConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}))
print("mxnet" in sys.modules)
"""


def without_mxnet(*configs):
    """Train where MXNet cannot be imported, one after the other; return what was said."""
    done = subprocess.run(
        [sys.executable, "-c", HIDE + RUN, json.dumps([vars(config) for config in configs])],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.stdout.endswith("False\n"), done.stdout + done.stderr
    return done.stdout + done.stderr


def test_it_trains_without_mxnet(config):
    """From what --plan-only wrote; and from the symbol and the parameters of a checkpoint."""
    paths = write_plan(config)
    assert [path.name for path in paths] == [
        "model-train-symbol.json", "model-train-plan.json", "model-train-initial.params"
    ]  # fmt: skip
    published = replace(config, engine="mxnet", prefix=f"{config.prefix}-published")
    train(published)
    symbol = f"{published.prefix}-symbol.json"
    tuned = replace(config, prefix=f"{config.prefix}-tuned", pretrained=f"{published.prefix},1")
    said = without_mxnet(config, replace(tuned, train_symbol=symbol))
    assert "by torch" in said and "(auto: MXNet is not installed)" in said
    assert "took the parameters of" in said and said.count("[held][4]Accuracy-Flip") == 2
    for one, tolerance in ((config, 0), (tuned, 1e-6)):
        here = replace(one, engine="torch", prefix=f"{one.prefix}-here")
        train(here)
        assert_near(end(one), end(here), tolerance)
    train(replace(config, engine="mxnet", max_steps=5, resume=True))
    assert load_last(config.prefix).record["position"]["step"] == 5
    given = f"{config.prefix}-train-symbol.json"
    with pytest.raises(ValueError, match="--margin-m: was 0.1, now 0.2"):
        make_plan(replace(config, train_symbol=given, margin_m=0.2))
    with pytest.raises(ValueError, match="no parameters stand beside it.*give --pretrained"):
        train(replace(config, train_symbol=symbol, prefix=f"{config.prefix}-bare"))


def test_without_mxnet_and_without_a_symbol_it_says_how_one_is_made(config, monkeypatch):
    for module in (engine_module, stored_symbol):
        monkeypatch.setattr(module, "has_mxnet", lambda: False)
    with pytest.raises(FileNotFoundError, match="no training symbol .*--plan-only"):
        make_plan(config)


def test_a_symbol_that_is_no_training_symbol_is_refused(config, tmp_path):
    graph = json.loads(build_dry(config).tojson())
    (tmp_path / "net-symbol.json").write_text(json.dumps(graph))
    with pytest.raises(ValueError, match="no training symbol of this loss.*'softmax_output'"):
        make_plan(replace(config, train_symbol=str(tmp_path / "net-symbol.json")))


def test_first_parameters_belong_to_the_dataset_that_they_were_made_for(config, tmp_path):
    train(replace(config, max_steps=1, ckpt=2, verbose=1))
    more = {"fc7_init": "imprint", "pretrained": f"{config.prefix},1", "engine": "torch"}
    imprinted = replace(config, prefix=f"{config.prefix}-imprinted", max_steps=1, **more)
    write_plan(imprinted)
    stored = replace(imprinted, train_symbol=f"{imprinted.prefix}-train-symbol.json")
    make_plan(stored)
    other = shutil.copytree(config.data_dir, tmp_path / "other")
    with (other / "property").open("a") as file:
        file.write("\n")  # another fingerprint
    with pytest.raises(ValueError, match="made with other options.*\n  data: was"):
        make_plan(replace(stored, data_dir=str(other)))
    plan = Path(f"{imprinted.prefix}-train-plan.json")
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"teacher": "0123456789abcdef"}))
    with pytest.raises(ValueError, match="--teacher: was '0123456789abcdef', now none"):
        make_plan(stored)


def test_parameters_of_a_larger_network_are_refused_beside_a_stored_symbol(config, monkeypatch):
    def build_larger(options):
        net = build_dry(options).get_internals()["relu0_output"]
        net = mx.sym.Convolution(net, num_filter=8, kernel=(1, 1), no_bias=True, name="conv1")
        net = mx.sym.FullyConnected(net, num_hidden=options.emb_size, no_bias=True, name="pre_fc1")
        return mx.sym.BatchNorm(net, fix_gamma=True, name="fc1")

    train(replace(config, max_steps=1, ckpt=2, verbose=1))
    entry = Network(build_larger, mx.init.Xavier, frozenset({"emb_size"}))
    monkeypatch.setitem(NETWORKS._entries, "tiny", entry)
    larger = replace(
        config, prefix=f"{config.prefix}-larger", loss_type="8", max_steps=1, verbose=1
    )
    larger = replace(larger, margin_s=64.0, margin_m=0.5)
    train(larger)
    run = replace(config, engine="torch", prefix=f"{config.prefix}-tuned", max_steps=1)
    run = replace(run, train_symbol=f"{config.prefix}-symbol.json")
    with pytest.raises(ValueError, match="holds another network than .*of its parameters: conv1_w"):
        train(replace(run, pretrained=f"{larger.prefix},1"))


@pytest.mark.parametrize("spoil", ["{", "[]", '{"options": 5}'])
def test_a_damaged_plan_is_told(config, spoil):
    _, plan, _ = write_plan(config)
    plan.write_text(spoil)
    with pytest.raises(ValueError, match="model-train-plan.json"):
        make_plan(replace(config, train_symbol=f"{config.prefix}-train-symbol.json"))
