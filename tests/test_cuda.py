"""Which GPUs are told to be there, by a driver and an nvidia-smi that are made up."""

import os
import shutil
import subprocess
import sys

from arcface_mxnet import cuda
from arcface_mxnet.cuda import compute_capabilities, refuse_unserved, wheel_serves
import pytest

HOPPER, AMPERE, ADA = (9, 0), (8, 6), (8, 9)

# Device handles are not numbers; the attributes are those of cuda.h.
FAKE_DRIVER = r"""
#include <stdlib.h>
#include <string.h>
static int wrong(const char *call) {
  const char *named = getenv("FAKE_WRONG");
  return named && !strcmp(named, call) ? atoi(getenv("FAKE_STATE")) : 0;
}
int cuInit(unsigned int flags) { return flags ? 1 : wrong("cuInit"); }
int cuDeviceGetCount(int *count) { *count = 2; return wrong("cuDeviceGetCount"); }
int cuDeviceGet(int *device, int number) { *device = 100 + number; return wrong("cuDeviceGet"); }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  static const int capabilities[2][2] = {{9, 0}, {8, 6}};
  if (device < 100 || attribute < 75 || attribute > 76) return 1;
  *value = capabilities[device - 100][attribute - 75];
  return wrong("cuDeviceGetAttribute");
}
"""
ASK = "from arcface_mxnet.cuda import compute_capabilities; print(compute_capabilities())"


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """Return the folder of a libcuda.so.1 that tells of a Hopper and an Ampere card."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("no C compiler to make a libcuda.so.1 with")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "fake.c").write_text(FAKE_DRIVER)
    command = [compiler, "-shared", "-fPIC", "-o", "libcuda.so.1", "fake.c"]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def asked(driver, **settings):
    """Return what a process tells that finds this driver, and no nvidia-smi."""
    environment = dict(os.environ, LD_LIBRARY_PATH=str(driver), PATH="", **settings)
    command = [sys.executable, "-c", ASK]
    return subprocess.check_output(command, env=environment, text=True).strip()


def test_the_driver_is_asked_first(driver):
    assert asked(driver) == "[(9, 0), (8, 6)]"


@pytest.mark.parametrize(
    "call", ["cuInit", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetAttribute"]
)
def test_a_driver_that_fails_tells_nothing(driver, call):
    assert asked(driver, FAKE_WRONG=call, FAKE_STATE="999") == "[]"


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """nvidia_smi(script): the first on PATH, on a machine without libcuda."""

    def make(*lines):
        program = tmp_path / "nvidia-smi"
        program.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
        program.chmod(0o755)

    monkeypatch.setattr(cuda, "DRIVER", "libcuda-of-no-machine.so.1")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    return make


ASKED_RIGHT = '[ "$*" = "--query-gpu=compute_cap --format=csv,noheader" ] || exit 1'


def test_nvidia_smi_is_asked_where_there_is_no_libcuda(nvidia_smi):
    nvidia_smi(ASKED_RIGHT, "echo 9.0", "echo 9.0")
    assert compute_capabilities() == [HOPPER, HOPPER]


@pytest.mark.parametrize(
    ("visible", "told"),
    [
        ("1", [AMPERE]),
        ("1, 0", [AMPERE, HOPPER]),
        ("", []),
        ("-1", []),
        ("1,-1,0", [AMPERE]),
        ("0,7", [HOPPER]),
        ("GPU-8932f937", []),
    ],
)
def test_what_cuda_does_not_show_is_left_out(nvidia_smi, monkeypatch, visible, told):
    nvidia_smi("echo 9.0", "echo 8.6")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert compute_capabilities() == told


def test_numbers_of_different_cards_are_not_guessed(nvidia_smi):
    """CUDA begins with the fastest, nvidia-smi with the first on the bus."""
    nvidia_smi("echo 9.0", "echo 8.6")
    assert compute_capabilities() == []


@pytest.mark.parametrize(
    "lines",
    [
        ("echo 9.0", "exit 9"),
        ("echo '[N/A]'",),
        ("echo NVIDIA-SMI has failed",),
        ("echo 9.0", "exec sleep 9"),
    ],
    ids=["exit code", "not known", "words", "hangs"],
)
def test_an_nvidia_smi_that_fails_tells_nothing(nvidia_smi, monkeypatch, lines):
    monkeypatch.setattr(cuda, "NVIDIA_SMI_TIMEOUT", 1)
    nvidia_smi(*lines)
    assert compute_capabilities() == []


def test_nothing_to_ask(nvidia_smi, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compute_capabilities() == []


def test_a_driver_without_a_device_is_believed(driver, tmp_path):
    """CUDA_VISIBLE_DEVICES may hide them all, of which nvidia-smi knows nothing."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 9.0\n")
    program.chmod(0o755)
    environment = dict(os.environ, LD_LIBRARY_PATH=str(driver), PATH=str(tmp_path))
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    for state, told in (("100", "[]"), ("999", "[(9, 0)]")):
        environment |= {"FAKE_WRONG": "cuInit", "FAKE_STATE": state}
        answer = subprocess.check_output([sys.executable, "-c", ASK], env=environment, text=True)
        assert answer.strip() == told


@pytest.mark.parametrize(
    ("capability", "served"),
    [
        ((3, 7), False), ((5, 0), True), ((5, 2), True), ((6, 1), True), ((7, 5), True),
        ((8, 0), True), (AMPERE, True), ((8, 7), True), (ADA, True), (HOPPER, False),
        ((10, 0), False), ((12, 0), False),
    ],
)  # fmt: skip
def test_which_gpus_the_wheel_has_code_for(capability, served):
    assert wheel_serves(capability) == served


def test_only_the_named_ones_are_refused(monkeypatch):
    monkeypatch.setattr(cuda, "compute_capabilities", lambda: [AMPERE, HOPPER])
    refuse_unserved([0])
    refuse_unserved([0, 2])  # the third is not known
    message = (
        r"^GPU 1 has compute capability 9.0: MXNet cannot run .* 5.0 to 8.9 .*"
        r"arcface_mxnet\[gpu\].* and --engine onnxruntime.*without --gpus .*VISIBLE_DEVICES=-1"
    )
    with pytest.raises(ValueError, match=message) as refused:
        refuse_unserved([0, 1])
    assert "\n" not in str(refused.value)
