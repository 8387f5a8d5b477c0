"""The README's line of loss 12, as it stands there, after the softmax that it fine-tunes."""

from pathlib import Path
import shlex

from arcface_mxnet.training.plan import make_plan
import numpy as np
import pytest

from tests.end_to_end.commands import train
from tests.end_to_end.every_loss import MOBILENET
from tests.end_to_end.results import assert_outputs, assert_same_end
from tests.end_to_end.triplet_keys import Bag
from tests.end_to_end.updates import assert_updates

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def published():
    """Return the arguments of the line that fine-tunes with triplets."""
    lines = README.read_text().replace("\\\n", " ").splitlines()
    found = [line for line in lines if "arcface-train" in line and "--loss-type 12" in line]
    words = shlex.split(found[0], comments=True)[1:]
    assert words[:10] == shlex.split(
        "--network m1 --loss-type 12 --lr 0.005 --mom 0.0 --per-batch-size 150"
    )
    assert "--pretrained" in words
    return words


@pytest.fixture
def line(published, softmax, faces, new_prefix):
    """Return a function from further arguments to the line on this data, in a new folder."""

    def line(*more, prefix=None):
        given = {"D": str(faces), "P,50": f"{softmax.prefix},50", "T": prefix or new_prefix()}
        words = [given.get(word, word) for word in published]
        target = ["--emb-size", 16, "--target", "held", "--frequent", 1, "--verbose", 1]
        # In bfloat16, which a processor may have, distances are not exact enough to compare.
        return [*words, *MOBILENET[2:], *target, "--triplet-dtype", "float32", "--ckpt", 2, *more]

    return line


def test_it_fine_tunes_on_semi_hard_triplets(line, softmax, faces):
    run = train(line("--max-steps", 2))
    assert run.code == 0, run.said
    taken, start = softmax.saved(50), run.steps[0].before
    assert set(start) == {n for n in taken if "moving" not in n and not n.startswith("fc7_")}
    for name, array in start.items():
        assert np.array_equal(taken[name], array), f"{name} is not that of --pretrained"
    bag = Bag(faces, f"{softmax.prefix},50")
    triplets = bag.triplets(run.steps[0])
    assert len(triplets) == 50
    anchor, positive, negative = bag.identities[triplets].T
    assert (anchor == positive).all() and (anchor != negative).all()
    near, far = bag.distances(triplets)
    assert (near < far + 1e-4).all() and (far < near + 0.3 + 1e-4).all()
    assert (far > near + 0.1).any(), "the bound was not tried"
    assert_outputs(run)
    assert_updates(run)
    assert run.saved(2).keys() == start.keys() | {name for name in taken if "moving" in name}
    assert any("pretrained: took" in text for text in run.log)
    assert any("bag 0: " in text for text in run.log), run.log


def test_it_resumes_bit_for_bit(line, new_prefix):
    whole, prefix = train(line("--max-steps", 3)), new_prefix()
    train(line("--max-steps", 1, prefix=prefix))
    assert_same_end(whole, train(line("--max-steps", 3, "--resume", prefix=prefix)))


def test_it_plans_the_published_network_at_full_width(published, faces, new_prefix):
    from arcface_mxnet import train_softmax
    from arcface_mxnet.config import from_namespace

    given = {"D": str(faces), "T": new_prefix()}
    words = [given.get(word, word) for word in published]
    plan = make_plan(from_namespace(train_softmax.build_parser().parse_args(words)))
    shapes, _, _ = plan.published.infer_shape(**plan.shapes)
    by_name = dict(zip(plan.published.list_arguments(), shapes, strict=True))
    assert by_name["conv_14_conv2d_weight"][0] == 1024
    assert by_name["pre_fc1_weight"] == (512, 1024)
    assert "fc7_weight" not in by_name
    assert (plan.config.mom, plan.config.lr, plan.images_per_step) == (0.0, 0.005, 150)
    assert plan.drops == tuple(int(step * 512 / 150) for step in (40_000, 60_000, 80_000))
