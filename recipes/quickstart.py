"""The main job from start to end on real faces: fetch, pack, train, verify, compare.

    make quickstart

Every stage is a command line that can be copied; it is printed before it runs.  A stage whose
command and results are there already is skipped unless one before it ran, so a second run shows
the table at once, and one that was interrupted goes on.  Results: the table, and
runs/quickstart/quickstart.png.

The faces are the 400 ORL photographs (40 people x 10, AT&T Laboratories Cambridge).  People
1-30 are trained on; the pair set of people 31-40 is only ever verified on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import shlex
import subprocess
import sys
import time

ROOT = Path(__file__).resolve().parents[1]
RUN = "runs/quickstart"
DATA = "datasets/orl-30"
TARGET = "people_31_40"
TRAINED = ",".join(f"s{number}" for number in range(1, 31))
HELD_OUT = ",".join(f"s{number}" for number in range(31, 41))
CROPS = "datasets/orl-aligned"
PACKED = "--image-size 112,112 --encoding .png"


@dataclass(frozen=True)
class Stage:
    """One command line and the file that shows it is done; without one it runs each time."""

    name: str
    title: str
    command: str
    result: str


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
        "Pack people 1-30 into records",
        f"arcface-face2rec {DATA} --folder {CROPS} --identities {TRAINED} {PACKED}",
        f"{DATA}/train.rec",
    ),
    Stage(
        "pairs",
        "Build the pair set of people 31-40: all 450 genuine pairs, as many impostors",
        f"arcface-pack-pairs folder --data-dir {CROPS} --identities {HELD_OUT} {PACKED} "
        f"--seed 727 --output {DATA}/{TARGET}.bin",
        f"{DATA}/{TARGET}.bin",
    ),
    Stage(
        "scratch",
        "Train MobileFaceNet (y1) with ArcFace from scratch",
        "arcface-train --network y1 --version-output GDC --emb-size 128 --loss-type 4 "
        f"--margin-s 16 --margin-m 0.2 --data-dir {DATA} --target {TARGET} "
        f"--prefix {RUN}/y1 --per-batch-size 30 --rand-shift 6 --color 1 --cutoff 56 "
        "--lr 0.1 --wd 0.002 --lr-steps 200,260 --max-steps 300 --verbose 100 --frequent 10 "
        "--ce-loss --ckpt 3 --resume",
        f"{RUN}/y1-last.params",
    ),
    Stage(
        "finetune",
        "Fine-tune the pretrained m1 on the same 30 people",
        "arcface-train --network m1 --emb-size 128 --pretrained models/sface-m1,0 --loss-type 4 "
        f"--data-dir {DATA} --target {TARGET} --prefix {RUN}/m1 --fc7-init imprint --freeze-bn 1 "
        "--apply-mult 1 --per-batch-size 15 --rand-shift 8 --color 1 --cutoff 40 --lr 0.0002 "
        "--max-steps 20 --verbose 20 --frequent 2 --ce-loss --ckpt 3 --resume",
        f"{RUN}/m1-last.params",
    ),
    Stage(
        "verify",
        "Verify: the published 10-fold protocol on the held-out people",
        f"arcface-verify --data-dir {DATA} --target {TARGET} --model {RUN}/y1,last "
        f"--report {RUN}/report.html",
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
        f"arcface-onnx --model {RUN}/m1,last --output {RUN}/m1.onnx",
        f"{RUN}/m1.onnx",
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
        "Compare with raw pixels, the untrained network and the pretrained m1; draw",
        f"{{python}} recipes/quickstart_report.py --data-dir {DATA} --target {TARGET} --run {RUN}",
        "",
    ),
)


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
    began, ran = time.monotonic(), False
    for number, stage in enumerate(STAGES, start=1):
        print(f"\n[{number}/{len(STAGES)}] {stage.title}", flush=True)
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
    print(f"\n{time.monotonic() - began:.0f} seconds; picture: {RUN}/quickstart.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
