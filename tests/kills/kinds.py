"""The kinds of sets of files: how one is written, rewritten and read."""

from __future__ import annotations

from collections.abc import Callable, Hashable
import csv
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path

import arcface_mxnet  # noqa: F401  (first: it makes MXNet importable)
from arcface_mxnet.checkpoints.last_state import LastState, load_last, save_last
from arcface_mxnet.checkpoints.load import load_checkpoint, save_checkpoint, save_symbol
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data import face2rec2, rec
from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.embedding.ready_vectors import ReadyVectors
from arcface_mxnet.embedding.stored_embeddings import read_embeddings, store_embeddings
from arcface_mxnet.embedding.vector_files import members, write_vectors
from arcface_mxnet.engines.conversion import write_model
from arcface_mxnet.eval.pair_sets import PairSet, read_pair_set, write_pair_set
from arcface_mxnet.files import reading_set
from arcface_mxnet.megaface.packed import FeatureStore, StoreWriter
from arcface_mxnet.training.runlog import RunLog
import cv2
import mxnet as mx
import numpy as np
import onnx

# Number of a version of a set: the older one, the newer one, and what heals an interrupted one.
OLD, NEW = 0, 1


@dataclass(frozen=True)
class Kind:
    """write(folder, version) writes the set, over another if there is one; read(folder) gives
    what it holds, as its readers see it.  A writer of several sets has a reader of each.
    first: run once, before anything is written.  before: run before the newer is written over
    the older, what its user has to remove."""

    write: Callable[[Path, int], None]
    reads: tuple[Callable[[Path], Hashable], ...]
    first: Callable[[Path], None] = lambda folder: None
    before: Callable[[Path], None] = lambda folder: None


def _image(value: int, side: int = 12) -> np.ndarray:
    return np.random.default_rng(value).integers(0, 256, (side, side, 3), np.uint8)


def _png(value: int) -> bytes:
    return cv2.imencode(".png", _image(value))[1].tobytes()


def _photos(folder: Path) -> None:
    """Photos of the two versions, of 2 and 3 identities, and a list of the newer without names."""
    for version, people in ((OLD, ("ann", "bob")), (NEW, ("ann", "cyd", "dan"))):
        for number, person in enumerate(people):
            place = folder / f"photos{version}" / person
            place.mkdir(parents=True)
            for image in range(2):
                (place / f"{image}.png").write_bytes(_png(100 * version + 10 * number + image))
    (folder / "data").mkdir()


def _pack(folder: Path, version: int) -> None:
    arguments = [str(folder / "data"), "--folder", str(folder / f"photos{version}")]
    if face2rec2.main([*arguments, "--image-size", "12,12", "--num-thread", "1"]):
        raise ValueError("not packed")


def _pack_list(folder: Path, version: int) -> None:
    if version == OLD:
        _pack(folder, version)
        return
    photos = folder / f"photos{version}"
    lines = [
        f"1\t{path.relative_to(photos)}\t{number}\n"
        for number, person in enumerate(sorted(photos.iterdir()))
        for path in sorted(person.iterdir())
    ]
    (folder / "data/train.lst").write_text("".join(lines))
    arguments = [str(folder / "data"), "--root", str(photos), "--num-thread", "1"]
    if face2rec2.main(arguments):
        raise ValueError("not packed")


def _photos_and_datasets(folder: Path) -> None:
    _photos(folder)
    for version in (OLD, NEW):
        arguments = ["--folder", str(folder / f"photos{version}"), "--image-size", "12,12"]
        if face2rec2.main([str(folder / f"data{version}"), *arguments]):
            raise ValueError("not packed")


def _shuffle(folder: Path, version: int) -> None:
    arguments = [str(folder / f"data{version}"), str(folder / "data"), "--overwrite"]
    if rec.main(["shuffle", *arguments]):
        raise ValueError("not written")


def _repair(folder: Path, version: int) -> None:
    """The older set says twice what its images contradict, and is refused for that."""
    data = folder / "data"
    if version == OLD:
        _pack(folder, version)
        (data / "property").write_text("9,12,12\n")
        lines = (data / "train.idx").read_text().splitlines(keepends=True)
        (data / "train.idx").write_text("".join([*lines[:1], *lines[2:]]))
    elif rec.main(["repair", str(data)]):
        raise ValueError("not repaired")


