"""arcface-train: what is read, which network and loss, from what they start."""

from __future__ import annotations

import json

import numpy as np

from tests.end_to_end.results import assert_outputs, assert_same
from tests.end_to_end.rows.refusals import refused
from tests.end_to_end.rows.train import OTHER, PRETRAINED, SPOILT, TRAIN
from tests.end_to_end.updates import assert_updates

M1 = ("--network", "m1", "--version-multiplier", "0.0625", "--max-steps", "1")
R18 = ("--network", "r18", "--version-output", "GAP", "--max-steps", "1")
FROM_THERE = ("--pretrained", PRETRAINED)


@TRAIN.row("--data-dir", value=OTHER)
def reads_other_images(base, given):
    known = {image.tobytes() for image in base.images}
    assert not any(image.tobytes() in known for image in given.images)
    assert base.record["data"][0]["folder"] == base.config.data_dir
    assert given.record["data"][0]["folder"] == given.config.data_dir
    assert base.record["data"][0]["fingerprint"] != given.record["data"][0]["fingerprint"]


@TRAIN.row("--target", value="other,held,absent")
def verifies_these(base, given):
    assert base.record["validation"] == []
    assert [entry["target"] for entry in given.record["validation"]] == ["other", "held"]
    assert "verification on absent is left out" in given.said
    assert given.out.startswith("other: 0.") and "\nheld: 0." in given.out


@TRAIN.row("--image-size", value="12,12")
def scales_the_crops(base, given):
    assert (base.images.shape[2:], given.images.shape[2:]) == ((16, 16), (12, 12))


@TRAIN.row("--images-filter", value="3")
def leaves_out_who_has_few(base, given):
    assert np.bincount(base.labels)[6] == 2
    assert set(given.labels) == set(range(8)) - {6}


@TRAIN.row("--max-bad", value="1", on=("--data-dir", SPOILT, "--max-bad", "2"))
def ends_beyond(base, given):
    assert base.record["bad_records"] == {"count": 2, "keys": {base.config.data_dir: [3, 30]}}
    assert len(base.labels) == 36
    refused(given, "records that do not decode: 2; --max-bad allows 1.", "--resume")
    assert len(given.steps) < 3


@TRAIN.row("--network", value="m1", on=("--max-steps", "1"))
def trains_this_network(base, given):
    assert "conv_14_conv2d_weight" in given.saved() and "conv0_weight" in base.saved()


@TRAIN.row("--loss-type", value="cosface", on=("--margin-m", "0.2"))
def minimises_this_loss(base, given):
    for run in (base, given):
        assert_outputs(run)
        assert_updates(run)
    assert not np.allclose(
        base.steps[0].shares[0].outputs["softmax"], given.steps[0].shares[0].outputs["softmax"]
    )


@TRAIN.row("--pretrained", value=PRETRAINED)
def starts_there(base, given):
    from arcface_mxnet.checkpoints.load import load_checkpoint

    _, args, _ = load_checkpoint(given.config.pretrained)
    start = {name: array.asnumpy() for name, array in args.items()}
    assert_same(start, given.steps[0].before, "the start")
    assert not np.array_equal(start["conv0_weight"], base.steps[0].before["conv0_weight"])


@TRAIN.row("--new-head", value="1", on=FROM_THERE)
def draws_the_head_anew(base, given):
    before = [run.steps[0].before for run in (base, given)]
    assert np.array_equal(before[0]["conv0_weight"], before[1]["conv0_weight"])
    assert not np.array_equal(before[0]["pre_fc1_weight"], before[1]["pre_fc1_weight"])


@TRAIN.row("--freeze-bn", value="1", on=FROM_THERE)
def keeps_the_statistics(base, given):
    from arcface_mxnet.checkpoints.load import load_checkpoint

    _, _, states = load_checkpoint(given.config.pretrained)
    for name, kept in states.items():
        assert np.array_equal(given.saved()[name], kept.asnumpy()), name
        assert not np.array_equal(base.saved()[name], kept.asnumpy()), name
    assert_updates(given)


@TRAIN.row("--fc7-init", value="imprint", on=(*FROM_THERE, "--lr", "0"))
def begins_at_the_identities(base, given):
    weight = given.saved()["fc7_weight"]
    np.testing.assert_allclose(np.linalg.norm(weight, axis=1), 1, rtol=1e-5)
    assert not np.allclose(np.linalg.norm(base.saved()["fc7_weight"], axis=1), 1, rtol=0.01)


@TRAIN.row("--emb-size", value="24")
def makes_longer_embeddings(base, given):
    assert [run.saved()["fc7_weight"].shape for run in (base, given)] == [(8, 16), (8, 24)]


@TRAIN.row("--version-se", value="1", on=R18)
def squeezes(base, given):
    added = given.saved().keys() - base.saved().keys()
    assert added and all("_se_" in name for name in added)


@TRAIN.row("--version-unit", value="1", on=R18)
def builds_other_units(base, given):
    def operators(run):
        return [node["op"] for node in json.loads(run.symbol)["nodes"] if "stage1" in node["name"]]

    assert operators(base) != operators(given)
    assert "stage1_unit1_bn3_beta" in base.saved() and "stage1_unit1_bn3_beta" not in given.saved()


@TRAIN.row("--version-input", value="0", on=M1)
def halves_in_the_stem(base, given):
    def stride(run):
        nodes = {node["name"]: node for node in json.loads(run.symbol)["nodes"]}
        return nodes["conv_1_conv2d"]["attrs"]["stride"]

    assert (stride(base), stride(given)) == ("(1, 1)", "(2, 2)")


@TRAIN.row("--version-output", value="GAP", on=M1)
def has_another_head(base, given):
    assert '"dropout0"' in base.symbol and '"dropout0"' not in given.symbol
    assert '"pool1"' in given.symbol and '"pool1"' not in base.symbol


@TRAIN.row("--version-act", value="relu", on=M1)
def activates_by_relu(base, given):
    assert '"act_type": "prelu"' in base.symbol and '"act_type": "prelu"' not in given.symbol
    assert '"act_type": "relu"' in given.symbol


@TRAIN.row("--version-multiplier", value="0.125", on=M1)
def is_wider(base, given):
    name = "conv_14_conv2d_weight"
    assert (len(base.saved()[name]), len(given.saved()[name])) == (64, 128)


@TRAIN.row("--bn-mom", value="0.5", on=("--network", "y1", "--version-output", "GAP",
                                        "--max-steps", "1"))  # fmt: skip
def takes_more_of_the_batch(base, given):
    """After one step from 0 a mean is the batch's times what the momentum leaves: 0.5, not 0.1."""
    means = [run.saved()["conv_1_batchnorm_moving_mean"] for run in (base, given)]
    np.testing.assert_allclose(means[1], 5 * means[0], rtol=1e-4)
