"""A step equals MXNet's own Module; devices, accumulation and restoring change nothing."""

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.losses import build_loss
from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
from arcface_mxnet.ops import fast_graph
from arcface_mxnet.training.initial import initial_params
from arcface_mxnet.training.mxnet_stepper import MxnetStepper
from arcface_mxnet.training.optimizer import SGD, make_optimizer
import mxnet as mx
import numpy as np
import pytest

CLASSES, FEATURES = 3, 5


def symbol(batch_norm=False):
    data = mx.sym.Variable("data")
    net = mx.sym.FullyConnected(data, num_hidden=6, name="fc")
    if batch_norm:
        net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn")
    net = mx.sym.FullyConnected(net, num_hidden=CLASSES, name="fc7")
    label = mx.sym.Variable("softmax_label")
    return mx.sym.SoftmaxOutput(net, label, name="softmax", normalization="valid")


def parameters(net):
    rng = np.random.RandomState(1)
    shapes, _, aux_shapes = net.infer_shape(data=(4, FEATURES), softmax_label=(4,))
    args = {
        name: mx.nd.array(rng.randn(*shape) * 0.3)
        for name, shape in zip(net.list_arguments(), shapes, strict=True)
        if name not in ("data", "softmax_label")
    }
    aux = {
        name: mx.nd.ones(shape) if "var" in name else mx.nd.zeros(shape)
        for name, shape in zip(net.list_auxiliary_states(), aux_shapes, strict=True)
    }
    return args, aux


def batch_of(rows, seed):
    rng = np.random.RandomState(seed)
    return {
        "data": mx.nd.array(rng.randn(rows, FEATURES)),
        "softmax_label": mx.nd.array(rng.randint(0, CLASSES, rows)),
    }


def make(net, num_devices=1, rows=4, accumulate=1, **options):
    shapes = {"data": (rows, FEATURES), "softmax_label": (rows,)}
    rule = SGD(**{"momentum": 0.9, "wd": 0.01, "attributes": net.attr_dict(), **options})
    contexts = [mx.cpu(device) for device in range(num_devices)]
    kvstore = mx.kvstore.create("device") if num_devices > 1 else None
    stepper = MxnetStepper(
        net, contexts, shapes, *parameters(net), rule, kvstore=kvstore, accumulate=accumulate
    )
    stepper.join()
    return stepper


def run(stepper, batches, lr=0.1):
    for batch in batches:
        stepper.forward_backward(batch)
        stepper.update(lr)
    return {name: array.asnumpy() for name, array in stepper.params()[0].items()}


def module_result(net, batches, lr=0.1):
    module = mx.mod.Module(net, label_names=["softmax_label"])
    module.bind([("data", (4, FEATURES))], [("softmax_label", (4,))])
    module.init_params(arg_params=parameters(net)[0], aux_params=parameters(net)[1])
    rule = mx.optimizer.SGD(learning_rate=lr, momentum=0.9, wd=0.01, rescale_grad=1.0)
    module.init_optimizer(kvstore=None, optimizer=rule)
    for batch in batches:
        module.forward_backward(mx.io.DataBatch([batch["data"]], [batch["softmax_label"]]))
        module.update()
    return {name: array.asnumpy() for name, array in module.get_params()[0].items()}


def assert_same(left, right, tolerance=1e-6):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name], right[name], rtol=tolerance, atol=tolerance)


def test_equals_the_published_way_of_making_the_optimizer():
    net = symbol(batch_norm=True)
    batches = [batch_of(4, seed) for seed in range(3)]
    assert_same(run(make(net), batches), module_result(net, batches))