def _read_dataset(folder: Path) -> Hashable:
    data = folder / "data"
    names = data / "train.names"
    with reading_set(data / "train.rec", data / "train.idx", data / "property", names):
        dataset = FaceDataset(data)
        known = names.read_text() if names.is_file() else ""
    samples = [dataset.sample(key) for key in dataset.image_keys]
    images = tuple((_digest(rgb.tobytes()), identity) for rgb, identity in samples)
    return dataset.num_classes, dataset.image_shape, images, known


def _write_pairs(folder: Path, version: int, names: bool = True) -> None:
    images = [_png(10 * version + number) for number in range(8)]
    paths = [f"{version}/{number}.png" for number in range(8)] if names else ()
    columns = {"age": [str(version)] * 4} if names else {}
    flags = np.array([True, False] * 2)
    write_pair_set(folder / "lfw.bin", PairSet(images, flags, (), paths, columns))


def _read_pairs(folder: Path) -> Hashable:
    found = read_pair_set(folder / "lfw.bin")
    return _digest(b"".join(found.images)), tuple(found.paths), str(found.columns)


def _vectors(version: int) -> np.ndarray:
    return np.random.default_rng(version).standard_normal((40, 8), np.float32)


def _write_store(folder: Path, version: int) -> None:
    """The newer has as many vectors of the same length: just their names and values differ."""
    path = folder / "megaface.npy"
    if path.is_file() and FeatureStore(path).names[0].startswith(f"{version}/"):
        return  # complete, as arcface-gen-megaface finds
    with StoreWriter(path, [f"{version}/{row}.png" for row in range(40)], 8) as store:
        while store.done < 40:
            store.write(_vectors(version)[store.done : store.done + 16])


def _read_store(folder: Path) -> Hashable:
    store = FeatureStore(folder / "megaface.npy")
    return tuple(store.names), _digest(np.array(store.vectors).tobytes())


