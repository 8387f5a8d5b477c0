"""The promises to the users' own scripts, called from Python; one group of them at a time.

    surface.py GROUP

Run in the folder that is being made: reads given/ and what the commands wrote, writes
surface/GROUP/.  A promise that is broken fails the groups that need it.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import dataclasses
import hashlib
from importlib import import_module
import json
from pathlib import Path
import sys
from typing import Any

import cv2
import mxnet as mx  # server.py has imported what makes it importable
import numpy as np

TRAIN_DATA = "data/people"
OUT = Path("surface")
SIDE = 32

# Where users' scripts find each name, in every revision: not where it lies today.  When a module
# moves these stay as they are, for a revision before the move has no other.
PROMISED = {
    "align_face": "arcface_mxnet.align.crop",
    "MtcnnDetector": "arcface_mxnet.align.mtcnn",
    "similarity_transform": "arcface_mxnet.align.similarity",
    "TrainConfig": "arcface_mxnet.config",
    "batches": "arcface_mxnet.data.batches",
    "FaceDataset": "arcface_mxnet.data.dataset",
    "select_semi_hard": "arcface_mxnet.data.mining",
    "RecordReader": "arcface_mxnet.data.records",
    "RecordWriter": "arcface_mxnet.data.records",
    "Embedder": "arcface_mxnet.embedder",
    "PairSet": "arcface_mxnet.eval.pair_sets",
    "read_pair_set": "arcface_mxnet.eval.pair_sets",
    "write_pair_set": "arcface_mxnet.eval.pair_sets",
    "verify_pairs": "arcface_mxnet.eval.protocols",
    "roc": "arcface_mxnet.eval.scores",
    "tar_at_far": "arcface_mxnet.eval.scores",
    "FaceModel": "arcface_mxnet.face_model",
    "LOSSES": "arcface_mxnet.losses",
    "build_loss": "arcface_mxnet.losses",
    "read_feature": "arcface_mxnet.megaface.features",
    "write_feature": "arcface_mxnet.megaface.features",
    "identify": "arcface_mxnet.megaface.search",
    "NETWORKS": "arcface_mxnet.networks",
    "NetworkOptions": "arcface_mxnet.networks",
    "build_network": "arcface_mxnet.networks",
    "load_checkpoint": "arcface_mxnet.training.checkpoints",
    "train": "arcface_mxnet.training.loop",
}

# As tests/losses/test_sweep.py has them: losses that want another option than the default.
LOSS_OPTIONS = {
    "Multiplicative": {"margin_m": 2.0},
    "ArcFaceIntra": {"margin_b": 0.5},
    "ArcFaceInter": {"margin_b": 0.5},
    "Circle": {"margin_m": 0.25, "margin_s": 256.0},
    "Coco": {"images_per_identity": 3},
    "Marginal": {"images_per_identity": 3},
}


def main() -> None:
    group = sys.argv[1]
    (OUT / group).mkdir(parents=True)
    GROUPS[group](OUT / group)


class Promised:
    """Each name of the public surface, taken from the package that is run when it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(PROMISED[name]), name)


ours = Promised()


