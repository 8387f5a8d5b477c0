"""What the quickstart's trainings gain, over several seeds: people and seeds are both drawn again.

    python recipes/seeds.py                  # ways to teach and of triplets, by people 25-30
    python recipes/seeds.py --report         # what was taken, once, on people 31-40
    python recipes/seeds.py --seeds 727,1,2,3,4

Every run is on people 1-24 with the quickstart's own options, which has seed 727.  A gain is the
mean over the seeds of the paired difference; its 95 % interval draws people, with all their pairs,
and seeds, a run of each side at a time.  What is finished is not made again.  Rewrites the tables
of docs/quickstart.md, and with --report the README's, and draws the curves of the triplets.
make quickstart comes first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from arcface_mxnet.cli import run
from arcface_mxnet.eval.comparison import Estimate
from arcface_mxnet.eval.evaluation import WeightedTar
from arcface_mxnet.eval.intervals import People, bootstraps
from arcface_mxnet.eval.scored_pairs import ScoredPairs, read_scored_pairs
from choose import PAGE, QUESTIONS, is_finished
from marked import markdown, rewrite
import numpy as np
from quickstart import DATA, FACES, FINETUNE, ROOT, RUN, SCRATCH, SMALL, TAUGHT, arguments_of
from quickstart_figures import FAR, REPLICATES, SEED
from quickstart_page import points
from stages_picture import draw_stages

RUNS = "runs/seeds"
PICTURE = ROOT / "docs" / "pictures" / "triplets.png"
OWN_SEED = 727  # the default, with which the quickstart trains
SEEDS = (OWN_SEED, 1, 2)
LEFT_OUT, HELD_OUT = "people_25_30", "people_31_40"
PRETRAINED = "m1 pretrained"
SCRATCHED, TAKEN, FINETUNED = "y1 from scratch", QUESTIONS["taught"].title, "m1 fine-tuned"
WAYS = {TAKEN: TAUGHT, **dict(QUESTIONS["taught"].others)}
BATCH = "--per-batch-size 30 --rand-shift 6 --color 1 --frequent 10"
SOFTMAX = "y1 softmax: 60 steps"
TRIPLETS = f"{SMALL} --loss-type 12 {BATCH} --triplet-bag-size 240 --images-per-identity 10"
TAKEN_TRIPLETS = "then triplets: rate 0.05, 120 steps"
AFTER_SOFTMAX = {  # each begins with the softmax network of its seed
    "then triplets: rate 0.005, 30 steps": f"{TRIPLETS} --lr 0.005 --mom 0.0 --max-steps 30",
    "then triplets: rate 0.005, 120 steps": f"{TRIPLETS} --lr 0.005 --mom 0.0 --max-steps 120",
    TAKEN_TRIPLETS: f"{TRIPLETS} --lr 0.05 --mom 0.0 --max-steps 120",
    "then softmax again: rate 0.005, 120 steps":
        f"{SMALL} --loss-type 0 {BATCH} --ce-loss --lr 0.005 --max-steps 120",
}  # fmt: skip
OPTIONS = {
    SCRATCHED: SCRATCH,
    SOFTMAX: f"{SMALL} --loss-type 0 {BATCH} --ce-loss --lr 0.05 --lr-schedule cosine "
    "--max-steps 60",
    **WAYS,
    **AFTER_SOFTMAX,
    FINETUNED: FINETUNE,
}
OWN_RUNS = {SCRATCHED: "y1-scratch", TAKEN: "y1-taught", FINETUNED: "m1-far"}
CLAIMS = (  # first minus second, of which pairs, how these are called
    (TAKEN, SCRATCHED, HELD_OUT, "clean"),
    (FINETUNED, PRETRAINED, f"{HELD_OUT}_far", f"faces of {FACES}"),
    (FINETUNED, PRETRAINED, HELD_OUT, "clean"),
    (TAKEN_TRIPLETS, SOFTMAX, HELD_OUT, "clean"),
)
HEAD = ("network", "beside", "pairs", "accuracy, each seed", "beside it", "gain", "gain of TAR")


def label(name: str, seed: int) -> str:
    """Return the name of the files of a run; those of the pretrained m1 are the same of any."""
    words = "".join(letter if letter.isalnum() else "-" for letter in name)
    return words if name == PRETRAINED else f"{words}-{seed}"


def trained(name: str, seed: int) -> str:
    """Train with a seed, unless that is done; return the checkpoint."""
    if name == PRETRAINED:
        return "models/sface-m1,0"
    is_own = seed == OWN_SEED and name in OWN_RUNS
    prefix = f"{RUN}/{OWN_RUNS[name]}" if is_own else f"{RUNS}/{label(name, seed)}"
    if not is_finished(ROOT / prefix, OPTIONS[name]):
        if is_own:
            raise FileNotFoundError(f"{prefix}: not of these options: run `make quickstart` first")
        options = OPTIONS[name]
        if name in AFTER_SOFTMAX:
            options += f" --pretrained {trained(SOFTMAX, seed)}"
        call(
            f"arcface-train {options} --data-dir {DATA} --target {LEFT_OUT} "
            f"--prefix {prefix} --verbose 20 --ckpt 0 --seed {seed} --resume"
        )
    return f"{prefix},last"


def call(command: str) -> None:
    """Run a command line.  Raises CalledProcessError if it fails."""
    print(f"$ {command}", flush=True)
    subprocess.run(arguments_of(command), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def scored(name: str, seeds: list[int], target: str) -> list[ScoredPairs]:
    """Return the scores of each seed's network; those of the pretrained m1 as often."""
    found = []
    for seed in seeds:
        scores = ROOT / RUNS / f"{label(name, seed)}-{target}.json"
        model = trained(name, seed)
        prefix, number = model.split(",")
        made_of = (f"{DATA}/{target}.bin", f"{prefix}-{number.zfill(4)}.params")
        newest = max((ROOT / path).stat().st_mtime for path in made_of)
        done = scores.with_suffix(".scores.npz")
        if not done.is_file() or done.stat().st_mtime < newest:
            call(f"arcface-verify --data-dir {DATA} --target {target} --model {model} "
                 f"--json {scores}")  # fmt: skip
        found += read_scored_pairs(scores)
    return found


