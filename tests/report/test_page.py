"""The page: what it holds is text, it asks for nothing and runs nothing."""

import base64
import hashlib
import re

from arcface_mxnet.report.page import Section, page
from arcface_mxnet.report.svg import element, figure_svg, name_of_file, number, text
import pytest


def test_a_browser_takes_the_style_of_the_page_and_nothing_else():
    words = page("A & <B>", ["<b>best</b>"], [Section("one", "<i>", "body")])
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', words)[1]
    style = re.search(r"<style>(.*?)</style>", words, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    assert "<title>A &amp; &lt;B&gt;</title>" in words and "<small>&lt;i&gt;</small>" in words
    assert " style=" not in words and "http:" not in words and "https:" not in words


def test_several_sections_are_linked_by_ids_of_their_own():
    words = page("t", [], [Section("lfw", "", ""), Section("lfw", "", "")])
    assert re.findall(r' id="([^"]*)"', words) == ["part-1", "part-2"]
    assert re.findall(r'href="([^"]*)"', words) == ["#part-1", "#part-2"]
    assert "<nav" not in page("t", [], [Section("lfw", "", "")])


def test_attributes_and_words_are_escaped():
    assert (
        element("p", text("<a> & b"), title='"<') == '<p title="&quot;&lt;">&lt;a&gt; &amp; b</p>'
    )
    assert element("path", class_="x", stroke_width=1.25, d=None) == (
        '<path class="x" stroke-width="1.2"></path>'
    )
    assert name_of_file("a_b/c<d>") == "<bdi>a_<wbr>b/<wbr>c&lt;d&gt;</bdi>"


@pytest.mark.parametrize(
    "value, words",
    [
        (0, "0"),
        (-0.04, "0"),
        (0.5, ".5"),
        (-0.5, "-.5"),
        (10, "10"),
        (100.04, "100"),
        (1.25, "1.2"),
    ],
)
def test_numbers_are_short(value, words):
    assert number(value) == words


def test_a_figure_says_what_it_shows():
    drawing = figure_svg(10, 20, "ROC", 'a "b"')
    assert drawing.startswith("<svg ") and 'role="img"' in drawing
    assert 'aria-label="ROC. a &quot;b&quot;"' in drawing
    assert "<title>ROC</title>" in drawing and "<desc>a &quot;b&quot;</desc>" in drawing