def records(out: Path) -> None:
    """Records and pair sets of every kind, and what readers say of them."""
    rng = np.random.default_rng(11)
    magic = b"\x0a\x23\xd7\xce"  # RecordIO's own: it must be split where it stands aligned
    with ours.RecordWriter(out / "any.rec", out / "any.idx") as writer:
        writer.write(0, [9, 12])
        for key in range(1, 9):
            payload = rng.integers(0, 256, 50 + 7 * key, np.uint8).tobytes()
            label = float(key) if key % 2 else [key, 1.5]
            writer.write(key, label, payload[:12] + magic * (key % 3) + payload)
        writer.write(9, [1, 5], id2=3)
    with ours.RecordReader(out / "any.rec") as reader:  # the index is made by walking the file
        found = {int(key): reader.read(int(key)) for key in reader.keys}
    write_json(
        out / "read.json",
        {
            str(key): [np.ravel(record.label).tolist(), sha256(record.payload)]
            for key, record in found.items()
        },
    )
    images = [rng.integers(0, 256, 30, np.uint8).tobytes() for _ in range(8)]
    flags = np.array([True, False, True, False])
    ours.write_pair_set(out / "plain.bin", ours.PairSet(images, flags))
    names = [f"p{n // 2}" for n in range(8)]
    paths = [f"p{n // 2}/{n}.jpg" for n in range(8)]
    ours.write_pair_set(out / "named.bin", ours.PairSet(images, flags, names, paths))
    back = ours.read_pair_set(out / "named.bin")
    write_json(out / "pairs.json", [back.is_genuine.tolist(), back.identities, back.paths])


def scores(out: Path) -> None:
    """Protocols on drawn scores and embeddings, the similarity, feature files."""
    rng = np.random.default_rng(12)
    genuine, impostor = rng.normal(0.6, 0.2, 300).round(3), rng.normal(0.1, 0.2, 900).round(3)
    curve = ours.roc(genuine, impostor)
    np.save(out / "roc.npy", np.stack([curve.thresholds, curve.far, curve.tar]))
    points = [plain(ours.tar_at_far(genuine, impostor, far)) for far in (0, 1e-2, 1e-1, 1)]
    left = rng.normal(size=(200, 8)).astype(np.float32)
    flags = np.arange(200) % 2 == 0
    near = rng.normal(size=left.shape)
    right = (np.where(flags[:, None], left + near, near)).astype(np.float32)
    results = [plain(ours.verify_pairs(left, right, flags, folds=folds)) for folds in (10, 5, 1)]
    write_json(out / "verification.json", {"points": points, "verify_pairs": results})

    centres = rng.normal(size=(9, 16))
    person = np.arange(40) % 9
    probes = (centres[person] + rng.normal(0, 0.8, (40, 16))).astype(np.float32)
    distractors = rng.normal(size=(500, 16)).astype(np.float32)
    lists = [np.arange(100), np.arange(500)]
    found = ours.identify(
        probes, [f"p{p}" for p in person], distractors, lists, block=64, threads=2
    )
    for number, result in enumerate(found):
        arrays = {k: v for k, v in vars(result).items() if isinstance(v, np.ndarray)}
        for name, array in arrays.items():
            np.save(out / f"identify-{number}-{name}.npy", array)
        write_json(out / f"identify-{number}.json",
                   {"num_exact": result.num_exact, "grid_step": result.grid_step})  # fmt: skip

    ours.write_feature(out / "feature.bin", probes[0])
    np.save(out / "feature.npy", ours.read_feature(out / "feature.bin"))
    landmarks = np.array([[58, 62], [98, 60], [79, 86], [62, 108], [97, 106]])
    landmarks = landmarks + rng.uniform(-9, 9, (20, 5, 2))
    for size in ((112, 112), (112, 96)):
        np.save(out / f"similarity-{size[1]}.npy", ours.similarity_transform(landmarks, size))
        scene = cv2.imread("given/list/scenes/0.png")
        crops = np.stack([ours.align_face(scene, marks, size) for marks in landmarks])
        np.save(out / f"aligned-{size[1]}.npy", crops)


def networks(out: Path) -> None:
    """The symbol of every network with the options it was published with, and with the default
    ones; its options and its initializer."""
    said = {}
    for name in ours.NETWORKS.names():
        entry = ours.NETWORKS[name]
        for kind, options in (("published", entry.published),
                              ("default", ours.NetworkOptions(emb_size=64))):  # fmt: skip
            with mx.name.NameManager():  # names count from 0 again
                symbol = ours.build_network(name, options)
            said[f"{name} {kind}"] = {
                "symbol_sha256": sha256(symbol.tojson().encode()),
                "options": plain(options),
                "num_arguments": len(symbol.list_arguments()),
                "initializer": entry.initializer().dumps(),
                "uses": sorted(entry.uses),
            }
    write_json(out / "networks.json", said)


