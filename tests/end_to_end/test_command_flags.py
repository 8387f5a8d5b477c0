"""Every flag of arcface-verify, arcface-face2rec and arcface-align changes what it says."""

from itertools import count

from arcface_mxnet.align import align_faces
from arcface_mxnet.data import face2rec2
from arcface_mxnet.eval import verification
import pytest

from tests.end_to_end.commands import train
from tests.end_to_end.every_loss import TINY, command
from tests.end_to_end.foreign import write_foreign, write_scores
from tests.end_to_end.inputs import PAIRS, SIDE, write_dataset
from tests.end_to_end.rows import align, face2rec, verify
from tests.end_to_end.rows.align import ALIGN
from tests.end_to_end.rows.face2rec import FACE2REC
from tests.end_to_end.rows.verify import VERIFY

TABLES = [
    (VERIFY, verification.build_parser),
    (FACE2REC, face2rec2.build_parser),
    (ALIGN, align_faces.build_parser),
]


@pytest.mark.parametrize(("table", "parser"), TABLES, ids=[table.command for table, _ in TABLES])
def test_every_flag_has_a_row_and_every_row_a_flag(table, parser):
    faults = list(table.faults(parser()))
    assert not faults, "\n".join(faults)


def name(row):
    return row.name


class Once:
    """Runs without the flag, by their arguments: each is made once."""

    def __init__(self, run, places, folder):
        self.run, self.places, self._folder = run, places, folder
        self._numbers, self._runs = count(), {}

    def new_folder(self):
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        return folder

    def given(self, *arguments, **more):
        words = [self.places.get(word, word) for word in arguments]
        return self.run(words, self.new_folder(), **more)

    def base(self, *arguments, **more):
        key = arguments, tuple(more.items())
        if key not in self._runs:
            self._runs[key] = self.given(*arguments, **more)
        return self._runs[key]

    def compare(self, row, *names):
        """Run a row's command without and with its flag; names: of what more the run takes."""
        more = {key: row.more[key] for key in names if key in row.more}
        flag = row.flags[:1] if row.flags[0].startswith("-") else ()
        base = self.base(*row.on, **(more if "both" in row.more else {}))
        assert (base.code == 2) == ("base_fails" in row.more), base.said  # 1: some photos failed
        row.differs(base, self.given(*row.on, *flag, *row.values, **more))


@pytest.fixture(scope="module")
def verifications(faces, new_prefix, tmp_path_factory):
    saved = ["--max-steps", 4, "--verbose", 2, "--ckpt", 2]
    prefix = train(command("4", faces, new_prefix(), *saved, network=TINY)).prefix
    start = ["--data-dir", faces, "--model", f"{prefix},1", "--target", "held", "--gpu", "-1"]
    start += ["--json", "figures.json"]
    other = write_dataset(tmp_path_factory.mktemp("other"), first=50)
    places = {verify.OTHER: other, verify.PREFIX: prefix, verify.SECOND: f"{prefix},2"}
    theirs = tmp_path_factory.mktemp("theirs")
    scores = write_scores(theirs / "scores.txt", PAIRS)
    places |= {
        verify.FOREIGN: write_foreign(theirs / "foreign.onnx", size=(SIDE, SIDE)),
        verify.ANY_SIZE: write_foreign(theirs / "any.onnx"),
        verify.TWO_OUTPUTS: write_foreign(theirs / "two.onnx", norm=True, size=(SIDE, SIDE)),
        verify.SCORES: scores,
        f"{verify.SCORES}@higher": f"{scores}@higher",
    }

    def run(argv, folder):
        return verify.verify([*start, *argv], folder)

    return Once(run, places, tmp_path_factory.mktemp("verify"))


@pytest.mark.parametrize("row", VERIFY.rows, ids=name)
def test_verify(row, verifications):
    verifications.compare(row)


@pytest.fixture(scope="module")
def packings(tmp_path_factory):
    places = {face2rec.PHOTOS: face2rec.make_photos(tmp_path_factory.mktemp("photos"))}
    return Once(face2rec.pack, places, tmp_path_factory.mktemp("packed"))


@pytest.mark.parametrize("row", FACE2REC.rows, ids=name)
def test_face2rec(row, packings):
    packings.compare(row, "stem")


@pytest.fixture(scope="module")
def alignments(tmp_path_factory, shared_data, models):
    photos = align.make_photos(tmp_path_factory.mktemp("some") / "photos", shared_data)
    lists = photos.with_name("lists") / "one.lst"

    def run(argv, folder, photos=photos):
        named = {align.LIST: lists, align.MIXED: lists.parents[1] / "mixed"}
        source = named.get(photos, photos)
        fixed = ["--detector", models / "mtcnn", "--gpu", "-1"]
        return align.align(source, folder / "crops", [*fixed, *argv])

    return Once(run, {"<photos>": photos}, tmp_path_factory.mktemp("aligned"))


@pytest.mark.parametrize("row", ALIGN.rows, ids=name)
def test_align(row, alignments):
    alignments.compare(row, "photos")
