"""SVG and HTML as text: elements whose attributes and words are escaped."""

from __future__ import annotations

from html import escape
import re


def element(tag: str, *children: str, **attributes: str | float | None) -> str:
    """Return <tag attributes>children</tag>.

    children: markup, as text() and element() give it.  attributes: class_="a" is class="a",
    stroke_width is stroke-width; None leaves one out, a float has one decimal.
    """
    given = "".join(
        f' {_attribute(key)}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{given}>{''.join(children)}</{tag}>"


def text(words: object) -> str:
    """Return words as markup that shows just them."""
    return escape(str(words))


def name_of_file(words: str) -> str:
    """Return a name as markup that is broken after a slash, a dash or a low line, if it must be."""
    parts = re.split(r"(?<=[/_-])", words)
    return element("bdi", "<wbr>".join(text(part) for part in parts if part))


def number(value: float) -> str:
    """Return a coordinate with one decimal at most, as short as SVG allows."""
    short = f"{value:.1f}".rstrip("0").rstrip(".")
    return {"-0": "0", "": "0"}.get(short, short).replace("0.", ".", 1 if abs(value) < 1 else 0)


def figure_svg(width: float, height: float, title: str, description: str, *parts: str) -> str:
    """Return a whole labelled drawing of width x height units, as wide as its place allows."""
    return element(
        "svg",
        element("title", text(title)),
        element("desc", text(description)),
        *parts,
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        aria_label=f"{title}. {description}",
    )


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else number(value)
