"""--pretrained: the same network and nothing less, save the classifier and, told so, the head."""

import logging

from arcface_mxnet.checkpoints.load import load_checkpoint, save_checkpoint
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.networks import NETWORKS, Network, NetworkOptions, build_network
from arcface_mxnet.networks.heads import HEADS, head_parameters
from arcface_mxnet.training.initial import initial_params
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.plan import make_plan
import mxnet as mx
import numpy as np
import pytest

SHAPES = {"data": (2, 3, 112, 112)}


def drawn(name, fill=None, **options):
    """Return (symbol, arg_params, aux_params) of a network, all values `fill` if given."""
    symbol = build_network(name, NetworkOptions(**options))
    args, aux = initial_params(symbol, SHAPES, NETWORKS[name].initializer())
    if fill is not None:
        args, aux = ({n: a * 0 + fill for n, a in params.items()} for params in (args, aux))
    return symbol, args, aux


def saved(path, symbol, args, aux):
    save_checkpoint(str(path), 1, symbol, args, aux)
    return f"{path},1"


def take(checkpoint, name, new_head=False, **options):
    symbol = build_network(name, NetworkOptions(**options))
    initializer = NETWORKS[name].initializer()
    return initial_params(symbol, SHAPES, initializer, checkpoint, new_head=new_head)


def test_another_depth_is_refused_either_way(tmp_path):
    deep = saved(tmp_path / "r34", *drawn("r34"))
    message = r"holds another network .*--new-head 1 says so:\n  120 of that network left over: "
    with pytest.raises(ValueError, match=message + r"stage1_unit3_bn1_gamma.* and 112 more$"):
        take(deep, "r18")
    shallow = saved(tmp_path / "r18", *drawn("r18"))
    with pytest.raises(ValueError, match=r"\n  120 of this network missing there: stage1_unit3"):
        take(shallow, "r34")
    with pytest.raises(ValueError, match="of that network left over: stage1_unit3"):
        take(deep, "r18", new_head=True)


def test_another_width_is_refused(tmp_path):
    wide = saved(tmp_path / "m1", *drawn("m1"))
    with pytest.raises(ValueError, match=r"of another shape: conv_1_conv2d_weight \(there \(32, "):
        take(wide, "m1", multiplier=0.5)


def test_nothing_in_common_is_refused(tmp_path):
    data = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc7")
    other = saved(tmp_path / "o", data, {"fc7_weight": mx.nd.ones((2, 3))}, {})
    with pytest.raises(ValueError, match="of this network missing there: conv0_weight"):
        take(other, "r18")


@pytest.mark.parametrize(
    ("there", "here"),
    [({"output": "GDC"}, {"output": "E"}), ({"emb_size": 64}, {"emb_size": 512}),
     ({"output": "E"}, {"output": "GNAP"}), ({"output": "F"}, {"output": "E"})],
)  # fmt: skip
def test_another_head_is_drawn_if_told_so(tmp_path, there, here):
    given = saved(tmp_path / "a", *drawn("r18", fill=7, **there))
    with pytest.raises(ValueError, match="only the head differs: .* or give --new-head 1 to draw"):
        take(given, "r18", **here)
    args, aux = take(given, "r18", new_head=True, **here)
    taken = {n for n, value in (args | aux).items() if (value.asnumpy() == 7).all()}
    assert taken == (args | aux).keys() - head_parameters()
    assert "pre_fc1_weight" in args or "fc1_weight" in args or here["output"] == "GNAP"


def test_head_parameters_are_those_that_a_head_adds_to_any_body():
    """Read from the heads themselves, and no body has a parameter of such a name."""
    for name, entry in NETWORKS._entries.items():
        if "output" not in entry.uses:
            continue
        parameters = [
            {*symbol.list_arguments(), *symbol.list_auxiliary_states()}
            for symbol in (
                build_network(name, NetworkOptions(output=output, emb_size=512))
                for output in ("H", "SFC")
            )
        ]
        body = parameters[0] & parameters[1] - {"pre_fc1_weight", "pre_fc1_bias"}
        assert not body & head_parameters(), name
        assert (parameters[0] | parameters[1]) - body <= head_parameters(), name
    assert {"bn1_gamma", "fc1_relu_gamma", "convx_weight", "bn6w_gamma"} <= head_parameters()
    assert len(HEADS.names()) >= 20


