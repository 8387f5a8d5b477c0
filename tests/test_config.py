"""Options: what the command line takes and refuses, and in what words."""

import argparse
from dataclasses import asdict, fields, replace
import math
from pathlib import Path
import re

from arcface_mxnet import train_softmax
from arcface_mxnet.config import UNAVAILABLE, TrainConfig, add_arguments, flag_of, from_namespace
from arcface_mxnet.flags import LIMITS, groups_of, shown
from arcface_mxnet.training.optimizer import OPTIMIZERS
from arcface_mxnet.training.schedule import SCHEDULES
import pytest

TRAINING = Path(__file__).parents[1] / "docs" / "training.md"

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
        ({"wd": 1e308}, r"--wd 1e\+308: is larger than float32 holds"),
        ({"bn_mom": 2.0}, "--bn-mom 2.0: must be below 1"),
        ({"mom": 1.0}, "--mom 1.0: must be below 1"),
        ({"max_steps": 10**400}, "--max-steps a number of 1329 bits: must be at most 92233"),
        ({"lr_warmup": 1 << 63}, "--lr-warmup 9223372036854775808: must be at most 9223"),
        ({"margin": 10**9}, "--margin 1000000000: must be at most 64"),
        ({"subcenters": 10**9}, "--subcenters 1000000000: must be at most 1024"),
        ({"version_multiplier": 1e9}, "--version-multiplier 1000000000.0: must be at most 16"),
        ({"accumulate": 10**11}, "--accumulate 100000000000: must be at most 65536"),
        ({"per_batch_size": 10**9}, "--per-batch-size 1000000000: must be at most 65536"),
        ({"num_threads": 10**6}, "--num-threads 1000000: must be at most 1024"),
        ({"emb_size": 10**11}, "--emb-size 100000000000: must be at most 65536"),
        ({"seed": 1 << 63}, "--seed 9223372036854775808: must be at most"),
        ({"lr": -0.1}, r"--lr -0\.1: must be at least 0"),
        ({"memory_limit": -1.0}, r"--memory-limit -1\.0: must be at least 0"),
        ({"margin_verbose": -1}, "--margin-verbose -1: must be at least 0"),
        ({"image_size": (112,)}, "--image-size 112: give HEIGHT,WIDTH"),
        ({"image_size": (0, 112)}, "--image-size 0,112: give HEIGHT,WIDTH"),
        ({"lr_steps": (5, 3)}, "--lr-steps 5,3: must ascend from 1 on"),
        ({"lr_steps": (0, 3)}, "--lr-steps 0,3: must ascend from 1 on"),
        ({"target": ("lfw", "x", "lfw")}, "--target lfw,x,lfw: names lfw twice"),
        ({"per_batch_size": 10**12}, "--per-batch-size 1000000000000: must be at most"),
        ({"accumulate": 10**11}, "--accumulate 100000000000: must be at most"),
        ({"triplet_alpha": 9.0}, "--triplet-alpha 9.0: must be at most 4"),
        ({"triplet_max_ap": 9.0}, "--triplet-max-ap 9.0: must be at most 4"),
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


def test_the_flat_config_is_its_groups_and_nothing_else():
    groups = groups_of(TrainConfig)
    names = [field.name for group in groups for field in fields(group)]
    assert names == [field.name for field in fields(TrainConfig)] == list(asdict(TrainConfig()))
    assert len(set(names)) == len(names)
    assert len({group.section for group in groups}) == len(groups) == 12
    changed = replace(TrainConfig(margin_m=0.4), lr=0.2)
    assert (changed.margin_m, changed.lr, TrainConfig.lr) == (0.4, 0.2, 0.1)
    with pytest.raises(ValueError, match="--lr -1: must be at least 0"):
        replace(changed, lr=-1)


def test_every_default_is_within_its_range_and_every_limit_holds():
    """One step beyond each limit is refused, the limit itself as it says."""
    tried = 0
    for field in fields(TrainConfig):
        for name, limit in field.metadata["limits"].items():
            beyond = math.nextafter(limit, -math.inf if name in ("at_least", "above") else math.inf)
            if field.type == "int":
                beyond = limit - 1 if name in ("at_least", "above") else limit + 1
            for value in (beyond, limit) if name in ("above", "below") else (beyond,):
                with pytest.raises(ValueError, match=f"{flag_of(field.name)} .*{LIMITS[name][1]}"):
                    TrainConfig(**{field.name: value})
                tried += 1
            if name in ("at_least", "at_most"):
                assert getattr(TrainConfig(**{field.name: limit}), field.name) == limit
    assert tried >= 24


def test_every_fault_of_every_kind_is_told_at_once():
    with pytest.raises(ValueError) as caught:
        TrainConfig(ckpt=9, lr=math.nan, adam_beta1=1.0, lr_steps=(3, 2), cutoff=-1, dtype="int8")
    assert sorted(str(caught.value).splitlines()) == [
        "--adam-beta1 1.0: must be below 1",
        "--ckpt 9: allowed are 0, 1, 2, 3",
        "--cutoff -1: must be at least 0",
        "--dtype 'int8': allowed are float32, bfloat16, float16",
        "--lr nan: must be a finite number",
        "--lr-steps 3,2: must ascend from 1 on",
    ]


@pytest.mark.parametrize("registry", [OPTIMIZERS, SCHEDULES], ids=lambda registry: registry.noun)
def test_help_and_document_name_each_choice_with_the_options_it_reads(registry):
    text, page = train_softmax.build_parser().format_help(), TRAINING.read_text()
    for name in registry.names():
        assert f"| `{registry.flag} {name}`" in page
        assert re.search(rf"{registry.flag}:\n(  .*\n)*  {name} ", text)
        for option in registry[name].options:
            default = shown(getattr(TrainConfig, option)) or "empty"
            assert f"reads {flag_of(option)} (default: {default})" in text
            assert f"| `{flag_of(option)}` | {default} |" in page


def test_defaults_in_the_document_are_those_of_the_options():
    rows = re.findall(r"^\| `(--[a-z0-9-]+)` \| (\S+) \|", TRAINING.read_text(), re.M)
    assert len(rows) >= 12
    for flag, default in rows:
        name = flag[2:].replace("-", "_")
        assert default == (shown(getattr(TrainConfig, name)) or "empty"), flag
