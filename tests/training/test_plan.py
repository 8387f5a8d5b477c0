"""What is settled before the first step: devices, folders, the schedule."""

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.plan import make_plan, tell_of_multipliers, visible_gpus
import pytest


@pytest.mark.parametrize(
    ("gpus", "visible", "numbers"),
    [
        ("", None, []),
        ("", "", []),
        ("", "-1", []),
        ("", "2,3", [0, 1]),
        ("", "GPU-8932f937,MIG-3", [0, 1]),
        ("", "0,-1,1", [0]),
        ("1, 3", "0", [1, 3]),
    ],
)
def test_which_gpus(monkeypatch, gpus, visible, numbers):
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus(TrainConfig(gpus=gpus)) == numbers


@pytest.mark.parametrize("gpus", ["x", "-1", "0,0", "0,"])
def test_gpus_that_are_no_numbers(gpus):
    with pytest.raises(ValueError, match=f"--gpus '{gpus}': give numbers, each once"):
        visible_gpus(TrainConfig(gpus=gpus))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"network": "m1", "per_batch_size": 65536, "emb_size": 65536},
            "fc1_.* would have 4,294,967,296 values with --per-batch-size 65536",
        ),
        ({"gpus": "9"}, "GPU 9 not found: MXNet sees 0"),
        ({"network": "mnas"}, "^--network 'mnas' is not built: what is published"),
        ({"data_dir": ""}, "--data-dir is missing"),
        ({"prefix": "out/"}, "--prefix 'out/': give FOLDER/NAME"),
        ({"network": "r18", "version_output": "Q"}, "^--version-output 'Q': unknown head"),
        ({"network": "r18", "version_unit": "9"}, "^--version-unit '9': unknown residual unit"),
        ({"network": "r18", "version_act": "x"}, "^--version-act 'x': there are prelu, relu"),
        ({"freeze_bn": 1}, "--freeze-bn 1 needs --pretrained"),
        ({"freeze_bn": 1, "resume": True}, "--freeze-bn 1 needs --pretrained"),
    ],
)
def test_refused_before_training(options, changed, message):
    with pytest.raises(ValueError, match=message):
        make_plan(TrainConfig(**options | changed))


def test_frozen_statistics_resume_without_naming_the_checkpoint_again(options, tmp_path):
    first = train(TrainConfig(**options, max_steps=1)).checkpoint
    run = options | {"prefix": str(tmp_path / "fine"), "freeze_bn": 1}
    train(TrainConfig(**run, max_steps=1, pretrained=first))
    assert train(TrainConfig(**run, max_steps=2, resume=True)).steps == 2


def test_sphereface_delays_the_schedule_by_its_rest(options):
    run = {k: v for k, v in options.items() if not k.startswith("margin")}
    run |= {"loss_type": "1", "beta_freeze": 7, "lr_steps": (10, 20)}
    assert make_plan(TrainConfig(**run)).drops == (17, 27)
    assert make_plan(TrainConfig(**run | {"loss_type": "0", "beta_freeze": 0})).drops == (10, 20)


def test_multipliers_that_change_nothing_are_told(caplog):
    for options, is_told in (
        ({"fc7_wd_mult": 10.0}, True),
        ({"fc7_lr_mult": 2.0}, True),
        ({}, False),
        ({"fc7_wd_mult": 10.0, "apply_mult": 1}, False),
    ):
        caplog.clear()
        tell_of_multipliers(TrainConfig(**options))
        assert ("changes nothing, as in the published script; --apply" in caplog.text) == is_told
