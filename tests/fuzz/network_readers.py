"""Readers of networks: parameters, symbols, checkpoints, ONNX files."""

from __future__ import annotations

from dataclasses import replace
import hashlib
import json
from pathlib import Path
import tempfile

from arcface_mxnet.checkpoints.graph import read_graph
from arcface_mxnet.checkpoints.last_state import read_last
from arcface_mxnet.checkpoints.network import read_network
from arcface_mxnet.checkpoints.params import read_params, write_params
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.losses import build_loss
from arcface_mxnet.training import stored_symbol
from arcface_mxnet.training.stored_symbol import StoredSymbol
import numpy as np

from tests.fuzz.table import one, reader

NAMES = ["data", "fc1_weight", "fc1_bias"]
SYMBOL = {
    "nodes": [{"op": "null", "name": name, "inputs": []} for name in NAMES]
    + [{"op": "FullyConnected", "name": "fc1", "attrs": {"num_hidden": "4"},
        "inputs": [[0, 0, 0], [1, 0, 0], [2, 0, 0]]}],
    "arg_nodes": [0, 1, 2], "heads": [[3, 0, 0]], "attrs": {"mxnet_version": ["int", 10901]},
}  # fmt: skip
ARRAYS = {"arg:fc1_weight": np.ones((4, 12), np.float32), "arg:fc1_bias": np.zeros(4, np.float32)}


def params_bytes(arrays: dict) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write_params(Path(folder, "a.params"), arrays)
        return Path(folder, "a.params").read_bytes()


def checkpoint_files() -> dict[str, bytes]:
    return {"m-symbol.json": json.dumps(SYMBOL).encode(), "m-0001.params": params_bytes(ARRAYS)}


def are_arrays(found: dict) -> bool:
    return all(isinstance(name, str) and isinstance(v, np.ndarray) for name, v in found.items())


SEVERAL = {
    "arg:a": np.ones((2, 3), np.float32), "aux:b": np.zeros(2, np.float16),
    "arg:c": np.arange(3, dtype=np.int64), "arg:é": np.arange(4, dtype=np.uint8),
}  # fmt: skip
reader("params", lambda: {"a.params": params_bytes(SEVERAL)}, "a.params",
       lambda f: read_params(f / "a.params"), are_arrays,
       "checkpoints.params")  # fmt: skip
reader("graph", one("m-symbol.json", json.dumps(SYMBOL).encode()), "m-symbol.json",
       lambda f: read_graph(f / "m-symbol.json"), lambda graph: len(graph.nodes) > 0,
       "checkpoints.graph")  # fmt: skip
for file in ("m-symbol.json", "m-0001.params"):
    reader(f"network-{file[2:]}", checkpoint_files, file, lambda f: read_network(f"{f / 'm'},1"),
           lambda network: len(network.fingerprint) == 64,
           "checkpoints.network.read_network")  # fmt: skip


def mxnet_symbol(folder: Path):
    from arcface_mxnet.checkpoints.load import load_symbol

    symbol = load_symbol(str(folder / "m-symbol.json"))
    symbol.list_arguments(), symbol.list_outputs(), symbol.get_internals().list_outputs()
    return symbol


def mxnet_checkpoint(folder: Path):
    from arcface_mxnet.checkpoints.load import load_checkpoint

    return load_checkpoint(f"{folder / 'm'},1")


reader("symbol-in-mxnet", checkpoint_files, "m-symbol.json", mxnet_symbol, lambda symbol: True,
       "checkpoints.load", needs=("mxnet",))  # fmt: skip
reader("params-in-mxnet", checkpoint_files, "m-0001.params", mxnet_checkpoint,
       lambda found: len(found) == 3, "checkpoints.load", needs=("mxnet",))  # fmt: skip


def last_files() -> dict[str, bytes]:
    record = np.frombuffer(json.dumps({"position": {"step": 1}}).encode(), np.uint8)
    states = {"state:momentum:fc1_weight": np.ones(3, np.float32), "run:json": record}
    return {"m-last.params": params_bytes(ARRAYS | states)}


reader("last", last_files, "m-last.params", lambda f: read_last(str(f / "m")).record,
       lambda record: True, "checkpoints.last_state.read_last",
       "checkpoints.last_state.record_of")  # fmt: skip


def training_files() -> dict[str, bytes]:
    """What --plan-only writes, of a classifier of 4 identities."""
    names = ["data", "softmax_label", "fc1_weight", "fc7_weight"]
    nodes = [{"op": "null", "name": name, "inputs": []} for name in names]
    nodes += [
        {"op": "FullyConnected", "name": "fc1", "attrs": {"num_hidden": "4", "no_bias": "True"},
         "inputs": [[0, 0, 0], [2, 0, 0]]},
        {"op": "FullyConnected", "name": "fc7", "attrs": {"num_hidden": "4", "no_bias": "True"},
         "inputs": [[4, 0, 0], [3, 0, 0]]},
        {"op": "SoftmaxOutput", "name": "softmax", "inputs": [[5, 0, 0], [1, 0, 0]]},
    ]  # fmt: skip
    symbol = {"nodes": nodes, "arg_nodes": [0, 1, 2, 3], "heads": [[6, 0, 0]]}
    arrays = {"arg:fc1_weight": np.ones((4, 12), np.float32), "arg:fc7_weight": np.eye(4)}
    record = {"num_classes": 4, "options": stored_symbol._options(SOFTMAX)}
    return {
        "m-train-symbol.json": json.dumps(symbol).encode(),
        "m-train-plan.json": json.dumps(record).encode(),
        "m-train-initial.params": params_bytes(arrays),
    }


