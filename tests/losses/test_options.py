"""Options: what a loss refuses and what it says."""

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.losses import build_loss
import pytest


@pytest.mark.parametrize(
    ("loss_type", "options", "message"),
    [
        ("arcfase", {}, r"--loss-type 'arcfase': unknown loss; .*did you mean arcface\?"),
        (4, {"margin_m": 1.6}, r"--margin-m 1\.6: an angle in radians, from 0 to below pi/2"),
        (4, {"margin_m": -0.1}, r"--margin-m -0\.1: an angle"),
        (4, {"margin_s": 0.0}, r"--margin-s 0\.0: the scale must be above 0"),
        (4, {"margin_warmup": -1}, r"--margin-warmup -1: must be at least 0"),
        (4, {"fc7_no_bias": True}, r"--fc7-no-bias True: loss 4/arcface does not use it"),
        (0, {"margin_m": 0.35}, r"--margin-m 0\.35: loss 0/softmax does not use it"),
        (2, {"easy_margin": 1}, r"--easy-margin 1: loss 2/amsoftmax/cosface does not"),
        (3, {}, r"--margin-m 0\.5: here a factor on the angle, at least 1, such as 2"),
        (1, {"margin": 0}, "--margin 0: must be at least 1"),
        (1, {"margin": 10**6}, "--margin 1000000: must be at most 64"),
        (1, {"power": -1.0}, r"--power -1.0: must be at least 0"),
        (8, {"center_alpha": 1.5}, "--center-alpha 1.5: a share, at most 1"),
        (4, {"fc7_lr_mult": -1.0}, "--fc7-lr-mult -1.0"),
        (4, {"fc7_wd_mult": -1.0}, "--fc7-wd-mult -1.0"),
        (1, {"beta_min": -1.0}, r"--beta-min -1\.0: must be at least 0"),
        (6, {}, r"--margin-b 0\.0: here the weight of the second loss, above 0"),
        (7, {}, r"--margin-b 0\.0: here the weight"),
        (9, {"per_batch_size": 40}, r"--per-batch-size 40: .* multiple of 16 from 32 on"),
        (10, {"images_per_identity": 1}, r"--images-per-identity 1: at least 2 are compared"),
        (11, {"images_per_identity": 3}, r"--images-per-identity 3: pairs are of 2 images"),
        (12, {}, r"--per-batch-size 128: triplets need a multiple of 3"),
        (12, {"fc7_wd_mult": 10.0}, r"--fc7-wd-mult 10\.0: loss 12/triplet does not use it"),
        ("circle", {"margin_m": 1.5}, r"--margin-m 1\.5: here from 0 to 1"),
        ("magface", {"mag_min_length": 200.0}, r"--mag-min-length 200\.0 .* must ascend"),
        ("magface", {"mag_max_margin": 0.3}, r"--mag-min-margin 0\.45 .* must ascend"),
        ("adaface", {"running_decay": 1.0}, r"--running-decay 1\.0: the old value's share"),
        ("subcenter-arcface", {"subcenters": 0}, r"--subcenters 0: must be at least 1"),
    ],
)
def test_refused(loss_type, options, message, build):
    with pytest.raises(ValueError, match=message):
        build(loss_type, 100, **options)


def test_all_faults_at_once(build):
    with pytest.raises(ValueError, match=r"--margin-s -1\.0.*\n.*--margin-m 2\.0"):
        build(4, 100, margin_s=-1.0, margin_m=2.0)


def test_one_identity_has_no_centroids_to_compare(build):
    with pytest.raises(ValueError, match="1 identities are too few"):
        build(9, 1, per_batch_size=32)


def test_coco_takes_two_identities_and_not_one():
    options = TrainConfig(data_dir="d", prefix="p", loss_type="coco", per_batch_size=32)
    assert build_loss("coco", options, 2).num_classes == 2
    with pytest.raises(ValueError, match="1 identities are too few"):
        build_loss("coco", options, 1)
