"""Images into the records of a face dataset: headers, ranges, fitted and aligned images."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
import os
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from tqdm import tqdm

from ..align.crop import align_face
from .images import COLOR, decode_bgr, fit_height, read_image_file
from .list_faults import MAX_SHOWN, all_faults
from .lists import Entry
from .ranges import range_record
from .records import RecordWriter

AHEAD = 64  # images per thread that are read before the first of them is written


@dataclass(frozen=True)
class PackOptions:
    """size: (height, width) of the crops.  fit: "none" stores the bytes of aligned images
    untouched; "pad" scales each into the size on a black ground.  color: how images to align
    are read, decode_bgr's mode.  encoding, quality: of the images that are written anew.
    close_gaps: where no image of an identity can be packed, those after it move up one number.
    """

    size: tuple[int, int] = (112, 112)
    fit: str = "none"
    color: int = COLOR
    encoding: str = ".jpg"
    quality: int = 95
    num_threads: int = 1
    skip_bad: bool = False
    close_gaps: bool = False


@dataclass(frozen=True)
class Packed:
    """What was written.  faults: what is wrong with the images that were skipped.

    identities: of the entries, in the order of the numbers written.  emptied: those without.
    """

    num_images: int
    num_identities: int
    smallest: int
    largest: int
    num_left_out: int
    faults: tuple[str, ...]
    identities: tuple[int, ...]
    emptied: tuple[int, ...]

    @property
    def num_records(self) -> int:
        return self.num_images + 1 + self.num_identities


def pack(
    entries: Sequence[Entry],
    stem: str | os.PathLike,
    options: PackOptions,
    *,
    beside: Mapping[Path, Callable[[Packed], str | None]] = MappingProxyType({}),
    progress: bool = False,
) -> Packed:
    """Write STEM.rec and STEM.idx from entries grouped by identity, and what belongs beside.

    beside: text of a further file, from what was packed; None for one that shall not be there.
    All of them appear together or none.
    The result does not depend on the number of threads.  Raises ValueError that names the
    first image that cannot be packed, unless options.skip_bad, or the identities without any
    image, unless options.close_gaps; OSError when the disk is full.
    """
    kept = [entry for entry in entries if not entry.is_left_out]
    rec = Path(f"{stem}.rec")
    starts: list[int] = []  # first key of each identity
    faults: list[str] = []
    packed: list[int] = []  # identities, as the entries number them
    key = 1
    with (
        ThreadPoolExecutor(options.num_threads) as pool,
        RecordWriter(rec, f"{stem}.idx", beside) as writer,
        tqdm(total=len(kept), unit=" images", desc=rec.name, disable=not progress) as bar,
    ):
        payloads = _in_order(pool, kept, options)
        for entry, payload in zip(kept, payloads, strict=True):
            bar.update()
            if isinstance(payload, ValueError):
                if not options.skip_bad:
                    raise payload
                faults.append(str(payload))
                continue
            if not packed or entry.identity != packed[-1]:
                starts.append(key)
                packed.append(entry.identity)
            number = len(packed) - 1 if options.close_gaps else entry.identity
            writer.write(key, [number, int(entry.is_aligned)], payload)
            key += 1
        if not starts:
            raise ValueError(f"{rec}: no image is left to pack; {'; '.join(faults[:3])}")
        emptied = sorted({entry.identity for entry in entries}.difference(packed))
        if emptied and not options.close_gaps:
            raise ValueError(all_faults(
                f"{rec}: no image of {len(emptied)} identities can be packed (numbers "
                f"{', '.join(map(str, emptied[:MAX_SHOWN]))}), so that their classes would be "
                "empty:",
                faults or ["all are marked 0 (not aligned), without landmarks"],
                "repair the images, or take these identities off the list and give --relabel",
            ))  # fmt: skip
        edges = [*starts, key]
        _write_range(writer, 0, key, key + len(starts))
        for number, (first, past_last) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            _write_range(writer, key + number, first, past_last)
        counts = np.diff(edges)
        written = Packed(
            num_images=key - 1,
            num_identities=len(starts),
            smallest=int(counts.min()),
            largest=int(counts.max()),
            num_left_out=len(entries) - len(kept),
            faults=tuple(faults),
            identities=tuple(packed),
            emptied=tuple(emptied),
        )
        for path, text_of in beside.items():
            if (text := text_of(written)) is not None:
                writer.write_beside(path, text)
    return written


def _write_range(writer: RecordWriter, key: int, first: int, past_last: int) -> None:
    labels, id2 = range_record(first, past_last)
    writer.write(key, labels, id2=id2)


def _in_order(
    pool: ThreadPoolExecutor, entries: Sequence[Entry], options: PackOptions
) -> Iterator[bytes | ValueError]:
    """Yield what _payload gives for each entry, in their order, read by threads ahead."""
    waiting: deque[Future] = deque()
    try:
        for entry in entries:
            waiting.append(pool.submit(_payload, entry, options))
            if len(waiting) >= AHEAD * options.num_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _payload(entry: Entry, options: PackOptions) -> bytes | ValueError:
    """Return the bytes to store for an image, or what is wrong with it."""
    try:
        data = read_image_file(entry.path)
        mode = COLOR if entry.is_aligned else options.color
        image = decode_bgr(data, str(entry.path), mode=mode)
        if not entry.is_aligned:
            return _encode(align_face(image, entry.landmarks, options.size), options)
        if options.fit == "pad" and image.shape[:2] != options.size:
            return _encode(padded(image, options.size), options)
        fit_height(image, options.size, str(entry.path))  # training could not use another shape
        return data
    except FileNotFoundError as error:
        place = "" if entry.place == str(entry.path) else f"{entry.place}: "
        return ValueError(f"{place}{error}")
    except OSError as error:
        return ValueError(f"{entry.place}: cannot read {entry.path}: {error.strerror}")
    except ValueError as error:
        place = "" if entry.place == str(entry.path) else f"{entry.place}: "
        return ValueError(f"{place}{error}")


def padded(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the image scaled to fit into size (height, width), centred, black around it."""
    scale = min(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    if (height, width) != image.shape[:2]:
        shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(image, (width, height), interpolation=shrink)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    result = np.zeros((*size, *image.shape[2:]), np.uint8)
    result[top : top + height, left : left + width] = image
    return result


def _encode(image: np.ndarray, options: PackOptions) -> bytes:
    if options.encoding == ".png":
        how = [cv2.IMWRITE_PNG_COMPRESSION, min(options.quality, 9)]
    else:
        how = [cv2.IMWRITE_JPEG_QUALITY, options.quality]
    return cv2.imencode(options.encoding, image, how)[1].tobytes()
