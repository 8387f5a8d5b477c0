"""What is promised without MXNet; also run where it is installed, with its module out of reach."""

import json
import os
from pathlib import Path
import subprocess
import sys
import zipfile

from arcface_mxnet.checkpoints.params import write_params
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]

# MXNet cannot be found from here on, installed or not.
HIDE = """
import importlib.abc, importlib.util, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] == "mxnet":
            raise ModuleNotFoundError("No module named 'mxnet'", name="mxnet")
sys.meta_path.insert(0, Hidden())
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "mxnet" else real(name, *rest)
"""


def run(script, *arguments, cache):
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", HIDE + script, *map(str, arguments)],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.fixture
def projection(tmp_path):
    """Return "prefix,1" of a checkpoint written without MXNet: (3, 8, 8) times a matrix."""
    weight = np.random.default_rng(0).normal(size=(16, 192)).astype(np.float32)
    names = ["data", "fc1_weight", "fc1_bias"]
    nodes = [{"op": "null", "name": name, "inputs": []} for name in names]
    inputs = [[number, 0, 0] for number in range(3)]
    attributes = {"num_hidden": "16"}
    nodes.append({"op": "FullyConnected", "name": "fc1", "attrs": attributes, "inputs": inputs})
    symbol = {"nodes": nodes, "arg_nodes": [0, 1, 2], "heads": [[3, 0, 0]]}
    (tmp_path / "net-symbol.json").write_text(json.dumps(symbol))
    parameters = {"arg:fc1_weight": weight, "arg:fc1_bias": np.zeros(16, np.float32)}
    write_params(tmp_path / "net-0001.params", parameters)
    return f"{tmp_path / 'net'},1"


EMBED = """
import logging
logging.basicConfig(format="%(message)s")
from arcface_mxnet.embedding.embedder import Embedder
from arcface_mxnet.checkpoints.params import read_params
import numpy as np
images = np.random.default_rng(1).integers(0, 256, (4, 8, 8, 3), np.uint8)
found = Embedder(sys.argv[1], flip=False, normalize=False)(images)
weight = read_params(sys.argv[2])["arg:fc1_weight"]
expected = images.transpose(0, 3, 1, 2).reshape(4, -1) @ weight.T
print(found.shape, np.allclose(found, expected, rtol=1e-4, atol=1e-2), "mxnet" in sys.modules)
"""


def test_a_checkpoint_is_converted_and_embeds(projection, tmp_path):
    done = run(EMBED, projection, tmp_path / "net-0001.params", cache=tmp_path)
    assert done.stdout.split("\n")[0] == "(4, 16) True False", done.stderr
    assert "conversion not compared, MXNet is not installed" in done.stderr


PURE = """
from pathlib import Path
import importlib
missing = []
for path in sorted(Path(sys.argv[1]).rglob("*.py")):
    name = ".".join(("arcface_mxnet", *path.relative_to(sys.argv[1]).with_suffix("").parts))
    if path.name != "__main__.py":
        try:
            importlib.import_module(name.removesuffix(".__init__"))
        except ModuleNotFoundError as error:
            assert error.name in ("mxnet", "torch"), error
            missing += [name.removeprefix("arcface_mxnet.")] * (error.name == "mxnet")
print(*missing)
"""
# Of the folders that work without, the modules that are MXNet's own business.
OF_MXNET = {
    "align.mxnet_network", "batches.mxnet_bag", "batches.mxnet_batches",
    "embedding.mxnet_runner", "engines.reference", "export.gluon_block",
    "export.torch_state", "fetch.mtcnn", "fetch.sface",
}  # fmt: skip
WITHOUT = [
    "align",
    "batches",
    "data",
    "embedding",
    "engines",
    "eval",
    "export",
    "fetch",
    "megaface",
    "serve",
    "torch_engine",
]


def test_modules_that_need_no_mxnet_import_without_it(tmp_path):
    done = run(PURE, ROOT / "src", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {name for name in done.stdout.split() if name.split(".")[0] in WITHOUT} <= OF_MXNET


def test_the_wheel_holds_everything(tmp_path):
    """The page, the sources of the compiled operators and every package are in it."""
    checkout = tmp_path / "checkout"  # a build leaves a folder behind
    checkout.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "src"):
        (checkout / name).symlink_to(ROOT / name)
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", str(tmp_path)],
        cwd=checkout, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"arcface_mxnet/{path.relative_to(ROOT / 'src').as_posix()}"
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= held, sorted(wanted - held)
    pages = {
        name.rpartition("/")[2] for name in held if name.startswith("arcface_mxnet/serve/web/")
    }
    assert {"index.html", "style.css", "page.js"} <= pages
    assert "arcface_mxnet/serve/probe.png" in held
