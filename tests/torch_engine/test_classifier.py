"""A classifier shared out over processes trains as a dense one on as many, for every loss."""

from pathlib import Path
import re

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.losses import LOSSES, build_loss
from arcface_mxnet.losses.distill import Taught
import mxnet as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.checkpoints.graph import parse_graph  # noqa: E402
from arcface_mxnet.torch_engine.split import split_loss  # noqa: E402

from tests.torch_engine.classifier_jobs import (  # noqa: E402
    CLASSES,
    INPUT,
    ROWS,
    WIDTH,
    dense,
    run_jobs,
)  # fmt: skip

REPORTS = {"ce_loss": True, "logits_verbose": 1}
ANGLES = REPORTS | {"margin_verbose": 1}
MARGIN = ANGLES | {"margin_s": 8.0}
# key of a loss: options, with whatever can be reported
SHARED_OUT = {
    "softmax": REPORTS | {"incay": 0.1},
    "sphereface": ANGLES | {"incay": 0.1, "beta": 2.0},
    "cosface": MARGIN | {"margin_warmup": 4},
    "multiplicative": MARGIN | {"margin_m": 2.0},
    "arcface": MARGIN,
    "combined": MARGIN | {"margin_a": 0.9, "margin_m": 0.4, "margin_b": 0.15},
    "arcface-intra": MARGIN | {"margin_b": 0.1},
    "arcface-inter": MARGIN | {"margin_b": 0.1},
    "lsoftmax": ANGLES | {"beta": 2.0},
    "fnorm-sphereface": MARGIN | {"beta": 2.0},
    "subcenter-arcface": MARGIN,
    "curricularface": MARGIN,
    "adaface": MARGIN | {"margin_m": 0.4},
    "magface": MARGIN | {"mag_min_length": 0.5, "mag_max_length": 3.0},
    "circle": MARGIN | {"margin_m": 0.25},
}
REFUSED = {
    "center": "keeps a state of every identity, fc7_centers",
    **dict.fromkeys(
        ["coco", "marginal", "npair", "triplet", "atriplet", "none"], "has no classifier"
    ),
}
SHAPES = {"data": (ROWS, INPUT), "softmax_label": (ROWS,)}


def job_of(key, options=None, classifier=None, teacher=None):
    """teacher: the length of its vectors, to learn from beside the loss."""
    options = SHARED_OUT[key] if options is None else options
    config = TrainConfig(**{"per_batch_size": ROWS, "loss_type": key} | options)
    loss = build_loss(key, config, CLASSES)
    if teacher:
        loss = Taught(CLASSES, loss, "cosine", 3.0, teacher, WIDTH)
    embedding = mx.sym.FullyConnected(
        mx.sym.Variable("data"), num_hidden=WIDTH, no_bias=True, name="fc1"
    )
    symbol = loss.symbol(embedding, mx.sym.Variable("softmax_label"))
    extra = list(loss.step_inputs(3))
    vectors = {name: size for name, (size,) in loss.image_inputs().items()}
    given = SHAPES | {name: (ROWS,) for name, _ in extra}
    given |= {name: (ROWS, size) for name, size in vectors.items()}
    args, _, auxs = symbol.infer_shape(**given)
    names = [*symbol.list_arguments(), *symbol.list_auxiliary_states()]
    shapes = {n: s for n, s in zip(names, [*args, *auxs], strict=True) if n not in given}
    return {
        "symbol": symbol.tojson(),
        "shapes": shapes,
        "extra": extra,
        "options": classifier or {},
        "vectors": vectors,
    }


def joined(found, rows_of=("fc7_weight", "fc7_bias")):
    """Return what the processes leave as one process would: rows joined, the rest compared."""
    whole = {}
    for name in {name for part in found for name in part}:
        parts = [part[name] for part in found if name in part]
        if name.endswith(rows_of):
            whole[name] = np.concatenate(parts)
        else:
            whole[name] = parts[0]
            for part in parts[1:]:
                np.testing.assert_array_equal(part, parts[0], err_msg=name)
    return whole


def partial(key, **options):
    return job_of(key, options=None, classifier=options)


def assert_equal(found, wanted, said):
    for name, value in wanted.items():
        np.testing.assert_allclose(
            found[name], value, rtol=1e-5, atol=1e-5 * max(1, np.abs(value).max()),
            err_msg=f"{said}: {name}",
        )  # fmt: skip


