"""Whole commands, main(argv) as a shell calls it, with one of their files damaged.

Allowed are the exit codes that the command promises, and with code 2 a line "error: .." that says
a file or an option; never a traceback, nor what cli.run says of an error nobody foresaw.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
import io
import json
import logging
from pathlib import Path
import re
import shutil
import tempfile

import numpy as np

from tests.fuzz.image_readers import PICTURE, encoded
from tests.fuzz.network_readers import SYMBOL, params_bytes
from tests.fuzz.record_readers import dataset_files, named
from tests.fuzz.table import reader
from tests.fuzz.text_readers import ijb_files

COST = 120  # a case of a command takes about as long as this many of a reader
DEAR = 350  # of one that draws, or trains
WRONG = re.compile(r"nobody foresaw|Traceback \(most|codec can't|\[Errno|embedded null byte")


@dataclass(frozen=True)
class Outcome:
    """code: of the process.  said: on both outputs."""

    code: int
    said: str


def run_main(module: str, argv: Callable[[Path], list[str]], folder: Path) -> Outcome:
    """Return what came of one start; what an earlier one wrote is removed."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    tempfile.tempdir = str(out)  # for the logs of errors
    main = import_module(f"arcface_mxnet.{module}").main
    # Not the user's own: every damaged network would be kept there.
    import_module("arcface_mxnet.engines.cache").user_cache_dir = lambda: folder / "cache"
    said = io.StringIO()
    logging.getLogger().handlers.clear()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), _in(out):
        try:
            code = main(argv(folder))
        except SystemExit as end:
            code = end.code
    return Outcome(code, said.getvalue())


@contextlib.contextmanager
def _in(folder: Path):
    """Be in a folder; commands write some files beside."""
    with contextlib.chdir(folder) if hasattr(contextlib, "chdir") else contextlib.nullcontext():
        yield


def is_allowed(outcome: Outcome) -> bool:
    if outcome.code not in (0, 1, 2) or WRONG.search(outcome.said):
        return False
    return outcome.code != 2 or "error: " in outcome.said


def command(
    name: str,
    module: str,
    files: Callable[[], dict[str, bytes]],
    damaged: list[str],
    argv: Callable[[Path], list[str]],
    *needs: str,
    cost: int = COST,
) -> None:
    """Enter a command, once for each file that is damaged."""
    for file in damaged:
        reader(f"main-{name}-{Path(file).name}", files, file, partial(run_main, module, argv),
               is_allowed, module, needs=needs,
               cost=cost)  # fmt: skip


def photos() -> dict[str, bytes]:
    return {f"{who}/{number}.png": encoded(".png", PICTURE[:8, :8] + number)
            for who in ("ann", "bob") for number in range(3)}  # fmt: skip


def listed() -> dict[str, bytes]:
    lines = [f"1\t{name}\t{int(name > 'b')}\n" for name in photos()]
    return photos() | {"train.lst": "".join(lines).encode(), "property": b"2,8,8\n"}


command("pack", "data.face2rec2", listed, ["train.lst", "property", "ann/1.png"],
        lambda f: [str(f), "--num-thread", "1"])  # fmt: skip

DATASET = ["train.rec", "train.idx", "property"]
VERBS = {
    "info": [], "check": [], "extract": ["images"], "copy": ["new"], "relabel": ["new"],
    "split": ["first", "second", "--identities", "0"],
}  # fmt: skip
for verb, more in VERBS.items():
    command(f"rec-{verb}", "data.rec", dataset_files, DATASET,
            lambda f, verb=verb, more=more: [verb, str(f), *more])  # fmt: skip


def in_place(verb: str, name: str = "") -> Callable[[Path], list[str]]:
    """Return the command line of a verb that writes where it reads: in a copy."""

    def argv(folder: Path) -> list[str]:
        for file in DATASET:
            shutil.copy(folder / file, folder / "out" / file)
        return [verb, str(folder / "out" / name)]

    return argv


