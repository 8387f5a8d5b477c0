"""The report of templates: rates of pairs and of galleries, of several models and switches."""

from arcface_mxnet.eval.evaluation import rates_at_fars
from arcface_mxnet.eval.ijb_report import IjbEntry, pair_steps, write_ijb_report
from arcface_mxnet.eval.templates import SearchResult
import numpy as np
import pytest

FACTS = {"model": "3" * 64, "engine": "onnxruntime", "dtype": "float32"}


@pytest.fixture
def entries():
    rng = np.random.default_rng(0)
    flags = np.arange(5000) % 10 == 0
    made = []
    for name, apart in (("<b>one</b>", 1.2), ("two", 0.6), ("three", 0.3)):
        cosines = (rng.normal(scale=0.2, size=5000) + apart * flags).astype(np.float32)
        made.append(IjbEntry(
            name, f"models/{name},1", FACTS, "keep norm, flip sum", "; 2 missing images left out",
            rates_at_fars(cosines, flags), pair_steps(cosines, flags),
            SearchResult({1: apart / 2, 5: 0.9, 10: 0.95}, {0.01: None, 0.1: 0.5}, 70, 40),
        ))  # fmt: skip
    return made


def test_both_protocols_are_shown(entries, tmp_path, read_page):
    write_ijb_report(tmp_path / "out.html", "IJBC", entries)
    page = read_page(tmp_path / "out.html")
    assert page.tags.count("svg") == 2 and page.tags.count("table") == 3
    assert "500 genuine and 4,500 impostor pairs" in page.text
    assert "70 mated and 40 unmated searches" in page.text
    best = next(rate for rate in entries[0].rates if rate.wanted_far == 1e-3)
    assert (
        f"On IJBC, <b>one</b> is the best of 3: TAR at FAR 10⁻³ {100 * best.point.tar:.2f} %"
        in page.text
    )
    assert "10⁻⁴ needs 10,000 impostor pairs" in page.text
    assert page.source.count("<td>–</td>") == 3  # TPIR at FPIR 0.01
    assert "; 2 missing images left out" in page.text and "3" * 64 in page.text


def test_one_protocol_alone(entries, tmp_path, read_page):
    entry = entries[0]
    pairs = IjbEntry(entry.name, entry.model, FACTS, "", "", entry.rates, entry.steps)
    write_ijb_report(tmp_path / "pairs.html", "IJBB", [pairs])
    page = read_page(tmp_path / "pairs.html")
    assert "TPIR" not in page.text and page.tags.count("svg") == 2
    assert "On IJBB, <b>one</b> has a TAR at FAR 10⁻³ of" in page.text
    search = IjbEntry(entry.name, entry.model, FACTS, "", search=entry.search)
    write_ijb_report(tmp_path / "search.html", "IJBB", [search])
    page = read_page(tmp_path / "search.html")
    assert "rank 10" in page.text and "svg" not in page.tags


def test_pairs_that_support_no_far_are_shown_without_rates(tmp_path, read_page):
    flags = np.array([True, True, False, False])
    cosines = np.array([0.9, 0.8, 0.1, 0.2])
    entry = IjbEntry("a", "a", FACTS, "", "", rates_at_fars(cosines, flags),
                     pair_steps(cosines, flags))  # fmt: skip
    write_ijb_report(tmp_path / "out.html", "IJBC", [entry])
    assert "10⁻¹ needs 10 impostor pairs" in read_page(tmp_path / "out.html").text
