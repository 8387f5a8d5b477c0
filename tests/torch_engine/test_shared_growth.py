"""Rows of a classifier that is shared out follow the names of the identities, whoever has them."""

from dataclasses import replace
import logging
from pathlib import Path
import shutil

from arcface_mxnet.checkpoints.last_state import read_last
from arcface_mxnet.checkpoints.shards import with_classifier
from arcface_mxnet.training.growth import names_path
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.machines import Machines
from arcface_mxnet.training.plan import make_plan
from arcface_mxnet.training.plan_only import write_plan
import mxnet as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.torch_engine.fills import draw  # noqa: E402

from tests.torch_engine.test_training import config, dataset_dir  # noqa: E402, F401
from tests.training.conftest import IDENTITIES  # noqa: E402
from tests.training.test_growth import NAMES, named, write_other  # noqa: E402

KINDS = {
    "dense": {"classifier": "dense"},
    "sharded": {"classifier": "sharded"},
    "partial": {"classifier": "partial", "sample_rate": 0.5},
}
OTHERS = ["gus", "eve", "ann", *"hijk", "bob"]  # who comes; eve, ann and bob were there
FROM = {1: 4, 2: 0, 7: 1}  # their numbers, and what these were
ROWS = {"arcface": 1, "subcenter-arcface": 3}  # of an identity, by loss


class Part(Machines):
    """One process of several, without the others."""

    def __init__(self, rank, count):
        self.rank, self.count = rank, count

    def group_on(self, device):
        return None


@pytest.fixture
def first(config, dataset_dir, tmp_path):  # noqa: F811
    """Return the options of a run on people with names, which is still to be made."""
    folder = named(Path(shutil.copytree(dataset_dir, tmp_path / "first")), NAMES)
    return replace(config, data_dir=str(folder), engine="torch", target=(), max_steps=2, verbose=2,
                   lr=0.1)  # fmt: skip


def trained(config):  # noqa: F811
    """Make a run; return its classifier."""
    train(config)
    return with_classifier(read_last(config.prefix), config.prefix).arg_params["fc7_weight"]


def after(config, folder, number="last", **more):  # noqa: F811
    """Return the options of a run that begins with a checkpoint."""
    given = {"pretrained": f"{config.prefix},{number}", "prefix": f"{config.prefix}-second"}
    return replace(config, data_dir=str(folder), **given | more)


def begun(config, count=1):  # noqa: F811
    """Return the rows with which so many processes begin, joined."""
    plan = make_plan(config)
    plan.engine.seed(1)
    parameters = plan.engine.first_parameters(plan)
    if config.classifier == "dense":
        weight = parameters[0]["fc7_weight"]
        return weight.asnumpy() if hasattr(weight, "asnumpy") else weight
    assert "fc7_weight" not in parameters[0]
    steppers = [plan.engine.stepper(plan, *parameters, Part(r, count)) for r in range(count)]
    rows = [one.classifier.rows.weights["fc7_weight"].detach().numpy() for one in steppers]
    return np.concatenate(rows)


def assert_followed(found, before, each=1):
    """Known rows are those from before, the others as they are drawn."""
    wanted = torch.empty(found.shape)
    draw(wanted, 0, len(found), 727, mx.init.Xavier())
    wanted = wanted.numpy().reshape(-1, each, 8)
    for number, was in FROM.items():
        wanted[number] = before.reshape(-1, each, 8)[was]
    np.testing.assert_array_equal(found, wanted.reshape(found.shape))


@pytest.mark.parametrize("loss", ROWS)
@pytest.mark.parametrize("source", KINDS)
def test_rows_follow_names_into_any_processes(first, source, loss, tmp_path, caplog):
    first = replace(first, loss_type=loss, **KINDS[source])
    before = trained(first)
    folder = named(write_other(tmp_path / "more", 8), OTHERS)
    caplog.set_level(logging.INFO)
    for kind in ("sharded", "partial"):
        for number in ("last", 1):
            second = after(first, folder, number, **{"sample_rate": 0.1} | KINDS[kind])
            for count in (1, 3):
                assert_followed(begun(second, count), before, ROWS[loss])
    assert caplog.text.count("3 identities carried over, 5 new, 3 vanished") == 2 * 2 * (1 + 3)


@pytest.mark.parametrize("source", ["sharded", "partial"])
def test_a_dense_run_takes_the_rows_of_any(first, source, tmp_path):
    before = trained(replace(first, **KINDS[source]))
    folder = named(write_other(tmp_path / "more", 8), OTHERS)
    for number in ("last", 1):
        dense = after(first, folder, number)
        found = begun(dense)
        np.testing.assert_array_equal(found[[*FROM]], before[[*FROM.values()]])
        assert not any(np.array_equal(row, other) for row in found[[0, 3]] for other in before)
        same = replace(dense, data_dir=first.data_dir)
        np.testing.assert_array_equal(begun(same), before)
        stored = replace(same, train_symbol=f"{first.prefix}-symbol.json")
        np.testing.assert_array_equal(begun(stored), before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_training_symbol_takes_them_too(first, kind, tmp_path):
    """Of a checkpoint of as many identities, and as --plan-only writes it."""
    before = trained(replace(first, **KINDS["sharded"]))
    turned = named(write_other(tmp_path / "turned", IDENTITIES), NAMES[::-1])
    published = after(first, turned, train_symbol=f"{first.prefix}-symbol.json", **KINDS[kind])
    np.testing.assert_array_equal(begun(published), before[::-1])
    more = named(write_other(tmp_path / "more", 8), OTHERS)
    planned = after(first, more, **KINDS[kind])
    write_plan(planned)
    symbol = f"{planned.prefix}-train-symbol.json"
    found = begun(replace(planned, train_symbol=symbol))
    np.testing.assert_array_equal(found[[*FROM]], before[[*FROM.values()]])
    if kind != "dense":
        assert_followed(found, before)
        train(replace(planned, train_symbol=symbol, prefix=f"{first.prefix}-third", max_steps=1))


def test_rows_that_names_and_files_do_not_agree_on_are_refused(first, tmp_path):
    trained(replace(first, **KINDS["sharded"]))
    folder = named(write_other(tmp_path / "more", 8), OTHERS)
    second = after(first, folder, **KINDS["sharded"])
    with pytest.raises(ValueError, match=r"has 1 row\(s\) for each identity, this run 3"):
        begun(replace(second, loss_type="subcenter-arcface"))
    with names_path(first.prefix).open("a") as file:
        file.write(f"{IDENTITIES}\tgus\n")
    for kind in ("dense", "sharded"):
        with pytest.raises(ValueError, match=r"does not hold 1 row\(s\).*identities 0 to 6 that"):
            begun(replace(second, classifier=kind))


def test_a_checkpoint_of_a_later_dense_run_has_the_rows_of_that(first):
    """Files that an earlier run has left under the same number are not taken for it."""
    shared = replace(first, **KINDS["sharded"], ckpt=3, target=("held",))
    trained(shared)
    list_of_files = Path(f"{first.prefix}-0001-fc7.json")
    assert list_of_files.is_file()
    Path(f"{first.prefix}-last.params").unlink()
    weight = trained(replace(shared, **KINDS["dense"], seed=5))
    assert not list_of_files.exists() and not list(list_of_files.parent.glob("*-0001-fc7-*"))
    second = after(first, first.data_dir, 1, **KINDS["sharded"])
    np.testing.assert_array_equal(begun(second), weight)
