"""The table of arcface-align, on real faces: skipped where they or the detector are absent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from arcface_mxnet.align import align_faces, arguments
from arcface_mxnet.data.images import read_image
import cv2
import numpy as np

from tests.end_to_end.commands import Done, noted, run
from tests.end_to_end.rows.refusals import refused
from tests.end_to_end.rows.table import Table

ALIGN = Table("ALIGN", "arcface-align", "tests/end_to_end/rows/align.py")

LIST = "<a list of photos>"
FACES = ("Abel_Pacheco/Abel_Pacheco_0001", "Abdul_Rahman/Abdul_Rahman_0001")
BLACK = "Abel_Pacheco/black"


@dataclass
class Aligned(Done):
    """An alignment: where its crops are, the threads asked for, the detector's options."""

    output: Path
    threads: list[int]
    detectors: list[dict]

    def crop(self, name: str = FACES[0], ending: str = ".png") -> np.ndarray:
        return read_image(self.output / f"{name}{ending}")

    @property
    def made(self) -> int:
        return len((self.output / "train.lst").read_text().splitlines())


def make_photos(folder: Path, shared_data: Path) -> Path:
    """Write two photos with a face and one without, and a list of one of them."""
    for name in FACES:
        path = folder / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((shared_data / f"lfw/fold_1/{name}.jpg").read_bytes())
    cv2.imwrite(str(folder / f"{BLACK}.png"), np.zeros((90, 90, 3), np.uint8))
    lists = folder.with_name("lists")
    lists.mkdir()
    (lists / "one.lst").write_text(f"0\t{FACES[0]}.jpg\t4\n")
    return folder


def align(photos: Path, output: Path, argv: list[object]) -> Aligned:
    threads: list[int] = []
    detectors: list[dict] = []
    open_detector = arguments.open_detector

    def opened(name, ctx, **options):
        detectors.append({"name": name, "ctx": ctx, **options})
        return open_detector(name, ctx, **options)

    with (
        mock.patch.object(arguments, "open_detector", opened),
        noted(align_faces, "ThreadPoolExecutor", threads),
    ):
        done = run(align_faces.main, [photos, output, *argv])
    return Aligned(**vars(done), output=output, threads=threads, detectors=detectors)


@ALIGN.row("photos", photos=LIST)
def takes_a_list(base, given):
    """Paths of a list are relative to it, and its photos are elsewhere."""
    assert base.code == 1 and base.made == 2 and "3 photos, 2 crops" in base.out
    assert given.code == 1 and "1 photos, 0 crops" in given.out


@ALIGN.row("output")
def writes_there(base, given):
    for aligned in (base, given):
        names = {path.name for path in aligned.output.iterdir()}
        assert {"train.lst", "failures.tsv"} <= names
    assert base.output != given.output


@ALIGN.row("--root", value="<photos>", photos=LIST, both=True)
def looks_there(base, given):
    assert base.code == 1 and "0 crops" in base.out
    assert given.code == 0 and given.crop().shape == (112, 112, 3)


@ALIGN.row("--image-size", value="112,96")
def makes_crops_of(base, given):
    assert (base.crop().shape, given.crop().shape) == ((112, 112, 3), (112, 96, 3))


@ALIGN.row("--image_size", value="112,96")
def makes_crops_of_too(base, given):
    makes_crops_of(base, given)


@ALIGN.row("--encoding", value=".jpg")
def writes_jpeg(base, given):
    assert (given.output / f"{FACES[0]}.jpg").read_bytes().startswith(b"\xff\xd8")
    assert not (base.output / f"{FACES[0]}.jpg").exists()
    apart = np.abs(base.crop().astype(float) - given.crop(ending=".jpg"))
    assert 0 < apart.mean() < 5


@ALIGN.row("--detector", value="<no folder>")
def finds_faces_by(base, given):
    assert base.detectors[0]["name"] != given.detectors[0]["name"] == "<no folder>"
    refused(given, "<no folder>")


@ALIGN.row("--min-size", value="240")
def looks_for_larger_ones(base, given):
    assert (base.made, given.made) == (2, 0)
    assert (given.output / "failures.tsv").read_text().count("no face found") == 3


@ALIGN.row("--limited")
def takes_the_photo_for_the_face(base, given):
    """A photo is no face box: one of the two faces is no longer found in it."""
    assert (base.made, given.made) == (2, 1)
    assert not np.array_equal(base.crop(), given.crop())


@ALIGN.row("--fallback", value="box")
def cuts_the_centre(base, given):
    assert (base.code, given.code) == (1, 0)
    assert given.crop(BLACK).max() == 0 and not (base.output / f"{BLACK}.png").exists()


@ALIGN.row("--gpu", value="9")
def wants_this_gpu(base, given):
    assert [aligned.detectors[0]["ctx"] for aligned in (base, given)] == [-1, 9]
    refused(given, "9")


@ALIGN.row("--engine", value="mxnet")
def runs_networks_by(base, given):
    assert [aligned.detectors[0]["engine"] for aligned in (base, given)] == ["auto", "mxnet"]
    assert np.abs(base.crop().astype(float) - given.crop()).mean() < 2


@ALIGN.row("--threads", value="3")
def works_on_so_many(base, given):
    assert (base.threads, given.threads) == ([2], [3])
    assert np.array_equal(base.crop(), given.crop())
