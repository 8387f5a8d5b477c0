"""--failures means the same for a network, its ready vectors and ready scores."""

# ruff: noqa: F811  (fixtures of the other tests)

import json
from pathlib import Path

from arcface_mxnet.embedding import embed
from arcface_mxnet.eval import verification
from arcface_mxnet.eval.scored_pairs import read_scored_pairs
import numpy as np
import pytest

from tests.eval.test_verification import folder  # noqa: F401

PAIRS, FAILED = 60, (3, 8)  # of the fixture: odd pairs are genuine


@pytest.fixture
def sources(folder):
    """Return the flags of three sources of the same embeddings, on pairs of which two failed."""
    lines = ["failed", *("left" if pair in FAILED else "" for pair in range(PAIRS))]
    Path("lfw.columns.tsv").write_text("\n".join(lines) + "\n")
    words = ["lfw.bin", "v.npy", "--model", "net,1", "--flip", "joined", "--normalize", "0",
             "--image-size", "8,8", "--gpu", "-1"]  # fmt: skip
    assert embed.main(words) == 0
    verify("crop", "--model", "net,1")
    cosines = read_scored_pairs("out.json")[0].cosines
    Path("s.txt").write_text("".join(f"{500 + 100 * value!r}\n" for value in cosines.tolist()))
    return ["--model", "net,1", "--model", "v=v.npy@joined", "--scores", "s=s.txt@higher"]


def verify(mode, *words):
    given = [*words, "--target", "lfw", "--failures", mode, "--json", "out.json", "--gpu", "-1"]
    assert verification.main(given) == 0
    return json.loads(Path("out.json").read_text())


@pytest.mark.parametrize(("mode", "left"), [("skip", PAIRS - 2), ("count", PAIRS)])
def test_all_sources_count_alike(sources, mode, left):
    entries = verify(mode, *sources)
    for scored in read_scored_pairs("out.json"):
        assert len(scored.cosines) == left and len(scored.columns["failed"]) == left
    network, *others = entries
    assert (network["num_genuine"] + network["num_impostor"]) == left
    for other in others:
        assert other["auc"] == pytest.approx(network["auc"])
        assert [rate.get("tar") for rate in other["tar_at_far"]] == [
            rate.get("tar") for rate in network["tar_at_far"]
        ]
        for one, two in zip(other["failures"]["error_rates"], network["failures"]["error_rates"],
                            strict=True):  # fmt: skip
            assert {**one, "cosine": 0} == pytest.approx({**two, "cosine": 0})
    rates = network["failures"]["error_rates"][0]
    assert network["failures"]["fte"] == 2 / PAIRS and rates["gfrr"] > 0.03  # pair 3 is genuine


def test_scores_alone_make_no_card(sources, capsys):
    words = ["--scores", "s.txt@higher", "--target", "lfw", "--card", "card.json", "--gpu", "-1"]
    assert verification.main(words) == 2
    assert "--card: --scores without --model does not use it" in capsys.readouterr().err
    assert np.sum([path.name == "card.json" for path in Path().iterdir()]) == 0
