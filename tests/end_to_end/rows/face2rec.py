"""The table of arcface-face2rec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arcface_mxnet.align.template import template
from arcface_mxnet.data import face2rec2, packing
from arcface_mxnet.data.records import RecordReader
import cv2
import numpy as np

from tests.end_to_end.commands import Done, noted, run
from tests.end_to_end.inputs import write_photos
from tests.end_to_end.rows.refusals import refused
from tests.end_to_end.rows.table import Table

FACE2REC = Table("FACE2REC", "arcface-face2rec", "tests/end_to_end/rows/face2rec.py")

PHOTOS = "<a folder of photos>"
SMALL = ("--root", PHOTOS, "--image-size", "16,16")
# The lists in the folder that is packed, relative to PHOTOS: gaps between its numbers, an image
# that is to be aligned, a bad one.
LISTS = {
    "some": "1\tp0/0.png\t0\n1\tp0/1.png\t0\n1\tp1/0.png\t1\n",
    "gaps": "1\tp0/0.png\t3\n1\tp0/1.png\t3\n1\tp1/0.png\t5\n",
    "drawn": "0\tdrawn.png\t0\t0\t0\t112\t112\t"
    + "\t".join(str(number) for number in template().T.ravel())
    + "\n",
    "bad": "1\tp0/0.png\t0\n1\tbroken.png\t0\n",
}


@dataclass
class Packed(Done):
    """A packing: the folder that it packed into, the threads it asked for."""

    folder: Path
    stem: str
    threads: list[int]

    def bytes_of(self, ending: str) -> bytes:
        return (self.folder / f"{self.stem}{ending}").read_bytes()

    def records(self, stem: str = "") -> list[tuple[int, bytes]]:
        """Return (identity, image) of all images, in order."""
        path = self.folder / (stem or self.stem)
        with RecordReader(f"{path}.rec", f"{path}.idx") as reader:
            found = [reader.read(key) for key in reader.keys if key]
        return [(int(record.first_label), record.payload) for record in found if record.payload]

    @property
    def size(self) -> str:
        return (self.folder / "property").read_text().strip()

    @property
    def image(self) -> np.ndarray:
        """The first image, as it was stored: grey has two dimensions."""
        data = np.frombuffer(self.records()[0][1], np.uint8)
        return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)


def make_photos(folder: Path) -> Path:
    write_photos(folder, (3, 2))
    (folder / "broken.png").write_bytes(b"no image")
    picture = np.random.default_rng(3).integers(0, 256, (14, 14, 3), np.uint8)
    cv2.imwrite(str(folder / "drawn.png"), picture.repeat(8, 0).repeat(8, 1))
    return folder


def pack(argv: list[object], folder: Path, stem: str = "some") -> Packed:
    """Run arcface-face2rec on FOLDER/STEM, where the lists are."""
    for name, text in LISTS.items():
        (folder / f"{name}.lst").write_text(text)
    threads: list[int] = []
    with noted(packing, "ThreadPoolExecutor", threads):
        done = run(face2rec2.main, [folder if "--folder" in argv else folder / stem, *argv])
    stem = "train" if "--folder" in argv else stem
    return Packed(**vars(done), folder=folder, stem=stem, threads=threads)


@FACE2REC.row("prefix", on=("--root", PHOTOS), stem="drawn")
def packs_the_lists_that_begin_so(base, given):
    assert [p.name for p in base.folder.glob("*.rec")] == ["some.rec"]
    assert [p.name for p in given.folder.glob("*.rec")] == ["drawn.rec"]


@FACE2REC.row("--folder", value=PHOTOS, on=SMALL)
def packs_a_folder(base, given):
    assert [identity for identity, _ in base.records()] == [0, 0, 1]
    assert [identity for identity, _ in given.records("train")] == [0, 0, 0, 1, 1]
    assert (given.folder / "train.names").read_text() == "0\tp0\n1\tp1\n"


@FACE2REC.row("--strict", on=("--folder", PHOTOS, *SMALL))
def takes_nothing_but_identities(base, given):
    """Two images of the folder are in no subfolder."""
    assert base.code == 0 and len(base.records()) == 5
    refused(given, "broken.png", "drawn.png")


@FACE2REC.row("--identities", value="p1", on=("--folder", PHOTOS, *SMALL))
def packs_just_these(base, given):
    assert (len(base.records()), len(given.records())) == (5, 2)
    assert given.size == "1,16,16"


@FACE2REC.row("--root", value=PHOTOS, on=("--image-size", "16,16"), base_fails=True)
def looks_there(base, given):
    refused(base, "3 of 3 files are missing", "p0/0.png")
    assert len(given.records()) == 3


@FACE2REC.row("--image-size", value="16,16", on=("--root", PHOTOS))
def makes_crops_of(base, given):
    assert (base.size, given.size) == ("2,112,112", "2,16,16")


@FACE2REC.row("--image_size", value="112,96", on=("--root", PHOTOS), stem="drawn")
def makes_crops_of_too(base, given):
    assert (given.size, given.image.shape) == ("1,112,96", (112, 96, 3))


@FACE2REC.row("--fit", value="pad", on=("--root", PHOTOS, "--image-size", "16,20"), base_fails=True)
def pads_with_black(base, given):
    refused(base, "p0/0.png")
    assert given.image.shape == (16, 20, 3)
    assert given.image[:, :2].max() < 40 < given.image[:, 4:-4].mean()


@FACE2REC.row("--relabel", on=SMALL, stem="gaps", both=True, base_fails=True)
def numbers_anew(base, given):
    refused(base, "gaps.lst", "--relabel")
    assert [identity for identity, _ in given.records()] == [0, 0, 1]
    assert given.bytes_of(".names") == b"0\t3\n1\t5\n"


@FACE2REC.row("--skip-bad", on=SMALL, stem="bad", both=True, base_fails=True)
def leaves_out_and_names(base, given):
    refused(base, "broken.png")
    assert not (base.folder / "bad.rec").exists()
    assert len(given.records()) == 1 and "left out: 1 images that could not be packed" in given.out
    assert "broken.png" in given.out


DRAWN = {"on": ("--root", PHOTOS), "stem": "drawn", "both": True}


@FACE2REC.row("--quality", value="10", **DRAWN)
def writes_smaller(base, given):
    sizes = [len(run.records()[0][1]) for run in (base, given)]
    assert sizes[1] < 0.8 * sizes[0]


@FACE2REC.row("--encoding", value=".png", **DRAWN)
def writes_png(base, given):
    assert base.records()[0][1].startswith(b"\xff\xd8")
    assert given.records()[0][1].startswith(b"\x89PNG")


@FACE2REC.row("--color", value="0", **DRAWN)
def reads_grey(base, given):
    assert (base.image.shape, given.image.shape) == ((112, 112, 3), (112, 112))


@FACE2REC.row("--num-thread", value="3", on=("--num-thread", "2", *SMALL))
def reads_with_so_many(base, given):
    assert (base.threads, given.threads) == ([2], [3])
    for ending in (".rec", ".idx"):
        assert base.bytes_of(ending) == given.bytes_of(ending)
