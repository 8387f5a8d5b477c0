"""The command line of the service: whom it listens to, what it is put together from, and what
is done with its store: backup, restore, verify, audit."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
import ipaddress
from pathlib import Path

from ..align.arguments import add_detector_arguments, chosen_detector
from ..align.caps import FEW_CANDIDATES
from ..cli import run
from ..embedding.arguments import add_embedding_arguments
from ..embedding.face_model import FaceModel
from ..eval.deployed_threshold import add_threshold_arguments, threshold_source
from ..given import file_name, path_name
from ..text import read_text
from . import keeping
from .access import Access, hostname
from .limits import Limits

# One photo may not hold up those of others.
OF_DETECTORS = {"mtcnn": {"most_candidates": FEW_CANDIDATES}}
SQUARED_L2 = 1.24  # Source: the published deploy/test.py
SHORTEST_TOKEN = 16
LARGEST_TOKEN = 1 << 16  # bytes of its file
LIMIT_HELP = {
    "photo_bytes": "bytes of one encoded photo",
    "request_bytes": "bytes of one request",
    "body_bytes": "bytes of all requests that are in memory; further ones are answered 503",
    "pixels": "pixels (width x height) of one photo",
    "photos": "photos in one request",
    "faces": "faces of one photo that are told, those of best score",
    "waiting": "requests in progress; further ones are answered 503 with Retry-After",
    "seconds": "seconds for a request to arrive, and again to be answered",
    "header_seconds": "seconds for the head of a request, and for a silent connection",
    "idle_seconds": "seconds for which a connection is kept after an answer",
    "connections": "connections at once; beyond, those that do least are closed",
    "connections_per_client": "the same of one address (of IPv6, one network of 64 bit)",
    "enrolled": "photos in the store",
}
EPILOG = """Without a command the service is started.  Commands, each with --help:
  backup FILE    copy the store into a file, while the service runs
  restore FILE   make a backup the store
  verify [FILE]  look at every page and row of a store or a backup
  audit          print who enrolled and deleted whom, and when"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Serve faces over HTTP, with a web page.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", default="models/sface-m1,0", help="checkpoint PREFIX,NUMBER or exported .onnx")
    add_embedding_arguments(parser, auto=True)
    add_detector_arguments(parser, min_size=40)
    parser.set_defaults(detector="yunet")
    add("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    add(
        "--port",
        type=int,
        default=8112,
        help="port, 0 takes a free one (default: 8112)",
    )
    _add_store(parser)
    add(
        "--audit", choices=("yes", "no"), default="yes",
        help="write down in the store who enrols and deletes whom, and when (%(default)s)",
    )  # fmt: skip
    add_threshold_arguments(parser, SQUARED_L2)
    add(
        "--token-file",
        type=file_name(),
        metavar="FILE",
        help="file with the bearer token to demand",
    )
    add(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="name under which a proxy passes requests on; needs --token-file; may be repeated",
    )  # fmt: skip
    for limit in fields(Limits):
        add(
            f"--max-{limit.name.replace('_', '-')}", type=type(limit.default), dest=limit.name,
            default=limit.default, help=f"{LIMIT_HELP[limit.name]} (default: {limit.default})",
        )  # fmt: skip
    _add_commands(parser)
    return parser


def _add_store(parser: argparse.ArgumentParser, default: str = "people.sqlite") -> None:
    parser.add_argument(
        "--store",
        type=file_name(),
        default=default,
        metavar="FILE",
        help="SQLite file of people (people.sqlite)",
    )


def _add_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", help=argparse.SUPPRESS)
    for name, what in (
        ("backup", "file for the copy, which appears whole; an older one is replaced"),
        ("restore", "backup that becomes the store, when it is verified"),
        ("verify", "store or backup (default: the store)"),
        ("audit", ""),
    ):
        command = commands.add_parser(name, description=EPILOG_LINES[name])
        # The option may stand before the command too.
        _add_store(command, default=argparse.SUPPRESS)
        if what:
            command.add_argument(
                "file",
                type=path_name,
                metavar="FILE",
                help=what,
                nargs="?" if name == "verify" else None,
            )
        if name == "restore":
            command.add_argument(
                "--replace", action="store_true", help="also where there is a store, which is gone"
            )


