"""How many identities have images: told where it is not property's number, refused below two."""

import json
import logging
from pathlib import Path
import shutil

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data.records import RecordWriter
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.plan import make_plan
import pytest

from .conftest import face


@pytest.fixture
def plain_dir(tmp_path):
    """Return a function that packs images of these identities, one after the other."""

    def pack(identities, num_classes):
        folder = tmp_path / "plain"
        folder.mkdir()
        with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
            for key, identity in enumerate(identities):
                writer.write(key, float(identity), face(identity, key))
        (folder / "property").write_text(f"{num_classes},16,16\n")
        return str(folder)

    return pack


def test_all_of_them_is_said_as_ever(options, caplog):
    caplog.set_level(logging.INFO)
    train(TrainConfig(**options, max_steps=1))
    assert ", 6 identities, 24 images of 16x16" in caplog.text


def test_fewer_than_property_says_are_counted(options, dataset_dir, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    folder = shutil.copytree(dataset_dir, tmp_path / "many")
    (folder / "property").write_text("85742,16,16\n")
    train(TrainConfig(**options | {"data_dir": str(folder)}, max_steps=1))
    assert ", 85742 identities (6 of them with images), 24 images" in caplog.text
    (data,) = json.loads(Path(f"{options['prefix']}-run.json").read_text())["data"]
    assert (data["identities"], data["identities_with_images"]) == (85742, 6)


def test_runs_of_one_identity_count_once(options, plain_dir):
    folder = plain_dir([0, 0, 2, 2, 0, 0, 2], num_classes=3)
    plan = make_plan(TrainConfig(**options | {"data_dir": folder}))
    assert plan.num_identities == [2]
    assert len(plan.datasets[0].identity_ranges) == 4


@pytest.mark.parametrize("identities", [[1, 1, 1, 1, 1, 1], [3, 3, 3]])
def test_one_is_refused(options, plain_dir, identities):
    folder = plain_dir(identities, num_classes=4)
    with pytest.raises(ValueError, match=r"--data-dir .*plain: images of 1 identity, though prop"):
        train(TrainConfig(**options | {"data_dir": folder}, max_steps=1))


def test_one_that_a_filter_leaves_is_refused(options, plain_dir):
    folder = plain_dir([0, 0, 1, 1, 1], num_classes=2)
    run = options | {"data_dir": folder}
    assert make_plan(TrainConfig(**run)).num_identities == [2]
    with pytest.raises(ValueError, match=r"images of 1 identity after --images-filter 3, though"):
        make_plan(TrainConfig(**run, images_filter=3))
