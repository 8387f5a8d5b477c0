"""What only repeats the labels of the images, written anew: index, header, ranges, property."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
import os

import numpy as np

from ..files import marker_path, replace_file, replace_set
from .contradictions import Cures, ids_are_kept
from .facts import Facts, compared, gather
from .images import decode_bgr, fit_height
from .labels import refuse_too_many, whole_numbers
from .plan import Part, Plan, numbered
from .ranges import ranges_in
from .rewriting import write_plan
from .roles import own_keys, roles_of
from .scan import Scan, scan
from .walk import walk

LOOKED_AT = 64  # images, to see whether property has their size
BESIDE = ("train.idx", "property")  # what is written anew without train.rec, both or neither


def _index_lines(table: Scan, keys: np.ndarray) -> Iterator[str]:
    """Yield the lines of an index; keys: int64 (n,) of the table's rows, -1 for none."""
    pairs = zip(keys.tolist(), table.offsets.tolist(), strict=True)
    return (f"{key}\t{offset}\n" for key, offset in pairs if key >= 0)


def index_anew(rec_path: str | os.PathLike, *, progress: bool = False) -> list[str]:
    """Write the .idx of a .rec from it alone, of a file that is cut off up to its last whole
    record, and return what was done.

    Keys are the records' ids, or their order where those repeat or contradict record 0.
    """
    table = scan(rec_path, progress=progress)
    keys = own_keys(table.headers, roles_of(table.headers))
    if not (keys >= 0).any():
        raise ValueError("\n".join([f"{table.path}: holds no whole record", *_left_out(table)]))
    path = table.path.with_suffix(".idx")
    with replace_file(path, "w", newline="\n") as file:
        file.writelines(_index_lines(table, keys))
    return [f"wrote {path}: {int((keys >= 0).sum())} records", *_left_out(table)]


def repair(folder: str | os.PathLike, *, progress: bool = False) -> list[str]:
    """Write anew what contradicts the labels of the images in a folder, and return what was done.

    train.rec is only written, as a whole, if its own header, identity records or ids are wrong or
    bytes of it are damaged.  Raises ValueError for labels that are no identity.
    """
    facts = gather(folder, progress=progress, mends=BESIDE)
    was_interrupted = marker_path(facts.scan.path).exists()
    shape = shape_of(facts)
    if not facts.faults and not was_interrupted and shape == facts.image_shape:
        return [f"{facts.folder}: nothing to repair"]
    table = facts.scan
    identities, is_whole = whole_numbers(facts.labels)
    if not len(identities):
        raise ValueError(f"{table.path}: holds no image that could be read")
    if not is_whole.all():
        raise ValueError(
            f"{facts.folder}: {int((~is_whole).sum())} labels are no identity, and nothing else "
            f"says whose images these are\n{facts.faults}"
        )
    num_classes = int(identities.max()) + 1
    refuse_too_many(num_classes, table.path)
    if shape is None:
        raise ValueError(f"{table.path}: no image decodes, so that their size is not known")
    keys = _keys_to_use(facts)
    named = keys >= 0
    mended = compared(
        facts.folder, table, (keys[named], table.offsets[named]), num_classes, shape
    )  # fmt: skip
    done = []
    if _is_sound(mended):
        index = None if facts.index and _same_index(facts, keys) else keys
        is_same = (facts.num_classes, facts.image_shape) == (num_classes, shape)
        text = None if is_same else f"{num_classes},{shape[0]},{shape[1]}"
        if was_interrupted or index is not None or text:
            done += _write_beside(facts, index, text)
    else:
        part = Part(facts, facts.roles.images, keys[facts.roles.images], identities)
        kind = _kind(facts)
        part = part if kind == "plain" else numbered(part)
        plan = Plan((part,), kind, shape, {})
        write_plan(plan, facts.folder, keep_names=True, progress=progress)
        text = f"{len(part.rows)} images of {len(np.unique(identities))} identities"
        done.append(f"wrote train.rec, train.idx and property of {facts.folder} anew: {text}")
    empty = int((table.headers["size"][facts.roles.images] == 0).sum())
    if empty:
        done.append(f"{empty} images have no bytes; {Cures(facts.folder).skip}")
    return [*(done or [f"{facts.folder}: nothing to repair"]), *_left_out(table)]


