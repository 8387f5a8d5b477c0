"""Further whole commands: vectors, cleaning, comparison, networks of others, the store."""

from __future__ import annotations

from functools import partial
import io
from pathlib import Path
import tempfile

import numpy as np

from tests.fuzz import commands
from tests.fuzz.cleaning_readers import applied, plan_bytes
from tests.fuzz.commands import DATASET, DEAR, MODEL, listed, model, run_main, verified
from tests.fuzz.foreign_networks import onnx_files
from tests.fuzz.record_readers import dataset_files, people_files

command = partial(commands.command, cost=DEAR)  # in `make test` two cases of each
NAMED = [*DATASET, "train.names"]


def dataset() -> dict[str, bytes]:
    return dataset_files() | {"train.names": "0\tann\n1\tZoë\n2\tbob\n".encode()}


def embedded() -> dict[str, bytes]:
    return listed() | model(8)


def embed(source: str):
    return lambda f: [str(f / source), "v.npy", "--model", str(f / "m") + ",1",
                      "--image-size", "8,8"]  # fmt: skip


command("embed", "embedding.embed", embedded, ["train.lst", "ann/1.png", *MODEL],
        embed("train.lst"), "onnxruntime")  # fmt: skip
command("embed-records", "embedding.embed", lambda: dataset_files() | model(8), DATASET,
        embed(""), "onnxruntime")  # fmt: skip


def vectors() -> dict[str, bytes]:
    file = io.BytesIO()
    rng = np.random.default_rng(0)  # images 1 to 5 are of identities 0, 0, 1, 1, 2
    rows = 5 * np.eye(8)[[0, 0, 1, 1, 2]] + rng.normal(size=(5, 8))
    np.save(file, rows.astype(np.float32))
    return dataset() | {"v.npy": file.getvalue()}


command("clean-plan", "clean.command", vectors, ["v.npy", "train.rec", "train.names"],
        lambda f: ["plan", str(f), "work", "--model", str(f / "v.npy")])  # fmt: skip
command("clean-apply", "clean.command", lambda: dataset() | {"plan.tsv": plan_bytes()},
        ["plan.tsv", "train.rec", "train.names"],
        lambda f: ["apply", str(f), str(f / "plan.tsv"), "new"])  # fmt: skip
command("clean-undo", "clean.command", applied, ["restore.json", "restore.npz", "train.rec"],
        lambda f: ["undo", str(f), "old"])  # fmt: skip

command("rec-card", "data.rec", dataset, NAMED,
        lambda f: ["card", str(f), "--out", "card"])  # fmt: skip
command("rec-merge", "data.rec",
        lambda: dataset() | {f"other/{name}": data for name, data in dataset().items()}, NAMED,
        lambda f: ["merge", "new", str(f), str(f / "other")])  # fmt: skip
command("rec-sample", "data.rec", dataset_files, DATASET,
        lambda f: ["sample", str(f), "new", "--count", "1"])  # fmt: skip
command("rec-shuffle", "data.rec", dataset_files, DATASET,
        lambda f: ["shuffle", str(f), "new"])  # fmt: skip


def scored() -> dict[str, bytes]:
    """Return what arcface-verify --json writes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in verified().items():
            (folder / file).write_bytes(content)
        argv = ["--data-dir", name, "--target", "lfw", "--model", f"{folder / 'm'},1",
                "--nfolds", "1", "--json", str(folder / "a.json")]  # fmt: skip
        outcome = run_main("eval.verification", lambda _: argv, folder)
        assert outcome.code == 0, outcome.said
        return {file: (folder / file).read_bytes() for file in ("a.json", "a.scores.npz")}


command("compare", "eval.compare", scored, ["a.json", "a.scores.npz"],
        lambda f: [f"a={f / 'a.json'}", f"b={f / 'a.scores.npz'}", "--replicates", "100",
                   "--far", "0.9"],
        "onnxruntime")  # fmt: skip
command("import", "importing.command", onnx_files, ["m.onnx"],
        lambda f: [str(f / "m.onnx"), "--prefix", "new", "--input-color", "bgr",
                   "--mean", "127.5", "--scale", "127.5"],
        "onnx", "onnxruntime")  # fmt: skip

STORE = "people.sqlite"
STORE_LINES = {
    "verify": lambda f: ["verify", str(f / STORE)],
    "backup": lambda f: ["backup", "copy", "--store", str(f / STORE)],
    "restore": lambda f: ["restore", str(f / STORE), "--store", "new.sqlite"],
}
for verb, argv in STORE_LINES.items():
    command(f"serve-{verb}", "serve.command", people_files, [STORE], argv,
            "fastapi")  # fmt: skip
