"""The command line of the service: whom it listens to, and what it is put together from."""

from __future__ import annotations

import argparse
from dataclasses import fields
import ipaddress
from pathlib import Path
import socket

from ..align.arguments import add_detector_arguments, chosen_detector
from ..cli import run
from ..embedding.arguments import add_embedding_arguments, open_embedder
from ..embedding.face_model import FaceModel
from ..eval.deployed_threshold import add_threshold_arguments, threshold_source
from ..text import read_text
from .gate import Access
from .limits import Limits
from .people import People

SQUARED_L2 = 1.24  # Source: the published deploy/test.py
SHORTEST_TOKEN = 16
LARGEST_TOKEN = 1 << 16  # bytes of its file
CONNECTIONS = 1024
LIMIT_HELP = {
    "photo_bytes": "bytes of one encoded photo",
    "request_bytes": "bytes of one request",
    "pixels": "pixels (width x height) of one photo",
    "photos": "photos in one request",
    "waiting": "requests in progress; further ones are answered 503 with Retry-After",
    "seconds": "seconds for a request to arrive, and again to be answered",
    "enrolled": "photos in the store",
}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Serve faces over HTTP, with a web page.")
    add = parser.add_argument
    add("--model", default="models/sface-m1,0", help="checkpoint PREFIX,NUMBER or exported .onnx")
    add_embedding_arguments(parser)
    add_detector_arguments(parser, min_size=40)
    add("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    add("--port", type=int, default=8112, help="port, 0 takes a free one (default: 8112)")
    add(
        "--store",
        default="people.sqlite",
        metavar="FILE",
        help="SQLite file of people (%(default)s)",
    )
    add_threshold_arguments(parser, SQUARED_L2)
    add("--token-file", default="", metavar="FILE", help="file with the bearer token to demand")
    add(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="name under which a proxy passes requests on; needs --token-file; may be repeated",
    )  # fmt: skip
    for limit in fields(Limits):
        add(
            f"--max-{limit.name.replace('_', '-')}", type=type(limit.default), dest=limit.name,
            default=limit.default, help=f"{LIMIT_HELP[limit.name]} (default: {limit.default})",
        )  # fmt: skip
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    return run(lambda: _serve(args))


def _serve(args: argparse.Namespace) -> None:
    import uvicorn  # here, so that without it run() says what to install

    from .app import MAX_BATCH, Settings, create_app
    from .recognizer import Recognizer

    access = access_of(args.host, args.token_file, args.allow_host)
    source = threshold_source(args, SQUARED_L2)
    limits = Limits(**{field.name: getattr(args, field.name) for field in fields(Limits)})
    listening = listen(args.host, args.port)
    detector = chosen_detector(args)
    embedder = open_embedder(args, args.model, batch_size=MAX_BATCH, flip=False)
    model = FaceModel(detector, embedder)
    threshold = source.squared_l2(embedder.facts, flip=False, crop=model.size)
    recognizer = Recognizer(model)
    people = People(args.store, recognizer.probe(), limits.enrolled, embedder.fingerprint)
    settings = Settings(
        threshold=1 - threshold / 2,  # as a cosine
        model=Path(args.model).name,
        web=Path(__file__).parent / "web",
        limits=limits,
        access=access,
    )
    config = uvicorn.Config(
        create_app(recognizer, people, settings),
        log_level="warning",
        server_header=False,
        limit_concurrency=CONNECTIONS,
    )
    host, port = listening.getsockname()[:2]
    print(f"http://{f'[{host}]' if ':' in host else host}:{port}/", flush=True)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        people.close()


def access_of(host: str, token_file: str, allowed: list[str]) -> Access:
    """Return who may ask.  Raises ValueError if others than this machine could, unasked."""
    token = read_token(token_file) if token_file else ""
    if not token and not is_loopback(host):
        raise ValueError(
            f"--host {host}: other machines could read and delete enrolled people; give "
            "--token-file, or listen on 127.0.0.1"
        )
    if not token and allowed:
        raise ValueError("--allow-host: passes on requests of others; give --token-file too")
    if not is_loopback(host) and not allowed:
        return Access(token, frozenset())
    return Access(token, Access.hosts | {name.lower() for name in (host, *allowed)})


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


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.  Raises ValueError if the address cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=CONNECTIONS)
        # Connections inherit it; without, every answer waits 40 ms for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"--host {host} --port {port}: {reason}") from None
