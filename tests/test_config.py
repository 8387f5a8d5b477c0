"""Options: what the command line takes and refuses, and in what words."""

import argparse
from dataclasses import fields
import math

from arcface_mxnet import train_softmax
from arcface_mxnet.config import UNAVAILABLE, TrainConfig, add_arguments, flag_of, from_namespace
import pytest

# Flag and default of the published script, in its widest form.
PUBLISHED = {
    "data_dir": "", "prefix": "../model/model", "pretrained": "", "ckpt": 1, "network": "r50",
    "version_se": 0, "version_input": 1, "version_output": "E", "version_unit": "3",
    "version_act": "prelu", "version_multiplier": 1.0, "end_epoch": 100000, "lr": 0.1,
    "lr_steps": (), "wd": 0.0005, "mom": 0.9, "bn_mom": 0.9, "fc7_wd_mult": 1.0,
    "fc7_lr_mult": 1.0, "fc7_no_bias": False, "emb_size": 512, "per_batch_size": 128,
    "margin_m": 0.5, "margin_s": 64.0, "margin_a": 1.0, "margin_b": 0.0, "easy_margin": 0,
    "margin": 4, "beta": 1000.0, "beta_min": 5.0, "beta_freeze": 0, "gamma": 0.12, "power": 1.0,
    "margin_verbose": 0, "logits_verbose": 0, "incay": 0.0, "center_alpha": 0.5,
    "center_scale": 0.003, "images_per_identity": 0, "triplet_bag_size": 3600,
    "triplet_alpha": 0.3, "triplet_max_ap": 0.0, "verbose": 2000, "max_steps": 0,
    "loss_type": "4", "rand_mirror": 1, "cutoff": 0, "color": 0, "images_filter": 0,
    "ce_loss": False, "target": ("lfw", "cfp_fp", "agedb_30"),
}  # fmt: skip


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return from_namespace(parser.parse_args(arguments))


def test_defaults_are_the_published_ones():
    config = parsed()
    assert config == TrainConfig()
    assert {name: getattr(config, name) for name in PUBLISHED} == PUBLISHED


def test_every_field_is_a_flag_that_arrives():
    given = parsed("--lr-steps", "10, 20,", "--target", "lfw,mine", "--ce-loss", "--lr", "0.5")
    assert given.lr_steps == (10, 20)
    assert given.target == ("lfw", "mine")
    assert (given.ce_loss, given.lr) == (True, 0.5)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings}
    assert {flag_of(field.name) for field in fields(TrainConfig)} <= flags


@pytest.mark.parametrize("flag", UNAVAILABLE)
def test_flags_of_what_is_not_there_are_refused_with_the_reason(flag, capsys):
    with pytest.raises(SystemExit):
        parsed(flag, "1")
    assert f"{flag} {UNAVAILABLE[flag]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": math.nan}, "--lr nan: must be a finite number"),
        ({"margin_s": math.inf}, "--margin-s inf: must be a finite number"),
        ({"lr": -0.1}, r"--lr -0\.1: must be at least 0"),
        ({"memory_limit": -1.0}, r"--memory-limit -1\.0: must be at least 0"),
        ({"margin_verbose": -1}, "--margin-verbose -1: must be at least 0"),
        ({"image_size": (112,)}, "--image-size 112: give HEIGHT,WIDTH"),
        ({"image_size": (0, 112)}, "--image-size 0,112: give HEIGHT,WIDTH"),
        ({"lr_steps": (5, 3)}, "--lr-steps 5,3: must ascend from 1 on"),
        ({"lr_steps": (0, 3)}, "--lr-steps 0,3: must ascend from 1 on"),
        ({"ckpt": 4}, "--ckpt 4: allowed are 0, 1, 2, 3"),
        ({"mom": -1.0, "seed": -1}, r"(?s)--seed -1.*--mom -1\.0|--mom -1\.0.*--seed -1"),
    ],
)
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**options)


def test_help_tells_every_default():
    text = train_softmax.build_parser().format_help()
    words = " ".join(text.split())
    for name in ("margin_m", "lr", "verbose", "seed"):
        assert flag_of(name) in words
    assert words.count("(default:") >= len(PUBLISHED) - 2  # two are switches


def test_bad_options_end_with_one_line_and_code_2(capsys, tmp_path):
    assert (
        train_softmax.main(["--data-dir", str(tmp_path / "none"), "--prefix", f"{tmp_path}/m"]) == 2
    )
    captured = capsys.readouterr()
    assert captured.err.startswith("error: no dataset folder ")
    assert "Traceback" not in captured.err
