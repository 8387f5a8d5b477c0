"""Threshold cards: what stands on them, and who may take a threshold from them."""

import argparse
import json

from arcface_mxnet.eval.deployed_threshold import add_threshold_arguments, threshold_source
from arcface_mxnet.eval.evaluation import evaluate
from arcface_mxnet.eval.intervals import rank_interval
from arcface_mxnet.eval.pair_embeddings import PairEmbeddings
from arcface_mxnet.eval.scores import tar_at_far
from arcface_mxnet.eval.threshold_card import read_card, threshold_of, write_card
import numpy as np
import pytest

EMBEDDING = {"model": "a" * 64, "engine": "onnxruntime", "dtype": "float32"}


def evaluation():
    rng = np.random.default_rng(0)
    flags = np.arange(400) % 2 == 0
    left = rng.normal(size=(400, 8))
    right = np.where(flags[:, None], left, rng.normal(size=left.shape))
    both = np.stack([left, right], axis=1).reshape(800, 8)
    plain, flipped = (both + rng.normal(scale=0.8, size=both.shape) for _ in range(2))
    return evaluate("lfw", PairEmbeddings(plain.astype(np.float32), flipped, flags))


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    path = tmp_path_factory.mktemp("card") / "card.json"
    write_card(path, evaluation(), model="m1,0", embedding=EMBEDDING | {"flip": "sum"},
               crop=(112, 112), pack_fingerprint="b" * 64)  # fmt: skip
    return path


def take(card, far=0.1, flip="none", crop=(112, 112), **other):
    return threshold_of(read_card(card), far, embedding=EMBEDDING | other, flip=flip, crop=crop)


def test_each_way_of_flipping_has_its_thresholds(card):
    given = evaluation()
    cosines = {"none": given.plain_cosines, "sum": given.cosines}
    for flip, scores in cosines.items():
        point = tar_at_far(scores[given.is_genuine], scores[~given.is_genuine], 0.01)
        assert take(card, 0.01, flip) == point.threshold
    assert take(card, 0.01, "none") != take(card, 0.01, "sum")


def test_a_card_says_where_it_is_from_and_how_sure_it_is(card):
    content = json.loads(card.read_text())
    assert (content["model_sha256"], content["engine"], content["dtype"]) == tuple(
        EMBEDDING.values()
    )
    assert (content["crop"], content["num_impostor"]) == ([112, 112], 200)
    assert (content["target"], content["pack_sha256"]) == ("lfw", "b" * 64)
    row = content["thresholds"]["none"][0]
    assert row["squared_l2"] == 2 - 2 * row["cosine"]
    for name in ("cosine", "tar"):
        low, high = row[f"{name}_interval"]
        assert low < row[name] < high
    assert row["far_interval"][0] < row["reached_far"] == 0.1 < row["far_interval"][1]
    assert content["thresholds"]["sum"][-1] == {"far": 1e-6, "impostors_needed": 1_000_000}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"model": "c" * 64}, "of another model: m1,0 .a{64}., not c{64}.*arcface-verify --model"),
        ({"dtype": "bfloat16"}, "of another --dtype: float32, not bfloat16"),
        ({"input": "rgb / 255"}, "of another input: none declared, not rgb / 255"),
        ({"flip": "concat"}, "no thresholds for .*'concat'.* it has 'none', 'sum'"),
        ({"crop": (112, 96)}, "of crops 112x112, these are 112x96"),
        ({"far": 1e-3}, "--far 0.001 needs 1,000 impostor pairs, lfw has 200; it has 0.1, 0.01"),
        ({"far": 0.2}, "--far 0.2 is not on this threshold card; it has 0.1, 0.01"),
    ],
)
def test_thresholds_of_other_embeddings_are_refused(card, asked, message):
    with pytest.raises(ValueError, match=message):
        take(card, **asked)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "is no threshold card"),
        ({"version": 2}, "of version 2; this program reads version 1"),
        ({"model": 3}, "damaged threshold card: wrong or absent: model"),
        ({"thresholds": {"none": [{"far": 0.1, "cosine": 7}]}}, "absent: thresholds"),
        ({"thresholds": {"none": [{"far": 0.1, "cosine": True}]}}, "absent: thresholds"),
        (
            {"thresholds": {"none": [{"far": 0.1, "cosine": 0.5}, {"far": 0.1, "cosine": 0.6}]}},
            "absent: thresholds",
        ),
        (
            {"thresholds": {"none": [{"far": 0.1, "cosine": 0.5, "squared_l2": 1.2}]}},
            "absent: thresholds",
        ),
        ({"crop": [112]}, "wrong or absent: crop"),
    ],
)
def test_damaged_cards(card, tmp_path, change, message):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(json.loads(card.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        read_card(path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such threshold card; make one"):
        read_card(tmp_path / "card.json")
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(ValueError, match="not a threshold card: no JSON"):
        read_card(tmp_path / "card.json")


def asked(*words):
    parser = argparse.ArgumentParser()
    add_threshold_arguments(parser, 1.24)
    return threshold_source(parser.parse_args(list(map(str, words))), 1.24)


def test_a_program_takes_its_threshold_from_one_place(card, caplog):
    given = {"embedding": EMBEDDING, "crop": (112, 112)}
    assert asked().squared_l2(flip=False, **given) == 1.24
    assert asked("--threshold", 1).squared_l2(flip=False, **given) == 1
    source = asked("--threshold-card", card, "--far", 0.01)
    for flip, mode in ((False, "none"), (True, "sum")):
        assert source.squared_l2(flip=flip, **given) == 2 - 2 * take(card, 0.01, mode)
    assert not caplog.records
    source.squared_l2(embedding=EMBEDDING | {"engine": "mxnet"}, flip=False, crop=(112, 112))
    assert "made by the engine onnxruntime, this is mxnet" in caplog.text
    with pytest.raises(ValueError, match="--far 0.001 needs 1,000 impostor pairs"):
        asked("--threshold-card", card).squared_l2(flip=False, **given)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--threshold", 5), "--threshold 5: a squared L2 distance, between 0 and 4"),
        (("--far", 0.01), "--far 0.01: says which threshold of a card"),
        (("--threshold", 1, "--threshold-card", "card.json"), "give one of them"),
        (("--threshold-card", "absent.json"), "absent.json: no such threshold card"),
    ],
)
def test_flags_that_contradict_each_other(words, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        asked(*words)


def test_rank_intervals_hold_the_true_threshold_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = []
    for _ in range(1000):
        low, high = rank_interval(np.sort(rng.uniform(size=500)), 0.02)
        held.append((low is None or low <= 0.98) and (high is None or high >= 0.98))
    assert 0.94 < np.mean(held) < 0.99
    assert rank_interval(np.arange(10.0), 0.1) == (pytest.approx(6.0), None)  # 0 to 3 lie above


def test_the_open_end_of_a_few_impostors():
    assert rank_interval(np.arange(2.0), 0.5) == (None, None)
