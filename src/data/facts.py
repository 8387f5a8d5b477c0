"""All that a dataset folder says of itself, and where that contradicts itself.

The records are walked from the file; index and property are taken as further witnesses, which may
be absent or wrong.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
import os
from pathlib import Path

import numpy as np

from ..files import reading_set
from .contradictions import (
    Cures,
    Faults,
    id_faults,
    label_faults,
    missing_keys,
    property_notes,
    range_label_faults,
    tile_faults,
)
from .dataset import read_property
from .images import RESIZED
from .keyed import Keyed
from .labels import whole_numbers
from .ranges import Layout, layout_of, read_ranges
from .records import read_index
from .roles import Roles, own_keys, roles_of
from .scan import Judge, Scan, scan


@dataclass(frozen=True)
class Facts:
    """A folder that was read through.

    roles: what the rows of the scan are.  keys: int64 (n,) of the rows, from the index where it
    can be read (-1: it does not name them), else the records' own.  index: keys and offsets of
    the .idx, or None.  num_classes, image_shape: of property, or None.  layout: or None where
    record 0 contradicts the keys.  faults: all contradictions.
    """

    folder: Path
    scan: Scan
    roles: Roles
    keys: np.ndarray
    index: tuple[np.ndarray, np.ndarray] | None
    num_classes: int | None
    image_shape: tuple[int, int] | None
    layout: Layout | None
    faults: Faults

    @property
    def labels(self) -> np.ndarray:
        """Labels of the images, float32 (N,)."""
        return self.scan.headers["labels"][self.roles.images, 0]


def gather(
    folder: str | os.PathLike,
    judge: Judge | None = None,
    *,
    num_threads: int = 1,
    progress: bool = False,
    mends: Collection[str] = (),
) -> Facts:
    """Read a folder through and return what it says.  judge: looks at each image, in num_threads.

    mends: names of files that will be written anew, see reading_set().
    Raises FileNotFoundError for a missing folder or train.rec, OSError where it cannot be read,
    ValueError where writing the files was interrupted, or they were replaced meanwhile.
    """
    folder = Path(folder)
    rec = folder / "train.rec"
    if not rec.is_file():
        raise FileNotFoundError(f"{folder.absolute()} has no file train.rec, which has the images")
    cures, faults = Cures(folder), Faults()
    with reading_set(rec, folder / "train.idx", folder / "property", mends=mends):
        said = _property(folder, faults, cures)
        index = _index(folder, faults, cures)
        table = scan(rec, judge, num_threads=num_threads, progress=progress)
    return compared(folder, table, index, *said, faults)


def compared(
    folder: Path,
    table: Scan,
    index: tuple[np.ndarray, np.ndarray] | None,
    num_classes: int | None,
    image_shape: tuple[int, int] | None,
    faults: Faults | None = None,
) -> Facts:
    """Return a folder's facts from the table of its records, keys and offsets of its index, and
    what property says.  faults: those that were found in reading them."""
    faults, cures = faults or Faults(), Cures(folder)
    roles = roles_of(table.headers)
    keys = own_keys(table.headers, roles) if index is None else _keys_of(table.offsets, *index)
    _damage_faults(faults, table, keys, index, cures)
    if index is not None:
        _index_faults(faults, table, keys, *index, cures)
    named = (keys >= 0) & (table.headers["size"] >= 0)
    id_faults(faults, keys[named], table.headers["id"][named], cures)
    labels = table.headers["labels"][roles.images, 0]
    label_faults(faults, keys[roles.images], labels, num_classes or 0, cures)
    layout = _layout_faults(faults, table, roles, keys, num_classes, index, cures)
    _image_faults(faults, table, roles, keys, cures)
    return Facts(folder, table, roles, keys, index, num_classes, image_shape, layout, faults)


def _property(
    folder: Path, faults: Faults, cures: Cures
) -> tuple[int | None, tuple[int, int] | None]:
    try:
        return read_property(folder / "property")
    except FileNotFoundError:
        faults.add([f"{folder} has no file property"], cures.repair)
    except ValueError as error:
        faults.add([str(error)], cures.repair)
    return None, None


def _index(
    folder: Path, faults: Faults, cures: Cures
) -> tuple[np.ndarray, np.ndarray] | None:  # fmt: skip
    try:
        return read_index(folder / "train.idx")
    except FileNotFoundError:
        faults.add([f"{folder} has no file train.idx"], cures.repair)
    except ValueError as error:
        faults.add([str(error)], cures.repair)
    return None


def _keys_of(rows_at: np.ndarray, keys: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the key that the index gives to each row, the first of several, -1 for none."""
    order = np.argsort(offsets, kind="stable")
    place = np.searchsorted(offsets[order], rows_at)
    inside = np.minimum(place, len(order) - 1)
    is_named = offsets[order[inside]] == rows_at
    return np.where(is_named, keys[order[inside]], -1)


def _damage_faults(
    faults: Faults, table: Scan, keys: np.ndarray, index: object, cures: Cures
) -> None:
    for row, text in table.faults.items():
        if keys[row] >= 0:
            text = text.replace(f"the record at byte {table.offsets[row]}", f"record {keys[row]}")
        faults.add([text], cures.skip)
    for damage in table.damage:
        where = ""
        if index is not None:
            keys, offsets = index
            inside = keys[(offsets >= damage.begin) & (offsets < damage.end)]
            if len(inside):
                where = f", where record {inside[0]} should be"
                if len(inside) > 1:
                    where += f" and {len(inside) - 1} more"
        if damage.is_cut_off:
            text = f"the file is cut off in the record at byte {damage.begin}{where}"
        else:
            text = f"no record begins at byte {damage.begin}{where}: damaged to byte {damage.end}"
        faults.add([f"{table.path}: {text}"], cures.skip)