command("rec-index", "data.rec", dataset_files, ["train.rec"], in_place("index", "train.rec"))
command("rec-repair", "data.rec", dataset_files, DATASET, in_place("repair"))
command("rec-skip-bad", "data.rec", dataset_files, ["train.rec"],
        lambda f: ["copy", str(f), "new", "--skip-bad"])  # fmt: skip


def with_pairs() -> dict[str, bytes]:
    lines = "ann/0.png\tann/1.png\t1\nann/0.png\tbob/1.png\t0\n"
    lfw = "1\t1\nann\t1\t2\nann\t1\tbob\t2\n"
    more = {f"{who}/{who}_{n:04}.jpg": encoded(".jpg", PICTURE[:8, :8] + n)
            for who in ("ann", "bob") for n in (1, 2)}  # fmt: skip
    return photos() | more | {"pairs.txt": lines.encode(), "lfw.txt": lfw.encode()}


def pack_pairs(kind: str, pairs: str) -> Callable[[Path], list[str]]:
    return lambda f: [kind, "--data-dir", str(f), "--pairs", str(f / pairs), "--output", "a.bin",
                      "--image-size", "8,8"]  # fmt: skip


command("pairs-list", "eval.pack_pairs", with_pairs, ["pairs.txt", "ann/0.png"],
        pack_pairs("list", "pairs.txt"))  # fmt: skip
command("pairs-lfw", "eval.pack_pairs", with_pairs, ["lfw.txt"], pack_pairs("lfw", "lfw.txt"))


def model(side: int) -> dict[str, bytes]:
    """Return a checkpoint m,1 of one dense layer on (3, side, side)."""
    weight = np.random.default_rng(0).normal(size=(4, 3 * side * side)).astype(np.float32)
    arrays = {"arg:fc1_weight": weight, "arg:fc1_bias": np.zeros(4, np.float32)}
    return {"m-symbol.json": json.dumps(SYMBOL).encode(), "m-0001.params": params_bytes(arrays)}


def verified() -> dict[str, bytes]:
    return named() | model(8)


MODEL = ["m-symbol.json", "m-0001.params"]
command("verify", "eval.verification", verified, ["lfw.bin", "lfw.pairs.tsv", *MODEL],
        lambda f: ["--data-dir", str(f), "--target", "lfw", "--model", str(f / "m") + ",1",
                   "--nfolds", "1", "--report", "r.html"], "onnxruntime", cost=DEAR)  # fmt: skip
command("onnx", "export.to_onnx", lambda: model(8), MODEL,
        lambda f: ["--model", str(f / "m") + ",1", "--output", "m.onnx", "--image-size", "8,8"],
        "onnxruntime", "onnx")  # fmt: skip
command("slim", "checkpoints.slim", lambda: model(8), MODEL,
        lambda f: ["--model", str(f / "m") + ",1", "--output", "slim"], "mxnet")  # fmt: skip


def ijb() -> dict[str, bytes]:
    crops = {f"loose_crop/{n}.jpg": encoded(".jpg") for n in (1, 2)}
    more = {"meta/ijbc_1N_gallery_G2.csv": b"T,S\n2,2\n",
            "meta/ijbc_1N_probe_mixed.csv": b"T,S\n1,2\n"}  # fmt: skip
    lists = ijb_files() | more
    lists["meta/ijbc_face_tid_mid.txt"] = b"1.jpg 1 69544\n2.jpg 2 69545\n"
    lists["meta/ijbc_template_pair_label.txt"] = b"1 1 1\n1 2 0\n"
    lists["meta/ijbc_1N_gallery_G1.csv"] = b"T,S\n1,2\n"
    return crops | lists | model(112)


command("ijb", "eval.ijb", ijb,
        ["meta/ijbc_face_tid_mid.txt", "meta/ijbc_name_5pts_score.txt",
         "meta/ijbc_template_pair_label.txt", "meta/ijbc_1N_gallery_G1.csv", "loose_crop/1.jpg"],
        lambda f: ["--data-dir", str(f), "--model", str(f / "m") + ",1", "--features", "f.npy"],
        "onnxruntime")  # fmt: skip


