"""What is made: the command lines, in an order that they can run in.

All run in the folder that is being made, on relative paths, so that nothing written depends on
where it lies.  Programs are named as users name them; making.py finds them in the checkout.
"""

from __future__ import annotations

from dataclasses import dataclass
import shlex

MODELS = "models/mtcnn"  # below the folder; there only if the networks were fetched


@dataclass(frozen=True)
class Step:
    """One command line.

    program: a console script, a script "deploy/NAME.py", "surface GROUP", or "module NAME": the
    only module of that name in the package, for commands that are no console script.
    after: names of the steps whose files it reads.  folder: where it runs.  code: the exit code
    that is right.  stdout: the file for what it prints.  needs_models: see MODELS.
    """

    name: str
    program: str
    arguments: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    folder: str = "."
    code: int = 0
    stdout: str = ""
    needs_models: bool = False


STEPS: list[Step] = []


def step(name: str, command: str, *after: str, **more: object) -> None:
    """Enter a step.  command: as in a shell, the program first (two words for some)."""
    words = shlex.split(command)
    count = 2 if words[0] in ("surface", "module") else 1
    facts = {"stdout": f"stdout/{name}.txt"} | more
    STEPS.append(Step(name, " ".join(words[:count]), tuple(words[count:]), after, **facts))


def pack() -> None:
    """Records out of a folder and out of lists, and the tool that looks into them."""
    trained = "ann,bob,cyd,dee,eve,fay,gus,hal"
    held = "ida,jim,kim,lee,mia,ned"
    size = "--image-size 32,32"
    step("face2rec-folder", "arcface-face2rec data/people --folder given/people --identities "
         f"{trained} {size} --num-thread 2")  # fmt: skip
    step("face2rec-pad", f"arcface-face2rec data/padded --folder given/photos {size} --fit pad "
         "--quality 90")  # fmt: skip
    step("face2rec-png", "arcface-face2rec data/png --folder given/photos --image-size 24,40 "
         "--fit pad --encoding .png --quality 3")  # fmt: skip
    step("face2rec-list", "arcface-face2rec given/list112 --root given/list --relabel --skip-bad "
         "--image-size 112,112")  # fmt: skip
    step("face2rec-grey", "arcface-face2rec given/list96 --root given/list --relabel --skip-bad "
         "--image-size 112,96 --color 0 --encoding .png")  # fmt: skip
    step("rec-info", "arcface-rec info data/people", "face2rec-folder")
    step("rec-check", "arcface-rec check data/padded", "face2rec-pad")
    step("rec-extract", "arcface-rec extract data/padded data/extracted", "face2rec-pad")
    step("rec-index", "arcface-rec index data/png/train.rec", "face2rec-png")

    pairs = "arcface-pack-pairs"
    people = f"--data-dir given/people {size}"
    step("pack-lfw", f"{pairs} lfw {people} --output packs/lfw.bin")
    step("pack-list", f"{pairs} list {people} --pairs given/people/flagged.txt --output "
         "packs/list.bin")  # fmt: skip
    step("degrade", "arcface-degrade packs/list.bin packs/degraded.bin --low-res 1 --blur 0.5",
         "pack-list")  # fmt: skip
    step("pack-calfw", f"{pairs} calfw {people} --output packs/calfw.bin")
    step("pack-cplfw", f"{pairs} cplfw {people} --pairs given/people/pairs_CALFW.txt --fit resize "
         "--image-size 30,28 --encoding .png --output packs/cplfw.bin")  # fmt: skip
    step("pack-cfp-ff", f"{pairs} cfp_ff --data-dir given/CFP {size} --output packs/cfp_ff.bin")
    step("pack-cfp-fp", f"{pairs} cfp_fp --data-dir given/CFP --pairs given/CFP/Protocol {size} "
         "--output packs/cfp_fp.bin")  # fmt: skip
    step("pack-agedb", f"{pairs} agedb_30 --data-dir given/AgeDB {size} --output "
         "packs/agedb_30.bin")  # fmt: skip
    step("pack-folds", f"{pairs} folder {people} --identities {held} --disjoint-folds 3 --seed 5 "
         "--output packs/folds.bin")  # fmt: skip
    step("pack-padded", f"{pairs} folder --data-dir given/photos --image-size 36,36 --fit pad "
         "--num-genuine 12 --num-impostor 20 --output packs/padded.bin")  # fmt: skip
    step("pack-held", f"{pairs} folder {people} --identities {held} --num-genuine 30 --output "
         "data/people/held.bin", "face2rec-folder")  # fmt: skip


