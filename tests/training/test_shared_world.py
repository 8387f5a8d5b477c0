"""A classifier shared out over processes of torchrun: as a dense one, gone on from by any number of
others; and bags of triplets, of which each process has its own."""

from pathlib import Path
import shutil

from arcface_mxnet.checkpoints.last_state import read_last
from arcface_mxnet.checkpoints.shards import stored_classifier, with_classifier
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.networks import NETWORKS
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.machines import Machines
from arcface_mxnet.training.plan import make_plan
from arcface_mxnet.training.plan_only import write_plan
import mxnet as mx
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from tests.training.networks import enter_networks  # noqa: E402
from tests.training.test_world import GIVEN, assert_near  # noqa: E402
from tests.training.torchrun import run_job, run_of  # noqa: E402

IMAGES = 12  # of a step, however many processes make it
# One after the other: a step each of so many processes.
CHAIN = [(2, "sharded"), (3, "sharded"), (2, "dense"), (3, "sharded")]


class Part(Machines):
    """One process of several, without the others."""

    def __init__(self, rank, count):
        self.rank, self.count = rank, count

    def group_on(self, device):
        return None


def left_by(prefix):
    """Return the record of a last state, and its arrays with the whole classifier."""
    last = read_last(str(prefix))
    whole = with_classifier(last, str(prefix))
    return last.record, whole.arg_params | whole.aux_params | whole.state


@pytest.fixture(scope="module")
def networks():
    with pytest.MonkeyPatch.context() as patch:
        enter_networks(lambda name, entry: patch.setitem(NETWORKS._entries, name, entry))
        yield


@pytest.fixture(scope="module")
def ended(networks, dataset_dir, tmp_path_factory):
    """Make all runs of this file in one job; return their folder, and the options of the chain."""
    folder = tmp_path_factory.mktemp("shared")
    common = GIVEN | {"data_dir": str(dataset_dir), "engine": "torch", "accumulate": 1,
                      "resume": True}  # fmt: skip

    def planned(name, options):
        """Return the options of a run whose training symbol stands in a file."""
        write_plan(TrainConfig(**options, prefix=str(folder / name)))
        return options | {"train_symbol": folder / f"{name}-train-symbol.json"}

    # Statistics of a batch would differ between shares, so the network has none.
    chain = common | {"network": "plain", "target": (), "lr_steps": (3, 5), "lr_warmup": 2,
                      "grad_clip": 1.0, "prefix": str(folder / "chain"), "verbose": 1}  # fmt: skip
    one = chain | {"per_batch_size": IMAGES}
    train(TrainConfig(**one | {"prefix": str(folder / "whole"), "max_steps": 6}))
    train(TrainConfig(**one | {"max_steps": 1}))
    stored = chain | {"train_symbol": folder / "chain-symbol.json"}
    stored |= {"pretrained": f"{folder / 'chain'},last"}
    steps = [
        run_of(count, **stored | {"per_batch_size": IMAGES // count, "classifier": kind,
                                  "max_steps": 2 + number})
        for number, (count, kind) in enumerate(CHAIN)
    ]  # fmt: skip
    bags = planned("bags", common | {"loss_type": "triplet", "per_batch_size": 6, "target": (),
                                     "triplet_bag_size": 12, "images_per_identity": 4,
                                     "triplet_alpha": 2.0, "max_steps": 6, "verbose": 3,
                                     "margin_s": 64.0, "margin_m": 0.5})  # fmt: skip
    own = common | {"loss_type": "curricularface", "grad_clip": 1.0, "max_steps": 4, "ckpt": 2}
    shared = planned("own", own) | {"classifier": "sharded", "prefix": folder / "shared"}
    train(TrainConfig(**own | {"engine": "mxnet", "prefix": str(folder / "devices")}),
          [mx.cpu(0), mx.cpu(1)])  # fmt: skip
    code, said = run_job(
        *steps,
        run_of(2, **bags, prefix=folder / "whole-bags"),
        run_of(2, **bags | {"max_steps": 3}, prefix=folder / "cut-bags"),
        run_of(2, **bags, prefix=folder / "cut-bags"),
        run_of(2, ("kill", 1, 3), **shared),
        is_forked=True,
    )
    assert code == 0 and "was killed" in said, said
    return folder, one


def test_two_processes_share_it_and_one_is_killed(ended):
    """As dense on two devices, with statistics and running values of each."""
    folder, _ = ended
    record, found = left_by(folder / "shared")
    assert_near(found, left_by(folder / "devices")[1])
    assert not np.array_equal(found["aux0:curriculum"], found["aux1:curriculum"])
    identities = record["classifier"]["identities"]
    assert record["classifier"]["slices"] == [[0, identities // 2], [identities // 2, identities]]
    stored = stored_classifier(str(folder / "shared"), 2)
    assert np.array_equal(stored.whole("fc7_weight"), found["fc7_weight"])
    assert Path(f"{folder}/shared-rank1.log").is_file()


@pytest.mark.parametrize("kind", ["dense", "sharded"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_three_left_is_taken_exactly_by_any_number(ended, count, kind):
    folder, one = ended
    record, whole = left_by(folder / "chain")
    assert len(record["classifier"]["slices"]) == 3
    names = sorted(path.name for path in folder.glob("chain-last-fc7-*"))
    begin = f"chain-last-fc7-{record['classifier']['step']:09d}"
    assert names == sorted(
        f"{begin}-{rank}-of-3{part}.params" for rank in range(3) for part in ("", "-state")
    )
    plan = make_plan(TrainConfig(**one | {"classifier": kind}))
    last = read_last(str(folder / "chain"))
    parts = []
    for rank in range(count):
        earlier = with_classifier(last, str(folder / "chain")) if kind == "dense" else last
        given = earlier.arg_params, earlier.aux_params
        stepper = plan.engine.stepper(plan, *given, Part(rank, count))
        stepper.restore_last(earlier, str(folder / "chain"))
        found = stepper.params()[0] | stepper.state()
        if kind == "sharded":
            rows = stepper.classifier.rows
            found |= {n: t.detach().numpy() for n, t in (rows.weights | rows.moments).items()}
        parts.append(found)
    assert all(part.keys() == whole.keys() for part in parts)
    for name, value in whole.items():
        arrays = [part[name] for part in parts]
        if kind == "sharded" and name.endswith("fc7_weight"):
            arrays = [np.concatenate(arrays)]
        for array in arrays:
            np.testing.assert_array_equal(array, value, err_msg=name)


def test_each_goes_on_as_the_whole_run_does(ended):
    """Dense on one, sharded on two, on three, dense on two, sharded on three, sharded on one."""
    folder, one = ended
    after = folder / "after"
    after.mkdir()
    for path in folder.glob("chain*"):
        shutil.copy(path, after)
    more = {"classifier": "sharded", "max_steps": 6, "prefix": str(after / "chain")}
    train(TrainConfig(**one | more))
    (record, found), (_, wanted) = left_by(after / "chain"), left_by(folder / "whole")
    assert record["position"]["step"] == 6 and record["position"]["images"] == 6 * IMAGES
    assert_near(found, wanted)


def test_every_process_goes_on_in_its_own_bags(ended):
    folder, _ = ended
    (record, found), (whole, wanted) = (left_by(folder / f"{n}-bags") for n in ("cut", "whole"))
    first, second = (one["place"] for one in record["places"])
    assert first["waiting"] and second["waiting"] and first != second
    assert record["places"] == whole["places"]
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
