"""The table of arcface-verify."""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
import pickle
from unittest import mock

from arcface_mxnet.embedder import Embedder
from arcface_mxnet.eval import verification
from arcface_mxnet.eval.scored_pairs import read_scored_pairs
import numpy as np
import pytest

from tests.end_to_end.commands import Done, run
from tests.end_to_end.foreign import DIMENSION, FULLY_DECLARED
from tests.end_to_end.inputs import PAIRS, SIDE
from tests.end_to_end.rows.refusals import refused
from tests.end_to_end.rows.table import Table

VERIFY = Table("VERIFY", "arcface-verify", "tests/end_to_end/rows/verify.py")

# In the place of what is made before the runs.
FOREIGN, ANY_SIZE, TWO_OUTPUTS = "<foreign.onnx>", "<any size.onnx>", "<two outputs.onnx>"
SCORES = "<scores.txt>"
OTHER, PREFIX, SECOND = "<another dataset folder>", "<a prefix>", "<its checkpoint 2>"


@dataclass
class Verified(Done):
    """A verification: the folder it ran in and the sizes of the batches that it embedded."""

    folder: Path
    batches: list[int]

    @property
    def entries(self) -> list[dict]:
        return json.loads((self.folder / "figures.json").read_text())

    @property
    def entry(self) -> dict:
        (entry,) = self.entries
        return entry

    def figures(self, name: str = "FlipL2") -> dict:
        return self.entry["evaluations"][name]


def verify(argv: list[object], folder: Path) -> Verified:
    """Run arcface-verify in a folder of its own."""
    images: list[np.ndarray] = []

    def forward(self, batch, original=Embedder.forward):
        images.append(batch)
        return original(self, batch)

    with pytest.MonkeyPatch.context() as patch, mock.patch.object(Embedder, "forward", forward):
        patch.chdir(folder)
        done = run(verification.main, argv)
    return Verified(**vars(done), folder=folder, batches=[len(batch) for batch in images])


def but_alias(entry):
    """Return an entry without its alias, which tells it from the others of its run."""
    return {key: value for key, value in entry.items() if key != "alias"}


@VERIFY.row("--data-dir", value=OTHER)
def reads_other_pairs(base, given):
    assert base.entry["pack_sha256"] != given.entry["pack_sha256"]
    assert base.entry["model_sha256"] == given.entry["model_sha256"]
    assert base.entry["xnorm"] != given.entry["xnorm"]


@VERIFY.row("--model", value=SECOND)
def judges_this_one_too(base, given):
    first, second = given.entries
    assert first == base.entry
    assert second["model"].endswith(",2") and second["model_sha256"] != first["model_sha256"]
    assert second["xnorm"] != first["xnorm"]
    assert f"({second['model']})" in given.out.splitlines()


@VERIFY.row("--target", value="other,absent")
def verifies_on_these(base, given):
    assert (base.entry["target"], given.entry["target"]) == ("held", "other")
    assert "absent is left out: no file" in given.said
    assert "Max of [other] is " in given.out


@VERIFY.row("--max", value="1,2", on=("--model", PREFIX), base_fails=True)
def takes_a_part_of_the_list(base, given):
    refused(base, ",1' is given twice")  # checkpoint 1, then 2 and 1
    assert given.entry["model"].endswith(",2")


@VERIFY.row("--mode", value="1")
def draws_wrong_pairs(base, given):
    assert not (base.folder / "badcases").exists()
    wrong = round(PAIRS * (1 - given.figures()["accuracy"]))
    assert wrong > 0 and "false accepts" in given.out
    assert list((given.folder / "badcases").iterdir())


@VERIFY.row("--mode", value="2")
def dumps_embeddings(base, given):
    vectors, flags = pickle.loads((given.folder / "temp.bin").read_bytes())
    assert (vectors.shape, len(flags)) == ((2 * PAIRS, 16), PAIRS)
    assert not (base.folder / "temp.bin").exists() and "Accuracy" not in given.out


