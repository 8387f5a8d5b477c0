"""TrainConfig: every option of training, in groups; all defaults and ranges live here alone.

Losses, optimizers and schedules are handed the fields of their group that they declare, batch
plans read those of theirs.  Flags, names and defaults are those of the published
train_softmax.py in its widest form, where it had them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from .flags import Options, add_flags, flag_of, ignored_options, option
from .given import MOST_IMAGES, MOST_THREADS

__all__ = ["TrainConfig", "add_arguments", "flag_of", "from_namespace", "ignored_options"]

# Published flags that belong to things this version does not have: given, they are refused
# with the reason.  The value says why.
UNAVAILABLE = {
    "--retrain": "was never used by the published script; use --pretrained or --resume",
    "--use-deformable": "was never used by the published script",
    "--patch": "was never used by the published script",
    "--noise-sgd": "crashed in the published script and is not built",
    "--c2c-threshold": "needs close-to-centre files, which are not built",
    "--c2c-mode": "needs close-to-centre files, which are not built",
    "--output-c2c": "needs close-to-centre files, which are not built",
    "--scale": "had no effect in the published script, where --gamma and --power set beta",
    "--train-limit": "is not built; pack fewer images with face2rec2.py instead",
}


def _size_fault(size: tuple[int, ...]) -> str | None:
    if size and (len(size) != 2 or min(size) < 1):
        return "give HEIGHT,WIDTH, such as 112,112"
    return None


def _twice_fault(names: tuple[str, ...]) -> str | None:
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    return f"names {twice[0]} twice" if twice else None


def _steps_fault(steps: tuple[int, ...]) -> str | None:
    if list(steps) != sorted(set(steps)) or min(steps, default=1) < 1:
        return "must ascend from 1 on"
    return None


def _within(least: float, most: float) -> Callable[[tuple], str | None]:
    """Return the check of a range LOW,HIGH, or of one number for both."""

    def fault(given: tuple) -> str | None:
        is_range = len(given) in (1, 2) and least <= given[0] <= given[-1] <= most
        if is_range:
            return None
        return f"give LOW,HIGH, or one number for both, from {least} to {most}, LOW the lower"

    return fault


def _share(help: str) -> Any:
    return option(0.0, f"share 0..1 of images {help} (0: off)", at_least=0, at_most=1)


@dataclass(frozen=True)
class DataConfig(Options):
    """What is read."""

    section = "data"

    data_dir: str = option("", "dataset folder with train.rec, train.idx, property and packs")
    target: tuple[str, ...] = option(
        ("lfw", "cfp_fp", "agedb_30"),
        "pair sets to verify on, comma separated; TARGET.bin in --data-dir, absent ones are named",
        check=_twice_fault,
    )
    image_size: tuple[int, ...] = option(
        (),
        "crop size HEIGHT,WIDTH in pixels; overrides property (empty: as property says)",
        check=_size_fault,
    )
    images_filter: int = option(0, "leave out identities with fewer images than this", at_least=0)
    max_bad: int = option(
        -1,
        "records that may fail to decode, others taking their place, before the run ends (-1: a "
        "thousandth of the images and at least 1; 0: the first one ends it)",
        at_least=-1,
    )


@dataclass(frozen=True)
class ModelConfig(Options):
    """Which network and loss, and from what they start."""

    section = "what is trained"

    network: str = option(
        "r50",
        "network name, as `python -m arcface_mxnet.networks` lists them, or the symbol of one, "
        "PREFIX-symbol.json, as arcface-import writes it",
    )
    loss_type: str = option(
        "4", "loss by published number or by name; none, without labels, with --teacher"
    )
    pretrained: str = option("", "start from the parameters of checkpoint PREFIX,NUMBER")
    new_head: int = option(
        0,
        "1: of --pretrained take all but the head, which is drawn: for another --version-output "
        "or --emb-size; 0: the networks must be the same",
        choices=(0, 1),
    )
    freeze_bn: int = option(
        0,
        "1: batch normalisation keeps the statistics of --pretrained, as fine-tuning on few "
        "images wants; 0: it learns them from the batches, as published",
        choices=(0, 1),
    )
    fc7_init: str = option(
        "random",
        "how the classifier starts: drawn at random, as published, or imprint: the mean "
        "embedding of each identity by --pretrained, as fine-tuning on few images wants (where "
        "identities came or went by name: of the new ones)",
        choices=("random", "imprint"),
    )


@dataclass(frozen=True)
class NetworkConfig(Options):
    """Options handed to networks."""

    section = "network"

    emb_size: int = option(512, "embedding size D", at_least=1, at_most=65536)
    version_se: int = option(0, "squeeze-excitation in every unit", choices=(0, 1))
    version_input: int = option(1, "stem: 1 keeps 112x112 (the L in LResNet), 0, 2 as published")
    version_output: str = option("E", "head after the last convolution")
    version_unit: str = option("3", "residual unit; 3 is the improved one (IR)")
    version_act: str = option("prelu", "activation: prelu, relu or another of MXNet's Activation")
    version_multiplier: float = option(1.0, "width multiplier of MobileNet", at_most=16)
    bn_mom: float = option(0.9, "momentum of batch normalisation statistics", at_least=0, below=1)


@dataclass(frozen=True)
class LossConfig(Options):
    """Options handed to the losses that declare a field of the same name."""

    section = "loss"

    margin_s: float = option(64.0, "scale s of the logits")
    margin_m: float = option(
        0.5, "margin m: radians for ArcFace, cosine units for CosFace, a factor for loss 3"
    )
    margin_a: float = option(1.0, "factor a on the angle of the combined margin")
    margin_b: float = option(
        0.0, "cosine margin b of the combined margin; weight of the second loss in 6 and 7"
    )
    easy_margin: int = option(
        0, "1: margin only where the angle is below 90 degrees", choices=(0, 1)
    )
    margin_warmup: int = option(0, "steps over which the margin grows from 0 to its value (0: off)")
    margin: int = option(
        4, "factor on the angle of SphereFace, lsoftmax, fnorm-sphereface", at_most=64
    )
    beta: float = option(1000.0, "SphereFace: weight of the plain cosine at the start")
    beta_min: float = option(5.0, "SphereFace: the smallest that beta becomes")
    beta_freeze: int = option(
        0, "SphereFace: steps before beta falls; the learning rate's milestones count from there"
    )
    gamma: float = option(0.12, "SphereFace: beta falls as (1 + gamma * steps) ^ -power")
    power: float = option(1.0, "SphereFace: see --gamma")
    incay: float = option(0.0, "losses 0, 1, 8: weight of a loss asking for long embeddings")
    center_alpha: float = option(0.5, "center loss: share by which a centre follows its images")
    center_scale: float = option(0.003, "center loss: weight")
    subcenters: int = option(3, "subcenter-arcface: centres per identity", at_most=1024)
    adaface_h: float = option(0.333, "adaface: share of length deviations that is margin")
    running_decay: float = option(
        0.99, "adaface, curricularface: the old value's share in running statistics"
    )
    mag_min_length: float = option(10.0, "magface: embedding length of the smallest margin")
    mag_max_length: float = option(110.0, "magface: embedding length of the largest margin")
    mag_min_margin: float = option(0.45, "magface: smallest margin, radians")
    mag_max_margin: float = option(0.8, "magface: largest margin, radians")
    mag_weight: float = option(35.0, "magface: weight of its loss on the length")
    ce_loss: bool = option(False, "report the cross entropy too")
    margin_verbose: int = option(
        0,
        "log the mean target angle before and after the margin every so many steps (0: off)",
        at_least=0,
    )
    logits_verbose: int = option(
        0,
        "log the target probability's lowest and highest tenth every so many steps (0: off)",
        at_least=0,
    )
    fc7_wd_mult: float = option(
        1.0, "weight decay multiplier of the classifier, with --apply-mult 1", at_least=0
    )
    fc7_lr_mult: float = option(
        1.0, "learning rate multiplier of the classifier, with --apply-mult 1", at_least=0
    )
    fc7_no_bias: bool = option(False, "no bias in the softmax classifier of losses 0 and 8")
    triplet_alpha: float = option(
        0.3, "margin alpha between squared distances, 0..4", at_least=0, at_most=4
    )


@dataclass(frozen=True)
class ClassifierConfig(Options):
    """Where the rows of the classifier are."""

    section = "classifier of many identities (--engine torch)"

    classifier: str = option(
        "dense",
        "dense: every process has all of it, as published; sharded: each has the rows of a slice "
        "of the identities, with the same results; partial: of its slice each step computes a "
        "sample.  docs/scale.md lists the losses that can be shared out",
        choices=("dense", "sharded", "partial"),
    )
    sample_rate: float = option(
        0.1,
        "partial: share of the identities that a step has; the batch's own are always among them",
        above=0,
        at_most=1,
    )
    classifier_memory: str = option(
        "device",
        "partial: where the rows lie with their optimizer's states, on the device or in the host's "
        "memory, of which the sampled ones are moved",
        choices=("device", "host"),
    )
    classifier_save: str = option(
        "shards",
        "numbered checkpoints of a classifier that is shared out: shards, files of ranges beside "
        "it, or published, all of fc7_weight in it",
        choices=("shards", "published"),
    )


@dataclass(frozen=True)
class TeacherConfig(Options):
    """A network, or its vectors, that the trained one learns from; only with --teacher."""

    section = "teacher (docs/distillation.md)"

    teacher: str = option(
        "",
        "learn the embeddings of checkpoint PREFIX,NUMBER, of an ONNX file, or ready vectors FILE "
        "of the dataset's images, beside --loss-type or, with none, alone",
    )
    teacher_loss: str = option(
        "cosine",
        "distance to the teacher's vectors, both at length 1: cosine, 1 - cosine; squared, the "
        "squared distance, which is twice that",
        choices=("cosine", "squared"),
    )
    teacher_weight: float = option(
        1.0, "weight of the mean distance to the teacher's vectors", above=0
    )
    teacher_dtype: str = option(
        "float32",
        "type in which the vectors of a teacher that is a network are kept beside --prefix",
        choices=("float32", "float16"),
    )


@dataclass(frozen=True)
class UpdateConfig(Options):
    """How a step is made and how many there are."""

    section = "optimizer, schedule and length"

    optimizer: str = option("sgd", "what makes the updates: sgd, as published, or adamw")
    lr_schedule: str = option(
        "step",
        "how the learning rate falls: step, as published; cosine or poly: to 0 at the end that "
        "--max-steps or --end-epoch sets",
    )
    lr: float = option(0.1, "initial learning rate", at_least=0)
    lr_warmup: int = option(
        0, "steps over which the learning rate grows linearly to --lr (0: off)", at_least=0
    )
    wd: float = option(0.0005, "weight decay", at_least=0)
    apply_mult: int = option(
        0,
        "0: every parameter decays and learns alike, as published (its optimizer ignored all "
        "multipliers); 1: honour lr and wd multipliers, and biases and beta do not decay",
        choices=(0, 1),
    )
    grad_clip: float = option(
        0.0, "largest L2 norm of an update's gradients together (0: off)", at_least=0
    )
    per_batch_size: int = option(128, "images per device and step", at_least=1, at_most=MOST_IMAGES)
    accumulate: int = option(
        1,
        "batches whose gradients make one update; batch statistics stay those of one device's "
        "batch, so 4 x 128 is not quite 512",
        at_least=1,
        at_most=MOST_IMAGES,
    )
    end_epoch: int = option(100000, "stop after this many epochs", at_least=1)
    max_steps: int = option(0, "stop after this many steps (0: no limit)", at_least=0)


@dataclass(frozen=True)
class OptimizerConfig(Options):
    """Options that only some optimizers read."""

    section = "options of one optimizer"

    mom: float = option(0.9, "sgd: momentum", at_least=0, below=1)
    adam_beta1: float = option(
        0.9, "adamw: the old mean's share in that of the gradient", at_least=0, below=1
    )
    adam_beta2: float = option(
        0.999, "adamw: the old mean's share in that of its square", at_least=0, below=1
    )
    adam_epsilon: float = option(
        1e-8, "adamw: added to the root of the mean square gradient", above=0
    )


@dataclass(frozen=True)
class ScheduleConfig(Options):
    """Options that only some schedules read."""

    section = "options of one schedule"

    lr_steps: tuple[int, ...] = option(
        (),
        "steps at which the rate drops to a tenth, comma separated, used as given (empty: "
        "the published milestones of the loss, scaled by 512 / batch)",
        check=_steps_fault,
    )
    lr_power: float = option(
        2.0, "poly: the rate is --lr * (share of the steps left) ^ power", above=0
    )


@dataclass(frozen=True)
class SamplingConfig(Options):
    """Options that only some batch plans read."""

    section = "sampling of the losses 9 to 13"

    images_per_identity: int = option(
        0,
        "images of one identity drawn together by losses 9 to 13 (0: 16, loss 11 2, 12 and 13 5)",
        at_least=0,
    )
    triplet_bag_size: int = option(
        3600, "images embedded before triplets are mined from them", at_least=3
    )
    triplet_mining: str = option(
        "semi-hard",
        "which negative a pair gets among those nearer than d(anchor, positive) + alpha: any "
        "that is farther than the positive, the nearest, or any at random",
        choices=("semi-hard", "hardest", "random"),
    )
    triplet_max_ap: float = option(
        0.0,
        "leave out pairs of a larger squared distance than this, 0..4 (0: off)",
        at_least=0,
        at_most=4,
    )
    triplet_dtype: str = option(
        "auto",
        "what products are computed in while a bag is embedded for mining; auto: bfloat16 on a CPU "
        "that multiplies it, else float32.  Training itself is not concerned",
        choices=("auto", "float32", "bfloat16"),
    )


@dataclass(frozen=True)
class AugmentationConfig(Options):
    """Random changes of an image, made in the order of these fields: each is the value of the
    augmentation that is registered under its name, and 0 leaves it out.  A field that is `of`
    another is the range from which that one draws.
    """

    section = "augmentation"

    mask: float = _share("that get a mask over mouth and chin, where aligned crops have them")
    mask_top: tuple[float, ...] = option(
        (0.25, 0.6),
        "LOW,HIGH of its upper edge at the nose: 0 is as high as the eyes, 1 as the mouth",
        check=_within(0.1, 0.9),
        of="mask",
    )
    glasses: float = _share("that get glasses, where aligned crops have the eyes")
    glasses_tint: tuple[float, ...] = option(
        (0.0, 1.0), "LOW,HIGH of how dark the glasses are: 0 clear, 1 black",
        check=_within(0, 1), of="glasses",
    )  # fmt: skip
    rotate: float = _share("that are turned around the centre of the crop, either way")
    rotate_degrees: tuple[float, ...] = option(
        (0.0, 10.0), "LOW,HIGH of the angle of --rotate in degrees", check=_within(0, 180),
        of="rotate",
    )  # fmt: skip
    rand_mirror: int = option(1, "mirror half of the images", choices=(0, 1))
    rand_shift: int = option(0, "shift each image by up to this many pixels in x and y", at_least=0)
    grey: float = _share("made grey")
    blur: float = _share("blurred by a Gaussian, as out of focus")
    blur_sigma: tuple[float, ...] = option(
        (0.5, 3.0), "LOW,HIGH of the Gaussian's sigma in pixels", check=_within(0.1, 50), of="blur"
    )
    motion_blur: float = _share("smeared along a line of any direction, as by movement")
    motion_blur_length: tuple[float, ...] = option(
        (3.0, 15.0), "LOW,HIGH of the line's length in pixels", check=_within(1, 200),
        of="motion_blur",
    )  # fmt: skip
    low_res: float = _share("brought down to a face of --low-res-size pixels, and up again")
    low_res_size: tuple[int, ...] = option(
        (16, 24),
        "LOW,HIGH of the height in pixels to which --low-res brings the crop, which a face fills",
        check=_within(2, 1000),
        of="low_res",
    )
    jpeg: float = _share("compressed as JPEG")
    jpeg_quality: tuple[int, ...] = option(
        (10, 60), "LOW,HIGH of the quality of --jpeg", check=_within(1, 100), of="jpeg"
    )
    color: int = option(
        0,
        "1: jitter brightness, contrast and saturation; 2: JPEG re-compression too",
        choices=(0, 1, 2),
    )
    cutoff: int = option(
        0, "side in pixels of the square blanked in half of the images (0: off)", at_least=0
    )
    erase: float = _share("in which a rectangle of one colour covers a part")
    erase_area: tuple[float, ...] = option(
        (0.02, 0.3), "LOW,HIGH of the rectangle's share of the crop's area",
        check=_within(0.001, 0.9), of="erase",
    )  # fmt: skip


@dataclass(frozen=True)
class RunConfig(Options):
    """Files, devices and what is said."""

    section = "run"

    prefix: str = option("../model/model", "checkpoint prefix; its folder is made if absent")
    ckpt: int = option(
        1,
        "when to save a numbered checkpoint: 0 never, 1 when it is good, 2 at every "
        "verification, 3 when it is good, over number 1; the last state is kept always",
        choices=(0, 1, 2, 3),
    )
    verbose: int = option(2000, "steps between verifications", at_least=1)
    frequent: int = option(20, "steps between progress lines", at_least=1)
    seed: int = option(727, "seed of every random choice", at_least=0, at_most=(1 << 63) - 1)
    gpus: str = option(
        "", "GPU numbers, comma separated (empty: CUDA_VISIBLE_DEVICES; without any, the CPU)"
    )
    kvstore: str = option(
        "device",
        "how gradients are summed: device or local between the devices of this machine, "
        "dist_sync between machines too (docs/distributed.md)",
        choices=("device", "local", "dist_sync"),
    )
    dtype: str = option(
        "float32",
        "bfloat16 (--engine torch) and float16 (a GPU) compute the network in half precision; the "
        "loss, the weights kept and all checkpoints stay float32, and float16's gradients are "
        "scaled as they need it",
        choices=("float32", "bfloat16", "float16"),
    )
    engine: str = option(
        "auto",
        "what makes the steps: mxnet, the published engine; torch, which executes the same symbol; "
        "auto: mxnet, unless it is not installed, its wheel has no code for the GPU, or --dtype "
        "bfloat16 or --train-symbol is given",
        choices=("auto", "mxnet", "torch"),
    )
    compile: int = option(
        0, "1: let --engine torch compile the step, which takes minutes at first", choices=(0, 1)
    )
    train_symbol: str = option(
        "",
        "for --engine torch where MXNet is not installed: the training symbol to execute, as "
        "--plan-only wrote it elsewhere, or of a published checkpoint (empty: "
        "PREFIX-train-symbol.json)",
    )
    plan_only: bool = option(
        False,
        "write PREFIX-train-symbol.json, -plan.json and -initial.params, from which --engine torch "
        "trains without MXNet, and end",
    )
    num_threads: int = option(
        2, "threads that decode and augment images", at_least=1, at_most=MOST_THREADS
    )
    memory_limit: float = option(
        0.0, "refuse a run that is estimated to take more GB on a device (0: no limit)", at_least=0
    )
    resume: bool = option(
        False, "continue the run of --prefix where it stopped; start it if there is none"
    )
    tensorboard: bool = option(False, "write metrics to PREFIX-tensorboard too")


@dataclass(frozen=True)
class TrainConfig(
    RunConfig, AugmentationConfig, SamplingConfig, ScheduleConfig, OptimizerConfig, UpdateConfig,
    ClassifierConfig, TeacherConfig, LossConfig, NetworkConfig, ModelConfig, DataConfig,
):  # fmt: skip
    """All options of one training run, flat.  Python collects fields from the last base on."""


class _Refuse(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        parser.error(f"{self.option_strings[0]} {self.const}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one flag for every field of TrainConfig, and the refusal of the unavailable ones."""
    add_flags(parser, TrainConfig)
    for flag, reason in UNAVAILABLE.items():
        parser.add_argument(flag, nargs="?", action=_Refuse, const=reason, help=argparse.SUPPRESS)


def from_namespace(namespace: argparse.Namespace) -> TrainConfig:
    """Return the TrainConfig of parsed arguments.  Raises ValueError listing every fault."""
    return TrainConfig(**{f.name: getattr(namespace, f.name) for f in fields(TrainConfig)})
