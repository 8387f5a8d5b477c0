"""Forms taken apart in memory, as clients send them and as nobody should."""

from arcface_mxnet.serve.forms import parse_form
from arcface_mxnet.serve.refusal import Refusal
import httpx
import numpy as np
import pytest

TYPE = "multipart/form-data; boundary=x"
RNG = np.random.default_rng(0)


def part(content, head='Content-Disposition: form-data; name="image"; filename="a.jpg"'):
    return b"--x\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


def form(*parts):
    return b"".join(parts) + b"--x--\r\n"


def test_what_httpx_sends_comes_back():
    contents = [RNG.bytes(size) for size in (0, 1, 1000, 70_000)] + [b"\r\n--", b"--\r\n\r\n"]
    files = [("image", (f'a "{i}".jpg', data)) for i, data in enumerate(contents)]
    request = httpx.Request("POST", "http://x", data={"name": "Zo\u00eb"}, files=files)
    found = parse_form(request.headers["content-type"], bytearray(request.read()))
    assert found.text("name") == "Zo\u00eb"
    assert [bytes(upload.data) for upload in found.uploads] == contents
    assert [upload.index for upload in found.uploads] == list(range(len(contents)))
    assert {upload.field for upload in found.uploads} == {"image"}


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ('content-disposition:form-data;name=image;filename=a.jpg', "a.jpg"),
        ('A: b\r\nContent-Disposition: form-data; name="image"; filename=""', ""),
        ('Content-Disposition: form-data; filename="q\\"u.jpg"; name="image"', 'q"u.jpg'),
        ("Content-Disposition: form-data; name=\"image\"; filename*=UTF-8''z.jpg", "z.jpg"),
        ('Content-Disposition: form-data; name="image"; filename="C:\\dir\\a.jpg"',
         "C:\\dir\\a.jpg"),
    ],
)  # fmt: skip
def test_file_names(head, name):
    (upload,) = parse_form(TYPE, form(part(b"data", head))).uploads
    assert (upload.field, upload.file_name, bytes(upload.data)) == ("image", name, b"data")


def test_types_with_quotes_and_other_parameters():
    for written in ('Multipart/Form-Data; charset=utf-8; boundary="x"', TYPE):
        assert parse_form(written, form(part(b"1"))).uploads[0].data == b"1"


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "boundary is not in it"),
        (b"--x", 400, "does not end its line"),
        (b"--x\r\n", 400, "no head"),
        (part(b"cut")[:-4], 400, "cut off"),
        (part(b"1"), 400, "cut off"),
        (form(part(b"1", "A: b")), 400, "no name"),
        (form(part(b"1", "Content-Disposition: form-data")), 400, "no name"),
        (form(part(b"1", "A: " + "b" * 5000)), 400, "no head"),
        (b"--xy\r\n\r\n\r\n--xy--", 400, "does not end its line"),
        (form(part(b"\xff", 'Content-Disposition: form-data; name="name"')), 422, "not UTF-8"),
        (form(part(b"a" * 5000, 'Content-Disposition: form-data; name="name"')), 413, "4096"),
        (form(*[part(b"1")] * 300), 413, "256 parts"),
    ],
)
def test_what_is_no_form(body, status, reason):
    with pytest.raises(Refusal, match=reason) as refused:
        parse_form(TYPE, bytearray(body))
    assert refused.value.status == status


@pytest.mark.parametrize(
    "written", ["", "application/json", "multipart/form-data", "a/b; boundary=x"]
)
def test_other_content_is_told_what_is_wanted(written):
    with pytest.raises(Refusal, match="multipart/form-data, with its boundary") as refused:
        parse_form(written, b"")
    assert refused.value.status == 415


def test_fields_that_are_not_asked_for():
    found = parse_form(TYPE, form(part(b"1"), part(b"2"), part(b"n", 'Content-Disposition: '
                                       'form-data; name="name"')))  # fmt: skip
    assert [bytes(upload.data) for upload in found.photos("image", at_most=2)] == [b"1", b"2"]
    for fields, most, reason in (
        (("image",), 0, "send one photo, not 2"),
        (("image",), 1, "may have 1 photos"),
        (("left", "right"), 0, "image: no photo is asked for there"),
        (("image", "name"), 2, "name: no photo is asked for there"),
    ):
        with pytest.raises(Refusal, match=reason):
            found.photos(*fields, at_most=most)
    with pytest.raises(Refusal, match="other: give it once; it is there not"):
        found.text("other")