def _keys_to_use(facts: Facts) -> np.ndarray:
    """Return the keys of the index if it names every record once, else the records' own."""
    keys = facts.keys
    sound = facts.scan.headers["size"] >= 0
    if facts.index is not None and (keys[sound] >= 0).all():
        images = np.sort(keys[facts.roles.images])
        has_header = facts.roles.header is not None
        ids = facts.scan.headers["id"][sound]
        contradicted = ids_are_kept(keys[sound], ids) and (ids != keys[sound]).any()
        if (
            not contradicted
            and len(np.unique(keys[sound])) == int(sound.sum())
            and (not has_header or np.array_equal(images, np.arange(1, len(images) + 1)))
        ):
            return np.where(sound, keys, -1)
    return own_keys(facts.scan.headers, facts.roles)


def _is_sound(facts: Facts) -> bool:
    """Tell whether nothing is wrong but images, which no index can mend."""
    empty = int((facts.scan.headers["size"][facts.roles.images] == 0).sum())
    return facts.faults.count == empty


def _same_index(facts: Facts, keys: np.ndarray) -> bool:
    named = np.flatnonzero(keys >= 0)
    old_keys, old_offsets = facts.index
    order, old_order = np.argsort(keys[named]), np.argsort(old_keys)
    return np.array_equal(keys[named][order], old_keys[old_order]) and np.array_equal(
        facts.scan.offsets[named][order], old_offsets[old_order]
    )


def _kind(facts: Facts) -> str:
    """Return the kind of layout that the file was meant to have."""
    roles = facts.roles
    if roles.header is None:
        return "ranges" if len(roles.ranges) else "plain"
    first, second = ranges_in(facts.scan.headers[[roles.header]])[0]
    return "ranges" if len(roles.ranges) or second > first else "count"


def _write_beside(facts: Facts, keys: np.ndarray | None, text: str | None) -> list[str]:
    """Write index and property, together, and return what was done.

    keys: of the rows of the table; text: of property; None for one that stays byte for byte.
    """
    index, about = (facts.folder / name for name in BESIDE)
    done = []
    with replace_set(index, about, head=facts.scan.path) as files:
        if keys is None:
            files.open(index).write(index.read_bytes())
        else:
            files.open(index, "w", newline="\n").writelines(_index_lines(facts.scan, keys))
            done.append(f"wrote {index}: {int((keys >= 0).sum())} records")
        if text is None:
            files.open(about).write(about.read_bytes())
        else:
            files.open(about, "w").write(f"{text}\n")
            done.append(f"wrote {about}: {text} (identities, height, width)")
    return done or [f"wrote {index} and {about} as they were: writing them was interrupted"]


def shape_of(facts: Facts) -> tuple[int, int] | None:
    """Return height and width as property says, unless none of the first images has that size:
    then that of most of them, None if none decodes."""
    found = list(islice(_first_images(facts), LOOKED_AT))
    given = facts.image_shape
    if given is not None and (not found or any(_fits(image, given) for image in found)):
        return given
    sizes = Counter(image.shape[:2] for image in found).most_common(1)
    return sizes[0][0] if sizes else None


def _fits(image: np.ndarray, shape: tuple[int, int]) -> bool:
    try:
        fit_height(image, shape, "")
    except ValueError:
        return False
    return True


def _first_images(facts: Facts) -> Iterator[np.ndarray]:
    """Yield the images that decode, in the order of the file."""
    is_image = np.zeros(len(facts.keys), bool)
    is_image[facts.roles.images] = True
    row = 0
    for stretch in walk(facts.scan.path):
        for number in range(len(stretch.places)):
            if is_image[row] and stretch.headers["size"][number] > 0:
                with suppress(ValueError):
                    yield decode_bgr(bytes(stretch.payload(number)))
            row += 1


def _left_out(table: Scan) -> list[str]:
    lines = [
        f"  left out: bytes {d.begin} to {d.end}, "
        + ("a record that the end of the file cuts off" if d.is_cut_off else "which are damaged")
        for d in table.damage[:20]
    ]
    lines += [f"  left out: {text}" for text in list(table.faults.values())[:20]]
    return lines
