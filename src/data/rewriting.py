"""A planned dataset, written: the images' bytes as they stand, streamed from the old files."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from ..files import SetWriter, replace_set
from .framing import framed, unframed
from .headers import HEADER, fields_of
from .plan import Part, Plan
from .ranges import range_record, runs

BLOCK = 1 << 24  # bytes that are read in one go
NAMES = ("train.rec", "train.idx", "property")


def refuse_existing(folder: Path, overwrite: bool) -> None:
    """Raise ValueError if a dataset stands in a folder, unless it may be replaced."""
    there = [name for name in NAMES if (folder / name).exists()]
    if there and not overwrite:
        raise ValueError(
            f"{folder} has {' and '.join(there)}; choose another folder, or give --overwrite"
        )


def is_unchanged(plan: Plan) -> bool:
    """Tell whether the plan is the very dataset that a folder holds without a fault."""
    part = plan.parts[0]
    facts = part.facts
    return (
        len(plan.parts) == 1
        and not facts.faults
        and not plan.is_scalar
        and facts.layout is not None
        and plan.num_classes == facts.num_classes
        and plan.kind == facts.layout.kind
        and np.array_equal(part.rows, facts.roles.images)
        and np.array_equal(part.keys, facts.keys[part.rows])
        and np.array_equal(part.identities, facts.labels)
    )


def write_plan(
    plan: Plan, folder: str | os.PathLike, *, keep_names: bool = False, progress: bool = False
) -> None:
    """Write train.rec, train.idx, property and, with names, train.names into a folder.

    All appear together (files.replace_set).  keep_names: train.names stays as it is.  A plan that
    changes nothing gives the same bytes.  Memory is a block of the file beside the plan.  Raises
    OSError that names the file for a full disk; then the old files stay.
    """
    folder = Path(folder)
    rec, idx, property_path = (folder / name for name in NAMES)
    names = folder / "train.names"
    with replace_set(rec, idx, property_path, *([] if keep_names else [names])) as files:
        if is_unchanged(plan):
            _copy(plan.parts[0].facts.folder, folder, files, progress)
        else:
            index = files.open(idx, "w", newline="\n")
            _write_records(plan, files.open(rec), index, progress)
            height, width = plan.image_shape
            files.open(property_path, "w").write(f"{plan.num_classes},{height},{width}\n")
        if plan.names and not keep_names:
            text = files.open(names, "w", encoding="utf-8", errors="surrogateescape")
            text.writelines(f"{number}\t{plan.names[number]}\n" for number in sorted(plan.names))


def _copy(source: Path, folder: Path, files: SetWriter, progress: bool) -> None:
    total = sum((source / name).stat().st_size for name in NAMES)
    with tqdm(total=total, unit="B", unit_scale=True, disable=not progress) as bar:
        for name in NAMES:
            new = files.open(folder / name)
            with (source / name).open("rb") as old:
                while block := old.read(BLOCK):
                    new.write(block)
                    bar.update(len(block))


def _write_records(plan: Plan, rec: BinaryIO, idx: object, progress: bool) -> None:
    at = 0
    header, ranges = _other_records(plan)
    is_first = _header_is_first(plan)

    def put(keys: list[int], spans: list[int]) -> None:
        nonlocal at
        for key, span in zip(keys, spans, strict=True):
            idx.write(f"{key}\t{at}\n")
            at += span

    if header and is_first:
        rec.write(header)
        put([0], [len(header)])
    total = sum(int(p.facts.scan.headers["span"][p.rows].sum()) for p in plan.parts)
    with tqdm(total=total, unit="B", unit_scale=True, disable=not progress) as bar:
        for part in plan.parts:
            with part.facts.scan.path.open("rb", buffering=0) as file:
                for begin, end in _pieces(part):
                    some = part.of(np.arange(begin, end))
                    put(some.keys.tolist(), _write_images(file, some, plan.is_scalar, rec))
                    bar.update(int(part.facts.scan.headers["span"][some.rows].sum()))
    if header and not is_first:
        rec.write(header)
        put([0], [len(header)])
    for key, frame in ranges:
        rec.write(frame)
        put([key], [len(frame)])


def _header_is_first(plan: Plan) -> bool:
    roles = plan.parts[0].facts.roles
    return roles.header is not None and bool(roles.header < roles.images[0])


def _other_records(plan: Plan) -> tuple[bytes, Iterator[tuple[int, bytes]]]:
    """Return record 0, empty for a plain file, and key and frame of each identity record."""
    count = sum(len(part.rows) for part in plan.parts)
    if plan.kind == "plain":
        return b"", iter(())
    if plan.kind == "count":
        return _count_header(plan, count), iter(())
    identities = np.empty(count, np.int64)
    identities[plan.keys - 1] = plan.identities
    found = runs(identities) + 1
    frames = (
        (count + 1 + number, _range_frame(count + 1 + number, *pair))
        for number, pair in enumerate(found.tolist())
    )
    return _range_frame(0, count + 1, count + 1 + len(found)), frames


def _range_frame(key: int, first: int, past_last: int) -> bytes:
    labels, id2 = range_record(first, past_last)
    return framed(HEADER.pack(2, 0.0, key, id2) + np.array(labels, "<f4").tobytes())


def _count_header(plan: Plan, count: int) -> bytes:
    """Return record 0 of other writers with its numbers and id put right; the rest stays."""
    facts = plan.parts[0].facts
    row = facts.roles.header
    offset, span = int(facts.scan.offsets[row]), int(facts.scan.headers["span"][row])
    with facts.scan.path.open("rb") as file:
        file.seek(offset)
        content, _ = unframed(file.read(span), 0, facts.scan.path, "record 0")
    labels = np.array([count + 1, plan.num_classes], "<f4").tobytes()
    flag, label, _, id2 = HEADER.unpack_from(content)  # its id becomes its key, as the images' do
    header = HEADER.pack(flag, label, 0, id2)
    return framed(header + labels + content[HEADER.size + len(labels) :])


def _pieces(part: Part) -> Iterator[tuple[int, int]]:
    """Yield begin and end of images whose bytes follow each other in a block of the file, apart
    from small gaps."""
    offsets = part.facts.scan.offsets[part.rows]
    ends = offsets + part.facts.scan.headers["span"][part.rows]
    begin, count = 0, len(offsets)
    gap = np.ones(count, bool)
    gap[1:] = (offsets[1:] < ends[:-1]) | (offsets[1:] - ends[:-1] > BLOCK // 16)
    starts = np.append(np.flatnonzero(gap), count)
    for first, past in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        begin = first
        while begin < past:
            inside = np.searchsorted(ends[begin:past], offsets[begin] + BLOCK, "right")
            end = begin + max(int(inside), 1)
            yield begin, end
            begin = end


def _write_images(file: BinaryIO, part: Part, is_scalar: bool, out: BinaryIO) -> list[int]:
    """Write the images of a piece with their keys as ids and their identities; return the bytes
    that each took."""
    table = part.facts.scan
    offsets, headers = table.offsets[part.rows], table.headers[part.rows]
    begin, end = int(offsets[0]), int(offsets[-1] + headers["span"][-1])
    buffer = np.empty(end - begin, np.uint8)
    file.seek(begin)
    view, at = memoryview(buffer), 0
    while at < len(buffer):
        got = file.readinto(view[at:])
        if not got:
            raise OSError(f"{table.path}: became shorter while it was read")
        at += got
    places = offsets - begin
    content = HEADER.size + 4 * headers["flag"].astype(np.int64) + headers["size"]
    whole = headers["span"] == 8 + (content + 3 & ~3)  # in one piece
    if is_scalar or not whole.all():
        return _write_singly(view, places, part, is_scalar, out)
    _put(buffer, places + 16, part.keys.astype("<u8"))
    changed = headers["labels"][:, 0] != part.identities
    at_label = places + np.where(headers["flag"] == 0, 12, 32)
    _put(buffer, at_label[changed], part.identities[changed].astype("<f4"))
    spans = headers["span"]
    starts = np.append(0, np.flatnonzero(places[1:] != places[:-1] + spans[:-1]) + 1)
    for first, past in zip(starts, np.append(starts[1:], len(places)), strict=True):
        out.write(view[int(places[first]) : int(places[past - 1] + spans[past - 1])])
    return spans.tolist()


def _put(buffer: np.ndarray, places: np.ndarray, values: np.ndarray) -> None:
    raw = values.view(np.uint8).reshape(len(values), values.itemsize)
    buffer[places[:, None] + np.arange(raw.shape[1])] = raw


def _write_singly(
    view: memoryview, places: np.ndarray, part: Part, is_scalar: bool, out: BinaryIO
) -> list[int]:
    spans = []
    table = part.facts.scan
    for place, key, identity in zip(places.tolist(), part.keys, part.identities, strict=True):
        name = f"record {key}"
        content, _ = unframed(view, place, table.path, name)
        flag, labels, _, id2, start = fields_of(content, table.path, name)
        if flag and not is_scalar:
            labels = np.append(np.float32(identity), labels[1:]).astype("<f4")
            content = HEADER.pack(flag, 0.0, key, id2) + labels.tobytes() + content[start:]
        else:
            content = HEADER.pack(0, float(identity), key, id2) + content[start:]
        frames = framed(content)
        out.write(frames)
        spans.append(len(frames))
    return spans
