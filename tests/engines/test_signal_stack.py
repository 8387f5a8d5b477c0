"""A network opened and closed leaves the memory of signal handlers as it was."""

import ctypes
import faulthandler
import mmap
import subprocess
import sys

from arcface_mxnet.engines.session import CPU, Session, provider
from arcface_mxnet.engines.signal_stack import (
    DISABLED,
    SignalStack,
    kept_signal_stack,
    signal_stack,
)
import pytest

from tests.engines.test_session import product

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sigaltstack is Linux's here")
KINDS = {
    "one": "faulthandler.enable()",  # it brings a stack of its own
    "none": "faulthandler.disable()",
}


def facts(stack):
    return stack.address, stack.flags, stack.size


def test_what_another_leaves_is_taken_back():
    memory = mmap.mmap(-1, 1 << 16)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    before = facts(signal_stack())
    with kept_signal_stack():
        ctypes.CDLL(None).sigaltstack(ctypes.byref(SignalStack(address, 0, 1 << 16)), None)
        assert facts(signal_stack()) == (address, 0, 1 << 16)
    assert facts(signal_stack()) == before


def test_where_the_former_is_refused_there_is_none(monkeypatch):
    small = SignalStack(0x1000, 0, 1)  # the kernel wants 2 KiB and more
    monkeypatch.setattr("arcface_mxnet.engines.signal_stack.signal_stack", lambda: small)
    memory = mmap.mmap(-1, 1 << 16)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    before = signal_stack()
    try:
        with kept_signal_stack():
            ctypes.CDLL(None).sigaltstack(ctypes.byref(SignalStack(address, 0, 1 << 16)), None)
        assert signal_stack().flags == DISABLED
    finally:
        ctypes.CDLL(None).sigaltstack(ctypes.byref(before), None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_leaves_the_stack(kind):
    if provider(-1, "float32") == CPU:
        pytest.skip("only OpenVINO's provider takes another stack")
    code = f"""
import faulthandler, os, signal, sys
{KINDS[kind]}
from arcface_mxnet.engines.session import Session
from arcface_mxnet.engines.signal_stack import signal_stack
from tests.engines.test_session import product
facts = lambda: (signal_stack().address, signal_stack().flags, signal_stack().size)
before = facts()
sessions = [Session(product()) for _ in range(3)]
assert facts() == before, (before, facts())
for one in range(3):
    sessions.pop(0)
    assert facts() == before, (before, facts())
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
os.kill(os.getpid(), signal.SIGTERM)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 7


def test_faulthandler_brings_a_stack():  # else the case "one" would be the case "none"
    assert faulthandler.is_enabled() == (signal_stack().flags != DISABLED)
    Session(product())
    assert faulthandler.is_enabled() == (signal_stack().flags != DISABLED)
