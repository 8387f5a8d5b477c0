"""The names by which models stand in reports and tables."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from ..given import file_name
from ..report.names import model_names
from .report import Entry


def add_report_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --alias and --report.  what: the page shows, for people."""
    parser.add_argument(
        "--alias",
        action="append",
        default=[],
        metavar="NAME",
        help="a model's name in reports: a NAME for each, in their order, or NAME=MODEL for some; "
        "may be given several times (default: the shortest part of its path that tells it from the "
        "others)",
    )
    parser.add_argument(
        "--report", type=file_name(".html"), help=f"page to write, FILE.html: {what}"
    )


def with_aliases(entries: Sequence[Entry], aliases: Sequence[str]) -> list[Entry]:
    """Return the entries, each by the name of its model: of --alias, or the shortest that tells it
    from the others.  Raises ValueError as model_names()."""
    models = list(dict.fromkeys(entry.model for entry in entries))
    name_of = dict(zip(models, model_names(models, aliases), strict=True))
    return [replace(entry, alias=name_of[entry.model]) for entry in entries]
