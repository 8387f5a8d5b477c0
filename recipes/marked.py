"""The part of a text file between two marks, rewritten by the command that measures what it holds.

<!-- choices: python recipes/choose.py -->
...
<!-- end of choices -->
"""

from __future__ import annotations

from pathlib import Path
import re

from arcface_mxnet.files import replace_file


def rewrite(path: Path, name: str, content: str) -> None:
    """Put content between the marks of that name.  Raises ValueError unless they are there once."""
    text = path.read_text(encoding="utf-8")
    pattern = rf"(<!-- {name}: [^\n]* -->\n).*?(<!-- end of {name} -->)"
    new, count = re.subn(
        pattern, lambda found: found[1] + content.rstrip("\n") + "\n" + found[2], text, flags=re.S
    )
    if count != 1:
        raise ValueError(
            f"{path}: {count} parts between <!-- {name}: ... --> and <!-- end of {name} -->; "
            "there must be one"
        )
    with replace_file(path, "w", encoding="utf-8") as file:
        file.write(new)


def markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table; the first column is words, the others are figures."""
    lines = [head, ("---", *("--:" for _ in head[1:])), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
