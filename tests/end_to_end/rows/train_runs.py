"""arcface-train: sampling, augmentation, files, devices and what is said."""

from __future__ import annotations

from pathlib import Path
import re

from arcface_mxnet.checkpoints.load import load_params
from arcface_mxnet.training.engine import has_torch
import numpy as np

from tests.end_to_end.results import assert_same, assert_same_end
from tests.end_to_end.rows.refusals import refused
from tests.end_to_end.rows.train import PRETRAINED, TRAIN
from tests.end_to_end.triplet_keys import Bag
from tests.end_to_end.updates import assert_updates

TRIPLETS = (
    "--loss-type", "12", "--margin-s", "64", "--pretrained", PRETRAINED, "--max-steps", "1",
    "--triplet-dtype", "float32", "--per-batch-size", "60",
)  # fmt: skip


def blocks(run, each):
    """Return the identities of one share, assuming blocks of `each` images of one identity."""
    rows = run.labels[:12].reshape(-1, each)
    assert (rows == rows[:, :1]).all()
    return rows[:, 0].tolist()


@TRAIN.row("--images-per-identity", value="3", on=(
    "--loss-type", "9", "--margin-s", "64", "--images-per-identity", "6"))  # fmt: skip
def draws_blocks_of_so_many(base, given):
    for run, each in ((base, 6), (given, 3)):
        assert len(set(blocks(run, each))) == 12 // each
        assert_updates(run)


def first_bag(run):
    """Return (triplets, pairs) of the line about the first bag."""
    found = [re.match(r"bag 0: found triplets (\d+) from .* of (\d+) pairs", t) for t in run.log]
    return next(tuple(map(int, match.groups())) for match in found if match)


@TRAIN.row("--triplet-bag-size", value="20", on=TRIPLETS)
def mines_from_so_many(base, given):
    assert first_bag(base)[1] == 6 * 10 + 1 + 6  # pairs of 6 x 5, 2 and 4 images
    assert first_bag(given)[1] <= 4 * 10
    assert "36 images with at most 5 per identity: a bag holds them all" in base.said


def judged(run):
    """Return the bag of --pretrained, the first step's triplets and their distances."""
    bag = Bag(Path(run.config.data_dir), run.config.pretrained)
    triplets = bag.triplets(run.steps[0])
    return bag, triplets, *bag.distances(triplets)


@TRAIN.row("--triplet-mining", value="hardest", on=TRIPLETS)
def takes_the_nearest(base, given):
    def are_nearest(run):
        bag, triplets, _, far = judged(run)
        for (anchor, _, _), d in zip(triplets, far, strict=True):
            others = np.flatnonzero(bag.identities != bag.identities[anchor])
            each = np.array([[anchor, anchor, other] for other in others])
            yield d <= bag.distances(each)[1].min() + 1e-4

    assert all(are_nearest(given)) and not all(are_nearest(base))


@TRAIN.row("--triplet-mining", value="random", on=TRIPLETS)
def takes_any_that_violates(base, given):
    _, _, near, far = judged(base)
    assert (far > near - 1e-4).all()
    _, _, near, far = judged(given)
    assert (far < near).any() and (far < near + 0.3 + 1e-4).all()


@TRAIN.row("--triplet-max-ap", value="0.8", on=TRIPLETS)
def leaves_out_far_pairs(base, given):
    near = [judged(run)[2] for run in (base, given)]
    assert near[0].max() > 0.9 and near[1].max() < 0.8 + 1e-4
    assert first_bag(given)[0] < first_bag(base)[0]


@TRAIN.row("--triplet-dtype", value="bfloat16", on=TRIPLETS)
def embeds_bags_in(base, given):
    assert "bags are embedded in float32" in base.said
    if given.code:  # a processor that does not multiply it
        refused(given, "bfloat16")
    else:
        assert "bags are embedded in bfloat16" in given.said
        assert "bfloat16 against float32: lowest cosine" in given.said  # measured, so it ran in it
        assert given.record["config"]["triplet_dtype"] == "bfloat16"


def of_samples(run):
    """Return for each trained image whether it, or its mirror image, is one of the dataset."""
    from arcface_mxnet.data.dataset import FaceDataset

    dataset = FaceDataset(run.config.data_dir)
    known = {dataset.sample(key)[0].tobytes() for key in dataset.image_keys}
    as_stored = run.images.transpose(0, 2, 3, 1)
    return [
        tuple(
            np.ascontiguousarray(image[:, ::step]).astype(np.uint8).tobytes() in known
            for step in (1, -1)
        )
        for image in as_stored
    ]


@TRAIN.row("--rand-mirror", value="1")
def mirrors_half(base, given):
    assert set(of_samples(base)) == {(True, False)}
    assert set(of_samples(given)) == {(True, False), (False, True)}


@TRAIN.row("--rand-shift", value="2")
def shifts(base, given):
    """Inside, away from repeated edges, every image is the base's moved by up to 2 pixels."""
    moves = set()
    for image, moved in zip(base.images, given.images, strict=True):
        found = [
            (y, x)
            for y in range(-2, 3)
            for x in range(-2, 3)
            if np.array_equal(np.roll(image, (y, x), (1, 2))[:, 2:-2, 2:-2], moved[:, 2:-2, 2:-2])
        ]
        assert len(found) == 1
        moves.update(found)
    assert len(moves) > 8


