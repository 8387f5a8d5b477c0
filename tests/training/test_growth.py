"""Rows of a classifier follow the names of the identities."""

import logging
from pathlib import Path
import shutil

from arcface_mxnet.checkpoints.load import load_checkpoint
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data.records import RecordWriter
from arcface_mxnet.training.growth import Growth, find_growth
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.plan import make_plan
import numpy as np
import pytest

from tests.training.conftest import IDENTITIES, IMAGES, SIDE, face

NAMES = ["ann", "bob", "cem", "dee", "eve", "fay"]


def named(folder, names):
    (folder / "train.names").write_text("".join(f"{i}\t{name}\n" for i, name in enumerate(names)))
    return folder


def write_other(folder, count):
    """Pack images of `count` identities."""
    folder.mkdir()
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for number in range(count * IMAGES):
            writer.write(
                number + 1, [float(number // IMAGES), 1.0], face(number // IMAGES, number % IMAGES)
            )
        writer.write(0, [count * IMAGES + 1, count * IMAGES + 1 + count], b"")
        for identity in range(count):
            first = 1 + identity * IMAGES
            writer.write(count * IMAGES + 1 + identity, [first, first + IMAGES], b"")
    (folder / "property").write_text(f"{count},{SIDE},{SIDE}\n")
    return folder


@pytest.fixture
def trained(options, dataset_dir, tmp_path):
    """Return the options of a run that has left its checkpoint, and its classifier (6, 8)."""
    folder = named(Path(shutil.copytree(dataset_dir, tmp_path / "first")), NAMES)
    options |= {"data_dir": str(folder), "max_steps": 2, "target": (), "lr": 0.1}
    train(TrainConfig(**options))
    weight = load_checkpoint(f"{options['prefix']},last")[1]["fc7_weight"].asnumpy()
    assert weight.shape == (IDENTITIES, 8)
    return options, weight


def begun(options, folder, tmp_path, **more):
    given = options | {
        "data_dir": str(folder), "prefix": str(tmp_path / "second"),
        "pretrained": f"{options['prefix']},last",
    } | more  # fmt: skip
    plan = make_plan(TrainConfig(**given))
    plan.engine.seed(1)
    arg_params, _ = plan.engine.first_parameters(plan)
    return arg_params["fc7_weight"].asnumpy()


def test_known_rows_are_carried_over_and_others_drawn(trained, tmp_path, caplog):
    options, before = trained
    folder = named(write_other(tmp_path / "more", 8), ["gus", "eve", "ann", *"hijk", "bob"])
    caplog.set_level(logging.INFO)
    weight = begun(options, folder, tmp_path)
    np.testing.assert_array_equal(weight[[1, 2, 7]], before[[4, 0, 1]])
    assert not any(np.array_equal(row, other) for row in weight[[0, 3]] for other in before)
    assert "3 identities carried over, 5 new, 3 vanished" in caplog.text


def test_as_many_identities_in_another_order_follow_their_names(trained, tmp_path):
    options, before = trained
    folder = named(write_other(tmp_path / "turned", 6), NAMES[::-1])
    np.testing.assert_array_equal(begun(options, folder, tmp_path), before[::-1])


def test_only_new_rows_are_imprinted(trained, tmp_path):
    options, before = trained
    folder = named(write_other(tmp_path / "more", 8), [*NAMES, "gus", "hal"])
    weight = begun(options, folder, tmp_path, fc7_init="imprint")
    np.testing.assert_array_equal(weight[:6], before)
    np.testing.assert_allclose(np.linalg.norm(weight[6:], axis=1), 1, rtol=1e-5)


def test_without_names_sizes_decide(trained, tmp_path, caplog):
    options, before = trained
    folder = write_other(tmp_path / "more", 8)
    assert find_growth(f"{options['prefix']},last", [folder], 8) is None
    assert begun(options, folder, tmp_path).shape == (8, 8)
    assert "by number" not in caplog.text
    same = write_other(tmp_path / "same", 6)
    np.testing.assert_array_equal(begun(options, same, tmp_path), before)
    assert "fc7_weight taken by number, row i for identity i" in caplog.text


def test_a_name_that_stands_twice_is_refused(trained, tmp_path):
    options, _ = trained
    folder = named(write_other(tmp_path / "twice", 6), ["ann", "ann", *"cdef"])
    with pytest.raises(ValueError, match="0 and 1 are both named 'ann'"):
        begun(options, folder, tmp_path)


@pytest.mark.parametrize(
    "first, last, wanted",
    [
        (0, 10, [(0, 4, 3), (5, 0, 1), (6, 2, 1), (9, 3, 1)]),
        (1, 6, [(1, 5, 2), (5, 0, 1)]),
        (3, 5, []),
        (10, 10, []),
    ],
)
def test_rows_that_follow_each_other_are_read_together(first, last, wanted):
    growth = Growth(10, np.array([0, 1, 2, 5, 6, 9]), np.array([4, 5, 6, 0, 2, 3]), 0, 7)
    assert list(growth.stretches(first, last)) == wanted


def test_rows_of_another_number_for_each_name_are_refused():
    growth = Growth(2, np.array([0, 1]), np.array([2, 0]), 1, 3)
    given = np.arange(9.0, dtype=np.float32).reshape(9, 1)  # three rows for each of three names
    for each in (1, 2):
        with pytest.raises(ValueError, match=rf"does not hold {each} row\(s\)"):
            growth.carried("fc7_weight", given, np.zeros((2 * each, 1), np.float32))
    found = growth.carried("fc7_weight", given, np.zeros((6, 1), np.float32))
    assert found.ravel().tolist() == [6, 7, 8, 0, 1, 2]