SOFTMAX = TrainConfig(loss_type="0")


def training_symbol(folder: Path) -> StoredSymbol:
    config = replace(SOFTMAX, prefix=str(folder / "m"))
    return stored_symbol.read_training_symbol(config, build_loss("0", config, 4))


for file in training_files():
    reader(f"training-{file[8:]}", training_files, file, training_symbol,
           lambda symbol: len(symbol.graph.nodes) > 0,
           "training.stored_symbol.read_training_symbol",
           "training.stored_symbol.check_plan")  # fmt: skip


def onnx_files() -> dict[str, bytes]:
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((12, 4), np.float32), "w")
    quantized = numpy_helper.from_array(np.ones((4, 4), np.int8), "v_quantized")
    scales = numpy_helper.from_array(np.ones((2, 4), np.float32), "v_scale")
    zeros = numpy_helper.from_array(np.zeros((2, 4), np.int8), "v_zero")
    nodes = [
        helper.make_node("Flatten", ["data"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["e"]),
        helper.make_node("DequantizeLinear", ["v_quantized", "v_scale", "v_zero"],
                         ["v_dequantized"], axis=0, block_size=2),
        helper.make_node("MatMul", ["e", "v_dequantized"], ["fc1"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 2, 2])],
        [helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [1, 4])],
        [weight, quantized, scales, zeros],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    return {"m.onnx": model.SerializeToString()}


def weights(folder: Path) -> dict:
    from arcface_mxnet.fetch.onnx_weights import read_weights

    try:
        return read_weights((folder / "m.onnx").read_bytes())
    except ValueError as error:  # whoever has the file names it
        raise ValueError(f"m.onnx: {error}") from None


def session(folder: Path):
    from arcface_mxnet.engines.onnx_file import parse_onnx
    from arcface_mxnet.engines.session import Session

    path = str(folder / "m.onnx")
    model = (folder / "m.onnx").read_bytes()
    parse_onnx(model, path)  # as an embedder does: onnxruntime believes what it reads
    return Session(model, name=path).inputs


reader("onnx-weights", onnx_files, "m.onnx", weights, are_arrays, "fetch.onnx_weights",
       "engines.onnx_file", needs=("onnx",))  # fmt: skip
reader("onnx-session", onnx_files, "m.onnx", session, lambda inputs: isinstance(inputs, dict),
       "engines.session.Session", needs=("onnx", "onnxruntime"))  # fmt: skip


def cache_files() -> dict[str, bytes]:
    model = b"onnx"
    return {
        "k.onnx": hashlib.sha256(model).digest() + model,
        "k.mxnet.json": b'{"is_faithful": true}',
    }


def cached(folder: Path):
    from arcface_mxnet.engines.cache import ConversionCache

    cache = ConversionCache(folder)
    return cache.load("k"), cache.was_compared("k", "mxnet")


for file in cache_files():
    reader(f"cache-{file}", cache_files, file, cached,
           lambda found: found[0] in (b"onnx", None) and isinstance(found[1], bool),
           "engines.cache.ConversionCache")  # fmt: skip


def shard_files() -> dict[str, bytes]:
    """A classifier in two files of ranges, and the list that says so."""
    from arcface_mxnet.checkpoints.shards import Ranges, keep_shards, write_shard

    with tempfile.TemporaryDirectory() as name:
        prefix = f"{name}/m"
        held = Ranges(3, {"fc7_weight": 1}, [[0, 1], [1, 3]], 0, 5)
        for rank, (begin, end) in enumerate(held.slices):
            rows = np.ones((end - begin, 2), np.float32)
            write_shard(prefix, held, rank, {"fc7_weight": rows}, {"mom:fc7_weight": -rows})
        keep_shards(prefix, 1, held)
        return {path.name: path.read_bytes() for path in Path(name).iterdir()}


def shards(folder: Path):
    from arcface_mxnet.checkpoints.shards import stored_classifier

    try:
        stored = stored_classifier(str(folder / "m"), 1)
    except FileNotFoundError as error:  # of other ranges, which a damaged list may name
        assert f"{folder}/m-0001-fc7-" in str(error)
        return {}
    return {name: stored.whole(name) for name in stored.names} if stored else {}


for file in ("m-0001-fc7.json", "m-0001-fc7-1-of-2.params"):
    reader(f"shards-{file.rpartition('.')[2]}", shard_files, file, shards, are_arrays,
           "checkpoints.shards", "checkpoints.stored_rows")  # fmt: skip
