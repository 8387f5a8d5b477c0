"""Readers of lists, notes, JSON and TOML."""

from __future__ import annotations

import json
from pathlib import Path

from arcface_mxnet.align.aligner import FACTS
from arcface_mxnet.align.earlier import keep_options
from arcface_mxnet.align.face_facts import HEADER, read_facts
from arcface_mxnet.align.quality import QualityBounds
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data.dataset import read_property
from arcface_mxnet.data.identity_lists import names_of
from arcface_mxnet.data.lists import Entry, read_list
from arcface_mxnet.eval import pair_lists
from arcface_mxnet.eval.folder_pairs import ListedPair
from arcface_mxnet.eval.ijb_lists import read_faces, read_search_list, read_template_pairs
from arcface_mxnet.eval.threshold_card import read_card, threshold_of
from arcface_mxnet.eval.ytf import read_splits
from arcface_mxnet.megaface import align, align_photos
from arcface_mxnet.megaface.lists import (
    read_distractor_list,
    read_names,
    read_noise_list,
    read_probe_list,
)
from arcface_mxnet.recipes import command_lines, load_recipe
from arcface_mxnet.text import read_json, read_lines, read_text, read_toml
import numpy as np

from tests.fuzz.table import one, reader

LIST = (
    "1\tann/0.png\t0\n"
    "1\tann/Zoë 1.png\t0\n"
    "0\tbob/0.png\t1\t1\t2\t30\t40\t1\t2\t3\t4\t5\t6.5\t7\t8\t9\t10\n"
    "1\tbob/2.png\t1\t1\t2\t30\t40\n"
).encode()


def are(kind):
    return lambda values: isinstance(values, list) and all(isinstance(v, kind) for v in values)


def is_entries(entries):
    return are(Entry)(entries) and all(
        0 <= e.identity < 1 << 24 and (e.landmarks is None or np.isfinite(e.landmarks).all())
        for e in entries
    )


def is_pairs(pairs):
    return are(ListedPair)(pairs) and len(pairs) > 0 and all(
        isinstance(p.is_genuine, bool) for p in pairs
    )  # fmt: skip


CARD = {
    "format": "arcface threshold card", "version": 1, "model": "m", "model_sha256": "1",
    "engine": "mxnet", "dtype": "float32", "input": "", "crop": [112, 112], "target": "lfw",
    "pack_sha256": "2", "num_impostor": 10,
    "thresholds": {"none": [{"far": 0.1, "cosine": 0.5}, {"far": 1e-6, "impostors_needed": 9}]},
}  # fmt: skip


def far_of_card(folder: Path) -> float:
    given = {"model": "1", "dtype": "float32"}
    card = read_card(folder / "card.json")
    return threshold_of(card, 0.1, embedding=given, flip="none", crop=(112, 112))


reader("threshold-card", one("card.json", json.dumps(CARD).encode()), "card.json", far_of_card,
       lambda cosine: -2 <= cosine < 1.0001, "eval.threshold_card")  # fmt: skip
FACES = f"{HEADER}\nann/0.png" + "\t1" * len(FACTS) + "\n"
reader("faces", one("faces.tsv", FACES.encode()), "faces.tsv", read_facts,
       lambda found: isinstance(found, dict) and all(isinstance(v, str) for v in found.values()),
       "align.face_facts")  # fmt: skip
MADE_WITH = {"detector": "mtcnn", "min_size": 50, "limited": False, "encoding": ".png",
             "uncertain": "refuse", "fallback": "none"}  # fmt: skip
reader("align-note", one("align.json", json.dumps({**MADE_WITH, "min_score": None}).encode()),
       "align.json", lambda f: keep_options(f, MADE_WITH, QualityBounds()),
       lambda value: value is None, "align.earlier.keep_options")  # fmt: skip
reader("text", one("a.txt", "Zoë\r\nb\n".encode()), "a.txt", lambda f: read_text(f / "a.txt"),
       lambda text: isinstance(text, str) and "\0" not in text and "\r" not in text,
       "text")  # fmt: skip
reader("lines", one("a.txt", "Zoë\r\nb \n\n".encode("utf-16")), "a.txt",
       lambda f: list(read_lines(f / "a.txt")), are(tuple), "text")  # fmt: skip
reader("json", one("a.json", b'{"a": [1, 2.5, "x", {"b": null}], "c": true}'), "a.json",
       lambda f: read_json(f / "a.json", "note"), lambda value: True, "text", "limits")  # fmt: skip
reader("toml", one("a.toml", b"a = 1\n[b]\nc = ['x', 2.5]\n"), "a.toml",
       lambda f: read_toml(f / "a.toml", "note"), lambda value: isinstance(value, dict),
       "text")  # fmt: skip
reader("lst", one("train.lst", LIST), "train.lst", lambda f: read_list(f / "train.lst"), is_entries,
       "data.lists.read_list")  # fmt: skip