def losses(out: Path) -> None:
    """Every loss: its symbol and what it says of itself, then a run of two steps."""
    keys = {ours.LOSSES[key]: key for key in reversed(ours.LOSSES.names())}  # one of each loss
    said = {"names": ours.LOSSES.names()}
    for kind, key in keys.items():
        if getattr(kind, "needs_teacher", False):  # younger than the versions compared
            continue
        options = {"per_batch_size": 12, "ce_loss": False} | LOSS_OPTIONS.get(kind.__name__, {})
        loss = ours.build_loss(key, ours.TrainConfig(loss_type=key, **options), 8)
        with mx.name.NameManager():
            symbol = loss.symbol(mx.sym.Variable("x"), mx.sym.Variable("softmax_label"))
            (out / f"{kind.__name__}-symbol.json").write_text(symbol.tojson())
        said[kind.__name__] = {
            "key": key,
            "options": plain(loss),
            "batch_plan": loss.batch_plan,
            "base_milestones": loss.base_milestones,
            "delay": loss.delay,
            "step_inputs": [loss.step_inputs(step) for step in (1, 2, 1000)],
            "metric": [part.name for part in loss.metric().metrics],
        }
        if loss.batch_plan == "triplets":
            options |= {"triplet_bag_size": 24}
        with mx.name.NameManager():
            ours.train(run_config(out / kind.__name__ / "model", loss_type=key, **options))
    write_json(out / "losses.json", said)


def devices(out: Path) -> None:
    """Two devices: with batches that are shuffled, and with triplets mined on both."""
    both = [mx.cpu(0), mx.cpu(1)]
    jitter = {"rand_shift": 2, "color": 1}
    shuffled = run_config(out / "shuffled/model", max_steps=4, accumulate=2, **jitter)
    results = [ours.train(shuffled, both)]
    triplet = {"loss_type": "12", "per_batch_size": 6, "triplet_bag_size": 24}
    results.append(ours.train(run_config(out / "triplet/model", **triplet), both))
    write_json(out / "results.json", plain(results))


def resnet(out: Path) -> None:
    """Two steps of r18, whose files are too large to keep: the hash of every parameter."""
    config = run_config(out / "model", network="r18", version_multiplier=1.0, per_batch_size=4)
    result = ours.train(config)
    symbol, arg_params, aux_params = ours.load_checkpoint(result.checkpoint)
    hashes = {
        name: sha256(array.asnumpy().tobytes())
        for name, array in sorted((arg_params | aux_params).items())
    }
    write_json(out / "parameters.json", {"symbol": sha256(symbol.tojson().encode())} | hashes)
    for path in out.glob("*.params"):
        path.unlink()