@TRAIN.row("--color", value="1")
def jitters(base, given):
    assert (base.images == base.images.round()).all()
    assert not (given.images == given.images.round()).all()
    assert 0 < np.abs(base.images - given.images).mean() < 40


@TRAIN.row("--color", value="2", on=("--color", "1"))
def recompresses(base, given):
    apart = np.abs(base.images - given.images).mean((1, 2, 3))
    assert 0.2 < np.mean(apart > 1) < 1


@TRAIN.row("--cutoff", value="8")
def blanks(base, given):
    grey = [(run.images == 128).all(axis=1).sum(axis=(1, 2)) for run in (base, given)]
    assert grey[0].max() < 8 and grey[1].max() == 64
    assert 0.2 < np.mean(grey[1] > 8) < 0.8


LARGE = ("--image-size", "32,32")  # which new augmentations see as a small aligned crop


def apart(base, given):
    """Return how far the runs' images are apart, float (N, H, W): the mean over colours."""
    assert np.array_equal(base.labels, given.labels)
    return np.abs(base.images - given.images).mean(axis=1)


def far(base, given):
    """Return the share of images that the flag changed."""
    return np.mean(apart(base, given).max(axis=(1, 2)) > 0)


@TRAIN.row("--mask", value="1", on=LARGE)
def covers_the_mouth(base, given):
    changed = apart(base, given) > 0
    assert changed[:, 26:30, 14:18].mean() > 0.95 and not changed[:, :14, 8:24].any()


@TRAIN.row("--mask-top", value="0.6", on=(*LARGE, "--mask", "1"))
def leaves_the_nose(base, given):
    changed = apart(base, given) > 0
    assert changed[:, 16:20, 15:17].any() and far(base, given) > 0.9


@TRAIN.row("--glasses", value="1", on=LARGE)
def covers_the_eyes(base, given):
    changed = apart(base, given) > 0
    assert changed[:, 13:17].mean() > 0.4 and not changed[:, 22:].any()


@TRAIN.row("--glasses-tint", value="1", on=(*LARGE, "--glasses", "1", "--glasses-tint", "0.5"))
def darkens_the_glasses(base, given):
    assert given.images[:, :, 14:16, 10:12].max() < 20
    assert np.mean(base.images[:, :, 14:16, 10:12] > 20) > 0.5


@TRAIN.row("--rotate", value="1", on=LARGE)
def turns(base, given):
    changed = apart(base, given)
    assert far(base, given) == 1
    assert changed[:, 14:18, 14:18].mean() < changed.mean(), "around the centre"


@TRAIN.row("--rotate-degrees", value="180", on=(*LARGE, "--rotate", "1", "--rotate-degrees", "0"))
def turns_so_far(base, given):
    assert np.array_equal(base.images[:, :, ::-1, ::-1], given.images)


@TRAIN.row("--grey", value="1")
def takes_the_colour(base, given):
    assert (given.images == given.images[:, :1]).all() and (base.images != base.images[:, :1]).any()


def detail(run):
    """Return the mean difference of neighbouring pixels."""
    return np.abs(np.diff(run.images, axis=3)).mean() + np.abs(np.diff(run.images, axis=2)).mean()


@TRAIN.row("--blur", value="1")
@TRAIN.row("--blur-sigma", value="4", on=("--blur", "1", "--blur-sigma", "0.5,1"))
@TRAIN.row("--motion-blur", value="1")
@TRAIN.row("--motion-blur-length", value="9,12", on=(
    "--motion-blur", "1", "--motion-blur-length", "2,4"))  # fmt: skip
@TRAIN.row("--low-res", value="1", on=LARGE)
@TRAIN.row("--low-res-size", value="4", on=(*LARGE, "--low-res", "1"))
def takes_detail(base, given):
    assert far(base, given) > 0.95
    assert detail(given) < 0.8 * detail(base)
    assert abs(given.images.mean() - base.images.mean()) < 8


@TRAIN.row("--jpeg", value="0.5")
def compresses_some(base, given):
    assert 0.2 < far(base, given) < 0.8


@TRAIN.row("--jpeg-quality", value="1,3", on=("--jpeg", "1", "--jpeg-quality", "95"))
def compresses_harder(base, given):
    assert apart(base, given).mean() > 4


@TRAIN.row("--erase", value="0.5")
def covers_a_rectangle(base, given):
    assert 0.2 < far(base, given) < 0.8
    assert 0.01 < np.mean(apart(base, given) > 0) < 0.3


@TRAIN.row("--erase-area", value="0.5", on=("--erase", "1"))
def covers_so_much(base, given):
    def flat(run):  # where all differences to the right and below are 0
        steps = [np.abs(np.diff(run.images, axis=axis)).sum(axis=1) == 0 for axis in (2, 3)]
        return np.mean(steps[0][:, :, :-1] & steps[1][:, :-1])

    assert flat(given) > 0.35 > flat(base)


