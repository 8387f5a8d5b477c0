"""Names of models in reports: what tells them apart, and what the user says instead."""

from arcface_mxnet.report.names import model_names, shortest_names
import pytest


@pytest.mark.parametrize(
    "models, names",
    [
        (["model/r50/softmax,3"], ["softmax,3"]),
        (["a/net.onnx"], ["net.onnx"]),
        (["runs/r50/softmax,3", "runs/r100/softmax,3"], ["r50", "r100"]),
        (["runs/r50/softmax,3", "runs/r50/softmax,12"], ["softmax,3", "softmax,12"]),
        (["r50/net,1", "r50/net,2", "r100/net,1"], ["r50,1", "r50,2", "r100,1"]),
        (["x/r50/model,1", "zoo/w600k.onnx", "x/r18/model,1"], ["r50", "w600k.onnx", "r18"]),
        (["zoo/one.onnx", "z/two.onnx"], ["one.onnx", "two.onnx"]),
        (["runs/r50/end,1", "runs/r100/net,1", "runs/r18/net,1"], ["r50", "r100", "r18"]),
        (["a/b,1", "a/b.onnx"], ["b", "b.onnx"]),
        (["a/x/m,1", "b/x/m,1", "b/y/m,1"], ["a/x", "b/x", "b/y"]),
        ([r"C:\nets\one,1", r"C:\nets\two,1"], ["one", "two"]),
        (["./one,1", "two,1"], ["one", "two"]),
    ],
)
def test_the_shortest_part_that_differs(models, names):
    assert shortest_names(models) == names
    assert model_names(models) == names


def test_names_that_the_user_gives():
    models = ["runs/r50/net,1", "runs/r100/net,1"]
    assert model_names(models, ["small", "large"]) == ["small", "large"]
    assert model_names(models, ["large=runs/r100/net,1"]) == ["r50", "large"]


@pytest.mark.parametrize(
    "aliases, message",
    [
        (["same", "same"], r"--alias 'same': 'a/n,1' and 'b/n,1' would both be called so"),
        (["b=a/n,1"], "--alias 'b': 'a/n,1' and 'b/n,1' would both be called so"),
        (["one"], "1 names for 2 models"),
        (["one", "two", "three"], "3 names for 2 models"),
        (["x=c/n,1"], "no model 'c/n,1' is evaluated; there are 'a/n,1', 'b/n,1'"),
        (["x=a/n,1", "y"], "--alias 'y': give all as NAME"),
        (["", "y"], "printable"),
        (["a\nb", "y"], "printable"),
    ],
)
def test_bad_aliases(aliases, message):
    with pytest.raises(ValueError, match=message):
        model_names(["a/n,1", "b/n,1"], aliases)


def test_a_model_given_twice_is_refused_unless_it_gets_two_names():
    with pytest.raises(ValueError, match="'a/n,1' is given twice"):
        model_names(["a/n,1", "a/n,1"])
    assert model_names(["a/n,1", "a/n,1"], ["x", "y"]) == ["x", "y"]


def test_paths_that_differ_far_from_their_ends_are_told_apart():
    models = [f"{first}/{'d/' * 20}net,1" for first in "ab"]
    assert len(set(model_names(models))) == 2
