"""The doctor tells what is there and what is not, and survives whatever a library does."""

import json
from pathlib import Path
import sys

from arcface_mxnet.doctor import findings as module
from arcface_mxnet.doctor.command import main
from arcface_mxnet.doctor.findings import BAD, GOOD, NOTE, Finding, findings, works
from arcface_mxnet.doctor.probes import Answer, ask
import pytest


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("answer([1, 'a'])", Answer([1, "a"])),
        ("print('noise'); answer(None); answer(2)", Answer(2)),
        ("import no_such_module", Answer(None, "ModuleNotFoundError: No module named "
                                         "'no_such_module'")),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
         Answer(None, "it ended by SIGSEGV")),
        ("import sys; sys.exit(3)", Answer(None, "it does not say why")),
    ],
)  # fmt: skip
def test_a_probe_answers_or_says_why_not(code, answer):
    assert ask(code) == answer


def test_a_probe_that_hangs_is_ended():
    assert ask("import time; time.sleep(60)", limit=0.5).reason == "no answer within 0.5 seconds"


@pytest.fixture
def answers(monkeypatch):
    """Let probes answer by the first of the words that their code has; others fail."""

    def set_answers(**values):
        def fake(code, **options):
            for word, value in values.items():
                if word in code:
                    return value
            return Answer(None, "ModuleNotFoundError: made up")

        monkeypatch.setattr(module, "ask", fake)

    return set_answers


def by_topic(found):
    return {one.topic: one for one in found}


def test_what_works_is_told(answers, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/a").touch()
    answers(
        compute_capabilities=Answer([[8, 6], [9, 0]]),
        load_operators=Answer(True), SOURCES=Answer({"one": ["p==1", ["models/a", "models/b"]]}),
        torch=Answer(["2.1", False]), onnxruntime=Answer(["1.24", ["CPUExecutionProvider"]]),
        mx=Answer(["1.9.1", 3.0]), numpy=Answer(1),
    )  # fmt: skip
    found = by_topic(findings(tmp_path, 5))
    assert works(list(found.values()))
    assert found["MXNet"].state == GOOD and "loads and computes" in found["MXNet"].value
    assert found["GPU 0"].value.endswith("mxnet-cu112 serves it")
    assert found["GPU 1"].state == NOTE and "arcface_mxnet[gpu]" in found["GPU 1"].cure
    assert found["fetched one"].value.startswith("1 of 2 files of p==1")
    assert found["fetched one"].cure == "arcface-fetch fetch one"
    assert found["Python"].value.startswith(".".join(map(str, sys.version_info[:3])))


def test_without_any_engine_nothing_works(answers, tmp_path):
    answers()
    found = by_topic(findings(tmp_path, 5))
    assert found["MXNet"].state == BAD and not works(list(found.values()))
    assert found["libraries"].state == BAD and "numpy" in found["libraries"].cure
    assert "made up" in found["operators"].value
    answers(onnxruntime=Answer(["1.24", []]))
    found = by_topic(findings(tmp_path, 5))
    assert found["MXNet"].state == NOTE


def test_a_check_that_fails_is_a_finding(monkeypatch, tmp_path):
    def broken(root, limit):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(module, "CHECKS", (broken,))
    (one,) = findings(tmp_path, 5)
    assert one.state == NOTE and "RuntimeError: out of luck" in one.value


def test_the_command(monkeypatch, tmp_path, capsys):
    from arcface_mxnet.doctor import command

    told = [Finding("Python", "3.11"), Finding("MXNet", "gone", BAD, "install it")]
    monkeypatch.setattr(command, "findings", lambda root, limit: told)
    assert main([]) == 1
    out = capsys.readouterr().out
    assert "! MXNet" in out and "-> install it" in out and "something basic" in out
    monkeypatch.setattr(command, "findings", lambda root, limit: told[:1])
    assert main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out)["works"] is True
    assert main(["--limit", "0"]) == 2 and main(["--root", str(tmp_path / "none")]) == 2


def test_this_machine_works(capsys):
    assert main(["--json", "--root", str(Path(__file__).parents[2])]) == 0
    told = json.loads(capsys.readouterr().out)
    found = {one["topic"]: one for one in told["findings"]}
    assert told["works"] and found["libraries"]["state"] == GOOD
    assert {"arcface_mxnet", "cores", "compiler", "cache", "disk", "MXNet"} <= set(found)