TAUGHT = "arcface with a teacher"
JOBS = {key: lambda key=key: job_of(key) for key in SHARED_OUT} | {
    TAUGHT: lambda: job_of("arcface", teacher=WIDTH),
    "whole": lambda: partial("arcface", rate=1.0),
    "whole subcenter": lambda: partial("subcenter-arcface", rate=1.0),
    "sampled": lambda: partial("arcface", rate=0.5),
    "sampled again": lambda: partial("arcface", rate=0.5),
    "sampled on the host": lambda: partial("arcface", rate=0.5, on_host=True),
}


@pytest.fixture(scope="module")
def jobs():
    return {name: make() for name, make in JOBS.items()}


@pytest.fixture(scope="module")
def found(jobs, tmp_path_factory):
    return run_jobs(jobs, tmp_path_factory.mktemp("jobs"))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("key", [*SHARED_OUT, TAUGHT])
def test_every_loss_trains_as_a_dense_one(key, count, jobs, found):
    """Outputs, both gradients and three updates; 7 identities for 2 and 3 processes too."""
    wanted, whole = dense(jobs[key], count), joined([part[key] for part in found[count]])
    compared = {"0 0 nearest", "0 0 gradient of the images", "2 gradient fc7_weight"}
    assert compared | {"fc1_weight", "fc7_weight", "mom:fc7_weight"} <= {*wanted}
    assert_equal(whole, wanted, key)
    norm = sum(np.square(whole[f"1 gradient {name}"]).sum()
               for name in ("fc7_weight", "fc7_bias") if name in whole)  # fmt: skip
    assert whole["1 norm"] == pytest.approx(norm**0.5, rel=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("name, key", [("whole", "arcface"),
                                       ("whole subcenter", "subcenter-arcface")])  # fmt: skip
def test_partial_of_all_identities_is_sharded(name, key, count, found):
    parts = [[part[job] for part in found[count]] for job in (name, key)]
    for rank, part in enumerate(parts[0]):
        assert part.keys() == parts[1][rank].keys()
        for array, value in part.items():
            np.testing.assert_array_equal(value, parts[1][rank][array], err_msg=array)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_sample_is_the_same_again_and_in_the_hosts_memory(count, found):
    for part in found[count]:
        for other in ("sampled again", "sampled on the host"):
            for array, value in part["sampled"].items():
                np.testing.assert_array_equal(value, part[other][array], err_msg=array)
    whole, some = (joined([part[job] for part in found[count]]) for job in ("arcface", "sampled"))
    assert (whole["fc7_weight"] != some["fc7_weight"]).any()


@pytest.mark.parametrize("key", REFUSED)
def test_what_cannot_be_shared_out_is_refused(key):
    more = {"images_per_identity": 2} if key in ("coco", "marginal") else {}
    graph = parse_graph(job_of(key, options=more)["symbol"], "the symbol")
    with pytest.raises(ValueError, match=REFUSED[key]):
        split_loss(graph, CLASSES, frozenset(SHAPES))


def test_a_map_to_the_teacher_is_refused():
    graph = parse_graph(job_of("arcface", teacher=WIDTH + 1)["symbol"], "the symbol")
    said = "has a parameter of its own, teacher_map_weight, which no slice is"
    with pytest.raises(ValueError, match=said):
        split_loss(graph, CLASSES, frozenset({*SHAPES, "teacher"}))


def test_the_documents_table_says_so():
    text = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z, -]+) \| (yes|no)\b.* \| (yes|no)\b.* \|$", text, re.M)
    told = {name: kinds for names, *kinds in rows for name in names.split(", ")}
    partial = dict.fromkeys(SHARED_OUT, True)
    for key in SHARED_OUT:
        options = {k: v for k, v in SHARED_OUT[key].items() if k != "incay"}
        graph = parse_graph(job_of(key, options=options)["symbol"], "the symbol")
        loss = split_loss(graph, CLASSES, frozenset(SHAPES) | {"beta", "margin_growth"})
        partial[key] = not loss.sampling
    wanted = {key: ["yes", "yes" if partial[key] else "no"] for key in SHARED_OUT}
    assert told == wanted | dict.fromkeys(REFUSED, ["no", "no"])


def test_every_loss_is_either_shared_out_or_refused():
    names = {tuple(LOSSES.keys_of(LOSSES[key])) for key in LOSSES.names()}
    assert {tuple(LOSSES.keys_of(LOSSES[key])) for key in [*SHARED_OUT, *REFUSED]} == names
    assert len(SHARED_OUT) + len(REFUSED) == len(names) == 22
