"""deploy/serve.py: whom it listens to, and the whole way from real photos to answers."""

import os
from pathlib import Path
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from arcface_mxnet.serve import command, keeping
import httpx
import pytest

from tests.serve.tiny import encoded, person

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "serve.py"


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token.txt"
    path.write_text("a-token-of-some-length\n")
    return str(path)


def test_only_this_machine_without_a_token(token_file, capsys):
    for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9"):
        assert host in command.access_of(host, "", []).hosts
    for host in ("0.0.0.0", "::", "192.168.0.7", "faces.example"):
        with pytest.raises(ValueError, match=f"--host {host}: other machines"):
            command.access_of(host, "", [])
        assert command.access_of(host, token_file, []).token == "a-token-of-some-length"
    with pytest.raises(ValueError, match="give --token-file too"):
        command.access_of("127.0.0.1", "", ["faces.example"])
    assert "faces.example" in command.access_of("127.0.0.1", token_file, ["Faces.Example"]).hosts
    assert "fd00::1" in command.access_of("127.0.0.1", token_file, ["FD00::1"]).hosts
    for name in ("https://faces.example", "faces.example:443", "faces.example/", "", "[::1]"):
        with pytest.raises(ValueError, match="no request names a service so; give the bare name"):
            command.access_of("127.0.0.1", token_file, [name])
    assert command.main(["--host", "0.0.0.0"]) == 2
    assert "--token-file" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "short", "zu-kurz-und-\u00fcber-ascii-hinaus"])
def test_tokens_that_are_none(tmp_path, text):
    path = tmp_path / "token.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match="16 or more printable ASCII"):
        command.read_token(str(path))


def test_options_that_cannot_be(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert command.main(["--port", port]) == 2
        assert f"--port {port}: Address already in use" in capsys.readouterr().err
    assert command.main(["--port", "70000"]) == 2
    assert "--port 70000: bind(): port must be 0-65535" in capsys.readouterr().err
    assert command.main(["--threshold", "5"]) == 2
    assert "squared L2 distance, between 0 and 4" in capsys.readouterr().err
    assert command.main(["--max-request-bytes", "1000"]) == 2
    assert "--max-request-bytes 1000 is below --max-photo-bytes" in capsys.readouterr().err
    assert command.main(["--max-pixels", "0"]) == 2
    assert "above 0 and finite: --max-pixels 0" in capsys.readouterr().err


@pytest.fixture
def start(tmp_path):
    """Return a function that starts the script and returns (process, client)."""
    for name in ("models/sface-m1-0000.params", "models/yunet.onnx"):
        if not (ROOT / name).is_file():
            pytest.skip(f"pretrained weights are absent: no {name}; arcface-fetch fetch")
    started = []

    def run():
        store = str(tmp_path / "people.sqlite")
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), "--port", "0", "--store", store],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        started.append(process)
        return process, httpx.Client(base_url=process.stdout.readline().strip(), timeout=60)

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_real_photos_and_a_killed_service(start, shared_data, tmp_path):
    process, client = start()

    def photo(name, number):
        path = shared_data / "lfw" / "fold_1" / name / f"{name}_{number:04d}.jpg"
        return path.read_bytes()

    abel, other = photo("Abel_Pacheco", 1), photo("Akhmed_Zakayev", 1)
    same = client.post("/compare", files={"left": abel, "right": photo("Abel_Pacheco", 4)}).json()
    apart = client.post("/compare", files={"left": abel, "right": other}).json()
    assert same["same"] and not apart["same"]
    (left, top), (right, bottom) = same["left"]["landmarks"][0], same["left"]["landmarks"][4]
    assert left < right and top < bottom  # left eye, right corner of the mouth
    assert client.post("/enroll", data={"name": "Abel"}, files={"image": abel}).status_code == 201
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    process, client = start()
    assert client.get("/people").json() == [{"name": "Abel", "photos": 1}]
    answer = client.post("/search", files={"image": photo("Abel_Pacheco", 4)}).json()
    assert answer["matches"][0]["name"] == "Abel" and answer["matches"][0]["same"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    # All is in the one file, and nothing beside it but the empty lock.
    assert {path.name for path in tmp_path.iterdir()} == {"people.sqlite", "people.sqlite.lock"}
    shutil.copy(tmp_path / "people.sqlite", tmp_path / "copy.sqlite")
    assert keeping.verify(tmp_path / "copy.sqlite").photos == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_moment_of_the_start_ends_it_with_the_store_closed(start, tmp_path, number):
    """At the moment of the address the server has no handlers of its own yet."""
    process, client = start()
    process.send_signal(number)
    assert process.wait(20) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"people.sqlite", "people.sqlite.lock"}


def test_a_second_signal_ends_what_goes_on_without_a_traceback(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.serve.tiny", str(tmp_path / "people.sqlite"), "60", "12"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    url = process.stdout.readline().strip()
    statuses = []

    def ask():
        answer = httpx.post(f"{url}embed", files={"image": encoded(person(1))}, timeout=60)
        statuses.append((answer.status_code, answer.json()["error"]))

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(1)  # its photo is looked at, for 12 s
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    asking.join()
    assert statuses == [(503, "ending")]
    assert process.poll() is None  # its photo is still looked at
    _, told = process.communicate(timeout=40)
    assert process.returncode == 0 and told == ""
