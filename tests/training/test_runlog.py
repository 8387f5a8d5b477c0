"""What a run leaves to read, when a run goes on from it: torn, damaged, or by another hand."""

import csv
import json
import logging

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training.runlog import RunLog
import pytest


@pytest.fixture
def prefix(tmp_path):
    log = RunLog(TrainConfig(prefix=str(tmp_path / "m")), {})
    log.metrics(10, 0, {"a,b": 0.5, "lr": float("nan")})
    log.validation(10, 0, "lfw", {"accuracy": 0.75})
    log.metrics(20, 1, {"lr": 0.1})
    return tmp_path / "m"


def resumed(prefix, at):
    RunLog(TrainConfig(prefix=str(prefix)), {}, resumed_at=at)
    with prefix.with_name("m-metrics.csv").open(newline="") as file:
        return [row[:3] for row in csv.reader(file)][1:]


ROWS = [["10", "0", "a,b"], ["10", "0", "lr"], ["10", "0", "lfw/accuracy"]]


def test_a_resumed_run_keeps_what_was_before_its_step(prefix):
    assert resumed(prefix, 10) == ROWS
    run = json.loads(prefix.with_name("m-run.json").read_text())
    assert run["validation"] == [{"step": 10, "target": "lfw", "accuracy": 0.75}]
    assert run["resumed_at"] == [10]


@pytest.mark.parametrize(
    "torn", [b"1", b"15,0,lr", b"15,0,lr,0.", b"15,0,lr,\r\n", b"\xff\0\r\n", b'15,0,"x,1\r\n',
             b"15,x,lr,1\r\n"],
)  # fmt: skip
def test_a_torn_row_goes(prefix, torn, caplog):
    path = prefix.with_name("m-metrics.csv")
    path.write_bytes(path.read_bytes() + torn)
    with caplog.at_level(logging.WARNING):
        assert resumed(prefix, 19) == ROWS
    assert "left out damaged lines: 1 from line 6 on" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m-run.json: not a log of a run: no JSON that can be read: line 1"),
        ("[]", "m-run.json: not the log of a run: it needs validation"),
        ('{"validation": [{"target": "lfw"}]}', "it needs validation, a list of results"),
        ('{"validation": 1}', "move it away to go on without it"),
        ('{"resumed_at": ["1"]}', "resumed_at, a list of steps"),
    ],
)
def test_a_log_of_another_form_is_refused(prefix, text, message):
    prefix.with_name("m-run.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        resumed(prefix, 10)


def test_a_full_disk_names_the_table(prefix, tmp_path):
    log = RunLog(TrainConfig(prefix=str(tmp_path / "n")), {})
    (tmp_path / "n-metrics.csv").unlink()
    (tmp_path / "n-metrics.csv").symlink_to("/dev/full")
    with pytest.raises(OSError, match="n-metrics.csv"):
        log.metrics(1, 0, {"lr": 0.1})
