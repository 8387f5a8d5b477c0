"""Readers of datasets, sets of pairs and stored vectors."""

from __future__ import annotations

import io
from pathlib import Path
import pickle
import sqlite3
import tempfile

from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.data.lists import Entry
from arcface_mxnet.data.packing import PackOptions, pack
from arcface_mxnet.data.records import RecordReader
from arcface_mxnet.eval.pair_sets import PairSet, read_pair_set, write_pair_set
from arcface_mxnet.eval.scored_pairs import ScoredPairs, read_scored_pairs, write_scored_pairs
from arcface_mxnet.megaface.features import feature_bytes, feature_dim, read_feature
from arcface_mxnet.megaface.packed import FeatureStore, StoreWriter
import numpy as np

from tests.fuzz.image_readers import PICTURE, encoded
from tests.fuzz.table import one, reader


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def dataset_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "x").mkdir()
        for number in range(5):
            (folder / f"x/{number}.png").write_bytes(encoded(".png", PICTURE[:8, :8] + number))
        entries = [Entry(folder / f"x/{n}.png", n // 2, f"line {n}") for n in range(5)]
        pack(entries, folder / "train", PackOptions((8, 8)))
        (folder / "property").write_bytes(b"3,8,8\n")
        return files_of(folder)


def every_sample(folder: Path) -> list:
    dataset = FaceDataset(folder)
    try:
        samples = [dataset.sample(int(key)) for key in dataset.image_keys[:50]]
        return [*samples, dataset.keys_by_identity and dataset.fingerprint()]
    finally:
        dataset.close()


def are_samples(values: list) -> bool:
    return isinstance(values[-1], str) and all(image.dtype == np.uint8 for image, _ in values[:-1])


for file in ("train.rec", "train.idx", "property"):
    reader(f"dataset-{file}", dataset_files, file, every_sample, are_samples,
           "data.dataset.FaceDataset", "data.records",
           "data.framing", "data.ranges", "data.headers", "data.index", "data.rewriting",
           "data.walk")  # fmt: skip


def walk(folder: Path) -> list:
    with RecordReader(folder / "train.rec") as records:
        return [records.read(int(key)).payload for key in records.keys[:50]]


reader("rec-alone", dataset_files, "train.rec", walk,
       lambda found: all(isinstance(payload, bytes) for payload in found))  # fmt: skip


def images() -> list[bytes]:
    return [encoded(".png", PICTURE[:8, :8] + n) for n in range(4)]


def pair_files(protocol: int | None = None, **options) -> dict[str, bytes]:
    if protocol is not None:
        return {"lfw.bin": pickle.dumps((images(), [True, False]), protocol=protocol)}
    with tempfile.TemporaryDirectory() as name:
        write_pair_set(Path(name, "lfw.bin"), PairSet(images(), np.array([True, False]), **options))
        return files_of(Path(name))


def arrays() -> dict[str, bytes]:
    stored = [np.frombuffer(image, np.uint8) for image in images()]
    return {"lfw.bin": pickle.dumps((stored, np.array([True, False])), protocol=2)}


def named() -> dict[str, bytes]:
    return pair_files(identities=["Ann", "Ann", "Bo", "Çé"], paths=["a/1", "a/2", "b/1", "c/1"])


def all_images(folder: Path) -> PairSet:
    pairs = read_pair_set(folder / "lfw.bin")
    list(pairs.decoded())
    return pairs


def is_pair_set(pairs: PairSet) -> bool:
    return len(pairs.images) == 2 * len(pairs.is_genuine) > 0 and all(
        isinstance(image, bytes) for image in pairs.images
    )


PAIR_COVERS = ("eval.pair_bin", "eval.pair_pickle", "eval.pickled_names")
for protocol in (0, 2, 4, 5):
    reader(f"pairset-{protocol}", lambda protocol=protocol: pair_files(protocol), "lfw.bin",
           lambda f: read_pair_set(f / "lfw.bin"), is_pair_set, *PAIR_COVERS)  # fmt: skip
reader("pairset-arrays", arrays, "lfw.bin", lambda f: read_pair_set(f / "lfw.bin"), is_pair_set)
reader("pairset-decoded", pair_files, "lfw.bin",
       lambda f: _named_error(all_images, f), is_pair_set)  # fmt: skip
reader("pairset-names", named, "lfw.pairs.tsv", lambda f: read_pair_set(f / "lfw.bin"),
       is_pair_set, "eval.pair_sets")  # fmt: skip


def columned() -> dict[str, bytes]:
    return pair_files(columns={"age": ["30", ""], "failed": ["", "left"]})


reader("pairset-columns", columned, "lfw.columns.tsv",
       lambda f: read_pair_set(f / "lfw.bin").columns,
       lambda columns: all(len(values) == 2 for values in columns.values()),
       "eval.pair_columns")  # fmt: skip


def score_file() -> dict[str, bytes]:
    facts = dict.fromkeys(("model", "alias", "model_sha256", "engine", "dtype", "flip", "target",
                           "pack_sha256", "failures"), "x")  # fmt: skip
    flags = np.array([True, False, True])
    names = np.array(["ann", "bo", "Çé"])
    given = ScoredPairs(
        facts, np.array([0.5, 0.1, 0.9]), flags, flags, names, names, {"age": names}
    )
    with tempfile.TemporaryDirectory() as name:
        write_scored_pairs(Path(name, "out.scores.npz"), [given])
        return files_of(Path(name))


def are_scores(found: list[ScoredPairs]) -> bool:
    return all(
        np.isfinite(one.cosines).all() and len(one.is_right) == len(one.cosines) for one in found
    )


reader("scored-pairs", score_file, "out.scores.npz",
       lambda f: read_scored_pairs(f / "out.scores.npz"), are_scores,
       "eval.scored_pairs")  # fmt: skip


MARKER = b'{"files": ["lfw.bin", "lfw.pairs.tsv"], "command": "arcface-pack-pairs"}\n'


def interrupted(folder: Path) -> bool:
    """Return True if a set with a marker of an interrupted writing is read, or refused as such."""
    try:
        return is_pair_set(read_pair_set(folder / "lfw.bin"))
    except ValueError as error:
        if "was interrupted" in str(error) and "lfw.bin" in str(error):
            return True
        raise


reader("marker", lambda: named() | {"lfw.bin.writing": MARKER}, "lfw.bin.writing", interrupted,
       bool, "files")  # fmt: skip


def _named_error(read, folder: Path):
    """Call read; an image of a set is named by its pair, and its file by whoever reads the set."""
    try:
        return read(folder)
    except ValueError as error:
        if str(error).startswith("pair "):
            raise ValueError(f"lfw.bin: {error}") from None
        raise


VECTOR = np.linspace(-1, 1, 6, dtype=np.float32)
reader("feature", one("a.bin", feature_bytes(VECTOR)), "a.bin",
       lambda f: (feature_dim(f / "a.bin"), read_feature(f / "a.bin")),
       lambda found: found[1].shape == (found[0],) and np.isfinite(found[1]).all(),
       "megaface.features")  # fmt: skip


def store_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        with StoreWriter(
            Path(name, "s.npy"), ["a/1.png", "b/2.png"], 6, ending="_r50.bin"
        ) as store:
            store.write(np.stack([VECTOR, VECTOR[::-1]]))
        return files_of(Path(name))


def rows(folder: Path):
    store = FeatureStore(folder / "s.npy")
    return store.read(store.find(["a/1.png"])), store.ending, store.names


for file in store_files():
    reader(f"store-{file}", store_files, file, rows, lambda found: found[0].ndim == 2,
           "megaface.packed.FeatureStore", "megaface.packed._read_index",
           "embedding.npy")  # fmt: skip


def embedding_files() -> dict[str, bytes]:
    file = io.BytesIO()
    np.save(file, np.zeros((2, 2, 4), np.float32))
    about = b'{"origin": {"model": "m", "list": "x"}, "count": 2, "dimension": 4}'
    return {"e.npy": file.getvalue(), "e.npy.json": about}


def stored(folder: Path) -> list:
    from arcface_mxnet.embedding.stored_embeddings import read_embeddings, store_embeddings

    store_embeddings(
        folder / "e.npy", {"model": "m", "list": "x"}, 2, lambda start: [], lambda: None
    )
    return list(read_embeddings(folder / "e.npy"))


for file in embedding_files():
    reader(f"embeddings-{file}", embedding_files, file, stored,
           lambda found: all(plain.shape == flipped.shape for _, plain, flipped in found),
           "embedding.stored_embeddings", "embedding.row_store.has_rows")  # fmt: skip


def people_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        from arcface_mxnet.serve.people import NewPhoto

        people = _open_people(Path(name))
        people.add("somebody", [NewPhoto((VECTOR / np.linalg.norm(VECTOR)).astype(np.float32))])
        people.close()
        connection = sqlite3.connect(Path(name, "people.sqlite"))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.close()
        return {"people.sqlite": Path(name, "people.sqlite").read_bytes()}


def _open_people(folder: Path):
    from arcface_mxnet.serve.model_print import ModelPrint
    from arcface_mxnet.serve.people import People

    unit = (VECTOR / np.linalg.norm(VECTOR)).astype(np.float32)
    return People(
        folder / "people.sqlite", ModelPrint({"network": "f" * 64}, np.stack([unit] * 8), unit), 10
    )


def people(folder: Path) -> bool:
    for left in (
        "people.sqlite-wal",
        "people.sqlite-shm",
        "people.sqlite-journal",
        "people.sqlite.lock",
    ):
        (folder / left).unlink(missing_ok=True)
    _open_people(folder).close()
    return True


def backup(folder: Path) -> int:
    from arcface_mxnet.serve.keeping import verify

    return verify(folder / "people.sqlite").photos


reader("people-backup", people_files, "people.sqlite", backup, lambda found: found >= 0,
       "serve.keeping", "serve.store", "serve.store_form", needs=("fastapi",))  # fmt: skip


reader("people", people_files, "people.sqlite", people, bool, "serve.people.People",
       needs=("fastapi",))  # fmt: skip
