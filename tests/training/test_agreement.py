"""All machines make sure, before the first step, that they are about to make the same run."""

from concurrent.futures import ThreadPoolExecutor
import json
import threading
from types import SimpleNamespace

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training import agreement
from arcface_mxnet.training.agreement import agree, refuse_differing
from arcface_mxnet.training.machines import EXACT, FACTS, Word, padded
import numpy as np
import pytest


class Played:
    """Machines in threads; a round is a barrier."""

    def __init__(self, rank, count, barrier, table):
        self.rank, self.count, self._barrier, self._table = rank, count, barrier, table

    def tell(self, word, facts=()):
        self._table[self.rank] = padded(facts)
        self._barrier.wait(10)
        told = self._table.copy()
        self._barrier.wait(10)
        return [word] * self.count, told

    def exchange(self, text):
        """MXNet's machines tell each other numbers alone."""
        return [text]


def plan_of(prefix, *, data="d" * 16, taught="", devices=1, **options):
    config = TrainConfig(prefix=str(prefix), **options)
    engine = SimpleNamespace(versions=lambda: {"mxnet": "1.9.1"})
    devices = [None] * devices
    return SimpleNamespace(
        config=config, fingerprints=[data], teacher_fingerprint=taught, ctx=devices, engine=engine
    )


def agreed(*plans, steps=(0, 0, 0)):
    """Return what agree() raised on each machine, None where nothing."""
    table = np.zeros((len(plans), FACTS), np.int64)
    barrier = threading.Barrier(len(plans))

    def one(rank):
        machines = Played(rank, len(plans), barrier, table)
        try:
            agree(machines, plans[rank], steps[rank])
        except ValueError as error:
            machines.tell(Word.FAILED)  # as joined() does
            return error
        return None

    with ThreadPoolExecutor(len(plans)) as pool:
        return list(pool.map(one, range(len(plans))))


def test_the_same_run_on_three_machines(tmp_path):
    same = [
        plan_of(tmp_path / "m", data_dir=f"/node{i}/faces", num_threads=1 + i) for i in range(3)
    ]
    assert agreed(*same, steps=(7, 7, 7)) == [None] * 3
    assert not list(tmp_path.iterdir()), "machine 0's file is gone"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"data": "e" * 16}, "--data-dir faces: machine 2 reads another dataset than machine 0"),
        ({"taught": "e" * 16}, "machine 2 reads another dataset than machine 0, or .*--teacher"),
        ({"lr": 0.2}, "machine 2 was started with other options than machine 0"),
        ({"seed": 1}, "machine 2 was started with other options"),
        ({"max_steps": 5}, "machine 2 was started with other options"),
        ({"pretrained": "m,1"}, "machine 2 was started with other options"),
        ({"devices": 2}, "machine 2 was started with other options .*number of devices"),
    ],
)
def test_differences_are_told_by_all(tmp_path, other, message):
    plans = [plan_of(tmp_path / "m", data_dir="faces", **more) for more in ({}, {}, other)]
    found = agreed(*plans)
    for error in found:
        with pytest.raises(ValueError, match=message):
            raise error
    assert not list(tmp_path.iterdir())


def test_processes_that_begin_with_other_rows_are_told_apart(tmp_path):
    """Each takes its rows of a shared classifier from its own --pretrained."""
    for name, size in (("one", 5), ("two", 6)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "p-0001.params").write_bytes(b"x" * size)

    def said(name, **options):
        given = {"pretrained": f"{tmp_path}/{name}/p,1"} if name else {}
        return json.dumps(agreement.said(plan_of(tmp_path / "m", **given | options)))

    refuse_differing([said("one"), said("one")])
    with pytest.raises(ValueError, match="--pretrained: .*two/p,1. on process 1, .*one/p,1"):
        refuse_differing([said("one"), said("two")])
    with pytest.raises(ValueError, match="bytes of --pretrained: 6 on process 1, 5 on process 0"):
        refuse_differing([said("one"), said("two")])
    with pytest.raises(ValueError, match="bytes of --pretrained: null on process 1, 5 on"):
        refuse_differing([said("one"), said("")])
    for options in ({"new_head": 1}, {"train_symbol": "b.json"}):
        with pytest.raises(ValueError, match=f"--{next(iter(options)).replace('_', '-')}: "):
            refuse_differing([said("one"), said("one", **options)])


def test_another_step_is_another_folder(tmp_path):
    plans = [plan_of(tmp_path / "m")] * 2
    for error in agreed(*plans, steps=(20, 0)):
        with pytest.raises(
            ValueError, match=r"machine 1 finds a run there at step 0, machine 0 .*20"
        ):
            raise error


def test_a_folder_that_is_not_shared_is_found_whatever_it_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(agreement, "SEEN_WITHIN", 0.3)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "two" / "m-job-00000007").write_text("left behind by an earlier job")
    plans = [plan_of(tmp_path / name / "m") for name in ("one", "one", "two")]
    found = agreed(*plans)
    with pytest.raises(ValueError, match=r"machine 2 does not see m-job-\d{8}.*is not shared"):
        raise found[2]
    assert not list((tmp_path / "one").iterdir())


def test_one_machine_asks_nobody(tmp_path):
    agree(SimpleNamespace(count=1), plan_of(tmp_path / "absent" / "m"), 0)


def test_facts_are_exact_in_the_sums_of_the_kvstore():
    assert np.float32(EXACT - 1) + np.float32(0) == EXACT - 1
    with pytest.raises(AssertionError):
        padded([EXACT])
    assert Word.DIVERGED > Word.FAILED > Word.STOP > Word.GO
