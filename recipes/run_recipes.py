"""Run the small form of every recipe on the ORL faces, and rewrite what they measured.

    make recipes                                     # all, with the seeds 1 and 2
    python recipes/run_recipes.py r50-cosface        # one
    python recipes/run_recipes.py --seeds 1,2,3

The faces, their crops and pairs are the quickstart's, whose first stages are run if need be.  A
network is trained on people 1-24 and verified once on people 31-40.  Of a recipe in stages the
first one's network is verified too, and the gain over it told, paired, with its interval over
people.  Figures, seeds and times go into the recipe's [small_measured] and into the table of
docs/recipes.md.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
import os
from pathlib import Path
import re
import subprocess
import sys
import time

from arcface_mxnet.cli import run
from arcface_mxnet.eval.comparison import Estimate, difference
from arcface_mxnet.eval.scored_pairs import read_scored_pairs
from arcface_mxnet.files import replace_file
from arcface_mxnet.recipes import load_recipe, small_lines
from arcface_mxnet.text import read_json
from marked import markdown, rewrite
import numpy as np
from quickstart import CROPS, DATA, ROOT, STAGES, arguments_of, run_stages
from quickstart_figures import REPLICATES, SEED, figures
from quickstart_page import points

RECIPES = ROOT / "recipes"
PAGE = ROOT / "docs" / "recipes.md"
PREPARED = ("fetch", "align", "pack", "people_25_30", "people_31_40")
HELD_OUT = "people_31_40"
SEEDS = (1, 2)
HEAD = ("recipe", "seed", "accuracy, 10 folds, %", "TAR at FAR 1e-2, %", "over the first stage",
        "rank 1, %", "seconds")  # fmt: skip
SECTION = "[small_measured]"


@dataclass(frozen=True)
class Measured:
    """What one run of a small form gave.  accuracy, tar: with intervals over people, of a network;
    gain: of accuracy, over the network of the first stage; rank1: a fraction, of a search.
    seconds: of its commands, on cores of this machine.
    """

    seed: int
    seconds: float
    accuracy: Estimate | None = None
    tar: Estimate | None = None
    gain: Estimate | None = None
    rank1: float | None = None

    def facts(self) -> dict[str, float]:
        """Return figures by name, in percent."""
        found = {f"seconds_{self.seed}": round(self.seconds)}
        if self.rank1 is not None:
            found[f"rank1_{self.seed}"] = round(100 * self.rank1, 2)
        estimates = {"accuracy": self.accuracy, "tar_at_far_1e-2": self.tar, "gain": self.gain}
        for name, one in estimates.items():
            if one is not None:
                for part, value in (("", one.value), ("_low", one.low), ("_high", one.high)):
                    found[f"{name}{part}_{self.seed}"] = round(100 * value, 2)
        return found


def prefix_of(line: list[str]) -> str | None:
    """Return what --prefix of a training says."""
    return line[line.index("--prefix") + 1] if "--prefix" in line else None


def measure(path: Path, seed: int) -> Measured:
    """Run a small form; return its figures.  Raises CalledProcessError if a command fails."""
    lines = small_lines(load_recipe(path), seed)
    for prefix in filter(None, map(prefix_of, lines)):
        for old in (ROOT / prefix).parent.glob(f"{Path(prefix).name}-*"):
            old.unlink()
    began = time.monotonic()
    for program, *rest in lines:
        print("$ " + " ".join([program, *rest]), flush=True)
        subprocess.run(arguments_of_words([program, *rest]), cwd=ROOT, check=True)
    seconds = time.monotonic() - began
    prefix = prefix_of(lines[-1])
    if prefix is None:
        return Measured(seed, seconds, rank1=rank1(ROOT / lines[-1][4]))
    scores = ROOT / f"{prefix}-held-out.json"
    first = prefix_of(lines[0])
    models = [("last", prefix)] if first == prefix else [("last", prefix), ("first", first)]
    subprocess.run(
        arguments_of(
            f"arcface-verify --data-dir {DATA} --target {HELD_OUT} --json {scores} "
            + " ".join(f"--model {alias}={prefix},last" for alias, prefix in models)
        ),
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    scored = {one.facts["alias"]: one for one in read_scored_pairs(scores)}
    found, gain = figures(scored["last"]), None
    if "first" in scored:
        rng = np.random.default_rng(SEED)
        gain = difference(scored["last"], scored["first"], [], rng, REPLICATES).accuracy
    return Measured(seed, seconds, found.accuracy, found.tar, gain)


def arguments_of_words(words: list[str]) -> list[str]:
    """Return a command line with its program taken from this Python's environment."""
    program = "{python}" if words[0] == "python" else words[0]
    head = arguments_of(program)
    return [*head, *words[1:]]