EPILOG_LINES = {
    line.split()[0]: line.split("  ")[-1].strip().capitalize() + "."
    for line in EPILOG.splitlines()[1:]
}


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    return run(lambda: _keep(args) if args.command else _serve(args))


def _keep(args: argparse.Namespace) -> None:
    store = Path(args.store)
    if args.command == "audit":
        for line in keeping.audit_lines(store):
            print(line)
    elif args.command == "verify":
        path = args.file or store
        print(f"{path}: {keeping.verify(path)}")
    elif args.command == "backup":
        print(f"{args.file}: {keeping.backup(store, args.file)}")
    else:
        print(f"{store}: {keeping.restore(args.file, store, replace=args.replace)}")


def _serve(args: argparse.Namespace) -> None:
    import cv2
    import uvicorn  # noqa: F401 (here, so that without it run() says what to install)

    from .app import Settings, create_app
    from .people import People
    from .pipeline import MAX_BATCH
    from .precision import open_in_precision
    from .recognizer import Recognizer
    from .server import ending_by_signal, listen, room_for, serve

    access = access_of(args.host, args.token_file, args.allow_host)
    source = threshold_source(args, SQUARED_L2)
    limits = Limits(**{field.name: getattr(args, field.name) for field in fields(Limits)})
    limits = replace(limits, connections=room_for(limits))
    cv2.setNumThreads(1)  # photos share the cores already, several at a time
    listening = listen(args.host, args.port, limits.connections)
    with ending_by_signal():
        card_dtype = source.card.facts["dtype"] if source.card else ""
        embedder = open_in_precision(args, card_dtype, MAX_BATCH)
        face_model = FaceModel(chosen_detector(args, OF_DETECTORS), embedder)
        threshold = source.squared_l2(embedder.facts, flip=False, crop=face_model.size)
        recognizer = Recognizer(face_model, limits.faces)
        facts = dict(embedder.facts)
        model = recognizer.model_print({"network": facts.pop("model"), **facts})
        settings = Settings(
            threshold=1 - threshold / 2,  # as a cosine
            model=Path(args.model).name,
            web=Path(__file__).parent / "web",
            limits=limits,
            access=access,
        )
        people = People(args.store, model, limits.enrolled, audit=args.audit == "yes")
        try:
            app = create_app(recognizer, people, settings)
            host, port = listening.getsockname()[:2]
            print(f"http://{f'[{host}]' if ':' in host else host}:{port}/", flush=True)
            serve(app, people, limits, listening)
        finally:
            people.close()


def access_of(host: str, token_file: str | None, allowed: list[str]) -> Access:
    """Return who may ask.  Raises ValueError if others than this machine could, unasked."""
    token = read_token(token_file) if token_file else ""
    if not token and not is_loopback(host):
        raise ValueError(
            f"--host {host}: other machines could read and delete enrolled people; give "
            "--token-file, or listen on 127.0.0.1"
        )
    if not token and allowed:
        raise ValueError("--allow-host: passes on requests of others; give --token-file too")
    wrong = [name for name in allowed if hostname(_bracketed(name)) != name.lower()]
    if wrong:
        raise ValueError(
            f"--allow-host {wrong[0]}: no request names a service so; give the bare name, without "
            "scheme, port and path, such as faces.example.org"
        )
    if not is_loopback(host) and not allowed:
        return Access(token, frozenset())
    return Access(token, Access.hosts | {name.lower() for name in (host, *allowed)})


def _bracketed(name: str) -> str:
    """Return a name as a Host header has it: of IPv6, in brackets."""
    try:
        return f"[{ipaddress.IPv6Address(name)}]"
    except ValueError:
        return name


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_token(path: str) -> str:
    """Return the token in a file.  Raises ValueError if it is short or not one printable word."""
    token = read_text(path, "token", names=True, limit=LARGEST_TOKEN).strip()
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise ValueError(
            f"{path}: a token has {SHORTEST_TOKEN} or more printable ASCII characters; make one "
            "with: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token
