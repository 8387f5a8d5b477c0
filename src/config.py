"""TrainConfig: every option of training, one field = one flag = one default = one help text.

The fields with group "loss" or "network" are handed to the losses and networks that declare
a field of the same name, those of group "sampling" are read by batch plans; all defaults
live here alone.  Flags, names and defaults are those
of the published train_softmax.py in its widest form, where it had them.
"""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
import math
from typing import Any

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


def option(default: Any, help: str, *, group: str = "train", choices: tuple | None = None) -> Any:
    """Return a dataclass field that is also a flag.  help states the unit."""
    return dataclasses.field(
        default=default, metadata={"help": help, "group": group, "choices": choices}
    )


def _loss(default: Any, help: str, **more: Any) -> Any:
    return option(default, help, group="loss", **more)


def _sampling(default: Any, help: str, **more: Any) -> Any:
    return option(default, help, group="sampling", **more)


def _network(default: Any, help: str, **more: Any) -> Any:
    return option(default, help, group="network", **more)


@dataclass(frozen=True)
class TrainConfig:
    """All options of one training run.  Raises ValueError that lists every fault at once."""

    # data and files
    data_dir: str = option("", "dataset folder with train.rec, train.idx, property and packs")
    prefix: str = option("../model/model", "checkpoint prefix; its folder is made if absent")
    pretrained: str = option("", "start from the parameters of checkpoint PREFIX,NUMBER")
    ckpt: int = option(
        1,
        "when to save a numbered checkpoint: 0 never, 1 when it is good, 2 at every "
        "verification, 3 when it is good, over number 1; the last state is kept always",
        choices=(0, 1, 2, 3),
    )
    target: tuple[str, ...] = option(
        ("lfw", "cfp_fp", "agedb_30"),
        "pair sets to verify on, comma separated; TARGET.bin in --data-dir, absent ones are named",
    )
    image_size: tuple[int, ...] = option(
        (), "crop size HEIGHT,WIDTH in pixels; overrides property (empty: as property says)"
    )
    images_filter: int = option(0, "leave out identities with fewer images than this")

    # network
    network: str = option("r50", "network name, as `python -m arcface_mxnet.networks` lists them")
    emb_size: int = _network(512, "embedding size D")
    version_se: int = _network(0, "squeeze-excitation in every unit", choices=(0, 1))
    version_input: int = _network(1, "stem: 1 keeps 112x112 (the L in LResNet), 0, 2 as published")
    version_output: str = _network("E", "head after the last convolution")
    version_unit: str = _network("3", "residual unit; 3 is the improved one (IR)")
    version_act: str = _network("prelu", "activation: prelu, relu or another of MXNet's Activation")
    version_multiplier: float = _network(1.0, "width multiplier of MobileNet")
    bn_mom: float = _network(0.9, "momentum of batch normalisation statistics")

    freeze_bn: int = option(
        0,
        "1: batch normalisation keeps the statistics of --pretrained, as fine-tuning on few "
        "images wants; 0: it learns them from the batches, as published",
        choices=(0, 1),
    )

    fc7_init: str = option(
        "random",
        "how the classifier starts: drawn at random, as published, or imprint: the mean "
        "embedding of each identity by --pretrained, as fine-tuning on few images wants",
        choices=("random", "imprint"),
    )

    # loss
    loss_type: str = option("4", "loss by published number or by name")
    margin_s: float = _loss(64.0, "scale s of the logits")
    margin_m: float = _loss(
        0.5, "margin m: radians for ArcFace, cosine units for CosFace, a factor for loss 3"
    )
    margin_a: float = _loss(1.0, "factor a on the angle of the combined margin")
    margin_b: float = _loss(
        0.0, "cosine margin b of the combined margin; weight of the second loss in 6 and 7"
    )
    easy_margin: int = _loss(
        0, "1: margin only where the angle is below 90 degrees", choices=(0, 1)
    )
    margin_warmup: int = _loss(0, "steps over which the margin grows from 0 to its value (0: off)")
    margin: int = _loss(4, "factor on the angle of SphereFace, lsoftmax, fnorm-sphereface")
    beta: float = _loss(1000.0, "SphereFace: weight of the plain cosine at the start")
    beta_min: float = _loss(5.0, "SphereFace: the smallest that beta becomes")
    beta_freeze: int = _loss(
        0, "SphereFace: steps before beta falls; the learning rate's milestones count from there"
    )
    gamma: float = _loss(0.12, "SphereFace: beta falls as (1 + gamma * steps) ^ -power")
    power: float = _loss(1.0, "SphereFace: see --gamma")
    incay: float = _loss(0.0, "losses 0, 1, 8: weight of a loss asking for long embeddings")
    center_alpha: float = _loss(0.5, "center loss: share by which a centre follows its images")
    center_scale: float = _loss(0.003, "center loss: weight")
    subcenters: int = _loss(3, "subcenter-arcface: centres per identity")
    adaface_h: float = _loss(0.333, "adaface: share of length deviations that is margin")
    running_decay: float = _loss(
        0.99, "adaface, curricularface: the old value's share in running statistics"
    )
    mag_min_length: float = _loss(10.0, "magface: embedding length of the smallest margin")
    mag_max_length: float = _loss(110.0, "magface: embedding length of the largest margin")
    mag_min_margin: float = _loss(0.45, "magface: smallest margin, radians")
    mag_max_margin: float = _loss(0.8, "magface: largest margin, radians")
    mag_weight: float = _loss(35.0, "magface: weight of its loss on the length")
    ce_loss: bool = _loss(False, "report the cross entropy too")
    margin_verbose: int = _loss(
        0, "log the mean target angle before and after the margin every so many steps (0: off)"
    )
    logits_verbose: int = _loss(
        0, "log the target probability's lowest and highest tenth every so many steps (0: off)"
    )
    fc7_wd_mult: float = _loss(1.0, "weight decay multiplier of the classifier")
    fc7_lr_mult: float = _loss(1.0, "learning rate multiplier of the classifier")
    fc7_no_bias: bool = _loss(False, "no bias in the softmax classifier of losses 0 and 8")

    # optimizer and schedule
    lr: float = option(0.1, "initial learning rate")
    lr_steps: tuple[int, ...] = option(
        (),
        "steps at which the rate drops to a tenth, comma separated, used as given (empty: "
        "the published milestones of the loss, scaled by 512 / batch)",
    )
    wd: float = option(0.0005, "weight decay")
    mom: float = option(0.9, "momentum of SGD")
    apply_mult: int = option(
        0,
        "0: every parameter decays and learns alike, as published (its optimizer ignored all "
        "multipliers); 1: honour lr and wd multipliers and spare biases, beta and gamma",
        choices=(0, 1),
    )
    grad_clip: float = option(0.0, "largest L2 norm of an update's gradients together (0: off)")
    lr_warmup: int = option(0, "steps over which the learning rate grows linearly to --lr (0: off)")
    per_batch_size: int = option(128, "images per device and step")
    accumulate: int = option(
        1,
        "batches whose gradients make one update; batch statistics stay those of one device's "
        "batch, so 4 x 128 is not quite 512",
    )
    end_epoch: int = option(100000, "stop after this many epochs")
    max_steps: int = option(0, "stop after this many steps (0: no limit)")
    verbose: int = option(2000, "steps between verifications")
    frequent: int = option(20, "steps between progress lines")
    seed: int = option(727, "seed of every random choice")

    # sampling
    images_per_identity: int = _sampling(
        0,
        "images of one identity drawn together by losses 9 to 13 (0: 16, loss 11 2, 12 and 13 5)",
    )
    triplet_bag_size: int = _sampling(3600, "images embedded before triplets are mined from them")
    triplet_mining: str = _sampling(
        "semi-hard",
        "which negative a pair gets among those nearer than d(anchor, positive) + alpha: any "
        "that is farther than the positive, the nearest, or any at random",
        choices=("semi-hard", "hardest", "random"),
    )
    triplet_max_ap: float = _sampling(
        0.0, "leave out pairs of a larger squared distance than this, 0..4 (0: off)"
    )
    triplet_dtype: str = _sampling(
        "auto",
        "what products are computed in while a bag is embedded for mining; auto: bfloat16 on a CPU "
        "that multiplies it, else float32.  Training itself is not concerned",
        choices=("auto", "float32", "bfloat16"),
    )
    triplet_alpha: float = _loss(0.3, "margin alpha between squared distances, 0..4")

    # augmentation
    rand_mirror: int = option(1, "mirror half of the images", choices=(0, 1))
    rand_shift: int = option(0, "shift each image by up to this many pixels in x and y")
    cutoff: int = option(0, "side in pixels of the square blanked in half of the images (0: off)")
    color: int = option(
        0,
        "1: jitter brightness, contrast and saturation; 2: JPEG re-compression too",
        choices=(0, 1, 2),
    )

    # execution
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
        "float16 computes the network in half precision, needs a GPU; the loss, the weights kept "
        "and all checkpoints stay float32",
        choices=("float32", "float16"),
    )
    num_threads: int = option(2, "threads that decode and augment images")
    memory_limit: float = option(
        0.0, "refuse a run that is estimated to take more GB on a device (0: no limit)"
    )
    resume: bool = option(
        False, "continue the run of --prefix where it stopped; start it if there is none"
    )
    tensorboard: bool = option(False, "write metrics to PREFIX-tensorboard too")

    def __post_init__(self) -> None:
        faults = [
            f"{flag_of(f.name)} {getattr(self, f.name)!r}: allowed are "
            + ", ".join(map(str, f.metadata["choices"]))
            for f in dataclasses.fields(self)
            if f.metadata["choices"] and getattr(self, f.name) not in f.metadata["choices"]
        ]
        faults += self._range_faults()
        if faults:
            raise ValueError("\n".join(faults))

    def _range_faults(self) -> list[str]:
        at_least = {
            "emb_size": 1, "per_batch_size": 1, "end_epoch": 1, "max_steps": 0, "verbose": 1,
            "frequent": 1, "rand_shift": 0, "cutoff": 0, "num_threads": 1, "images_filter": 0,
            "images_per_identity": 0, "triplet_bag_size": 3, "triplet_max_ap": 0,
            "triplet_alpha": 0, "seed": 0, "lr": 0, "wd": 0, "mom": 0, "accumulate": 1,
            "grad_clip": 0, "lr_warmup": 0, "memory_limit": 0, "margin_verbose": 0,
            "logits_verbose": 0,
        }  # fmt: skip
        faults = [
            f"{flag_of(f.name)} {getattr(self, f.name)}: must be a finite number"
            for f in dataclasses.fields(self)
            if f.type == "float" and not math.isfinite(getattr(self, f.name))
        ]
        faults += [
            f"{flag_of(name)} {getattr(self, name)}: must be at least {low}"
            for name, low in at_least.items()
            if getattr(self, name) < low
        ]
        if self.image_size and (len(self.image_size) != 2 or min(self.image_size) < 1):
            faults.append(f"--image-size {_listed(self.image_size)}: give HEIGHT,WIDTH, "
                          "such as 112,112")  # fmt: skip
        if list(self.lr_steps) != sorted(set(self.lr_steps)) or min(self.lr_steps, default=1) < 1:
            faults.append(f"--lr-steps {_listed(self.lr_steps)}: must ascend from 1 on")
        return faults


