"""Every command of docs/first-hour.md, run in its order on some of the ORL faces."""

from importlib import import_module
from importlib.metadata import entry_points
import json
from pathlib import Path
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/first-hour.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.+?)```", PAGE, re.S)
            for line in block.strip().splitlines()]  # fmt: skip
SCRIPTS = {entry.name: entry for entry in entry_points(group="console_scripts")}
# What the page does with 40 people and 300 steps is done with ten people and two steps.
PEOPLE = ("s1", "s2", "s3", "s4", "s5", "s6", "s31", "s32", "s33", "s34")
SHORTER = {"--max-steps 300": "--max-steps 2", "--verbose 100": "--verbose 2",
           "--per-batch-size 30": "--per-batch-size 10"}  # fmt: skip
PHOTOS = 4  # of each


def shortened(command):
    """Return a command for fewer people and steps; each piece that is replaced is there."""
    found = re.search(r"--identities (\S+)", command)
    if found:
        some = [name for name in found.group(1).split(",") if name in PEOPLE]
        assert len(some) >= 4
        command = command.replace(found.group(1), ",".join(some))
    if command.startswith("arcface-train"):
        for long, short in SHORTER.items():
            assert long in command
            command = command.replace(long, short)
    return command


@pytest.fixture
def place(tmp_path, monkeypatch, models):
    """Return a folder with the faces, models and deploy/ of this project."""
    faces = ROOT / "datasets" / "orl"
    if not faces.is_dir():
        pytest.skip("the ORL faces are absent: arcface-fetch fetch orl")
    (tmp_path / "models").symlink_to(models)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    for person in PEOPLE:
        folder = tmp_path / "datasets" / "orl" / person
        folder.mkdir(parents=True)
        for number in range(1, PHOTOS + 1):
            shutil.copy(faces / person / f"{number}.pgm", folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    return tmp_path


def run(command):
    program, *arguments = shlex.split(command)
    if program == "arcface-fetch":
        return 0  # the fixtures did it
    if program == "arcface-doctor":
        return import_module(SCRIPTS[program].module).main([*arguments, "--json"])
    if program in SCRIPTS:
        return import_module(SCRIPTS[program].module).main(arguments)
    assert program in ("cp", "python"), command
    program = sys.executable if program == "python" else program
    return subprocess.run([program, *arguments], check=False).returncode


def answers(command):
    """Start a service and return what its health route says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = shlex.split(command.replace("--port 8112", f"--port {port}"))
    code = f"import sys; from {SCRIPTS[words[0]].module} import main; sys.exit(main(sys.argv[1:]))"
    service = subprocess.Popen([sys.executable, "-c", code, *words[1:]])
    try:
        for _ in range(300):
            try:
                with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                    return json.load(answer)
            except (URLError, OSError):
                assert service.poll() is None, "the service ended"
                time.sleep(0.2)
        raise AssertionError("the service does not answer")
    finally:
        service.terminate()
        service.wait(20)


def test_the_first_hour(place, capsys):
    pytest.importorskip("fastapi")
    assert len(COMMANDS) == 17 and sum(line.startswith("arcface-") for line in COMMANDS) == 15
    for command in COMMANDS:
        command = shortened(command)
        if command.startswith("arcface-serve"):
            assert answers(command)["status"] == "ok"
            continue
        code = run(command)
        assert code == 0, f"{command}\n{capsys.readouterr().err[-2000:]}"
    for made in ("data/card.html", "work/plan.tsv", "clean/train.rec", "before.html", "report.html",
                 "card.json", "model/y1.onnx"):  # fmt: skip
        assert (place / made).is_file(), made
