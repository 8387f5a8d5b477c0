"""Questions asked in a process of their own, so that what dies or hangs there harms nobody."""

from __future__ import annotations

from dataclasses import dataclass
import json
import os
import signal
import subprocess
import sys

LIMIT = 60  # seconds
LONGEST = 300  # characters of a reason
MARK = "probe:"


@dataclass(frozen=True)
class Answer:
    """value: what the probe printed, JSON, or None.  reason: why there is none, or ""."""

    value: object = None
    reason: str = ""


def ask(code: str, *, limit: float = LIMIT, environment: dict[str, str] | None = None) -> Answer:
    """Return what Python code answers; it calls answer(value) once.

    It never raises: a missing module, a signal, an error and too long a time are reasons.
    """
    program = f"import json\ndef answer(value): print({MARK!r} + json.dumps(value))\n{code}"
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, timeout=limit,
            env=os.environ | (environment or {}), stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Answer(reason=f"no answer within {limit:g} seconds")
    except OSError as error:
        return Answer(reason=f"no process could be started: {error}")
    lines = done.stdout.decode(errors="replace").splitlines()
    found = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
    if done.returncode == 0 and found:
        try:
            return Answer(json.loads(found[-1]))
        except ValueError:
            return Answer(reason=f"an answer that cannot be read: {found[-1][:LONGEST]}")
    return Answer(reason=_reason(done))


def _reason(done: subprocess.CompletedProcess) -> str:
    if done.returncode < 0:
        try:
            name = signal.Signals(-done.returncode).name
        except ValueError:
            name = f"signal {-done.returncode}"
        return f"it ended by {name}"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    said = next((line for line in reversed(lines) if line.strip()), "it does not say why")
    return said.strip()[:LONGEST]