def flag_of(name: str) -> str:
    """Return the flag of a field: margin_m -> --margin-m."""
    return "--" + name.replace("_", "-")


def _listed(values: tuple) -> str:
    return ",".join(map(str, values))


def _comma_list(of: type) -> Any:
    def parse(text: str) -> tuple:
        return tuple(of(part.strip()) for part in text.split(",") if part.strip())

    parse.__name__ = f"comma separated list of {of.__name__}"
    return parse


_PARSERS = {
    "int": int,
    "float": float,
    "str": str,
    "tuple[int, ...]": _comma_list(int),
    "tuple[str, ...]": _comma_list(str),
}


class _Refuse(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        parser.error(f"{self.option_strings[0]} {self.const}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one flag for every field of TrainConfig, and the refusal of the unavailable ones."""
    groups = {
        "train": parser.add_argument_group("training"),
        "network": parser.add_argument_group("network"),
        "loss": parser.add_argument_group("loss"),
        "sampling": parser.add_argument_group("sampling of the losses 9 to 13"),
    }
    for field in dataclasses.fields(TrainConfig):
        group, text = groups[field.metadata["group"]], field.metadata["help"]
        if field.type == "bool":
            group.add_argument(flag_of(field.name), action="store_true", help=text)
            continue
        shown = field.default
        if isinstance(shown, tuple):
            shown = _listed(shown)
        group.add_argument(
            flag_of(field.name),
            type=_PARSERS[field.type],
            default=field.default,
            choices=field.metadata["choices"],
            metavar=None if field.metadata["choices"] else field.name.upper(),
            help=f"{text} (default: {shown if shown != '' else 'empty'})".replace("%", "%%"),
        )
    for flag, reason in UNAVAILABLE.items():
        parser.add_argument(flag, nargs="?", action=_Refuse, const=reason, help=argparse.SUPPRESS)


def from_namespace(namespace: argparse.Namespace) -> TrainConfig:
    """Return the TrainConfig of parsed arguments.  Raises ValueError listing every fault."""
    names = [field.name for field in dataclasses.fields(TrainConfig)]
    return TrainConfig(**{name: getattr(namespace, name) for name in names})


def ignored_options(config: TrainConfig, group: str, used: set[str], by: str) -> list[str]:
    """Return a fault for each option of a group that was changed and is not among those used."""
    return [
        f"{flag_of(f.name)} {getattr(config, f.name)}: {by} does not use it; leave it out"
        for f in dataclasses.fields(config)
        if f.metadata["group"] == group
        and f.name not in used
        and getattr(config, f.name) != f.default
    ]
