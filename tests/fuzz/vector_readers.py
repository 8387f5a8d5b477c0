"""Readers of ready vectors, ready scores, the work of arcface-embed and ONNX files of others."""

from __future__ import annotations

import io
import json
from pathlib import Path

from arcface_mxnet.align.aligner import FACTS
from arcface_mxnet.embedding.ready_vectors import ReadyVectors
import numpy as np

from tests.fuzz.table import one, reader

VECTORS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
NAMES = ["ann/0.png", "ann/Zoë 1.png", "bob/0.png"]
ORIGIN = {"model": "m", "images": "x"}


def npz() -> dict[str, bytes]:
    file = io.BytesIO()
    np.savez_compressed(file, vectors=VECTORS, names=np.array(NAMES))
    return {"v.npz": file.getvalue()}


def npy() -> dict[str, bytes]:
    file = io.BytesIO()
    np.save(file, np.stack([VECTORS, -VECTORS], axis=1))
    return {"v.npy": file.getvalue()}


def csv() -> dict[str, bytes]:
    rows = [
        ",".join([name, *map(repr, row.tolist())]) for name, row in zip(NAMES, VECTORS, strict=True)
    ]
    return {"v.csv": "\n".join(["name,v0,v1,v2,v3", *rows, ""]).encode()}


def parquet() -> dict[str, bytes]:
    import pyarrow as pa
    from pyarrow import parquet

    file = io.BytesIO()
    table = pa.table({"name": NAMES, "vector": [row.tolist() for row in VECTORS]})
    parquet.write_table(table, file)
    return {"v.parquet": file.getvalue()}


def rows(name: str):
    def read(folder: Path):
        ready = ReadyVectors(folder / name)
        return ready, ready.rows(np.arange(len(ready.vectors)))

    return read


def are_rows(found) -> bool:
    ready, parts = found
    return all(
        part.dtype == np.float32 and part.shape == (len(ready.vectors), ready.dim)
        and np.isfinite(part).all() and part.any(axis=1).all()
        for part in parts
    ) and (ready.names is None or len(ready.names) == len(ready.vectors))  # fmt: skip


for name, files in (("npz", npz), ("npy", npy), ("csv", csv)):
    reader(f"vectors-{name}", files, f"v.{name}", rows(f"v.{name}"), are_rows,
           "embedding.ready_vectors", "embedding.npz")  # fmt: skip
reader("vectors-parquet", parquet, "v.parquet", rows("v.parquet"), are_rows,
       "embedding.ready_vectors", needs=("pyarrow",))  # fmt: skip


def scores(folder: Path):
    from arcface_mxnet.eval.score_files import parse_score_file, read_scores

    (path,) = folder.glob("s.*")
    return read_scores(parse_score_file(str(path), "lower"), "lfw", 3, list("abcdef"))


def are_scores(found) -> bool:
    return found.shape == (3,) and bool(np.isfinite(found).all())


reader("scores", one("s.txt", b"left right score\na b 0.5\nc d -1e-3\ne f 2\n"), "s.txt", scores,
       are_scores, "eval.score_files")  # fmt: skip


def work_files() -> dict[str, bytes]:
    file = io.BytesIO()
    np.save(file, VECTORS)
    note = {"origin": ORIGIN | {"count": "3"}, "dimension": 4}
    line = "\t".join(["", *"1" * len(FACTS)]) + "\n"
    return {
        "o.npy.work.json": json.dumps(note).encode(),
        "o.npy.work.tsv": 3 * line.encode(),
        "o.npy.work.npy": file.getvalue(),
    }


def work(folder: Path):
    from arcface_mxnet.embedding.embed_work import Work

    begun = Work(folder / "o.npy", ORIGIN, 3, len(FACTS))
    try:
        if begun.done < 3:
            begun.add(VECTORS[begun.done :], [[""] * (1 + len(FACTS))] * (3 - begun.done))
        return begun.result()
    finally:
        begun.close()


for file in work_files():
    reader(f"work-{file.rpartition('.')[2]}", work_files, file, work,
           lambda found: found[0].shape[0] == 3 == len(found[1]),
           "embedding.embed_work")  # fmt: skip


def written(folder: Path) -> bool:
    from arcface_mxnet.embedding.embed import is_written

    return is_written(folder / "o.npy", ORIGIN)


reader("embed-note", lambda: {"o.npy": b"", "o.json": json.dumps({"origin": ORIGIN}).encode()},
       "o.json", written, lambda found: found is True, "embedding.embed.is_written")  # fmt: skip


def run_files() -> dict[str, bytes]:
    from arcface_mxnet.megaface.runs import NEEDED, Curves

    file = io.BytesIO()
    np.savez(file, **dict.fromkeys(Curves.__dataclass_fields__, np.linspace(0, 1, 3)))
    summary = dict.fromkeys(sorted(NEEDED), 1) | {"algorithm": "x"}
    return {"results_x.json": json.dumps(summary).encode(), "curves_x.npz": file.getvalue()}


def run(folder: Path):
    from arcface_mxnet.megaface.runs import read_run

    return read_run(folder)


for file in run_files():
    reader(f"megaface-{file.partition('_')[0]}", run_files, file, run,
           lambda made: isinstance(made.algorithm, str) and made.curves[0].tpr.dtype.kind in "fiu",
           "megaface.runs", "embedding.npz")  # fmt: skip


def others() -> dict[str, bytes]:
    from tests.end_to_end.foreign import foreign_bytes

    return {"m.onnx": foreign_bytes(size=(8, 8), scaled=True)}


def scaling(folder: Path) -> str:
    from arcface_mxnet.engines.graph_input import own_scaling
    from arcface_mxnet.engines.onnx_file import drop_unread_inputs, parse_onnx, read_onnx

    model = parse_onnx(read_onnx(folder / "m.onnx"), "m.onnx")
    drop_unread_inputs(model)
    return own_scaling(model, "image")


reader("onnx-of-others", others, "m.onnx", scaling, lambda found: isinstance(found, str),
       "engines.graph_input", needs=("onnx",))  # fmt: skip


def indexed(folder: Path) -> bool:
    """A teacher's vectors are compared with the dataset that it teaches on by their index."""
    from arcface_mxnet.embedding.vector_index import check_index

    class Dataset:
        folder = "d"

        def identities(self, keys):
            return keys - 1

    check_index(folder / "v.npy", Dataset(), np.array([1, 2]), in_order=True)
    return True


reader("vectors-index", lambda: {"v.index.tsv": b"name\tidentity\tpath\n1\t0\ta\n2\t1\tb\n"},
       "v.index.tsv", indexed, bool, "embedding.vector_index.check_index",
       needs=("mxnet",))  # fmt: skip
