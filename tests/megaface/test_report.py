"""The report of identification: one algorithm at all sizes, several beside each other."""

import json
import re

from arcface_mxnet.megaface import run_experiment, synthetic
from arcface_mxnet.megaface.report_errors import number_of_each
import pytest

ENDING = "_synthetic.bin"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three algorithms over the same lists: better, worse, and worse with other probes."""
    folder = tmp_path_factory.mktemp("algorithms")
    for name, separation, images in (("good", 0.8, 40), ("poor", 0.6, 40), ("other", 0.6, 36)):
        options = "--people 6 --distractors 300 --dim 16 --noise 0 --spread 0.05"
        more = ["--separation", str(separation), "--images", str(images)]
        assert synthetic.main([str(folder / name), *options.split(), *more]) == 0
        assert run_experiment.main(command(folder, name, "100", "300")) == 0
    return folder


def command(folder, name, *sizes, more=()):
    lists = folder / name / "templatelists"
    return [
        str(folder / name / "megaface"), str(folder / name / "facescrub"), ENDING,
        str(folder / f"out_{name}"), "-p", str(lists / "facescrub_features_list.json"),
        "-dlp", str(lists), *more, "-s", *sizes,
    ]  # fmt: skip


def beside(made, *names):
    given = [part for name in names for part in ("--beside", str(made / f"out_{name}"))]
    for alias in ("mine", *names):
        given += ["--alias", alias]
    return given


def test_one_algorithm_is_shown_at_every_size(made, read_page):
    page = read_page(made / "out_good/report_synthetic.html")
    assert page.tags.count("svg") == 3 and page.tags.count("table") == 1
    summary = json.loads((made / "out_good/results_facescrub_megaface_synthetic_300_1.json")
                         .read_text())  # fmt: skip
    rate = summary["rank_rate"]["1"]
    low, high = (f"{100 * end:.2f}" for end in rate["interval_95"])
    assert (
        f"Among 300 distractors, synthetic has a rank-1 rate of {100 * rate['rate']:.2f} %, "
        f"95 % interval {low} – {high}." in page.text
    )
    for path in re.findall(r'<path d="([^"]*)" class="curve', page.source):
        assert re.fullmatch(r"M[\d.]+ [\d.]+([hv]-?[\d.]+)+", path)  # steps: nothing slopes


def test_rates_that_the_negatives_cannot_support_are_not_given(made, read_page):
    page = read_page(made / "out_good/report_synthetic.html")
    assert "–: not given. An FPR f takes 1/f negatives" in page.text
    assert "– needs 1,000,000 negatives" in page.text and "– needs 100 probes" in page.text
    # 4,000 negatives support 10⁻³, 12,000 also 10⁻⁴; 40 probes support no FPIR of 1 %.
    assert page.source.count("<td>– <small>needs") == (2 + 1) + (1 + 1)


def test_every_error_is_one_and_stands_beside_what_should_have_won(made, read_page):
    page = read_page(made / "out_poor/report_synthetic.html")
    card = (
        r"probe Person_\S+?png(−?[\d.]+), rank (\d+) should have won (Person_\S+?png)"
        r"(−?[\d.]+) beat it (\S+?jpg)"
    )
    cards = re.findall(card, page.text)
    summary = json.loads((made / "out_poor/results_facescrub_megaface_synthetic_300_1.json")
                         .read_text())  # fmt: skip
    worst = summary["worst_probes"]
    assert len(cards) == min(len(worst), number_of_each(1)) > 5
    for card, one in zip(cards, worst, strict=False):
        mate, rank, mate_name, rival, rival_name = card
        assert float(mate.replace("−", "-")) < float(rival.replace("−", "-")) and int(rank) > 1
        assert (mate_name, rival_name) == (one["mate"], one["distractor"])


def test_an_older_result_with_a_mate_that_was_not_beaten_shows_no_such_error(made, read_page):
    path = made / "out_poor/results_facescrub_megaface_synthetic_300_1.json"
    kept = path.read_text()
    summary = json.loads(kept)
    summary["worst_probes"] = summary["worst_probes"][:1]
    summary["worst_probes"][0] |= {"mate_similarity": 0.809, "distractor_similarity": 0.246}
    del summary["worst_probes"][0]["mate_rank"]
    path.write_text(json.dumps(summary))
    try:
        assert run_experiment.main(command(made, "good", "300", more=beside(made, "poor"))) == 0
    finally:
        path.write_text(kept)
    page = read_page(made / "out_good/report_synthetic.html")
    assert "0.246" not in page.text and "0.809" not in page.text
    assert "No probe is beaten by a distractor." in page.text


def test_algorithms_are_compared_at_the_sizes_they_share(made, read_page):
    more = beside(made, "poor", "poor")
    more[-1] = "again"
    assert run_experiment.main(command(made, "good", "100", "300", more=more)) == 0
    page = read_page(made / "out_good/report_synthetic.html")
    assert "Among 300 distractors, mine is the best of 3: rank-1 rate" in page.text
    assert page.tags.count("table") == 2 and page.tags.count("svg") == 3
    assert "Curves among 300 distractors" in page.text
    assert page.source.count('class="label s') >= 6 and '<ul class="legend">' in page.source


@pytest.mark.parametrize(
    "more, message",
    [
        (["--beside", "nowhere"], "nowhere: no results_"),
        (["--beside", "out_poor"], "'synthetic' is given twice"),
        (["--beside", "out_poor", "--alias", "a", "--alias", "a"], "would both be called so"),
        (["--beside", "out_other", "--alias", "a", "--alias", "b"],
         "synthetic has 36 probes, synthetic 40: they are not of one probe list"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(made, capsys, monkeypatch, more, message):
    monkeypatch.chdir(made)
    assert run_experiment.main(command(made, "good", "300", more=more)) == 2
    assert message in capsys.readouterr().err


def test_results_without_their_curves_are_refused(made, capsys, tmp_path):
    for path in (made / "out_poor").glob("results_*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    more = ["--beside", str(tmp_path), "--alias", "a", "--alias", "b"]
    assert run_experiment.main(command(made, "good", "300", more=more)) == 2
    assert "no curves" in capsys.readouterr().err
    (tmp_path / "results_x.json").write_text("{}")
    assert run_experiment.main(command(made, "good", "300", more=more)) == 2
    assert "results_x.json: lacks algorithm" in capsys.readouterr().err
