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
MIXED = "<a noisy photo beside a text>"
FACES = ("Abel_Pacheco/Abel_Pacheco_0001", "Abdul_Rahman/Abdul_Rahman_0001")
BLACK = "Abel_Pacheco/black"
NOISY = "one/noisy"


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
    mixed = folder.with_name("mixed")
    (mixed / "one").mkdir(parents=True)
    (mixed / "one/notes.txt").write_text("not a photo")
    photo = read_image(folder / f"{FACES[1]}.jpg")
    noise = np.random.default_rng(0).normal(0, 60, photo.shape)
    cv2.imwrite(str(mixed / f"{NOISY}.png"), np.clip(photo + noise, 0, 255).astype(np.uint8))
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
    refused(given, "1 of 1 files are missing")


@ALIGN.row("output")
def writes_there(base, given):
    for aligned in (base, given):
        names = {path.name for path in aligned.output.iterdir()}
        assert {"train.lst", "failures.tsv"} <= names
    assert base.output != given.output


@ALIGN.row("--root", value="<photos>", photos=LIST, both=True, base_fails=True)
def looks_there(base, given):
    refused(base, "1 of 1 files are missing")
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


@ALIGN.row("--strict", photos=MIXED, both=True)
def takes_nothing_but_photos(base, given):
    assert base.code == 0 and base.made == 1
    refused(given, "notes.txt")


@ALIGN.row("--uncertain", value="refuse", photos=MIXED, both=True)
def leaves_out_doubtful_faces(base, given):
    assert (base.made, given.made) == (1, 0)
    assert "1 are uncertain" in base.out and "uncertain: its score" in failures(given)


def failures(aligned: Aligned) -> str:
    return (aligned.output / "failures.tsv").read_text()


@ALIGN.row("--min-eye-distance", value="500")
def wants_large_faces(base, given):
    assert (base.made, given.made) == (2, 0) and failures(given).count("below 500") == 2


@ALIGN.row("--min-sharpness", value="1e6")
def wants_sharp_faces(base, given):
    assert (base.made, given.made) == (2, 0) and failures(given).count("sharpness") == 2


@ALIGN.row("--max-clipped", value="0", photos=MIXED, both=True)
def wants_faces_well_lit(base, given):
    assert (base.made, given.made) == (1, 0) and "clipped" in failures(given)


@ALIGN.row("--max-yaw", value="0")
def wants_faces_that_look_ahead(base, given):
    assert (base.made, given.made) == (2, 0) and failures(given).count("yaw") == 2


@ALIGN.row("--max-pitch", value="0")
def wants_faces_held_level(base, given):
    assert (base.made, given.made) == (2, 0) and failures(given).count("pitch") == 2


@ALIGN.row("--min-score", value="0.99", photos=MIXED, both=True)
def wants_faces_that_are_sure(base, given):
    assert (base.made, given.made) == (1, 0) and "score" in failures(given)


@ALIGN.row("--max-pixels", value="62499")
def decodes_no_larger_photo(base, given):
    """The photos have 250x250 pixels."""
    assert (base.made, given.made) == (2, 0) and failures(given).count("62499") == 2


@ALIGN.row("--threads", value="3")
def works_on_so_many(base, given):
    assert (base.threads, given.threads) == ([2], [3])
    assert np.array_equal(base.crop(), given.crop())
