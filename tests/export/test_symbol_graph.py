"""Attributes of a symbol are foreign text: values are read, nothing in them runs or crashes."""

from arcface_mxnet.export.symbol_graph import _literal
import pytest


@pytest.mark.parametrize(
    ("text", "value"),
    [("(2L, 1L)", (2, 1)), ("3", 3), ("true", True), ("False", False), ("valid", "valid")],
)
def test_values_of_every_writer(text, value):
    assert _literal(text) == value


@pytest.mark.parametrize(
    "text",
    ["__import__('os').abort()", "{[]: 1}", "(" * 20_000, "-" * 200_000 + "1", "9" * 5000],
    ids=["call", "unhashable", "nested", "deep", "long"],
)
def test_what_is_no_constant_stays_text(text):
    assert _literal(text) == text