@TRAIN.row("--prefix", value="<a prefix>")
def writes_there(base, given):
    for run in (base, given):
        names = {path.name for path in Path(run.prefix).parent.iterdir()}
        assert {"m-symbol.json", "m-0001.params", "m-last.params", "m-run.json"} <= names
    assert base.prefix != given.prefix


@TRAIN.row("--ckpt", value="0")
def keeps_no_numbered_one(base, given):
    assert (base.numbers, given.numbers) == ([1], [])
    assert_same(base.saved("last"), given.saved("last"), "the last state")


@TRAIN.row("--ckpt", value="3", on=("--verbose", "1", "--target", "held"))
def keeps_one_number(base, given):
    assert (base.numbers, given.numbers) == ([1, 2, 3], [1])


@TRAIN.row("--verbose", value="1", on=("--target", "held"))
def verifies_so_often(base, given):
    steps = [[entry["step"] for entry in run.record["validation"]] for run in (base, given)]
    assert steps == [[3], [1, 2, 3]]
    assert base.record["validation"][-1] == given.record["validation"][-1]


@TRAIN.row("--frequent", value="2")
def tells_so_often(base, given):
    assert [sorted(run.values("lr")) for run in (base, given)] == [[1, 2, 3], [2, 3]]


@TRAIN.row("--seed", value="1")
def draws_otherwise(base, given):
    assert not np.array_equal(base.labels, given.labels)
    start = [run.steps[0].before["conv0_weight"] for run in (base, given)]
    assert not np.array_equal(*start)


@TRAIN.row("--gpus", value="9")
def wants_this_gpu(base, given):
    assert base.record["devices"] == ["cpu(0)"]
    refused(given, "GPU 9 not found")


@TRAIN.row("--kvstore", value="local", devices=2)
def sums_by_it(base, given):
    assert (base.kvstores, given.kvstores) == (["device"], ["local"])
    assert_updates(given)


@TRAIN.row("--kvstore", value="dist_sync")
def wants_a_job(base, given):
    assert base.kvstores == []
    refused(given, "--kvstore dist_sync", "DMLC_ROLE", "docs/distributed.md")


@TRAIN.row("--dtype", value="float16")
def wants_a_gpu(base, given):
    refused(given, "--dtype float16 needs a GPU")


@TRAIN.row("--dtype", value="bfloat16")
def is_torchs(base, given):
    if has_torch():
        assert (base.record["engine"], given.record["engine"]) == ("mxnet", "torch")
        assert "bfloat16 on cpu" in given.said
    else:
        refused(given, "--dtype bfloat16: MXNet computes none")


@TRAIN.row("--engine", value="torch")
def executes_the_same_symbol(base, given):
    if not has_torch():
        refused(given, "--engine torch is not installed: pip install 'arcface_mxnet[torch]'")
        return
    assert given.record["engine"] == "torch" and not given.steps, "MXNet's stepper makes no step"
    ends = base.saved("last"), given.saved("last")
    assert ends[0].keys() == ends[1].keys()
    for name, array in ends[0].items():
        assert ends[1][name].shape == array.shape, name


@TRAIN.row("--compile", value="1")
def is_refused_by_mxnet(base, given):
    refused(given, "--compile 1: MXNet compiles nothing")


@TRAIN.row("--plan-only")
def writes_what_a_run_elsewhere_needs(base, given):
    """Three files, and no step."""
    assert given.code == 0 and not given.steps
    names = ("symbol.json", "plan.json", "initial.params")
    paths = [Path(f"{given.prefix}-train-{name}") for name in names]
    assert all(path.is_file() for path in paths) and str(paths[0]) in given.out
    first = load_params(paths[2])
    for name, array in base.steps[0].before.items():
        assert np.array_equal(first[f"arg:{name}"].asnumpy(), array), name


@TRAIN.row("--train-symbol", value="<absent>")
def reads_the_symbol(base, given):
    wanted = "no training symbol" if has_torch() else "--engine torch is not installed"
    refused(given, wanted)


@TRAIN.row("--num-threads", value="1")
def reads_with_so_many(base, given):
    assert_same_end(base, given)
    assert given.readers == 1


@TRAIN.row("--memory-limit", value="0.1")
def refuses_what_takes_more(base, given):
    refused(given, "this run takes about", "more than --memory-limit 0.1 GB")


@TRAIN.row("--resume", on=("--max-steps", "5"), after=("--max-steps", "2"))
def goes_on(base, given):
    """given: the base's prefix at step 2, gone on with; base: never stopped."""
    assert (len(base.steps), len(given.steps)) == (5, 3)
    assert given.record["resumed_at"] == [2]
    assert_same(base.saved("last"), given.saved("last"), "the last state")


@TRAIN.row("--tensorboard")
def writes_events(base, given):
    assert not Path(f"{base.prefix}-tensorboard").exists()
    written = b"".join(p.read_bytes() for p in Path(f"{given.prefix}-tensorboard").iterdir())
    assert b"free_acc" in written
