"""Look into the records of a dataset, and mend, copy, merge or split them.

arcface-rec info D                 what the dataset holds
arcface-rec card D                 writes D/card.html and D/card.json: what the dataset is like
arcface-rec check D                reads all, compares what is said twice, decodes every image
arcface-rec extract D FOLDER       writes the images as FOLDER/IDENTITY/KEY.jpg
arcface-rec index FILE.rec         writes FILE.idx anew from the .rec itself
arcface-rec repair D               index, property, header and ranges anew from the labels
arcface-rec copy D NEW             the same again, or without bad or some images
arcface-rec merge NEW D D ...      several datasets in one
arcface-rec split D FIRST SECOND   some identities into SECOND, the others into FIRST
arcface-rec relabel D NEW          identities numbered 0, 1, ... without gaps
arcface-rec shuffle D NEW          the images in random order in the file
arcface-rec sample D NEW           some identities, some images of each

D is a folder with train.rec, train.idx and property.  Datasets are streamed: memory is 200 bytes
for each image and some blocks of 16 MiB; each is read twice.  What appears under its name is whole.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import sys

from arcface_mxnet.cli import run
from arcface_mxnet.data.inspecting import check, extract, info
from arcface_mxnet.data.remaking import copy, merge, relabel, sample, shuffle, split
from arcface_mxnet.data.repair import index_anew, repair
from arcface_mxnet.given import check_outputs, file_name, whole


def _card(arguments: argparse.Namespace) -> None:
    from arcface_mxnet.clean.card_command import write_card  # it loads what embeds

    out = Path(arguments.out or arguments.dataset)
    check_outputs({"--out": out / "card.html"})
    write_card(arguments)


INSPECTING = {"info": info, "card": _card, "check": check, "extract": extract}
REMAKING = {
    "copy": copy, "merge": merge, "split": split, "relabel": relabel, "shuffle": shuffle,
    "sample": sample,
}  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="arcface-rec",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_inspecting(commands)
    index = commands.add_parser("index", help="write the .idx of a .rec anew")
    index.add_argument(
        "rec", type=file_name(), help="the .rec file; cut off: up to its last whole record"
    )
    mend = commands.add_parser("repair", help="write anew what contradicts the images' labels")
    mend.add_argument(
        "dataset", type=file_name(), help="folder with train.rec; written only where it is wrong"
    )
    _add_remaking(commands)
    return parser


def _add_inspecting(commands: argparse._SubParsersAction) -> None:
    info = commands.add_parser("info", help="print what a dataset folder holds")
    card = commands.add_parser("card", help="write a page about a dataset, and JSON")
    check = commands.add_parser("check", help="read, compare and decode every record")
    extract = commands.add_parser("extract", help="write the images as files")
    for command in (info, card, check, extract):
        command.add_argument(
            "dataset", type=file_name(), help="folder with train.rec, train.idx and property"
        )
    _add_card(card)
    check.add_argument(
        "--sample", type=whole(), default=0, metavar="N",
        help="decode only this many images, spread "
        "evenly, and compare as training does when it opens the dataset (default: 0, all)",
    )  # fmt: skip
    check.add_argument(
        "--no-decode", action="store_true", help="compare everything, but do not decode the images"
    )
    extract.add_argument("folder", type=file_name(), help="where to write; made if it is absent")
    _add_identities(extract, "write only these")
    _add_overwrite(extract, "write into a folder that is not empty")


def _add_card(card: argparse.ArgumentParser) -> None:
    card.add_argument("--out", default="", help="folder for card.html and card.json (default: D)")
    card.add_argument(
        "--sample", type=int, default=100_000, metavar="N",
        help="measure at most so many images, "
        "drawn by --seed; counts are of all (%(default)s)",
    )  # fmt: skip
    card.add_argument("--seed", type=whole(), default=0, help="of what is drawn (default: 0)")
    card.add_argument(
        "--vectors", default="", help="ready vectors of the images, FILE.npy or .parquet, as "
        "arcface-embed writes them: nearly equal images, overlap (default: none)",
    )  # fmt: skip
    card.add_argument(
        "--against", action="append", default=[], metavar="PATH=VECTORS", help="a pair set or "
        "dataset with its vectors, to tell who is in both; may be given several times",
    )  # fmt: skip


def _add_remaking(commands: argparse._SubParsersAction) -> None:
    copy = _command(commands, "copy", "copy a dataset, or a part; identities keep their numbers")
    copy.add_argument(
        "--skip-bad", action="store_true", help="decode every image, and leave out those that do "
        "not, those without an identity, and damaged bytes",
    )  # fmt: skip
    _add_identities(copy, "copy only these")
    copy.add_argument(
        "--images-filter", type=whole(), default=0, metavar="N", help="leave out identities with "
        "fewer than N images (default: 0, none)",
    )  # fmt: skip
    merge = commands.add_parser(
        "merge", help="put datasets one after the other; no identity is taken for another"
    )
    merge.add_argument("new", type=file_name(), help="folder to write; made if it is absent")
    merge.add_argument(
        "datasets", nargs="+", type=file_name(),
        help="folders; the identities of each are numbered on from the one "
        "before; train.names says which was which",
    )  # fmt: skip
    split = commands.add_parser("split", help="split a dataset by identity, both numbered anew")
    split.add_argument(
        "dataset", type=file_name(), help="folder with train.rec, train.idx and property"
    )
    split.add_argument(
        "first", type=file_name(), help="folder for what SECOND does not get; made if it is absent"
    )
    split.add_argument(
        "second", type=file_name(), help="folder for the chosen identities; made if it is absent"
    )
    _add_identities(split, "what SECOND gets")
    sample = _command(commands, "sample", "draw identities and images; identities numbered anew")
    for command, what in ((split, "SECOND gets so many identities"), (sample, "so many")):
        command.add_argument(
            "--count", type=whole(), default=0, metavar="N", help=f"{what}, drawn by --seed "
            "(default: 0, not drawn)",
        )  # fmt: skip
    sample.add_argument(
        "--images", type=whole(), default=0, metavar="N", help="at most so many images of each "
        "identity, drawn by --seed (default: 0, all)",
    )  # fmt: skip
    _command(commands, "relabel", "number the identities 0, 1, ... without gaps")
    shuffle = _command(commands, "shuffle", "write the images in random order")
    shuffle.add_argument(
        "--plain", action="store_true", help="only the images, keys from 0, labels as one number, "
        "as readers want it that read from beginning to end (MXNet's ImageRecordIter)",
    )  # fmt: skip
    for command in (split, sample, shuffle):
        command.add_argument(
            "--seed", type=whole(), default=0, help="of what is drawn (default: 0)"
        )
    for command in (merge, split):
        _add_overwrite(command)


def _command(
    commands: argparse._SubParsersAction, name: str, text: str
) -> argparse.ArgumentParser:  # fmt: skip
    command = commands.add_parser(name, help=text, description=text)
    command.add_argument(
        "dataset", type=file_name(), help="folder with train.rec, train.idx and property"
    )
    command.add_argument("new", type=file_name(), help="folder to write; made if it is absent")
    _add_overwrite(command)
    return command


def _add_identities(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument(
        "--identities", default="", metavar="NUMBERS", help=f"{what}, such as 0,5,10-19 "
        "(default: empty, all)",
    )  # fmt: skip


def _add_overwrite(
    command: argparse.ArgumentParser, what: str = "replace a dataset that is there"
) -> None:
    command.add_argument("--overwrite", action="store_true", help=what)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: _work(arguments))


def _work(arguments: argparse.Namespace) -> int | None:
    if arguments.command in REMAKING:
        return REMAKING[arguments.command](arguments)
    if arguments.command in INSPECTING:
        return INSPECTING[arguments.command](arguments)
    mend, path = (index_anew, "rec") if arguments.command == "index" else (repair, "dataset")
    print("\n".join(mend(getattr(arguments, path), progress=sys.stderr.isatty())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