reader("identity-names", one("train.names", "0\tann\n1\tZoë x\n16777215\t\n".encode()),
       "train.names", names_of,
       lambda found: all(isinstance(v, str) and 0 <= k < 1 << 24 for k, v in found.items()),
       "data.identity_lists.read_names")  # fmt: skip
reader("property", one("property", b"85164,112,112\n"), "property",
       lambda f: read_property(f / "property"),
       lambda found: found[0] > 0 and len(found[1]) == 2 and min(found[1]) > 0,
       "data.dataset.read_property")  # fmt: skip

PAIRS = {
    "lfw": b"10\t300\nAbel_Pacheco\t1\t4\nAbdel_Madi\t1\tZico\t3\n",
    "list": b"a/1.jpg\tb/2.jpg\t0\na/1.jpg\ta/3 x.jpg\t1\n",
    "calfw": b"Ann_0001.jpg 1\nAnn_0002.jpg 1\nAnn_0001.jpg 0\nBob_0001.jpg 0\n",
}
for kind, content in PAIRS.items():
    reader(f"pairs-{kind}", one("pairs.txt", content), "pairs.txt",
           lambda f, kind=kind: pair_lists.PAIR_LISTS[kind].read(f / "pairs.txt", f), is_pairs,
           "eval.pair_lists")  # fmt: skip


def cfp_files():
    return {
        "Protocol/Pair_list_F.txt": b"1 ../Data/Images/001/frontal/01.jpg\n"
        b"2 ../Data/Images/002/frontal/01.jpg\n",
        "Protocol/Split/FF/01/same.txt": b"1,1\n",
        "Protocol/Split/FF/01/diff.txt": b"1,2\n",
    }


for number, name in enumerate(cfp_files()):
    reader(f"pairs-cfp-{number}", cfp_files, name,
           lambda f: pair_lists.PAIR_LISTS["cfp_ff"].read(f / "Protocol", f), is_pairs)  # fmt: skip


def ijb_files():
    points = " ".join(str(1.5 * number) for number in range(10))
    return {
        "meta/ijbc_face_tid_mid.txt": b"1.jpg 1 69544\n2.jpg 2 69545\n",
        "meta/ijbc_name_5pts_score.txt": f"1.jpg {points} 0.99\n2.jpg {points} 0.5\n".encode(),
        "meta/ijbc_template_pair_label.txt": b"1 11065 1\n1 2 0\n11065 2 0\n",
        "meta/ijbc_1N_gallery_G1.csv": b"TEMPLATE_ID,SUBJECT_ID,FILENAME\n1,2,a.jpg\n3,4,b.jpg\n",
    }


def is_faces(faces):
    return (
        len(faces.paths) == len(faces.template_ids) == len(faces.landmarks)
        and np.isfinite(faces.landmarks).all() and np.isfinite(faces.detector_scores).all()
    )  # fmt: skip


def are_columns(columns):
    return len({len(column) for column in columns}) == 1 and columns[0].dtype == np.int64


for name, file in (("owners", "face_tid_mid"), ("points", "name_5pts_score")):
    reader(f"ijb-{name}", ijb_files, f"meta/ijbc_{file}.txt", lambda f: read_faces(f, "IJBC"),
           is_faces, "eval.ijb_lists")  # fmt: skip
reader("ijb-pairs", ijb_files, "meta/ijbc_template_pair_label.txt",
       lambda f: read_template_pairs(f, "IJBC"), are_columns, "eval.ijb_lists")  # fmt: skip
reader("ijb-search", ijb_files, "meta/ijbc_1N_gallery_G1.csv",
       lambda f: read_search_list(f, "IJBC", "gallery_G1"), are_columns,
       "eval.ijb_lists")  # fmt: skip
reader("ytf-splits",
       one("splits2.txt", b"split, pair, a, b, same\n1, 1, A/0, A/1, 1\n1, 2, A/0, B/3, 0\n"),
       "splits2.txt", lambda f: read_splits(f / "splits2.txt"),
       lambda found: len(found[0]) == len(found[1]) == len(found[2]) > 0,
       "eval.ytf.read_splits")  # fmt: skip

PROBES = b'{"path": ["A_B/A_B_1.png", "C_D/C_D_2.png"], "id": ["A_B", "C_D"]}'
DISTRACTORS = b'{"path": ["0/a.jpg", "0/b.jpg", "1/c.jpg"]}'
reader("probes", one("facescrub_list.json", PROBES), "facescrub_list.json",
       lambda f: read_probe_list(f / "facescrub_list.json"),
       lambda found: len(found.paths) == len(found.ids) > 0, "megaface.lists")  # fmt: skip
reader("distractors", one("megaface_list.json", DISTRACTORS), "megaface_list.json",
       lambda f: read_distractor_list(f / "megaface_list.json", 2),
       lambda found: len(found.paths) == 2)  # fmt: skip
reader("names-json", one("lst", DISTRACTORS), "lst", lambda f: read_names(f / "lst"), are(str))
reader("names", one("lst", b"0/a.jpg\n1\t0/b.jpg\t3\n"), "lst", lambda f: read_names(f / "lst"),
       are(str))  # fmt: skip