def ytf() -> dict[str, bytes]:
    frames = {f"images/{who}/{n}/{n}.png": encoded(".png", PICTURE[:8, :8] + n)
              for who in ("a", "b") for n in (1, 2)}  # fmt: skip
    return frames | {"splits2.txt": b"1,1,a/1,a/2,1\n1,2,a/1,b/2,0\n" * 2} | model(8)


command("ytf", "eval.ytf", ytf, ["splits2.txt", "images/a/1/1.png"],
        lambda f: ["--data-dir", str(f), "--model", str(f / "m") + ",1", "--features", "f.npy",
                   "--nfolds", "2"], "onnxruntime")  # fmt: skip


@cache
def megaface(*more: str) -> dict[str, bytes]:
    from arcface_mxnet.megaface import synthetic

    options = ["--people", "2", "--images", "4", "--distractors", "20", "--dim", "4"]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        assert synthetic.main([folder, *options, *more]) == 0
        paths = [path for path in Path(folder).rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def kit(*more: str) -> dict[str, bytes]:
    return dict(megaface(*more))


LISTS = "templatelists"
DISTRACTORS = f"{LISTS}/megaface_features_list.json_20_1"
PROBES = f"{LISTS}/facescrub_features_list.json"


def experiment(f: Path, ending: str = "") -> list[str]:
    roots = [str(f / f"megaface{ending}"), str(f / f"facescrub{ending}")]
    return [*roots, "_synthetic.bin", "o", "-p", str(f / PROBES), "-dlp", str(f / LISTS),
            "-s", "10"]  # fmt: skip


command("megaface", "megaface.run_experiment", kit,
        [PROBES, f"{LISTS}/megaface_features_list.json_10_1"], experiment, cost=DEAR)  # fmt: skip
command("megaface-store", "megaface.run_experiment", partial(kit, "--store", "float32"),
        ["megaface_synthetic.npy", "megaface_synthetic.names"],
        lambda f: experiment(f, "_synthetic.npy"), cost=DEAR)  # fmt: skip
command("convert", "megaface.convert", partial(kit, "--store", "float32"),
        ["megaface_synthetic.npy", "megaface_synthetic.names"],
        lambda f: ["export", str(f / "megaface_synthetic.npy"), "files"])  # fmt: skip


def cleaned(f: Path) -> list[str]:
    return ["--algo", "synthetic", "--feature-dir-input", str(f), "--feature-dir-out", "clean",
            "--facescrub-lst", str(f / PROBES), "--megaface-lst", str(f / DISTRACTORS),
            "--facescrub-noises", str(f / "facescrub_noises.txt"),
            "--megaface-noises", str(f / "megaface_noises.txt")]  # fmt: skip


command("noises", "megaface.remove_noises", kit, ["facescrub_noises.txt", DISTRACTORS], cleaned)


def crops() -> dict[str, bytes]:
    lists = {"facescrub_lst": b"ann/0.png\nann/1.png\n",
             "megaface_lst": b'{"path": ["bob/0.png", "bob/1.png"]}'}  # fmt: skip
    return photos() | lists | model(8)


command("features", "megaface.gen_megaface", crops, ["facescrub_lst", "megaface_lst", "ann/0.png"],
        lambda f: ["--model", str(f / "m") + ",1", "--algo", "m", "--output", "o",
                   "--facescrub-lst", str(f / "facescrub_lst"), "--facescrub-root", str(f),
                   "--megaface-lst", str(f / "megaface_lst"), "--megaface-root", str(f),
                   "--image-size", "8,8"], "onnxruntime")  # fmt: skip


def aligned() -> dict[str, bytes]:
    crop = encoded(".png", np.zeros((112, 112, 3), np.uint8))
    return {"lst": b"1\ta.png\t0\nb.png\n", "a.png": crop, "b.png": crop}


command("aligned", "megaface.align", aligned, ["lst", "a.png"],
        lambda f: ["check", "--root", str(f), "--list", str(f / "lst")])  # fmt: skip
