"""The main job from start to end on real faces: fetch, pack, train, verify, compare.

    make quickstart

Every stage is a command line that can be copied; it is printed before it runs.  A stage whose
command and results are there already is skipped unless one before it ran, so a second run shows
the table at once, and one that was interrupted goes on.  Results: the tables,
runs/quickstart/index.html, which says what they show and links all else, and
runs/quickstart/quickstart.png.

The faces are the 400 ORL photographs (40 people x 10, AT&T Laboratories Cambridge).  People
1-24 are trained on.  People 25-30 are left out: curves are theirs.  What stands in the commands
(rates, steps, augmentation, the far camera) was chosen by people 1-30, with recipes/choose.py and
recipes/folds.py.  People 31-40 are verified on once, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
import shlex
import subprocess
import sys
import time

ROOT = Path(__file__).resolve().parents[1]
RUN = "runs/quickstart"
DATA = "datasets/orl-24"
TARGET = "people_31_40"  # reported on, once
LEFT_OUT_TARGET = "people_25_30"  # chosen by
CROPS = "datasets/orl-aligned"
PACKED = "--image-size 112,112 --encoding .png"
# The far camera.  At 16 to 24 pixels the pretrained m1 is right about nearly all pairs of people
# 25-30, so there is little to learn; docs/quickstart.md tells what was tried.
FACES = "8 to 12 pixels"
FAR_AWAY = "--low-res 1 --low-res-size 8,12 --seed 727"
SMALL = "--network y1 --version-output GDC --emb-size 128"


def people(first: int, last: int) -> str:
    """Return the names of ORL's people, both ends included."""
    return ",".join(f"s{number}" for number in range(first, last + 1))


TRAINED, LEFT_OUT, HELD_OUT = people(1, 24), people(25, 30), people(31, 40)


@dataclass(frozen=True)
class Stage:
    """One command line and the file that shows it is done; without one it runs each time."""

    name: str
    title: str
    command: str
    result: str


# What is trained, without where: recipes/choose.py tries these and others.
SCRATCH = (
    f"{SMALL} --loss-type 4 --margin-s 16 --margin-m 0.2 --per-batch-size 30 --rand-shift 6 "
    "--color 1 --lr 0.1 --lr-schedule cosine --max-steps 200 --frequent 10 --ce-loss"
)
TAUGHT = (
    f"{SMALL} --loss-type 4 --margin-s 16 --margin-m 0.2 --teacher models/sface-m1,0 "
    "--teacher-weight 16 --per-batch-size 30 --rand-shift 6 --color 1 --lr 0.1 "
    "--lr-schedule cosine --max-steps 100 --frequent 10 --ce-loss"
)


def fine_tuning(coarse: str, rate: float = 0.01, steps: int = 40) -> str:
    """Return the options that fine-tune m1 with itself as teacher.  coarse: those of the crops."""
    return (
        "--network m1 --emb-size 128 --pretrained models/sface-m1,0 --teacher models/sface-m1,0 "
        f"--loss-type none --freeze-bn 1 --apply-mult 1 {coarse} --per-batch-size 16 --lr {rate} "
        f"--lr-warmup 5 --lr-schedule cosine --max-steps {steps} --frequent 10"
    )


FINETUNE = fine_tuning("--low-res 0.3 --low-res-size 8,14")


def training(options: str, name: str, targets: str, every: int) -> str:
    """Return the command that trains on people 1-24 and follows the figure of those left out."""
    return (
        f"arcface-train {options} --data-dir {DATA} --target {targets} --prefix {RUN}/{name} "
        f"--verbose {every} --ckpt 0 --resume"
    )


def pair_set(title: str, name: str, whose: str) -> tuple[Stage, Stage]:
    """Return the stages that build the pairs of some people, clean and as from far away."""
    clean, far = f"{DATA}/{name}.bin", f"{DATA}/{name}_far.bin"
    return (
        Stage(
            name,
            title,
            f"arcface-pack-pairs folder --data-dir {CROPS} --identities {whose} {PACKED} "
            f"--seed 727 --output {clean}",
            clean,
        ),
        Stage(
            f"{name}_far",
            f"... and as a camera far away would have them, faces of {FACES}",
            f"arcface-degrade {clean} {far} {FAR_AWAY}",
            far,
        ),
    )


