"""Colours: readable in light, in dark and on paper, and no two series alike."""

import re

from arcface_mxnet.report.marks import COLOURS as COLOURS_OF_SERIES
from arcface_mxnet.report.marks import colour_class, dash_array, swatch
from arcface_mxnet.report.style import STYLE
import pytest

LEAST = 4.5  # of text, WCAG 2.2, 1.4.3
LEAST_OF_LINES = 3.0  # of what is no text, 1.4.11


def variables(text):
    return dict(re.findall(r"--([\w-]+):(#[0-9a-f]{6})", text))


def scheme(name):
    """Return the variables that hold in a scheme, by the order of the style sheet."""
    plain = re.match(r":root\{(.*?)\}", STYLE)[1]
    if name == "light":
        return variables(plain)
    condition = {"dark": r"\(prefers-color-scheme:dark\)", "paper": "print"}[name]
    block = re.search(rf"@media {condition}\{{:root\{{(.*?)\}}\}}", STYLE)[1]
    return variables(plain) | variables(block)


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["light", "dark", "paper"])
def test_all_text_has_contrast(name):
    colours = scheme(name)
    words = ["ink", "quiet", "accent", *(f"s{n}" for n in range(COLOURS_OF_SERIES))]
    pairs = [(word, ground) for word in words for ground in ("paper", "panel")]
    pairs += [("warn", "warn-panel"), ("warn", "paper")]
    for word, ground in pairs:
        assert contrast(colours[word], colours[ground]) >= LEAST, (name, word, ground)
    assert contrast(colours["base"], colours["paper"]) >= LEAST_OF_LINES
    assert len(pairs) == 24


def test_contrast_is_that_of_the_standard():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_paper_is_light_even_where_the_screen_is_dark():
    assert scheme("paper") == scheme("light") != scheme("dark")
    assert STYLE.index("@media print{:root") > STYLE.index("(prefers-color-scheme:dark)")


def test_text_takes_no_colour_beside_the_variables():
    rules = re.sub(r"--[\w-]+:#[0-9a-f]{6};", "", STYLE)
    assert not re.search(r"#[0-9a-f]{3,6}\b|rgb\(", rules)
    coloured = set(re.findall(r"[{;](?:color|fill):([^;}]+)", rules))
    assert coloured == {
        "none", "var(--c)", "var(--ink)", "var(--quiet)", "var(--accent)", "var(--warn)",
    }  # fmt: skip


def test_every_class_of_a_series_has_its_colour():
    for number in range(COLOURS_OF_SERIES):
        assert f".s{number}{{--c:var(--s{number})}}" in STYLE
        assert f"--s{number}:#" in STYLE
    for name in {re.search(r" (d\d+)", swatch(number))[1] for number in range(100)}:
        assert f".{name}{{background-image:" in STYLE


def test_no_two_series_look_alike():
    looks = [(colour_class(number), dash_array(number)) for number in range(200)]
    assert len(set(looks)) == 200
    swatches = [swatch(number) for number in range(64)]
    assert len(set(swatches)) == 64
    assert {look[1] for look in looks[:8]} == {None}  # solid as long as the colours last


def test_the_page_never_moves_sideways():
    assert ".scroll{max-width:100%" in STYLE and "overflow-x:auto" in STYLE
    assert "position:sticky;left:0" in STYLE
