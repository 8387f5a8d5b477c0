"""Multipart forms, taken apart in memory: nothing is copied, nothing is written to a disk.

Source: RFC 7578 and RFC 2046, 5.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import hashlib
import re

from .refusal import Refusal

MOST_PARTS = 256
MOST_HEAD = 4096  # bytes before the content of a part
MOST_TEXT = 4096  # bytes of a field that is no file
FILE_NAME_LENGTH = 255
_BOUNDARY = re.compile(
    r"""multipart/form-data\s*;(?:.*;)?\s*boundary=("?)([^"\s;]{1,70})\1""", re.I
)
_PARAMETER = re.compile(rb'[;\s]([a-z]+\*?)=("(?:[^"\\]|\\.)*"|[^";\s]*)', re.I)


@dataclass(frozen=True, eq=False)
class Upload:
    """A photo of a form.  index: of the photos of its request, from 0.  field: of the form."""

    data: memoryview
    index: int
    field: str
    file_name: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Form:
    """texts, uploads: by the order in which they were sent."""

    texts: list[tuple[str, str]]
    uploads: list[Upload]

    def text(self, field: str) -> str:
        """Return the one text of that name.  Raises Refusal if it is missing or there are more."""
        found = [text for name, text in self.texts if name == field]
        if len(found) != 1:
            many = f"{len(found)} times" if found else "not"
            raise Refusal(422, "bad_request", f"{field}: give it once; it is there {many}")
        return found[0]

    def photos(self, *fields: str, at_most: int = 0) -> list[Upload]:
        """Return the photos of the fields, one each, or of the one field, 1 to at_most.

        Raises Refusal for more, fewer, or others.
        """
        others = {upload.field for upload in self.uploads} - set(fields)
        others |= {name for name, _ in self.texts} & set(fields)
        if others:
            raise Refusal(
                422,
                "bad_request",
                f"{', '.join(sorted(others))[:100]}: no photo is asked for there",
            )
        chosen = [[one for one in self.uploads if one.field == field] for field in fields]
        for field, found in zip(fields, chosen, strict=True):
            if not found:
                raise Refusal(422, "bad_request", f"{field}: send a photo as a file of that name")
            if not at_most and len(found) > 1:
                raise Refusal(422, "bad_request", f"{field}: send one photo, not {len(found)}")
            if at_most and len(found) > at_most:
                raise Refusal(413, "too_many_photos", f"a request may have {at_most} photos")
        return [upload for found in chosen for upload in found]


def parse_form(content_type: str, body: bytearray | bytes) -> Form:
    """Return the form in a request body.

    Raises Refusal: 415 for another content type, 400 for a malformed body, 422 for text that is
    not UTF-8.
    """
    found = _BOUNDARY.match(content_type)
    if found is None:
        raise Refusal(415, "no_form", "send photos as multipart/form-data, with its boundary")
    form, view = Form([], []), memoryview(body)
    for head, start, end in _parts(body, b"--" + found[2].encode("latin1")):
        name, file_name = _named(head)
        if file_name is None:
            if end - start > MOST_TEXT:
                raise Refusal(413, "too_long_text", f"{name}: has more than {MOST_TEXT} bytes")
            form.texts.append((name, _decoded(bytes(view[start:end]), name)))
        else:
            index = len(form.uploads)
            form.uploads.append(Upload(view[start:end], index, name, file_name))
    return form


def _parts(body: bytearray | bytes, mark: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the head of each part, and where its content starts and ends."""
    place = 0 if body.startswith(mark) else body.find(b"\r\n" + mark) + 2
    if place == 1:
        raise _malformed("its boundary is not in it")
    for _ in range(MOST_PARTS + 1):
        place += len(mark)
        if body[place : place + 2] == b"--":
            return
        line_end = body.find(b"\r\n", place, place + 256)
        if line_end < 0 or body[place:line_end].strip():
            raise _malformed("a boundary does not end its line")
        # The line end before the content may be that of the boundary, where a part has no head.
        head_end = body.find(b"\r\n\r\n", line_end, line_end + MOST_HEAD)
        if head_end < 0:
            raise _malformed("a part has no head, or one that is too long")
        start = head_end + 4
        end = body.find(b"\r\n" + mark, start - 2)
        if end < 0:
            raise _malformed("it is cut off")
        yield bytes(body[line_end:head_end]), start, max(end, start)
        place = end + 2
    raise Refusal(413, "too_many_parts", f"a form may have {MOST_PARTS} parts")


def _named(head: bytes) -> tuple[str, str | None]:
    """Return the names of a part: its field, and its file if it is one."""
    for line in head.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.strip().lower() != b"content-disposition":
            continue
        found = {k.lower(): _unquoted(v) for k, v in _PARAMETER.findall(value)}
        if b"name" not in found:
            break
        file_name = found.get(b"filename")
        if file_name is None and b"filename*" in found:
            file_name = found[b"filename*"].rpartition(b"'")[2]
        name = _decoded(found[b"name"], "the name of a field")
        if file_name is None:
            return name, None
        # A file's name need not be UTF-8; it is only told back.
        return name, file_name.decode(errors="backslashreplace")[:FILE_NAME_LENGTH]
    raise _malformed("a part has no name")


def _unquoted(value: bytes) -> bytes:
    if value.startswith(b'"'):
        # Browsers write %22 for a quote and escape nothing; others escape with a backslash.
        return re.sub(rb'\\(["\\])', rb"\1", value[1:-1])
    return value


def _decoded(text: bytes, name: str) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise Refusal(422, "bad_text", f"{name}: is not UTF-8 (byte {error.start})") from None


def _malformed(why: str) -> Refusal:
    return Refusal(400, "bad_form", f"the form is malformed: {why}")