def test_of_other_identities_the_classifier_is_drawn_or_left_over(options, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    first = train(TrainConfig(**options, max_steps=1)).checkpoint
    symbol, args, aux = load_checkpoint(first)
    args["fc7_weight"] = mx.nd.ones((9, 8))
    other = saved(tmp_path / "other", symbol, args, aux)
    run = options | {"pretrained": other, "prefix": str(tmp_path / "fine"), "lr": 0.0}
    train(TrainConfig(**run, max_steps=1))
    assert "pretrained: initialised 1: fc7_weight (there (9, 8), here (6, 8))" in caplog.text
    triplets = {k: v for k, v in run.items() if not k.startswith("margin")}
    triplets |= {"loss_type": "12", "per_batch_size": 6, "prefix": str(tmp_path / "triplet")}
    train(TrainConfig(**triplets, max_steps=1))
    assert "pretrained: ignored 1: fc7_weight" in caplog.text


def test_states_of_another_loss_are_left_over(options, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    first = train(TrainConfig(**options | {"loss_type": "adaface"}, max_steps=1)).checkpoint
    run = options | {"pretrained": first, "prefix": str(tmp_path / "fine")}
    train(TrainConfig(**run, max_steps=1))
    assert "pretrained: ignored 2: length_mean, length_std" in caplog.text


def test_a_whole_run_with_a_new_head(options, tmp_path):
    first = train(TrainConfig(**options, max_steps=1)).checkpoint
    body = load_checkpoint(first)[1]["conv0_weight"].asnumpy()
    run = options | {"pretrained": first, "prefix": str(tmp_path / "fine"), "emb_size": 4}
    with pytest.raises(ValueError, match="only the head differs"):
        train(TrainConfig(**run, max_steps=1))
    run |= {"new_head": 1, "lr": 0.0}
    done = train(TrainConfig(**run, max_steps=1)).checkpoint
    np.testing.assert_array_equal(load_checkpoint(done)[1]["conv0_weight"].asnumpy(), body)
    del run["pretrained"]
    assert train(TrainConfig(**run, max_steps=2, resume=True)).steps == 2
    del run["new_head"]  # it had its say at the start
    assert train(TrainConfig(**run, max_steps=3, resume=True)).steps == 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"new_head": 1}, "--new-head 1 needs --pretrained"),
        ({"new_head": 1, "pretrained": "a,1", "freeze_bn": 1}, "--new-head 1 --freeze-bn 1: a"),
        (
            {"new_head": 1, "pretrained": "a,1", "fc7_init": "imprint"},
            "--new-head 1 --fc7-init imprint: a head that is drawn knows no one",
        ),
    ],
)
def test_refused(options, changed, message):
    with pytest.raises(ValueError, match=message):
        make_plan(TrainConfig(**options | changed))


def build_raw(options):
    """Return tests' tiny network without its scaling."""
    net = mx.sym.Convolution(
        mx.sym.Variable("data"), num_filter=8, kernel=(3, 3), no_bias=True, name="conv0"
    )
    net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn0")
    net = mx.sym.FullyConnected(net, num_hidden=options.emb_size, name="pre_fc1")
    return mx.sym.BatchNorm(net, fix_gamma=True, name="fc1")


def build_scaled(options):
    return build_raw(options)(data=mx.sym.Variable("data") * 0.0078125)


def build_otherwise(options):
    """As arcface_torch feeds it."""
    return build_raw(options)(data=(mx.sym.Variable("data") - 127.5) / 127.5)


@pytest.fixture
def both(options, monkeypatch):
    built = {"raw": build_raw, "scaled": build_scaled, "otherwise": build_otherwise}
    for name, build in built.items():
        entry = Network(build, mx.init.Xavier, frozenset({"emb_size"}))
        monkeypatch.setitem(NETWORKS._entries, name, entry)
    return options


@pytest.mark.parametrize(
    ("there", "here", "told"),
    [
        ("raw", "scaled", "hands raw pixels to 'conv0', this network scales them first"),
        ("scaled", "raw", "this network hands raw pixels to 'conv0', the symbol of"),
        ("raw", "raw", ""),
        ("scaled", "scaled", ""),
        ("otherwise", "otherwise", ""),
        (
            "otherwise",
            "scaled",
            r"takes (x - 127.5) * 0.007843137 of the pixels, this network (x - 0) * 0.0078125; to "
            r"train it as it is, give its own symbol: --network ",
        ),
    ],
)
def test_pixels_that_two_networks_do_not_scale_alike(both, tmp_path, caplog, there, here, told):
    caplog.set_level(logging.WARNING)
    first = train(TrainConfig(**both | {"network": there}, max_steps=1)).checkpoint
    caplog.clear()
    run = both | {"network": here, "pretrained": first, "prefix": str(tmp_path / "fine")}
    train(TrainConfig(**run, max_steps=1))
    lines = [text for text in caplog.messages if "pixels" in text]
    assert len(lines) == bool(told) and all(told in line for line in lines)