def train() -> None:
    """Runs of a few steps on a small network."""
    data = ("face2rec-folder", "pack-held")
    common = ("--data-dir data/people --target held --emb-size 16 --per-batch-size 8 "
              "--frequent 1 --verbose 2 --lr 0.02 --margin-s 16")  # fmt: skip
    small = f"--network m1 --version-multiplier 0.125 {common}"
    augmented = "--rand-shift 3 --cutoff 9 --color 2"

    def run(name: str, flags: str, *after: str, base: str = small, **more: object) -> None:
        step(f"train-{name}", f"arcface-train --prefix train/{name}/model {base} {flags}",
             *data, *after, **more)  # fmt: skip

    run("arcface", f"--max-steps 4 --ckpt 2 {augmented} --num-threads 3")
    halves = f"--margin-m 0.4 {augmented} --lr-steps 3 --grad-clip 2"
    run("straight", f"{halves} --max-steps 5 --ckpt 2 --lr-warmup 2")
    # The same in two parts, in one folder; the second goes on where the first ended.
    run("resumed", f"{halves} --max-steps 3 --ckpt 2 --lr-warmup 2 --verbose 3")
    step("train-resumed-2", f"arcface-train --prefix train/resumed/model {small} {halves} "
         "--max-steps 5 --ckpt 2 --lr-warmup 2 --verbose 3 --resume", "train-resumed")  # fmt: skip
    run("accumulated", "--loss-type 2 --margin-m 0.2 --accumulate 2 --apply-mult 1 --max-steps 3 "
        "--ckpt 2 --color 1")  # fmt: skip
    run("softmax", "--loss-type 0 --max-steps 3 --cutoff 12 --wd 0.01 --end-epoch 1 --ckpt 3",
        base=small.replace("--margin-s 16", "--ce-loss"))  # fmt: skip
    run("triplet", "--loss-type 12 --pretrained train/arcface/model,2 --triplet-bag-size 24 "
        "--triplet-max-ap 3 --mom 0 --max-steps 3 --ckpt 2", "train-arcface",
        base=small.replace("--margin-s 16", "--per-batch-size 6"))  # fmt: skip
    run("imprinted", "--loss-type adaface --pretrained train/arcface/model,2 --fc7-init imprint "
        "--freeze-bn 1 --images-filter 3 --max-steps 3 --ckpt 1", "train-arcface")  # fmt: skip
    # Of this head the embedding is of any image size; statistics that follow at once let so few
    # steps make embeddings that are not all alike.
    run("y1", "--network y1 --version-output GAP --bn-mom 0.2 --max-steps 6 --ckpt 2 --loss-type "
        "combined --margin-a 0.9 --margin-b 0.1 --margin-m 0.3 --margin-warmup 5 --verbose 6",
        base=common)  # fmt: skip
    for group in ("losses", "devices", "batches", "resnet"):
        step(f"surface-{group}", f"surface {group}", *data)


