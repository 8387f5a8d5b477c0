"""Embedder: batches, padding, flipping, devices, and checkpoints it cannot use."""

import threading

from arcface_mxnet.checkpoints.load import save_checkpoint
from arcface_mxnet.embedder import Embedder
import mxnet as mx
import numpy as np
import pytest

SIZE = (6, 5)  # height, width


def network(dimension=4):
    """Return a small network with a PReLU and a classifier behind the embedding."""
    data = mx.sym.Variable("data")
    body = mx.sym.Convolution((data - 127.5) / 128, kernel=(3, 3), num_filter=3, name="conv0")
    body = mx.sym.LeakyReLU(body, act_type="prelu", name="relu0")
    embedding = mx.sym.FullyConnected(body, num_hidden=dimension, name="pre_fc1")
    embedding = mx.sym.BatchNorm(embedding, fix_gamma=True, eps=2e-5, name="fc1")
    classifier = mx.sym.FullyConnected(embedding, num_hidden=7, name="fc7")
    label = mx.sym.Variable("softmax_label")
    return mx.sym.Group(
        [mx.sym.BlockGrad(embedding), mx.sym.SoftmaxOutput(classifier, label, name="softmax")]
    )


def parameters(symbol, seed=0):
    """Return random (arg_params, aux_params) of the symbol for images of SIZE."""
    rng = np.random.default_rng(seed)
    shapes, _, aux_shapes = symbol.infer_shape(data=(1, 3, *SIZE), softmax_label=(1,))
    args = {
        name: mx.nd.array(rng.normal(scale=0.3, size=shape))
        for name, shape in zip(symbol.list_arguments(), shapes, strict=True)
        if name not in ("data", "softmax_label")
    }
    aux = {
        name: mx.nd.array(rng.random(shape) + 0.5)
        for name, shape in zip(symbol.list_auxiliary_states(), aux_shapes, strict=True)
    }
    return args, aux


@pytest.fixture
def checkpoint(tmp_path):
    symbol = network()
    save_checkpoint(str(tmp_path / "net"), 3, symbol, *parameters(symbol))
    return f"{tmp_path / 'net'},3"


def images(count, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)


def direct(rgb_nhwc, symbol, arg_params, aux_params):
    """Return the embeddings by MXNet's own way, all images in one batch."""
    data = mx.nd.array(rgb_nhwc.transpose(0, 3, 1, 2).astype(np.float32))
    embedding = symbol.get_internals()["fc1_output"]
    executor = embedding.simple_bind(mx.cpu(), grad_req="null", data=data.shape)
    executor.copy_params_from(arg_params, aux_params, allow_extra_params=True)
    return executor.forward(is_train=False, data=data)[0].asnumpy()


@pytest.mark.parametrize("count", [1, 3, 4, 9])
@pytest.mark.parametrize("contexts", [None, mx.cpu(), [mx.cpu(0), mx.cpu(1)]])
def test_embeddings_are_those_of_one_big_batch(checkpoint, count, contexts):
    symbol = network()
    plain = direct(images(count), symbol, *parameters(symbol))
    mirrored = direct(images(count)[:, :, ::-1], symbol, *parameters(symbol))
    embed = Embedder(checkpoint, contexts, batch_size=4)
    got = embed.plain_and_flipped(images(count))
    np.testing.assert_allclose(got[0], plain, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got[1], mirrored, rtol=1e-4, atol=1e-5)
    both = plain + mirrored
    unit = both / np.linalg.norm(both, axis=1, keepdims=True)
    np.testing.assert_allclose(embed(images(count)), unit, rtol=1e-4, atol=1e-5)
    assert embed(images(count)).dtype == np.float32


def test_flip_and_normalize_can_be_left_out(checkpoint):
    raw = Embedder(checkpoint, flip=False, normalize=False)
    plain, flipped = raw.plain_and_flipped(images(3))
    np.testing.assert_array_equal(raw(images(3)), plain)
    assert not np.allclose(plain, flipped)
    unit = Embedder(checkpoint, flip=False)(images(3))
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-5)


def test_images_may_come_one_by_one_and_are_read_in_a_thread(checkpoint):
    readers = set()

    def one_by_one():
        for image in images(7):
            readers.add(threading.get_ident())
            yield image

    embed = Embedder(checkpoint, batch_size=2)
    plain, _ = embed.plain_and_flipped(one_by_one())
    np.testing.assert_array_equal(plain, embed.plain_and_flipped(images(7))[0])
    assert threading.get_ident() not in readers


def test_errors_of_the_images_arrive_and_no_thread_stays(checkpoint):
    def broken():
        yield from images(5)
        raise ValueError("pair 2, right image: does not decode")

    before = threading.active_count()
    with pytest.raises(ValueError, match="pair 2, right image"):
        Embedder(checkpoint, batch_size=2).plain_and_flipped(broken())
    assert threading.active_count() == before


def test_a_network_that_fails_leaves_no_thread_behind(checkpoint):
    wrong_size = (np.zeros((8, 8, 3), np.uint8) for _ in range(1000))
    before = threading.active_count()
    with pytest.raises(ValueError, match="net-symbol.json: the parameters do not fit the symbol"):
        Embedder(checkpoint, batch_size=2).plain_and_flipped(wrong_size)
    assert threading.active_count() == before
    assert next(wrong_size) is not None  # reading ahead has stopped