def gains(firsts: list[ScoredPairs], seconds: list[ScoredPairs]) -> tuple[Estimate, Estimate]:
    """Return the mean gain of accuracy and of TAR at FAR 1e-2, a run of each list at a time."""
    pairs = list(zip(firsts, seconds, strict=True))
    right = np.stack([one.is_right.astype(np.float64) - other.is_right for one, other in pairs])
    tars = [[WeightedTar(one.cosines, one.is_genuine, FAR) for one in both] for both in pairs]
    people = People(firsts[0].left, firsts[0].right)
    rng = np.random.default_rng(SEED)

    def statistics(weights: np.ndarray, runs: np.ndarray) -> list[float]:
        total = weights.sum()
        if not total:
            return [float("nan")] * 2
        tar = np.array([one(weights) - other(weights) for one, other in tars])
        return [float((right[runs] @ weights / total).mean()), float(tar[runs].mean())]

    every = np.arange(len(pairs))
    intervals = bootstraps(
        lambda drawn: statistics(people.weights(drawn), rng.choice(every, every.size)),
        people.count, np.random.default_rng(SEED), REPLICATES,
    )  # fmt: skip
    values = statistics(np.ones(right.shape[1]), every)
    accuracy, tar = (Estimate(v, *ends) for v, ends in zip(values, intervals, strict=True))
    return accuracy, tar


def row(first: str, second: str, target: str, words: str, seeds: list[int]) -> tuple[str, ...]:
    """Return the cells of a comparison."""
    firsts, seconds = scored(first, seeds, target), scored(second, seeds, target)
    accuracy, tar = gains(firsts, seconds)
    rates = [", ".join(f"{one.is_right.mean():.4f}" for one in of) for of in (firsts, seconds)]
    if second == PRETRAINED:
        rates[1] = rates[1].split(",")[0]
    return first, second, words, *rates, points(accuracy), points(tar)


def draw_triplets(seeds: list[int]) -> None:
    """Draw the curves of both stages, whose runs are there."""
    stages = ((SOFTMAX, "ce_loss", "cross entropy"), (TAKEN_TRIPLETS, "lossvalue", "triplet loss"))
    runs = [
        (name, metric, words, [ROOT / RUNS / label(name, seed) for seed in seeds])
        for name, metric, words in stages
    ]
    draw_stages(PICTURE, runs, LEFT_OUT, seeds)


def compare(seeds: list[int], *, is_report: bool) -> int:
    """Train and verify what is missing, print and write the table; return 0.

    Raises FileNotFoundError if the quickstart has not run.
    """
    if not (ROOT / DATA / f"{HELD_OUT}_far.bin").is_file():
        raise FileNotFoundError(f"{ROOT / DATA}: no pairs there: run `make quickstart` first")
    (ROOT / RUNS).mkdir(parents=True, exist_ok=True)
    besides = dict.fromkeys(WAYS, SCRATCHED) | dict.fromkeys(AFTER_SOFTMAX, SOFTMAX)
    chosen = [(way, beside, LEFT_OUT, "clean") for way, beside in besides.items()]
    table = markdown(HEAD, [row(*one, seeds) for one in (CLAIMS if is_report else chosen)])
    print(table, end="")
    if is_report:
        rewrite(ROOT / "README.md", "seeds", table)
        draw_triplets(seeds)
    else:
        rewrite(PAGE, "ways to teach", table)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="comma separated "
                        "(%(default)s)")  # fmt: skip
    parser.add_argument("--report", action="store_true", help="on people 31-40, what was taken")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    return run(lambda: compare(seeds, is_report=arguments.report))


if __name__ == "__main__":
    sys.exit(main())