def evaluate() -> None:
    """Checkpoints and what is exported of them, on pair sets and template benchmarks."""
    model, slim = "train/arcface/model", "export/slim"
    size = "--image-size 32,32"
    done = "train-arcface"
    step("slim", f"arcface-slim --model {model},2 --output {slim}", done)
    step("onnx", f"arcface-onnx --model {model},2 {size} --output export/folded.onnx", done)
    step("onnx-layers", f"arcface-onnx --model {model},2 {size} --no-fold --check given/people "
         "--output export/layers.onnx", done)  # fmt: skip
    step("onnx-y1", "arcface-onnx --model train/y1/model,1 --output export/y1.onnx",
         "train-y1")  # fmt: skip
    step("quantize", f"arcface-quantize --model export/folded.onnx {size} --calibration "
         "given/people --limit 12 --output export/int8.onnx --pack packs/lfw.bin",
         "onnx", "pack-lfw")  # fmt: skip
    packs = ("pack-lfw", "pack-folds", "pack-agedb")
    verify = "arcface-verify --data-dir packs --gpu -1"
    step("verify", f"{verify} --target lfw,folds --nfolds 3 --pca 4 --model '{model},1|2' "
         "--report eval/verify.html --json eval/verify.json", done, *packs)  # fmt: skip
    step("verify-onnx", f"{verify} --target lfw,agedb_30 --nfolds 2 --flip-mode concat "
         "--model export/folded.onnx --batch-size 7 --report eval/onnx.html --json "
         "eval/onnx.json", "onnx", *packs)  # fmt: skip
    step("compare", "arcface-compare eval/verify.json --far 0.1,0.01 --replicates 200", "verify")
    step("verify-slim", f"{verify} --target folds --nfolds 3 --engine onnxruntime --model {slim},0 "
         "--json eval/slim.json", "slim", *packs)  # fmt: skip
    step("verify-wrong", "arcface-verify --data-dir ../../packs --gpu -1 --target lfw --nfolds 4 "
         f"--mode 1 --model ../../{model},2", done, *packs, folder="eval/wrong")  # fmt: skip
    step("verify-dump", "arcface-verify --data-dir ../../packs --gpu -1 --target lfw --nfolds 4 "
         f"--mode 2 --model ../../{model},2", done, *packs, folder="eval/dump")  # fmt: skip
    ijb = ("arcface-ijb --data-dir given/IJBC --target IJBC --model train/y1/model,1 --gpu -1 "
           "--features eval/ijb.npy")  # fmt: skip
    step("ijb", f"{ijb} --batch-size 16", "train-y1")
    step("ijb-switches", f"{ijb} --all-switches", "ijb")
    ytf = "arcface-ytf --data-dir given/YTF --model train/y1/model,1 --gpu -1 --nfolds 5"
    for distance in ("mean-feature", "least"):
        step(f"ytf-{distance}", f"{ytf} --distance {distance} --features "
             f"eval/ytf-{distance}.npy", "train-y1")  # fmt: skip
    crops = "given/list/crops/1.jpg given/list/crops/3.jpg"
    step("embed", f"deploy/test.py --model train/y1/model,1 --engine mxnet {crops}", "train-y1")
    step("embed-npy", "deploy/test.py --model export/y1.onnx --flip 1 --output npy "
         f"{crops}", "onnx-y1", stdout="eval/embed.npy")  # fmt: skip
    step("vectors", f"arcface-embed data/people eval/vectors.npy --model {model},2 --gpu -1",
         done, "face2rec-folder")  # fmt: skip
    step("clean-plan", "arcface-clean plan data/people clean/work --model eval/vectors.npy",
         "vectors")  # fmt: skip
    step("clean-apply", "arcface-clean apply data/people clean/work clean/new", "clean-plan")
    step("import", "arcface-import export/layers.onnx --prefix import/layers", "onnx-layers")
    step("surface-embedder", "surface embedder", done)
    for group in ("records", "scores", "networks"):
        step(f"surface-{group}", f"surface {group}")