def batches(out: Path) -> None:
    """What every batch plan draws, augmented in every way; and the triplets of a bag."""
    dataset = ours.FaceDataset(TRAIN_DATA)
    write_json(out / "dataset.json", {
        "num_classes": dataset.num_classes, "image_shape": dataset.image_shape,
        "image_keys": dataset.image_keys.tolist(),
        "identity_ranges": dataset.identity_ranges.tolist(),
        "sample": [sha256(dataset.sample(key)[0].tobytes()) for key in (1, 20, 48)],
    })  # fmt: skip

    def embed(images: Any) -> Any:
        return mx.nd.mean(images.reshape((0, 24, -1)), axis=2)

    ways = {
        "shuffled": {"rand_mirror": 1},
        "shuffled-all": {"rand_mirror": 1, "rand_shift": 3, "cutoff": 9, "color": 2},
        "identities": {"images_per_identity": 3, "rand_mirror": 0},
        "pairs": {"color": 1},
        "triplets": {"triplet_bag_size": 24, "rand_shift": 1},
        "triplets-hardest": {"triplet_bag_size": 24, "triplet_mining": "hardest"},
    }
    for name, options in ways.items():
        config = ours.TrainConfig(per_batch_size=6, data_dir=TRAIN_DATA, **options)
        rng = np.random.default_rng(13)
        with contextlib.closing(
            ours.batches(name.split("-")[0], dataset, config, rng, embed, 2)
        ) as source:
            drawn = [next(source) for _ in range(9)]
            state = source.state()
        np.save(out / f"{name}-data.npy", np.stack([b.data[0].asnumpy() for b in drawn]))
        np.save(out / f"{name}-label.npy", np.stack([b.label[0].asnumpy() for b in drawn]))
        write_json(out / f"{name}-state.json", state)
    rng = np.random.default_rng(14)
    bag = rng.normal(size=(60, 8)).astype(np.float32)
    for max_ap in (0.0, 1.5):
        rows = ours.select_semi_hard(
            bag, np.arange(60) // 5, 0.3, max_ap, np.random.default_rng(15)
        )
        np.save(out / f"semi-hard-{max_ap:g}.npy", rows)


def embedder(out: Path) -> None:
    """Embeddings of a checkpoint in every mode, and what a checkpoint holds."""
    images = sorted(Path("given/people").glob("*/*.jpg"))[:21]
    rgb = np.stack([cv2.imread(str(path))[:, :, ::-1] for path in images])
    ways = {
        "plain": {"flip": False, "normalize": False},
        "published": {},
        "batch-4": {"batch_size": 4},
        "two-devices": {"ctx": [mx.cpu(0), mx.cpu(1)]},
    }
    for number in (1, "last"):
        for name, options in ways.items():
            embed = ours.Embedder(f"train/arcface/model,{number}", **options)
            np.save(out / f"{number}-{name}.npy", embed(rgb))
    symbol, arg_params, aux_params = ours.load_checkpoint("train/arcface/model,1")
    shapes = {name: array.shape for name, array in sorted((arg_params | aux_params).items())}
    write_json(out / "checkpoint.json", {"outputs": symbol.list_outputs(), "shapes": shapes})


def detector(out: Path) -> None:
    """Faces found by MTCNN in its modes, and the whole way from photo to embedding."""
    found = ours.MtcnnDetector(mx.cpu(), min_size=30, model_dir="models/mtcnn")
    model = ours.FaceModel(found, ours.Embedder("train/y1/model,1"))
    paths = sorted(
        path for folder in ("one", "two") for path in Path("given/faces", folder).iterdir()
    )
    photos = [cv2.imread(str(path)) for path in paths]
    faces = [[plain(face) for face in found.detect(photo)] for photo in photos]
    write_json(out / "faces.json", dict(zip(map(str, paths), faces, strict=True)))
    vectors = model.embed_many(photos)
    write_json(out / "embeddings.json", [None if v is None else plain(v) for v in vectors])


def run_config(prefix: Path, **options: Any) -> Any:
    """Return the TrainConfig of a short run on the drawn people."""
    defaults = {
        "data_dir": TRAIN_DATA, "prefix": prefix.as_posix(), "network": "m1",
        "version_multiplier": 0.125, "emb_size": 16, "per_batch_size": 8, "max_steps": 2,
        "verbose": 100, "frequent": 1, "target": ("held",), "lr": 0.01, "ckpt": 0,
    }  # fmt: skip
    return ours.TrainConfig(**defaults | options)


def plain(value: Any) -> Any:
    """Return dataclasses and arrays as JSON takes them."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


GROUPS: dict[str, Callable[[Path], None]] = {
    function.__name__: function
    for function in (
        records, scores, networks, losses, devices, resnet, batches, embedder, detector,
    )
}  # fmt: skip


if __name__ == "__main__":
    main()
