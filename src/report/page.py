"""A report: one page that holds everything, asks for nothing and runs nothing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
import datetime
import hashlib
import os
from pathlib import Path

from .. import __version__
from ..files import replace_file
from .style import STYLE
from .svg import element, text


@dataclass(frozen=True)
class Section:
    """One part of a page.  title, aside: words, the aside smaller.  body: markup."""

    title: str
    aside: str
    body: str


def write_page(
    path: str | os.PathLike, title: str, summary: Sequence[str], sections: Sequence[Section]
) -> None:
    """Write the page.  summary: markup of the sentences that stand first."""
    with replace_file(Path(path), "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(page(title, summary, sections))


def page(title: str, summary: Sequence[str], sections: Sequence[Section]) -> str:
    """Return the whole page as text.

    The only style that a browser takes is the one of this file, by its hash; scripts, and what
    lies elsewhere, it refuses.
    """
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    today = datetime.date.today().isoformat()
    several = len(sections) > 1
    links = "".join(
        element("a", text(section.title), href=f"#part-{number}")
        for number, section in enumerate(sections, start=1)
    )
    body = "".join(_section(number, one) for number, one in enumerate(sections, start=1))
    head = element("h1", text(title)) + element("p", text(f"{today} · arcface_mxnet {__version__}"))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{element('header', head)}\n<main>\n"
        f"{element('div', *(element('p', one) for one in summary), class_='summary')}\n"
        f"{element('nav', links, aria_label='parts of this page') if several else ''}\n"
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _section(number: int, section: Section) -> str:
    head = element("h2", text(section.title), " ", element("small", text(section.aside)))
    return element("section", head, section.body, id=f"part-{number}")