def test_parameters_can_be_exchanged(checkpoint):
    symbol = network()
    embed = Embedder.from_parameters(symbol, *parameters(symbol), normalize=False, flip=False)
    first = embed(images(2))
    embed.set_parameters(*parameters(symbol, seed=5))
    expected = direct(images(2), symbol, *parameters(symbol, seed=5))
    np.testing.assert_allclose(embed(images(2)), expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(first, expected)


def test_bad_images_are_refused(checkpoint):
    embed = Embedder(checkpoint)
    with pytest.raises(ValueError, match="expected uint8 RGB"):
        embed(images(2).astype(np.float32))
    with pytest.raises(ValueError, match="expected uint8 RGB"):
        embed(images(1)[0])
    with pytest.raises(ValueError, match="several sizes"):
        embed.plain_and_flipped([images(1)[0], images(1)[0][:4]])
    with pytest.raises(ValueError, match="no images"):
        embed.plain_and_flipped([])
    with pytest.raises(ValueError, match="do not fit the symbol for images of 8x8"):
        embed(np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="batch size 0"):
        Embedder(checkpoint, batch_size=0)


def test_bad_checkpoints_are_refused(checkpoint, tmp_path):
    symbol = network()
    args, aux = parameters(symbol)
    prefix = checkpoint.split(",")[0]
    with pytest.raises(FileNotFoundError, match="numbers there: 3"):
        Embedder(f"{prefix},4")
    with pytest.raises(ValueError, match="give PREFIX,NUMBER"):
        Embedder(prefix)
    fewer = {name: array for name, array in args.items() if name != "conv0_bias"}
    save_checkpoint(prefix, 5, symbol, fewer, aux)
    with pytest.raises(ValueError, match="the parameters lack conv0_bias"):
        Embedder(f"{prefix},5")
    save_checkpoint(str(tmp_path / "flat"), 1, symbol.get_internals()["conv0_output"], args, aux)
    with pytest.raises(ValueError, match="no output 'fc1_output'"):
        Embedder(f"{tmp_path / 'flat'},1")
    with pytest.raises(ValueError, match="of another network than the one to save, and net-0003"):
        save_checkpoint(prefix, 6, network(dimension=8), args, aux)
    save_checkpoint(str(tmp_path / "wide"), 6, network(dimension=8), args, aux)
    with pytest.raises(ValueError, match="pre_fc1_weight is .4, 36., the symbol reads .8, 36."):
        Embedder(f"{tmp_path / 'wide'},6")(images(1))


@pytest.mark.parametrize("engine", ["mxnet", "onnxruntime"])
def test_threads_share_an_embedder(checkpoint, engine):
    embed = Embedder(checkpoint, batch_size=4, flip=False, engine=engine)
    sets = [images(3, seed) for seed in range(4)]
    expected = [embed(one) for one in sets]
    found = [[] for _ in sets]

    def work(number):
        for _ in range(20):
            found[number].append(embed(sets[number]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for want, got in zip(expected, found, strict=True):
        assert len(got) == 20
        for one in got:
            np.testing.assert_allclose(one, want, atol=1e-6)


@pytest.mark.parametrize("engine", ["mxnet", "onnxruntime"])
def test_a_checkpoint_that_changes_under_an_open_embedder_is_told(tmp_path, engine):
    body = mx.sym.Convolution(mx.sym.var("data"), kernel=(3, 3), num_filter=4, name="conv0")
    body = mx.sym.Pooling(body, global_pool=True, kernel=(1, 1), pool_type="avg")
    symbol = mx.sym.FullyConnected(body, num_hidden=4, name="fc1")  # of images of any size
    prefix = str(tmp_path / "net")
    save_checkpoint(prefix, 1, symbol, *parameters_of(symbol, 1))
    embed = Embedder(f"{prefix},1", engine=engine)
    embed(images(1))
    embed(images(1)[:, :5])  # of another size: the files are read again
    save_checkpoint(prefix, 1, symbol, *parameters_of(symbol, 2))
    with pytest.raises(ValueError, match="was another network when it was opened; open it anew"):
        embed(images(1)[:, :, :4])


def parameters_of(symbol, seed):
    shapes, _, _ = symbol.infer_shape(data=(1, 3, *SIZE))
    rng = np.random.default_rng(seed)
    names = zip(symbol.list_arguments(), shapes, strict=True)
    return {n: mx.nd.array(rng.normal(size=s)) for n, s in names if n != "data"}, {}


def test_an_embedding_that_is_no_number_is_refused(checkpoint):
    symbol = network()
    args, aux = parameters(symbol)
    args["pre_fc1_bias"][0] = np.nan
    for engine in ("mxnet", "onnxruntime"):
        embed = Embedder.from_parameters(symbol, args, aux, engine=engine)
        with pytest.raises(ValueError, match="NaN or infinite"):
            embed(images(2))


@pytest.mark.parametrize("shape", [(1, 1), (1, 45), (1, 3, 3)])
def test_a_reshape_to_another_number_of_values_is_refused(tmp_path, shape):
    """MXNet takes it, and reads what is beside the array or ends the process."""
    for wanted in ((0, -1), shape):
        flat = mx.sym.reshape(mx.sym.var("data"), shape=wanted, name="flat")
        symbol = mx.sym.FullyConnected(flat, num_hidden=4, name="fc1")
        prefix = str(tmp_path / f"net{len(wanted)}{wanted[1]}")
        save_checkpoint(prefix, 1, symbol, *parameters_of(symbol, 1))
        embed = Embedder(f"{prefix},1", engine="mxnet")
        if wanted != shape:
            assert embed(images(1)).shape == (1, 4)
            continue
        with pytest.raises(ValueError, match=r"Reshape 'flat' makes .* of .*3, 6, 5.*: the symbol"):
            embed(images(1))