@VERIFY.row("--nfolds", value="4")
def cuts_into_so_many(base, given):
    assert [len(run.figures()["folds"]) for run in (base, given)] == [10, 4]


@VERIFY.row("--flip-mode", value="concat")
def joins_both_embeddings(base, given):
    assert [run.entry["flip"] for run in (base, given)] == ["sum", "concat"]
    assert base.entry["auc"] != given.entry["auc"]
    assert base.figures() != given.figures()
    assert base.figures("UnFlipL2") == given.figures("UnFlipL2")


@VERIFY.row("--seed", value="1", on=("--target", "other"))
def draws_the_bootstrap(base, given):
    def intervals(run):
        rates = run.entry["tar_at_far"]
        return [rate["interval_by_identity"] for rate in rates if "tar" in rate]

    assert intervals(base)[0] and intervals(base) != intervals(given)
    assert base.figures() == given.figures()


@VERIFY.row("--pca", value="4")
def tries_components(base, given):
    assert "components" not in base.out
    assert "[held]FlipL2, 4 components: 0." in given.out


@VERIFY.row("--report", value="page.html")
def writes_a_page(base, given):
    assert not (base.folder / "page.html").exists()
    page = (given.folder / "page.html").read_text()
    assert "held" in page and str(given.entry["pack_sha256"])[:8] in page


@VERIFY.row("--alias", value="short")
def names_the_model(base, given):
    assert base.entry["model"] == given.entry["model"]
    assert base.entry["model"].endswith("/" + base.entry["alias"])
    assert given.entry["alias"] == "short"


@VERIFY.row("--json", value="again.json")
def writes_figures(base, given):
    assert not (base.folder / "again.json").exists()
    assert json.loads((given.folder / "again.json").read_text()) == base.entries
    (scored,) = read_scored_pairs(given.folder / "again.json")
    assert (len(scored.cosines), scored.facts["model_sha256"]) == (
        PAIRS,
        base.entry["model_sha256"],
    )
    assert scored.is_right.mean() == pytest.approx(base.figures()["accuracy"])


@VERIFY.row("--card", value="card.json")
def writes_thresholds(base, given):
    assert not (base.folder / "card.json").exists()
    card = json.loads((given.folder / "card.json").read_text())
    assert card["model_sha256"] == given.entry["model_sha256"]
    assert [row["far"] for row in card["thresholds"]["sum"] if "cosine" in row] == [0.1]
    assert card["thresholds"]["sum"][0]["cosine"] == given.entry["tar_at_far"][0]["cosine"]
    assert card["thresholds"]["none"][0] != card["thresholds"]["sum"][0]


@VERIFY.row("--failures", value="count", on=("--target", "other"))
def rejects_what_was_not_found(base, given):
    assert "no face was found in 2 of 80 pairs" in base.said and "failures" not in base.entry
    failures = given.entry["failures"]
    assert (failures["mode"], failures["fta"], failures["fte"]) == ("count", 2 / 80, 0)
    assert failures["error_rates"][0]["gfrr"] > failures["error_rates"][0]["fnmr"]
    assert "(2 of 80 pairs lack a face and are rejected)" in given.out


@VERIFY.row("--failures", value="skip", on=("--target", "other"))
def leaves_out_what_was_not_found(base, given):
    assert given.entry["failures"]["mode"] == "skip"
    pairs = [run.entry["num_genuine"] + run.entry["num_impostor"] for run in (base, given)]
    assert pairs == [PAIRS, PAIRS - 2]
    assert "(2 of 80 pairs lack a face and are left out)" in given.out


@VERIFY.row("--gpu", value="9")
def wants_this_gpu(base, given):
    refused(given, "9")


@VERIFY.row("--engine", value="mxnet")
def embeds_by(base, given):
    assert [run.entry["engine"] for run in (base, given)] == ["onnxruntime", "mxnet"]
    assert given.entry["xnorm"] == pytest.approx(base.entry["xnorm"], rel=1e-4)
    assert given.entry["xnorm"] != base.entry["xnorm"]