def rank1(results: Path) -> float:
    """Return the rank-1 rate among the most distractors of a MegaFace's results."""
    found = [read_json(path, "result of MegaFace") for path in results.glob("results_*.json")]
    return float(max(found, key=lambda one: one["distractors"])["rank_rate"]["1"]["rate"])


def numbers(name: str) -> list[str]:
    """Return the numbers in a name."""
    return re.findall(r"\d+", name)


def write_measured(path: Path, found: list[Measured]) -> None:
    """Put the section of the figures at the end of the recipe, in place of the old one."""
    text = path.read_text(encoding="utf-8").split(f"\n{SECTION}")[0].rstrip("\n")
    facts = {name: value for one in found for name, value in one.facts().items()}
    lines = [f"{name} = {value}" for name, value in facts.items()]
    how = f"make recipes, on {os.cpu_count()} cores; percent, people 31-40"
    section = "\n".join([f"{SECTION} # written by `make recipes`", *lines, f'how = "{how}"'])
    with replace_file(path, "w", encoding="utf-8") as file:
        file.write(f"{text}\n\n{section}\n")


def rows() -> list[tuple[str, ...]]:
    """Return the rows of the table: what stands in the recipes."""
    found = []
    for path in sorted(RECIPES.glob("*.toml")):
        facts = load_recipe(path).small_measured
        seeds = sorted(int(numbers(name)[-1]) for name in facts if name.startswith("seconds_"))
        for seed in seeds:
            rates = [cell(facts, name, seed) for name in ("accuracy", "tar_at_far_1e-2")]
            found.append((f"[{path.stem}](../recipes/{path.name})", str(seed), *rates,
                          gain_cell(facts, seed), cell(facts, "rank1", seed),
                          str(facts[f"seconds_{seed}"])))  # fmt: skip
    return found


def cell(facts: dict[str, float], name: str, seed: int) -> str:
    """Return a figure and its interval, or nothing."""
    if f"{name}_{seed}" not in facts:
        return ""
    words = f"{facts[f'{name}_{seed}']:.2f}"
    if f"{name}_low_{seed}" in facts:
        words += f" [{facts[f'{name}_low_{seed}']:.1f}, {facts[f'{name}_high_{seed}']:.1f}]"
    return words


def gain_cell(facts: dict[str, float], seed: int) -> str:
    """Return the gain over the first stage with its interval, or nothing."""
    names = (f"gain{part}_{seed}" for part in ("", "_low", "_high"))
    values = [facts[name] / 100 for name in names if name in facts]
    return points(Estimate(*values)) if values else ""


def run_recipes(names: list[str], seeds: list[int]) -> int:
    """Run, write and print; return 0.  Raises ValueError for a recipe without a small form."""
    known = {path.stem: path for path in sorted(RECIPES.glob("*.toml")) if load_recipe(path).small}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"recipe {unknown[0]!r}: with a small form are {', '.join(known)}")
    code = run_stages([stage for stage in STAGES if stage.name in PREPARED])
    if code:
        return code
    began = time.monotonic()
    for name in names or known:
        path = known[name]
        differs = any("{seed}" in command for command in load_recipe(path).small)
        found = [measure(path, seed) for seed in (seeds if differs else seeds[:1])]
        write_measured(path, found)
    table = markdown(HEAD, rows())
    rewrite(PAGE, "small forms", table)
    print(f"\n{table}{time.monotonic() - began:.0f} seconds; faces: {CROPS}")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="names without .toml "
                        "(default: all that have a small form)")  # fmt: skip
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="comma separated "
                        "(%(default)s)")  # fmt: skip
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    return run(lambda: run_recipes(arguments.recipes, seeds))


if __name__ == "__main__":
    sys.exit(main())
