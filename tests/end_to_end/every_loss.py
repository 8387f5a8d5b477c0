"""The command lines on which every loss is tried: the smallest network, images and batches."""

from __future__ import annotations

from collections.abc import Sequence

from arcface_mxnet.losses import LOSSES

# One key of each loss, the number where it has one.
KEYS = list({LOSSES[key]: key for key in reversed(LOSSES.names())}.values())[::-1]

MOBILENET = ("--network", "m1", "--version-multiplier", "0.0625")  # the smallest of those built
TINY = ("--network", "tiny")  # one convolution, where it does not matter what is trained
COMMON = ("--emb-size", "16", "--per-batch-size", "12", "--frequent", "1", "--lr", "0.05")
ANNEALED = ("--beta", "20", "--beta-min", "3", "--gamma", "1", "--power", "0.9")
WARM, SMALL = ("--margin-warmup", "3"), ("--margin-s", "8")
FELT = ("--running-decay", "0.5")  # statistics that change in a few steps

# Options under which every part of a loss shows within a few steps.  A loss that is not here is
# tried with its defaults.
OPTIONS = {
    "0": ("--incay", "0.5", "--ce-loss"),
    "1": (*ANNEALED, "--beta-freeze", "1", "--incay", "0.5"),
    "2": (*WARM, *SMALL, "--margin-m", "0.35"),
    "3": (*WARM, *SMALL, "--margin-m", "2"),
    "4": (*WARM, *SMALL, "--ce-loss"),
    "5": (*WARM, *SMALL, "--margin-a", "0.9", "--margin-m", "0.4", "--margin-b", "0.15"),
    "6": (*WARM, *SMALL, "--margin-b", "2"),
    "7": (*WARM, *SMALL, "--margin-b", "2"),
    "8": ("--center-scale", "0.2", "--center-alpha", "0.7"),
    "9": ("--images-per-identity", "4"),
    "10": ("--images-per-identity", "4"),
    "12": ("--triplet-bag-size", "30"),
    "13": ("--triplet-bag-size", "30"),
    "adaface": (*WARM, *SMALL, *FELT),
    "circle": (*WARM, "--margin-m", "0.25", "--margin-s", "16"),
    "curricularface": (*WARM, *SMALL, *FELT),
    "fnorm-sphereface": (*ANNEALED, *SMALL),
    "lsoftmax": ANNEALED,
    "none": ("--teacher", "DATA/teacher.npy", "--teacher-weight", "4"),
    "magface": (*WARM, *SMALL, "--mag-min-length", "1", "--mag-max-length", "5"),
    "subcenter-arcface": (*SMALL, "--subcenters", "2"),
}


def command(
    key: str, data_dir: object, prefix: object, *more: object, network: Sequence[str] = MOBILENET
) -> list[object]:
    """Return the arguments that train with a loss; what is given later holds."""
    start = ["--data-dir", data_dir, "--prefix", prefix, "--loss-type", key, "--target", ""]
    options = [word.replace("DATA", str(data_dir)) for word in OPTIONS.get(key, ())]
    return [*start, *network, *COMMON, *options, *more]