@VERIFY.row("--dtype", value="bfloat16")
def multiplies_in(base, given):
    assert base.entry["dtype"] == "float32"
    if given.code:  # a processor that does not multiply it
        refused(given, "bfloat16")
    else:
        assert given.entry["dtype"] == "bfloat16"
        assert given.entry["xnorm"] != base.entry["xnorm"]


@VERIFY.row("--batch-size", value="7")
def embeds_so_many_at_once(base, given):
    assert (max(base.batches), max(given.batches)) == (32, 7)
    assert sum(base.batches) == sum(given.batches)
    assert given.figures()["accuracy"] == base.figures()["accuracy"]


@VERIFY.row("--scores", value=f"{SCORES}@higher")
def judges_ready_scores_too(base, given):
    ours, theirs = given.entries
    assert but_alias(ours) == but_alias(base.entry)
    assert theirs["engine"] == "ready scores" and theirs["xnorm"] is None
    assert f"({theirs['model']})" in given.out.splitlines()


@VERIFY.row("--score-order", value="lower", on=("--scores", SCORES), base_fails=True)
def says_which_end_is_nearer(base, given):
    refused(base, "are higher or lower scores nearer?")
    assert given.entries[1]["dtype"] == "lower is nearer"


def foreign_is_fed(base, given, words):
    """Assert that the base was refused for the lack of what the flag says."""
    refused(base, "does not say what it is fed", words)
    assert len(given.entries) == 2 and given.entries[1]["model"].endswith(".onnx")


ON_FOREIGN = ("--model", FOREIGN, *FULLY_DECLARED)


@VERIFY.row("--preset", value="sface", on=("--model", ANY_SIZE), base_fails=True)
def is_fed_as_a_family(base, given):
    refused(base, "give --preset, or --image-size H,W, --input-color rgb|bgr, --mean, --scale")
    refused(given, "takes 112x112")  # as it declares; these images are smaller


@VERIFY.row("--image-size", value=f"{SIDE},{SIDE}", on=("--model", ANY_SIZE, *FULLY_DECLARED),
            base_fails=True)  # fmt: skip
def is_fed_images_of(base, given):
    foreign_is_fed(base, given, "--image-size")


@VERIFY.row("--input-color", value="bgr", on=("--model", FOREIGN, *FULLY_DECLARED[2:]),
            base_fails=True)  # fmt: skip
def is_fed_channels_of(base, given):
    foreign_is_fed(base, given, "--input-color")


@VERIFY.row("--mean", value="100,110,120", on=("--model", FOREIGN, *FULLY_DECLARED[:2],
            *FULLY_DECLARED[4:]), base_fails=True)  # fmt: skip
def has_subtracted(base, given):
    foreign_is_fed(base, given, "--mean")


@VERIFY.row("--scale", value="64", on=("--model", FOREIGN, *FULLY_DECLARED[:4]), base_fails=True)
def has_divided_by(base, given):
    foreign_is_fed(base, given, "--scale")


@VERIFY.row("--layout", value="nhwc", on=ON_FOREIGN)
def is_fed_in_the_order(base, given):
    assert len(base.entries) == 2
    refused(given, "which is nchw, not nhwc")


@VERIFY.row("--output-name", "--output", value="embedding",
            on=("--model", TWO_OUTPUTS, *FULLY_DECLARED), base_fails=True)  # fmt: skip
def takes_this_output(base, given):
    refused(base, "has 2 outputs, 'embedding'", f"{DIMENSION}), 'norm'", "--output NAME")
    assert len(given.entries) == 2


@VERIFY.row("--crop-template", value="box", on=ON_FOREIGN)
def takes_crops_for(base, given):
    refused(given, "wants crops aligned as 'arcface'; these are taken for 'box'")
