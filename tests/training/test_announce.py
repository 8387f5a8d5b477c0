"""What is said before the first step."""

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training.announce import announce
from arcface_mxnet.training.plan import make_plan
import mxnet as mx


def test_epochs_are_counted_in_steps_of_several_batches(options, caplog):
    """36 images are 6 batches of 6, two of which make a step."""
    config = TrainConfig(
        **options | {"accumulate": 2, "lr_steps": (4,), "max_steps": 9, "target": ()}
    )
    plan = make_plan(config, [mx.cpu()])
    with caplog.at_level("INFO"):
        announce(plan, None, 6, 9, done=0)
    assert "a tenth after step 4 (epoch 1.3)" in caplog.text
    assert "ends at step 9 (epoch 3.0)" in caplog.text


def test_multipliers_that_change_nothing_are_told(options, caplog):
    for apply_mult in (0, 1):
        caplog.clear()
        more = {"fc7_lr_mult": 3.0, "apply_mult": apply_mult, "target": ()}
        plan = make_plan(TrainConfig(**options | more), [mx.cpu()])
        announce(plan, None, 6, 9, done=0)
        assert ("change nothing here without --apply-mult 1" in caplog.text) != apply_mult


def test_a_rate_of_0_is_told(options, caplog):
    plan = make_plan(TrainConfig(**options | {"lr": 0.0, "target": ()}), [mx.cpu()])
    announce(plan, None, 6, 9, done=0)
    assert "--lr 0: no parameter learns" in caplog.text