def megaface() -> None:
    """The three steps of MegaFace, on embedded images and on drawn features."""
    kit = "given/megaface"
    images = " ".join(f"--{name}-lst {kit}/{name}_lst --{name}-root {kit}/{name}_images"
                      for name in ("facescrub", "megaface"))  # fmt: skip
    generate = f"arcface-gen-megaface {images} --image_size 3,32,32 --gpu -1 --engine mxnet"
    step("gen-files", f"{generate} --model train/arcface/model,2 --algo a --output mega/features",
         "train-arcface")  # fmt: skip
    step("gen-store", f"{generate} --model 'train/arcface/model,2|train/straight/model,3' --algo b "
         "--store float16 --output mega/stores", "train-arcface", "train-straight")  # fmt: skip
    lists = " ".join(f"--{name}-lst {kit}/{name}_lst --{name}-noises {kit}/{name}_noises.txt"
                     for name in ("facescrub", "megaface"))  # fmt: skip
    clean = f"arcface-remove-noises {lists}"
    for rule in ("published", "drop", "zero"):
        step(f"clean-{rule}", f"{clean} --algo a --rule {rule} --feature-dir-input mega/features "
             f"--feature-dir-out mega/{rule}", "gen-files")  # fmt: skip
    step("clean-store", f"{clean} --algo b --store --feature-dir-input mega/stores "
         "--feature-dir-out mega/clean-stores", "gen-store")  # fmt: skip
    probes = (f"-p {kit}/templatelists/facescrub_features_list.json -dlp {kit}/templatelists "
              "-s 10 30")  # fmt: skip
    for rule, more in (("published", ""), ("drop", "--allow-missing")):
        step(f"megaface-{rule}", f"arcface-megaface mega/{rule}/megaface mega/{rule}/facescrub "
             f"_a.bin mega/results-{rule} {probes} {more} --probe-images {kit}/facescrub_images "
             f"--distractor-images {kit}/megaface_images", f"clean-{rule}")  # fmt: skip
    drawn = "--people 12 --images 150 --distractors 2000 --dim 24 --separation 0.5 --noise 0.02"
    step("synthetic", f"module synthetic mega/synthetic {drawn}")
    step("synthetic-store", f"module synthetic mega/synthetic-store {drawn} --seed 3 --store "
         "float32")  # fmt: skip
    made = "mega/synthetic"
    step("megaface-synthetic", f"arcface-megaface {made}/megaface {made}/facescrub _synthetic.bin "
         f"mega/results-synthetic -p {made}/templatelists/facescrub_features_list.json "
         f"-dlp {made}/templatelists -s 10 1000 2000 --block 300 --threads 2",
         "synthetic")  # fmt: skip
    step("convert-import", f"module convert import {made}/megaface _synthetic.bin "
         "mega/imported.npy", "synthetic")  # fmt: skip
    step("convert-export", "module convert export mega/stores/facescrub_b.npy mega/exported",
         "gen-store")  # fmt: skip


def align() -> None:
    """Photos to crops, where the detector's networks are there."""
    faces = "given/faces"
    more = {"needs_models": True}
    step("align", f"arcface-align {faces}/one align/one --detector {MODELS}", **more)
    step("align-box", f"arcface-align {faces}/two align/two --detector {MODELS} --fallback box "
         "--image-size 112,96 --encoding .jpg --threads 1", **more)  # fmt: skip
    step(
        "check-crops", f"arcface-check-crops align/one --detector {MODELS}", "align", code=1, **more
    )  # fmt: skip  (the face leans back: taken for one that was stretched)
    step("pack-aligned", f"arcface-pack-pairs list --data-dir {faces} --align mtcnn --detector "
         f"{MODELS} --output packs/aligned.bin", **more)  # fmt: skip
    step("align-megaface", f"module align megaface --input-dir {faces}/kit --output-dir "
         f"align/megaface --model-dir {MODELS} --gpu -1", **more)  # fmt: skip
    step("embed-photos", "deploy/test.py --model train/y1/model,1 --engine mxnet --detector "
         f"{MODELS} {faces}/one/0.jpg {faces}/one/2.jpg", "train-y1", **more)  # fmt: skip
    step("surface-detector", "surface detector", "train-y1", **more)


for enter in (pack, train, evaluate, megaface, align):
    enter()
