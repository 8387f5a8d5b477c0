"""Take the wrong images of FaceScrub and MegaFace out of the features.

    arcface-remove-noises --algo r100 --feature-dir-input OUT --feature-dir-out CLEAN \\
        --facescrub-lst facescrub_lst --megaface-lst megaface_lst \\
        --facescrub-noises facescrub_noises.txt --megaface-noises megaface_noises.txt

Reads and writes FOLDER/facescrub and FOLDER/megaface, or with --store the packed stores
FOLDER/facescrub_ALGO.npy and FOLDER/megaface_ALGO.npy.  The noise lists are your files.  Rules:
  published  a value is appended: 0, and 100 for a wrong distractor, which pushes it far away; a
             wrong probe becomes the sum of its person's right features plus a little noise
  drop       wrong images are left out of the features and of the lists written beside them;
             the figures are not comparable with published ones
  zero       a wrong distractor becomes all zeros, which match nothing by cosine; a wrong probe
             becomes its person's centre
After drop and zero arcface-megaface wants --allow-missing: it leaves out what is absent or all
zeros, and says so.  (By distance, zeros would be as near to everything as a cosine of 0.5.)
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
import sys

from arcface_mxnet.cli import run
from arcface_mxnet.files import replace_file
from arcface_mxnet.given import path_name, whole
from arcface_mxnet.megaface.feature_source import FeatureFolder, StoredFeatures, open_features
from arcface_mxnet.megaface.features import write_feature
from arcface_mxnet.megaface.lists import algorithm_name, read_names, read_noise_list
from arcface_mxnet.megaface.noise_matching import wrong_images
from arcface_mxnet.megaface.noise_rules import (
    DROP,
    PUBLISHED,
    RULES,
    ZERO,
    clean_distractors,
    clean_probes,
)
from arcface_mxnet.megaface.packed import StoreWriter, batches
from arcface_mxnet.text import WRITTEN
import numpy as np
from tqdm import tqdm


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-remove-noises",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--algo", default="", help="algorithm in the names of the files written (default: --suffix)"
    )
    add("--suffix", default="", help="algorithm in the file names read (default: --algo)")
    for name, what in (("facescrub", "probes, a file name"), ("megaface", "distractors, a path")):
        add(f"--{name}-noises", type=path_name, default=Path(f"data/{name}_noises.txt"),
            help=f"wrong {what} a line (%(default)s)")  # fmt: skip
    add("--facescrub-lst", type=path_name, default=Path("data/facescrub_lst"),
        help="probes: text or JSON list (%(default)s)")  # fmt: skip
    add("--megaface-lst", type=path_name, default=Path("data/megaface_lst"),
        help="distractors: text or JSON list (%(default)s)")  # fmt: skip
    add("--feature-dir-input", type=path_name, default=Path("feature_out"),
        help="folder with facescrub and megaface (%(default)s)")  # fmt: skip
    add("--feature-dir-out", type=path_name, default=Path("feature_out_clean"),
        help="folder to write facescrub and megaface into (%(default)s)")  # fmt: skip
    for name in ("facescrub", "megaface"):
        add(f"--{name}-feature-dir", type=path_name, help=f"instead of INPUT/{name}")
        add(f"--{name}-feature-dir-out", type=path_name, help=f"instead of OUT/{name}")
    add("--skip-missing", action="store_true", help="take a noise list even if almost none of its "
        "names is on the list of images, as for a small part of MegaFace")  # fmt: skip
    add("--store", action="store_true", help="read and write packed stores")
    add("--rule", choices=RULES, default=PUBLISHED, help="(%(default)s)")
    add("--seed", type=whole(), default=727, help="seed of the noise (%(default)s)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: remove_noises(arguments))


def remove_noises(arguments: argparse.Namespace) -> None:
    """Write the cleaned features of both sets and print how many images were wrong."""
    if arguments.store and arguments.rule == ZERO:
        raise ValueError("--rule zero: a packed store holds no zeros; use --rule drop or files")
    given = arguments.suffix or arguments.algo
    if not given:
        raise ValueError("give --algo, the algorithm in the names of the feature files")
    endings = f"_{given}.bin", f"_{arguments.algo or given}.bin"
    algorithm_name(endings[1])
    sets = {name: _Set(name, arguments, endings) for name in ("facescrub", "megaface")}
    for one in sets.values():
        one.refuse_faults()
    probes, distractors = sets["facescrub"], sets["megaface"]
    people = [Path(name).parts[0] for name in probes.names]
    vectors = clean_probes(
        probes.features.read(np.arange(len(probes.names))),
        people,
        probes.is_wrong,
        arguments.rule,
        np.random.default_rng(arguments.seed),
    )
    probes.write(iter([vectors]))
    distractors.write(
        clean_distractors(
            distractors.features.read(np.arange(rows.start, rows.stop)),
            distractors.is_wrong[rows.start : rows.stop],
            arguments.rule,
        )
        for rows in batches(len(distractors.names))
    )
    for name, one in sets.items():
        unknown = f"; {one.num_unknown} of the names are of no image here" * bool(one.num_unknown)
        print(f"{name}: {one.is_wrong.sum()} of {len(one.names)} images are wrong "
              f"({one.num_noises} names on the noise list){unknown}")  # fmt: skip
    if arguments.rule != PUBLISHED:
        print("evaluate them with arcface-megaface --allow-missing")


class _Set:
    """The features of one of the two sets, and where the cleaned ones go."""

    def __init__(self, name: str, arguments: argparse.Namespace, endings: tuple[str, str]):
        options = vars(arguments)
        given, made = (
            name + (ending.removesuffix(".bin") + ".npy" if arguments.store else "")
            for ending in endings
        )
        read_from = options[f"{name}_feature_dir"] or arguments.feature_dir_input / given
        self.out = options[f"{name}_feature_dir_out"] or arguments.feature_dir_out / made
        if Path(read_from).resolve() == Path(self.out).resolve() and endings[0] == endings[1]:
            raise ValueError(f"{self.out}: would be written over its input; choose another folder")
        self.names = read_names(options[f"{name}_lst"])
        # FaceScrub's noise list has bare file names, MegaFace's whole paths.
        noises = read_noise_list(options[f"{name}_noises"])
        self.num_noises = len(noises)
        self.is_wrong, self.num_unknown = wrong_images(
            self.names, noises, options[f"{name}_noises"],
            bare=name == "facescrub", skip=arguments.skip_missing,
        )  # fmt: skip
        self.features: FeatureFolder | StoredFeatures = open_features(
            read_from, self.names, endings[0]
        )
        self.name, self.ending, self.rule, self.store = (
            name,
            endings[1],
            arguments.rule,
            arguments.store,
        )

    def refuse_faults(self) -> None:
        """Raise ValueError listing the features that are missing or of another size."""
        faults = self.features.faults()
        if faults:
            listing = "".join(f"\n  {self.names[row]}: {faults[row]}" for row in list(faults)[:10])
            raise ValueError(
                f"{self.features.path}: {len(faults)} features cannot be read:{listing}"
            )

    def write(self, blocks: Iterator[np.ndarray]) -> None:
        """Write cleaned features, in the order of the names that stay."""
        dim = self.features.dim + (self.rule == PUBLISHED)
        names = [n for n, wrong in zip(self.names, self.is_wrong, strict=True)
                 if not (wrong and self.rule == DROP)]  # fmt: skip
        if self.rule == DROP:
            self._drop(names)
        with tqdm(total=len(names), desc=self.name, unit="feature", disable=None) as bar:
            if self.store:
                # One that was cut short may be of other noise lists: it is made anew.
                with StoreWriter(self.out, names, dim, ending=self.ending, anew=True) as store:
                    for vectors in blocks:
                        store.write(vectors)
                        bar.update(len(vectors))
                return
            remaining = iter(names)
            for vectors in blocks:
                for vector in vectors:
                    path = self.out / (next(remaining) + self.ending)
                    write_feature(path, vector, allow_zeros=self.rule == ZERO)
                    bar.update()

    def _drop(self, names: list[str]) -> None:
        """Write the list of those that stay; no file of another stays from an earlier start."""
        with replace_file(self.out.with_name(f"{self.name}_lst"), "w", **WRITTEN) as file:
            file.writelines(f"{name}\n" for name in names)
        for row in np.flatnonzero(self.is_wrong):
            (self.out / (self.names[row] + self.ending)).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
