"""--dtype auto: bfloat16 where the processor has it and a face's embeddings stay the same."""

from types import SimpleNamespace

from arcface_mxnet.engines.parity import Parity
from arcface_mxnet.serve import precision
import numpy as np
import pytest


class Embedder:
    """Gives rows that differ a little in bfloat16; cost: what it measured of itself, or None."""

    size = None

    def __init__(self, dtype, cosine, cost):
        self.dtype, self.cosine = dtype, cosine
        self.cost = Parity(cost, 0.1) if cost and dtype != "float32" else None

    def __call__(self, rgb):
        angle = 0.0 if self.dtype == "float32" else np.arccos(self.cosine)
        return np.tile(np.float32([3 * np.cos(angle), 3 * np.sin(angle)]), (len(rgb), 1))


@pytest.fixture
def opened(monkeypatch):
    """Return a function that opens with --dtype and returns the dtypes that were opened."""

    def open_(dtype="auto", card="", *, fastest="bfloat16", cosine=0.9999, cost=None,
              engine="onnxruntime", fault=""):  # fmt: skip
        found = []

        def open_embedder(arguments, model, **options):
            assert options == {"batch_size": options["batch_size"], "flip": False}
            found.append(arguments.dtype)
            if fault and arguments.dtype == "bfloat16":
                raise ValueError(fault)
            return Embedder(arguments.dtype, cosine, cost)

        chosen = SimpleNamespace(name=engine, devices=(-1,))
        monkeypatch.setattr(precision, "open_embedder", open_embedder)
        monkeypatch.setattr(precision, "choose_engine", lambda *given: chosen)
        monkeypatch.setattr(precision, "fastest_dtype", lambda gpu: fastest)
        monkeypatch.setattr(precision, "chosen_gpu", lambda arguments: -1)
        arguments = SimpleNamespace(dtype=dtype, model="m", engine="auto")
        taken = precision.open_in_precision(arguments, card, 16).dtype
        assert arguments.dtype == dtype  # whose they are
        return taken, found

    return open_


def test_auto_takes_what_is_faster_where_embeddings_stay_the_same(opened):
    assert opened(cost=0.9999) == ("bfloat16", ["bfloat16"])  # measured when it was opened
    assert opened() == ("bfloat16", ["bfloat16", "float32"])  # measured here
    assert opened(cost=0.99)[0] == "float32"
    assert opened(cosine=0.9994) == ("float32", ["bfloat16", "float32", "float32"])
    assert opened(fastest="float32") == ("float32", ["float32"])
    assert opened(engine="mxnet") == ("float32", ["float32"])


def test_a_network_without_another_precision_keeps_its_own(opened, caplog):
    caplog.set_level("INFO")
    assert opened(fault="an INT8 network has no bfloat16")[0] == "float32"
    assert "embedding in float32: an INT8 network has no bfloat16" in caplog.text


def test_a_threshold_card_and_a_person_decide_before(opened):
    assert opened(card="float32") == ("float32", ["float32"])
    assert opened(card="bfloat16", cosine=0.9) == ("bfloat16", ["bfloat16"])
    assert opened("float32") == ("float32", ["float32"])
    assert opened("bfloat16", cosine=0.9) == ("bfloat16", ["bfloat16"])
    with pytest.raises(ValueError, match="has no bfloat16"):
        opened("bfloat16", fault="an INT8 network has no bfloat16")