reader("noises", one("noises.txt", b"#noise\nA_1.png\n3\t37/5@N00/4_0.jpg\n"), "noises.txt",
       lambda f: sorted(read_noise_list(f / "noises.txt")), are(str))  # fmt: skip

ACTORS = b"name\timage_id\tface_id\turl\tbbox\nA B\t1\t2\thttp://x\t1,2,30,40\n"
NOTE = json.dumps(
    {"bounding_box": {"x": 1, "y": 2.5, "width": 30, "height": 40},
     "landmarks": {str(n): {"x": 5.5 * n, "y": 3} for n in range(3)}}
).encode()  # fmt: skip
reader("actors", one("facescrub_actors.txt", ACTORS), "facescrub_actors.txt",
       lambda f: align_photos._read_boxes(f / "facescrub_actors.txt", "face_id", []),
       lambda boxes: all(np.isfinite(box).all() for box in boxes.values()),
       "megaface.align_photos")  # fmt: skip


def is_hint(hint):
    """A file beside a photo that is wrong costs that photo alone: it is told in words."""
    if isinstance(hint, str):
        return hint.count("a.jpg.json") > 0 and len(hint) < 1000
    return all(part is None or np.isfinite(part).all() for part in (hint.box, hint.landmarks))


reader("hint", one("a.jpg.json", NOTE), "a.jpg.json",
       lambda f: align_photos._hint_beside(f / "a.jpg"), is_hint,
       "megaface.align_photos")  # fmt: skip
reader("attempts", one("attempts.tsv", b"0/a.jpg\tphoto\n0/b.jpg\tfailed: x\n"), "attempts.tsv",
       lambda f: align._read_attempts(f / "attempts.tsv"), lambda found: isinstance(found, dict),
       "megaface.align._read_attempts")  # fmt: skip

RECIPE = b'''title = "a"
source = "b"
commands = ["""arcface-train --network r50
    --lr 0.1""", "arcface-verify --target lfw"]
[published]
lfw = 99.5
how = "x"
'''
reader("recipe", one("r.toml", RECIPE), "r.toml",
       lambda f: (recipe := load_recipe(f / "r.toml"), command_lines(recipe)),
       lambda found: isinstance(found[0].title, str) and are(list)(found[1]),
       "recipes.load_recipe")  # fmt: skip


def token(folder: Path) -> str:
    from arcface_mxnet.serve.command import read_token

    return read_token(str(folder / "token"))


reader("token", one("token", b"0123456789abcdef-0123\n"), "token", token,
       lambda found: found.isascii() and len(found) >= 16, "serve.command.read_token",
       needs=("fastapi",))  # fmt: skip


def claim(folder: Path) -> str:
    from arcface_mxnet.megaface import gen_megaface

    class Model:
        def describe(self):
            return {"model": "m,1", "size": [8, 8]}

    gen_megaface._claim(folder / "of.json", Model())
    return "same"


reader("claim", one("of.json", b'{"model": "m,1", "size": [8, 8]}'), "of.json", claim,
       lambda found: found == "same", "megaface.gen_megaface._claim")  # fmt: skip

RUN = {
    "config": {},
    "validation": [{"step": 1, "target": "lfw", "accuracy": 0.5}],
    "resumed_at": [3],
}
CSV = b"step,epoch,metric,value\r\n1,0,lr,0.1\r\n2,0,lr,0.1\r\n7,1,lr,0.1\r\n"


def run_files():
    return {"m-run.json": json.dumps(RUN).encode(), "m-metrics.csv": CSV}


def run_log(folder: Path) -> dict:
    from arcface_mxnet.training import runlog

    runlog._read_run(folder / "m-run.json")
    return runlog._read_rows(folder / "m-metrics.csv")


for file in run_files():
    reader(file[2:], run_files, file, run_log, are(list), "training.runlog._read_run",
           "training.runlog._read_rows", "training.runlog._row", needs=("mxnet",))  # fmt: skip

RECORD = {
    "position": {"step": 4, "verifications": 1, "best": {"accuracy": 0.5, "total": 0.5}},
    "batches": {"plan": "shuffled", "images_per_batch": 8, "seed": 1, "place": {"epoch": 0}},
    "metric": [[1.5, 8]], "config": {"target": ["lfw"], "lr": 0.1}, "num_devices": 1,
    "data": ["ab"],
}  # fmt: skip


def run_record(folder: Path) -> dict:
    from arcface_mxnet.limits import parse_json, read_limited
    from arcface_mxnet.training.resume import Position, check_record

    path = folder / "record.json"
    record = parse_json(read_limited(path, 1 << 20, "record"), str(path), "a record", nan=True)
    check_record(record, str(path))

    class Last:
        pass

    Last.record = record
    return Position.of(Last, TrainConfig(target=("lfw",)))


reader("record", one("record.json", json.dumps(RECORD).encode()), "record.json", run_record,
       lambda position: position.step >= 0, "training.resume.check_record",
       needs=("mxnet",))  # fmt: skip