def _index_faults(
    faults: Faults, table: Scan, found: np.ndarray, keys: np.ndarray, offsets: np.ndarray,
    cures: Cures,
) -> None:  # fmt: skip
    """Compare the index with where records are."""
    place = np.minimum(np.searchsorted(table.offsets, offsets), len(table.offsets) - 1)
    is_record = (table.offsets[place] == offsets) if len(table.offsets) else offsets < 0
    for damage in table.damage:
        is_record |= (offsets >= damage.begin) & (offsets < damage.end)  # told as damage
    faults.add_at(
        np.flatnonzero(~is_record),
        lambda i: f"key {keys[i]} of the index is at byte {offsets[i]}, where no record begins",
        cures.repair,
    )
    for values, noun in ((keys, "the key {}"), (offsets, "the record at byte {}")):
        in_order = np.sort(values)
        faults.add_at(
            np.flatnonzero(np.diff(in_order) == 0),
            lambda i, noun=noun, at=in_order: f"the index has {noun.format(at[i])} twice",
            cures.repair,
        )
    ids = table.headers["id"]
    faults.add_at(
        np.flatnonzero(found < 0),
        lambda row: (
            f"the record at byte {table.offsets[row]}, which says of itself that it is "
            f"record {ids[row]}, is in no line of the index"
        ),
        cures.repair,
    )


def _layout_faults(
    faults: Faults, table: Scan, roles: Roles, keys: np.ndarray, num_classes: int | None,
    index: object, cures: Cures,
) -> Layout | None:  # fmt: skip
    """Compare record 0, the identity records and property with the labels of the images."""
    keyed = Keyed(table, keys, index)
    labels = table.headers["labels"][roles.images, 0]
    identities, is_whole = whole_numbers(labels)
    if len(keyed) == 0:
        return None
    try:
        layout = layout_of(keyed)
        ranges = read_ranges(keyed, layout) if layout.kind == "ranges" else None
    except ValueError as error:
        faults.add([str(error).partition("; `arcface-rec")[0]], cures.repair)
        return None
    if num_classes is not None and len(identities):
        top = int(identities.max()) if is_whole.any() else None
        notes = property_notes(num_classes, None, layout.declared, top, cures)
        faults.add((note.partition("; `")[0] for note in notes), cures.repair)
    if layout.kind != "plain":
        _role_faults(faults, roles, keys, keyed, layout, cures)
    elif count := int((table.headers["size"] >= 0).sum()) - len(roles.images):
        text = f"{count} records hold keys of images, but record 0 is absent or not of their kind"
        faults.add([text], cures.repair)
    if (
        ranges is not None
        and (keyed.headers(np.arange(layout.start, layout.end))["size"] >= 0).all()
    ):
        ranges = tile_faults(faults, ranges, layout.start, layout.num_images, cures)
        image_keys = keys[roles.images]
        sound = (image_keys >= 0) & is_whole
        if num_classes is not None:
            sound &= identities < num_classes  # others are told as labels
        rows = np.flatnonzero(sound)
        if (np.diff(image_keys[rows]) < 0).any():
            rows = rows[np.argsort(image_keys[rows], kind="stable")]
        range_label_faults(
            faults, ranges, layout.start, image_keys[rows], labels[rows], cures
        )  # fmt: skip
    return layout


def _role_faults(
    faults: Faults, roles: Roles, keys: np.ndarray, keyed: Keyed, layout: Layout, cures: Cures
) -> None:
    parts = ((1, layout.num_images + 1, "images"), (layout.start, layout.end, "identity records"))
    for first, past_last, noun in parts:
        count, missing = missing_keys(keyed.sorted_keys, first, past_last)
        if count:
            text = f"no key {missing}, one of the {noun} {first} to {past_last - 1}"
            faults.add([f"the index has {text} that record 0 says; {count} such"], cures.repair)
    for rows, first, past_last, noun in (
        (roles.images, 1, layout.num_images + 1, "image"),
        (roles.ranges, layout.start, layout.end, "identity record"),
    ):
        found = keys[rows]
        faults.add_at(
            found[(found >= 0) & ((found < first) | (found >= past_last))],
            lambda key, noun=noun: (
                f"record {key} is an {noun}, but record 0 says that the images "
                f"are 1 to {layout.num_images}"
                + (
                    f" and the identity records {layout.start} to {layout.end - 1}"
                    if layout.end > layout.start
                    else ""
                )
            ),
            cures.repair,
        )


def _image_faults(
    faults: Faults, table: Scan, roles: Roles, keys: np.ndarray, cures: Cures
) -> None:
    faults.add_at(
        roles.images[table.headers["size"][roles.images] == 0],
        lambda row: f"record {keys[row]}: 0 bytes that are no image",
        cures.skip,
    )
    bad = sorted(table.bad.keys() & set(roles.images.tolist()))
    # Where none has the size of property, it is property that is wrong.
    is_size = len(bad) == len(roles.images) and all(RESIZED in table.bad[row] for row in bad)
    cure = cures.size if is_size else cures.skip
    faults.add((f"record {keys[row]}: {table.bad[row]}" for row in bad), cure)