STAGES = (
    Stage(
        "fetch",
        "Fetch the ORL faces, the pretrained m1 (SFace) and the MTCNN detector",
        "arcface-fetch fetch orl sface mtcnn",
        "models/sface-m1-0000.params",
    ),
    Stage(
        "align",
        "Detect and align the faces: crops of 112x112",
        f"arcface-align datasets/orl {CROPS} --fallback box",
        f"{CROPS}/train.lst",
    ),
    Stage(
        "pack",
        "Pack people 1-24 into records",
        f"arcface-face2rec {DATA} --folder {CROPS} --identities {TRAINED} {PACKED}",
        f"{DATA}/train.rec",
    ),
    *pair_set("Build the pairs of people 25-30, who are left out of training", LEFT_OUT_TARGET,
              LEFT_OUT),
    *pair_set("Build the pairs of people 31-40, for the end: all 450 genuine pairs, as many "
              "impostors", TARGET, HELD_OUT),
    Stage(
        "sheet",
        "Look at what the far camera makes of crops",
        f"arcface-degrade {DATA}/{LEFT_OUT_TARGET}.bin {RUN}/far.png --sheet 4 --rows 3 {FAR_AWAY}",
        f"{RUN}/far.png",
    ),
    Stage(
        "scratch",
        "Train MobileFaceNet (y1) with ArcFace from scratch",
        training(SCRATCH, "y1-scratch", LEFT_OUT_TARGET, 20),
        f"{RUN}/y1-scratch-last.params",
    ),
    Stage(
        "taught",
        "Train the same y1, taught the embeddings of the pretrained m1 besides, in half the steps",
        training(TAUGHT, "y1-taught", LEFT_OUT_TARGET, 20),
        f"{RUN}/y1-taught-last.params",
    ),
    Stage(
        "finetune",
        "Fine-tune the pretrained m1 for the far camera: coarse crops shall embed as fine ones",
        training(FINETUNE, "m1-far", f"{LEFT_OUT_TARGET},{LEFT_OUT_TARGET}_far", 10),
        f"{RUN}/m1-far-last.params",
    ),
    Stage(
        "verify",
        "Verify all four on the held-out people, once: the published 10-fold protocol",
        f"arcface-verify --data-dir {DATA} --target {TARGET},{TARGET}_far "
        f"--model m1=models/sface-m1,0 --model m1-far={RUN}/m1-far,last "
        f"--model y1-scratch={RUN}/y1-scratch,last --model y1-taught={RUN}/y1-taught,last "
        f"--json {RUN}/held_out.json --report {RUN}/report.html",
        f"{RUN}/report.html",
    ),
    Stage(
        "deploy",
        "From two photographs to a verdict: detect, align, embed, compare",
        "{python} deploy/test.py --det 1 datasets/orl/s31/1.pgm datasets/orl/s31/3.pgm",
        "",
    ),
    Stage(
        "export",
        "Export the fine-tuned m1 to ONNX, and compare it with MXNet",
        f"arcface-onnx --model {RUN}/m1-far,last --output {RUN}/m1-far.onnx",
        f"{RUN}/m1-far.onnx",
    ),
    Stage(
        "megaface-lists",
        "A small MegaFace: people 31-40 are looked for among the other 30. List them",
        "{python} -m arcface_mxnet.megaface.folder_lists "
        f"{CROPS} {RUN}/megaface/lists --name orl --probes {HELD_OUT}",
        f"{RUN}/megaface/lists/orl_features_list.json",
    ),
    Stage(
        "megaface-embed",
        "... embed them with the pretrained m1",
        "arcface-gen-megaface --model models/sface-m1,0 --algo m1 --batch_size 32 "
        f"--output {RUN}/megaface/features "
        f"--facescrub-lst {RUN}/megaface/lists/facescrub_lst --facescrub-root {CROPS} "
        f"--megaface-lst {RUN}/megaface/lists/megaface_lst --megaface-root {CROPS}",
        f"{RUN}/megaface/features/megaface_m1.json",
    ),
    Stage(
        "megaface",
        "... rank every mate among 10, 100 and 300 distractors",
        f"arcface-megaface {RUN}/megaface/features/megaface {RUN}/megaface/features/facescrub "
        f"_m1.bin {RUN}/megaface/results -p {RUN}/megaface/lists/orl_features_list.json "
        f"-dlp {RUN}/megaface/lists -s 10 100 300 "
        f"--probe-images {CROPS} --distractor-images {CROPS}",
        f"{RUN}/megaface/results/report_m1.html",
    ),
    Stage(
        "compare",
        "Compare, with intervals over people, and draw",
        f"{{python}} recipes/quickstart_report.py --data-dir {DATA} --run {RUN}",
        "",
    ),
)  # fmt: skip


def arguments_of(command: str) -> list[str]:
    """Return a command line as a list, its program taken from this Python's environment."""
    program, *rest = shlex.split(command.format(python=sys.executable))
    beside = Path(sys.executable).parent / program
    return [str(beside) if beside.exists() else program, *rest]


def is_done(stage: Stage) -> bool:
    """Return whether this very command has left its result."""
    stamp = ROOT / RUN / "stages" / stage.name
    return bool(
        stage.result
        and (ROOT / stage.result).is_file()
        and stamp.is_file()
        and stamp.read_text(encoding="utf-8") == stage.command
    )


def forget_other_run(stage: Stage) -> None:
    """Remove what an older version of this training command left, which it could not resume."""
    stamp = ROOT / RUN / "stages" / stage.name
    if not stage.result.endswith("-last.params") or not stamp.is_file():
        return
    prefix = ROOT / stage.result.removesuffix("last.params")
    for path in prefix.parent.glob(f"{prefix.name}*"):
        path.unlink()
    stamp.unlink()


def main() -> int:
    """Run all stages; return 0, or the exit code of the stage that failed."""
    began = time.monotonic()
    code = run_stages(STAGES)
    if not code:
        print(f"\n{time.monotonic() - began:.0f} seconds; summary: {RUN}/index.html")
    return code


def run_stages(stages: Sequence[Stage]) -> int:
    """Run the stages that are not done; return 0, or the exit code of the one that failed."""
    ran = False
    for number, stage in enumerate(stages, start=1):
        print(f"\n[{number}/{len(stages)}] {stage.title}", flush=True)
        if is_done(stage) and not ran:
            print("      done before: " + stage.result)
            continue
        ran |= bool(stage.result)
        forget_other_run(stage)
        print("      $ " + stage.command.format(python="python"), flush=True)
        done = subprocess.run(arguments_of(stage.command), cwd=ROOT, check=False)
        if done.returncode:
            print(f"stage {stage.name!r} ended with exit code {done.returncode}", file=sys.stderr)
            return done.returncode
        stamp = ROOT / RUN / "stages" / stage.name
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(stage.command, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