class _Embedder:
    def __init__(self, version: int):
        self._version = version

    def plain_and_flipped(self, images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        rows = _vectors(self._version)[[int(image[0, 0, 0]) for image in images]]
        return rows, -rows


def _store_embeddings(folder: Path, version: int) -> None:
    path = folder / "ijb.npy"
    images = [np.full((2, 2, 3), number, np.uint8) for number in range(40)]
    origin = {"model": str(version)}
    store_embeddings(path, origin, 40, lambda start: images[start:], lambda: _Embedder(version))


def _read_stored(folder: Path) -> Hashable:
    path = folder / "ijb.npy"
    with reading_set(path, f"{path}.json"):
        blocks = [np.stack(block[1:]) for block in read_embeddings(path)]
        return Path(f"{path}.json").read_text(), _digest(np.concatenate(blocks).tobytes())


def _write_vectors(folder: Path, version: int) -> None:
    """What arcface-embed writes, with failures in one version alone."""
    vectors = _vectors(version)
    names = [f"{version}/{row}.png" for row in range(40)]
    lines = [["name"], *([name] for name in names)]
    failures = [["x.png", "no face found"]] if version == OLD else []
    note = {"origin": {"model": str(version)}}
    write_vectors(folder / "v.npy", names, vectors.__getitem__, 8, lines, failures, note)


def _read_vectors(folder: Path) -> Hashable:
    path = folder / "v.npy"
    with reading_set(*members(path)):
        ready = ReadyVectors(path)
        notes = [file.read_text() for file in members(path)[2:] if file.is_file()]
        return tuple(ready.names), _digest(ready.rows(np.arange(40))[0].tobytes()), *notes


def _symbol(version: int) -> mx.sym.Symbol:
    """Networks of the same parameters that compute something else with them."""
    data = mx.sym.Variable("data")
    data = mx.sym.Activation(data, act_type=("relu", "tanh")[version], name="act")
    return mx.sym.FullyConnected(data, num_hidden=8, name="fc1")


def _parameters(version: int) -> dict[str, np.ndarray]:
    return {"fc1_weight": _vectors(version), "fc1_bias": _vectors(version)[0]}


def _save(folder: Path, version: int) -> None:
    save_checkpoint(f"{folder}/model", 1, _symbol(version), _parameters(version), {})


def _load(folder: Path) -> Hashable:
    symbol, args, _ = load_checkpoint(f"{folder}/model,1")
    values = b"".join(args[name].asnumpy().tobytes() for name in sorted(args))
    return symbol.tojson(), _digest(values)


def _run(folder: Path, version: int) -> None:
    """What a run of one network writes, in its order."""
    prefix = f"{folder}/run"
    config = TrainConfig(prefix=prefix, lr=float(version + 1))
    save_symbol(prefix, _symbol(OLD))
    log = RunLog(config, {"tag": version})
    for step in (1, 2):
        log.metrics(step, 0, {"loss": version, "lr": version})
        log.validation(step, 0, "lfw", {"accuracy": version})
        save_checkpoint(prefix, step, _symbol(OLD), _parameters(version), {})
        record = {"position": {"step": step}, "tag": version}
        save_last(prefix, LastState(_parameters(version), {}, _parameters(version), record))


def _read_log(folder: Path) -> Hashable:
    paths = folder / "run-run.json", folder / "run-metrics.csv"
    with reading_set(*paths):
        run = json.loads(paths[0].read_text())
        rows = list(csv.reader(paths[1].read_text().splitlines()))[1:]
    tags = {run["tag"], int(run["config"]["lr"]) - 1}
    tags |= {result["accuracy"] for result in run["validation"]}
    return frozenset(tags | {int(float(row[3])) for row in rows if len(row) == 4})


def _read_run_checkpoint(folder: Path) -> Hashable:
    symbol, args, _ = load_checkpoint(f"{folder}/run,1")
    return symbol.tojson(), _digest(args["fc1_weight"].asnumpy().tobytes())


def _read_last(folder: Path) -> Hashable:
    last = load_last(f"{folder}/run")
    arrays = last.arg_params["fc1_weight"], last.state["fc1_weight"]
    return last.record["tag"], *(_digest(array.asnumpy().tobytes()) for array in arrays)


def _export(folder: Path, version: int) -> None:
    tensor = onnx.helper.make_tensor_value_info("data", onnx.TensorProto.FLOAT, (1, 8))
    out = onnx.helper.make_tensor_value_info("fc1", onnx.TensorProto.FLOAT, (1, 8))
    node = onnx.helper.make_node(("Relu", "Tanh")[version], ["data"], ["fc1"])
    graph = onnx.helper.make_graph([node], "g" * 3000, [tensor], [out])
    model = onnx.helper.make_model(graph)
    onnx.helper.set_model_props(model, {"fingerprint": str(version)})
    write_model(folder / "model.onnx", model)


def _read_export(folder: Path) -> Hashable:
    model = onnx.load(folder / "model.onnx")
    return model.graph.node[0].op_type, model.metadata_props[0].value


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


KINDS = {
    "dataset": Kind(_pack, (_read_dataset,), _photos),
    "dataset, then without names": Kind(_pack_list, (_read_dataset,), _photos),
    "dataset, repaired": Kind(_repair, (_read_dataset,), _photos),
    "dataset, made of another": Kind(_shuffle, (_read_dataset,), _photos_and_datasets),
    "pair pack": Kind(_write_pairs, (_read_pairs,)),
    "pair pack, then without names": Kind(
        lambda folder, version: _write_pairs(folder, version, names=version == OLD), (_read_pairs,)
    ),
    "feature store": Kind(
        _write_store, (_read_store,), before=lambda folder: (folder / "megaface.npy").unlink()
    ),
    "stored embeddings": Kind(
        _store_embeddings, (_read_stored,), before=lambda folder: (folder / "ijb.npy").unlink()
    ),
    "vectors and their index": Kind(_write_vectors, (_read_vectors,)),
    "checkpoint": Kind(_save, (_load,)),
    "run": Kind(
        _run,
        (_read_log, _read_run_checkpoint, _read_last),
        before=lambda folder: (folder / "run-last.params").unlink(),  # else it must be resumed
    ),
    "export": Kind(_export, (_read_export,)),
}
