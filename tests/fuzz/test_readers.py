"""Every reader of foreign bytes, tried with damaged files; and that none is left out.

A seed is cut at every byte (a large one at 200), and damaged in MUTATIONS further ways.  To try
more: make fuzz-readers READER=lst N=10000.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
import subprocess
import sys

import pytest

from tests.fuzz.readers import READERS
from tests.fuzz.trying import SRC, source_of

ROOT = Path(__file__).parents[2]
MUTATIONS = 80

# Calls that take bytes in; "module.function" of ours below reads them within limits.
TAKES_BYTES = {
    "read_text", "read_bytes", "read_lines", "read_json", "read_toml", "parse_json", "read_limited",
    "read_open", "decode_text", "frombuffer", "fromfile", "fromstring", "loadtxt", "genfromtxt",
    "memmap", "imdecode", "imread", "loadmat", "load_json", "load_model_from_string", "open_npy",
}  # fmt: skip
METHODS_OF = {"json": {"load", "loads"}, "np": {"load"}, "pickle": {"load", "loads"},
              "tomllib": {"load", "loads"}, "csv": {"reader"}, "onnx": {"load"},
              "Image": {"open"}, "sqlite3": {"connect"}, "struct": {"unpack"}}  # fmt: skip

# What takes bytes in, but none that others made, or hands them to a reader above.
OF_OUR_OWN = {
    "clean.inputs._made": "what stored_embeddings has written a moment before",
    "doctor.findings._line_of": "/proc",
    "doctor.probes.ask": "what a process of its own answers",
    "compiler": "sources of this package, /proc",
    "cores": "/sys and /proc",
    "engines.packages": "/proc",
    "ops": "graphs of this process",
    "checkpoints.slices": "a graph of this process",
    "data.repair._write_beside": "copies what data.facts has read",
    "batches.degraded.Degrader.pixels": "a digest of pixels",
    "torch_engine.free_memory._text": "/proc and /sys",
    "training.torchrun._children": "/proc",
    "training.agreement.refuse_differing": "what the other processes of this run tell",
    "training.run.Run.give_own": "what the other processes of this run tell",
    "training.pulse.Pulse._failure": "what the other processes of this run tell",
    "training.world.World._join": "what the other processes of this run tell",
    "training.shared_classifier.first_states": "a graph of this process",
    "training.teacher_network.NetworkTeacher": "through embedding.npy, what it wrote itself",
    "losses.state": "a graph of this process",
    "networks.cost": "a graph of this process",
    "training.frozen": "a graph of this process",
    "training.few_images": "a graph of this process",
    "training.memory": "a graph of this process",
    "training.resume.as_record": "a round through JSON",
    "training.stored_symbol._options": "a round through JSON",
    "checkpoints.last_state.save_last": "writes",
    "serve.model_print": "a picture of this package",
    "serve.page": "the page of this package",
    "serve.people._known_answer": "what this service wrote into its own store",
    "checkpoints.network.file_fingerprint": "a digest of any bytes",
    "engines.cache._converter": "sources of this package",
    "align.mxnet_network": "a network that checkpoints.network has read",
    "embedding.mxnet_runner": "a network that checkpoints.network has read",
    "engines.reference": "a network that checkpoints.network has read",
    "export.quantize": "for engines.session and onnxruntime, of a network of checkpoints.network",
    "data.packing._payload": "for data.images",
    "eval.pair_images": "for data.images",
    "megaface.convert._holds": "compares bytes",
    "megaface.packed._take_index": "compares text",
}


@pytest.fixture(scope="module")
def results():
    """Return what came of every reader, tried in a process of its own: it forks, and workers may
    end as they like."""
    command = [sys.executable, "-m", "tests.fuzz", "--json", "-n", str(MUTATIONS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused_in_words(results, name):
    result = results[name]
    if result["missing"]:
        pytest.skip(f"needs {', '.join(result['missing'])}, which is not installed")
    assert result["cases"] > MUTATIONS / READERS[name].cost
    faults = [f"case {fault['number']}: {fault['what']}" for fault in result["faults"]]
    assert not faults, f"python -m tests.fuzz {name} --case N --keep DIR shows one:\n" + "\n".join(
        faults[:10]
    )


def calls(tree):
    """Yield (names of the enclosing class and function, name of what is called) of each call that
    may take bytes in."""

    def walk(node, place):
        for child in ast.iter_child_nodes(node):
            is_place = isinstance(child, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
            inside = (*place, child.name) if is_place else place
            if isinstance(child, ast.Call) and takes_bytes(child):
                yield place
            yield from walk(child, inside)

    yield from walk(tree, ())


def takes_bytes(call):
    function = call.func
    if isinstance(function, ast.Name):
        return function.id in TAKES_BYTES
    if not isinstance(function, ast.Attribute):
        return False
    of = function.value.id if isinstance(function.value, ast.Name) else ""
    if function.attr in METHODS_OF.get(of, ()) or function.attr in TAKES_BYTES:
        return True
    mode = [word.value for word in call.args[:1] if isinstance(word, ast.Constant)]
    return function.attr == "open" and bool(mode) and "r" in str(mode[0])


def test_every_function_that_takes_bytes_in_is_in_the_table():
    covered = {place for reader in READERS.values() for place in reader.covers}
    seen, left_out = set(), set()
    for path in sorted(SRC.rglob("*.py")):
        module = ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")
        for place in calls(ast.parse(path.read_text())):
            names = [".".join((module, *place[:n])) for n in range(len(place) + 1)]
            seen.add(names[-1])
            known = covered | OF_OUR_OWN.keys()
            is_known = any(name in known for name in names) or module.split(".")[0] in OF_OUR_OWN
            if not is_known:
                left_out.add(names[-1])
    assert len(seen) > 30
    assert not left_out, (
        "these take bytes in: enter a reader that covers them in tests/fuzz, or say in OF_OUR_OWN "
        f"whose bytes they are: {', '.join(sorted(left_out))}"
    )


def test_what_the_table_names_exists():
    for place in {place for reader in READERS.values() for place in reader.covers} | set(
        OF_OUR_OWN
    ):
        if source_of(place).is_file() or (SRC / place).is_dir():
            continue
        module, _, name = place.removesuffix(".__init__").rpartition(".")
        while not source_of(module).is_file():
            module, _, name = module.rpartition(".")
            assert module, place
        names = {node.name for node in ast.walk(ast.parse(source_of(module).read_text()))
                 if isinstance(node, ast.FunctionDef | ast.ClassDef)}  # fmt: skip
        assert name in names, place