@pytest.mark.parametrize("num_devices", [2, 4])
def test_devices_share_the_batch(num_devices):
    net = symbol()
    batches = [batch_of(8, seed) for seed in range(3)]
    one = run(make(net, rows=8), batches)
    several = run(make(net, num_devices, rows=8 // num_devices), batches)
    assert_same(one, several)


def test_accumulated_batches_are_one_batch():
    net = symbol()
    whole = [batch_of(8, seed) for seed in range(2)]
    stepper = make(net, rows=4, accumulate=2)
    for batch in whole:
        for half in (slice(0, 4), slice(4, 8)):
            stepper.forward_backward({name: array[half] for name, array in batch.items()})
        stepper.update(0.1)
    result = {name: array.asnumpy() for name, array in stepper.params()[0].items()}
    assert_same(result, run(make(net, rows=8), whole))


def test_each_device_has_its_own_statistics_and_a_checkpoint_their_mean():
    net = symbol(batch_norm=True)
    stepper = make(net, num_devices=2, rows=2)
    run(stepper, [batch_of(4, 0)])
    state = stepper.state()
    own = [state[f"aux{device}:bn_moving_mean"].asnumpy() for device in (0, 1)]
    assert not np.allclose(own[0], own[1])
    saved = stepper.params()[1]["bn_moving_mean"].asnumpy()
    np.testing.assert_allclose(saved, (own[0] + own[1]) / 2, rtol=1e-6)


@pytest.mark.parametrize("num_devices", [1, 2])
def test_restored_goes_on_bit_for_bit(num_devices):
    net = symbol(batch_norm=True)
    batches = [batch_of(4 * num_devices, seed) for seed in range(4)]
    straight = run(make(net, num_devices), batches)
    first = make(net, num_devices)
    run(first, batches[:2])
    args, aux = first.params()
    second = make(net, num_devices)
    second._set_params(args, aux)
    second.restore(first.state())
    resumed = run(second, batches[2:])
    for name, array in straight.items():
        np.testing.assert_array_equal(resumed[name], array)


def test_multipliers_are_ignored_as_published_unless_asked_for():
    data = mx.sym.Variable("data")
    weight = mx.sym.Variable("fc7_weight", lr_mult=2, wd_mult=3)
    net = mx.sym.FullyConnected(data, weight, num_hidden=2, name="fc7")
    published = SGD(0.9, 0.1, net.attr_dict())
    assert published.multipliers("fc7_weight") == (1, 1)
    assert published.multipliers("fc7_bias") == (1, 1)
    honoured = SGD(0.9, 0.1, net.attr_dict(), apply_mult=True)
    assert honoured.multipliers("fc7_weight") == (2, 3)
    assert honoured.multipliers("fc7_bias") == (1, 0)
    assert honoured.multipliers("bn1_gamma") == (1, 1)


def test_multipliers_change_the_update():
    net = symbol()
    batches = [batch_of(4, 0)]
    before = parameters(net)[0]["fc_bias"].asnumpy()
    decayed = run(make(net, wd=1.0), batches)["fc_bias"]
    spared = run(make(net, wd=1.0, apply_mult=True), batches)["fc_bias"]
    np.testing.assert_allclose(spared - decayed, 0.1 * before, rtol=1e-4, atol=1e-6)


def test_clipping_bounds_the_norm_of_all_gradients():
    net = symbol()
    before = parameters(net)[0]
    after = run(make(net, momentum=0.0, wd=0.0, grad_clip=0.05), [batch_of(4, 0)], lr=1.0)
    moved = [after[name] - before[name].asnumpy() for name in after]
    assert np.sqrt(sum((part**2).sum() for part in moved)) == pytest.approx(0.05, rel=1e-4)
    free = run(make(net, momentum=0.0, wd=0.0), [batch_of(4, 0)], lr=1.0)
    loose = run(make(net, momentum=0.0, wd=0.0, grad_clip=1e6), [batch_of(4, 0)], lr=1.0)
    assert_same(free, loose)


def test_clipping_counts_the_mean_of_accumulated_gradients():
    net = symbol()
    before = parameters(net)[0]
    stepper = make(net, accumulate=3, momentum=0.0, wd=0.0, grad_clip=0.05)
    for _ in range(3):
        stepper.forward_backward(batch_of(4, 0))
    stepper.update(1.0)
    after = {name: array.asnumpy() for name, array in stepper.params()[0].items()}
    moved = [after[name] - before[name].asnumpy() for name in after]
    assert np.sqrt(sum((part**2).sum() for part in moved)) == pytest.approx(0.05, rel=1e-4)


def test_the_first_bad_output_is_named():
    stepper = make(symbol())
    stepper.forward_backward(batch_of(4, 0))
    assert stepper.first_bad_output() is None
    bad = batch_of(4, 0)
    bad["data"][2, 1] = np.nan
    stepper.forward_backward(bad)
    assert stepper.first_bad_output() == "softmax_output"


def test_statistics_are_those_after_the_step():
    """MXNet's backward pass writes them without telling its engine, which does not wait for it."""
    shapes = {"data": (4, 3, 32, 32), "softmax_label": (4,)}
    embedding = build_network("r18", NetworkOptions(emb_size=32, output="GAP"))
    symbol = build_loss("4", TrainConfig(), 10).symbol(embedding, mx.sym.var("softmax_label"))
    params = initial_params(symbol, shapes, NETWORKS["r18"].initializer())
    graph = fast_graph(symbol, mx.cpu(), shapes, training=True, accumulates=False)
    rule = make_optimizer(TrainConfig(), symbol.attr_dict())
    stepper = MxnetStepper(graph, [mx.cpu()], shapes, *params, rule)
    inputs = {
        "data": mx.nd.array(np.random.RandomState(0).randint(0, 256, shapes["data"])),
        "softmax_label": mx.nd.arange(4),
    }
    for _ in range(3):
        stepper.forward_backward(inputs)
        stepper.update(0.01)
        found = {name: array.asnumpy() for name, array in stepper.params()[1].items()}
        mx.nd.waitall()
        for name, array in stepper.params()[1].items():
            np.testing.assert_array_equal(found[name], array.asnumpy(), err_msg=name)


@pytest.mark.parametrize("num_devices", [1, 2])
def test_rewinding_undoes_the_passes_since_the_last_step(num_devices):
    net = symbol(batch_norm=True)
    straight, cut = (make(net, num_devices, rows=4 // num_devices) for _ in range(2))
    for stepper in (straight, cut):
        run(stepper, [batch_of(4, 1)])
    cut.remember()
    before = {k: v.asnumpy() for k, v in cut.state().items()}
    cut.forward_backward(batch_of(4, 2))
    moved = {k: v.asnumpy() for k, v in cut.state().items()}
    assert any((before[k] != moved[k]).any() for k in before)
    cut.rewind()
    for k, v in cut.state().items():
        np.testing.assert_array_equal(v.asnumpy(), before[k], err_msg=k)
    for stepper in (straight, cut):
        run(stepper, [batch_of(4, 3)])
    for left, right in zip(straight.params(), cut.params(), strict=True):
        for k in left:
            np.testing.assert_array_equal(left[k].asnumpy(), right[k].asnumpy(), err_msg=k)
