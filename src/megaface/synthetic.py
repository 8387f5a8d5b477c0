"""A synthetic MegaFace: features of known separation, in the kit's layout.

    python -m arcface_mxnet.megaface.synthetic OUT --people 80 --images 3530 --distractors 10000

Writes OUT/facescrub/NAME/NAME_1.png_synthetic.bin and OUT/megaface/...jpg_synthetic.bin, or the
stores facescrub_synthetic.npy and megaface_synthetic.npy; the lists OUT/templatelists; the noise
lists OUT/facescrub_noises.txt and OUT/megaface_noises.txt: wrong probes are images of nobody,
wrong distractors are images of a probe's person.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import json
from pathlib import Path
import sys

from arcface_mxnet.cli import run
from arcface_mxnet.embedding.vectors import unit_rows
from arcface_mxnet.files import replace_file
from arcface_mxnet.given import path_name, real, whole
from arcface_mxnet.megaface.features import write_feature
from arcface_mxnet.megaface.lists import SIZES
from arcface_mxnet.megaface.packed import StoreWriter, batches
import numpy as np
from tqdm import tqdm

ENDING = "_synthetic.bin"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("out", type=path_name, help="folder to write; must not hold a synthetic MegaFace yet")
    add("--people", type=int, default=80, help="people among the probes (%(default)s)")
    add("--images", type=int, default=3530, help="probe images, shared evenly (%(default)s)")
    add("--distractors", type=int, default=10000, help="distractors (%(default)s)")
    add("--dim", type=int, default=512, help="values per feature (%(default)s)")
    add("--separation", type=real(0, 1), default=0.75,
        help="mean cosine of an image and its person's centre, 0..1; two images of a person "
        "have about its square (%(default)s)")  # fmt: skip
    add("--spread", type=real(0), default=0.15, help="standard deviation of that (%(default)s)")
    add("--noise", type=real(0, 1), default=0.005,
        help="share of wrong images, probes and distractors alike (%(default)s)")  # fmt: skip
    add("--seed", type=whole(), default=727, help="seed of everything (%(default)s)")
    add("--store", choices=("float32", "float16"), help="packed stores of this type, no files")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: generate(arguments))


def generate(arguments: argparse.Namespace) -> None:
    """Write the features and lists."""
    out, people = arguments.out, arguments.people
    if people < 1 or arguments.images < 2 * people or arguments.distractors < 1:
        raise ValueError("give at least 1 person, 2 images each, and 1 distractor")
    if arguments.dim < 2 or not 0 <= arguments.separation <= 1 or not 0 <= arguments.noise <= 1:
        raise ValueError("give --dim of at least 2, --separation and --noise between 0 and 1")
    if (out / "templatelists").exists():
        raise ValueError(f"{out}: holds lists already; choose another folder")
    rng = np.random.default_rng(arguments.seed)
    centres = _unit(rng.standard_normal((people, arguments.dim)))
    person = np.arange(arguments.images) * people // arguments.images
    probes = [f"Person_{p}/Person_{p}_{i}.png" for i, p in enumerate(person)]
    wrong = rng.random(len(probes)) < arguments.noise
    closeness = np.clip(rng.normal(arguments.separation, arguments.spread, len(probes)), 0, 0.99)
    closeness[wrong] = 0
    vectors = _near(centres[person], closeness, rng)
    _write(out / "facescrub", probes, iter([vectors]), arguments)
    count = arguments.distractors
    distractors = [f"{i % 1000}/{i}@N00/{i}_0.jpg" for i in range(count)]
    intruder = rng.random(count) < arguments.noise / 10
    _write(out / "megaface", distractors, _distractors(intruder, centres, rng), arguments)
    lists = out / "templatelists"
    _json(lists / "facescrub_features_list.json",
          {"path": probes, "id": [f"Person_{p}" for p in person]})  # fmt: skip
    for size in sorted({size for size in SIZES if size < count} | {count}):
        _json(lists / f"megaface_features_list.json_{size}_1", {"path": distractors[:size]})
    _text(out / "facescrub_noises.txt", [Path(probes[i]).name for i in np.flatnonzero(wrong)])
    _text(out / "megaface_noises.txt", [distractors[i] for i in np.flatnonzero(intruder)])
    sizes = " ".join(str(size) for size in SIZES if size <= count) or str(count)
    kind = "_synthetic.npy" if arguments.store else ""
    print(
        f"arcface-megaface {out}/megaface{kind} {out}/facescrub{kind} {ENDING} {out}/results "
        f"-p {lists}/facescrub_features_list.json -dlp {lists} -s {sizes}"
    )


def _distractors(
    intruder: np.ndarray, centres: np.ndarray, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield unit vectors in any direction; intruders are images of the probes' people."""
    for rows in batches(len(intruder)):
        vectors = rng.standard_normal((len(rows), centres.shape[1]), dtype=np.float32)
        wrong = np.flatnonzero(intruder[rows.start : rows.stop])
        people = rng.integers(0, len(centres), len(wrong))
        vectors[wrong] = _near(centres[people], np.full(len(wrong), 0.8), rng)
        yield _unit(vectors)


def _near(centres: np.ndarray, closeness: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return unit vectors with about these cosines to the centres, float32."""
    other = _unit(rng.standard_normal(centres.shape))
    closeness = closeness[:, None]
    return _unit(closeness * centres + np.sqrt(1 - closeness**2) * other)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return unit_rows(vectors).astype(np.float32)


def _write(
    place: Path, names: list[str], blocks: Iterator[np.ndarray], arguments: argparse.Namespace
) -> None:
    with tqdm(total=len(names), desc=place.name, unit="feature", disable=None) as bar:
        if arguments.store:
            path = place.with_name(f"{place.name}_synthetic.npy")
            with StoreWriter(path, names, arguments.dim, arguments.store, ENDING) as store:
                for vectors in blocks:
                    store.write(vectors)
                    bar.update(len(vectors))
            return
        remaining = iter(names)
        for vectors in blocks:
            for vector in vectors:
                write_feature(f"{place}/{next(remaining)}{ENDING}", vector)
                bar.update()


def _json(path: Path, content: dict) -> None:
    with replace_file(path, "w", encoding="utf-8") as file:
        json.dump(content, file)


def _text(path: Path, names: list[str]) -> None:
    with replace_file(path, "w", encoding="utf-8") as file:
        file.write("# wrong images\n" + "".join(f"{name}\n" for name in names))


if __name__ == "__main__":
    sys.exit(main())
