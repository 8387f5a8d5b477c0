"""Lists of the MegaFace kit: which images are probes, distractors, or noise.

Probe list, JSON: {"path": ["Name_Name/Name_Name_1.png", ...], "id": ["Name_Name", ...]}, two
parallel arrays (FaceScrub and FGNet).  Distractor list, JSON: {"path": [...]}; its name ends
in _SIZE_SET.  Noise list, text: one name per line, '#' comments, and where a line has a TAB
the second field is the name.  Paths are data from others: none may leave its root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import os
from pathlib import Path

from ..data.image_files import is_left_behind
from ..limits import parse_json, shown
from ..paths import is_plain
from ..text import BLANKS, read_text

SIZES = (10, 100, 1000, 10000, 100000, 1000000)  # of the kit


@dataclass(frozen=True)
class ProbeList:
    """Probe images and who is on them, in parallel.  name: "facescrub" or "fgnet"."""

    name: str
    paths: tuple[str, ...]
    ids: tuple[str, ...]


@dataclass(frozen=True)
class DistractorList:
    """Distractor images.  name: "megaface"; size: how many; index: which set, from 1."""

    name: str
    size: int
    index: int
    paths: tuple[str, ...]


def read_probe_list(path: str | os.PathLike) -> ProbeList:
    """Return the probe list of a JSON file.

    Raises FileNotFoundError, and ValueError for a file without `path` or `id`, arrays of
    different length, duplicates, or a path that leaves its root.
    """
    content = _read_json(path)
    paths, ids = _strings(path, content, "path"), content.get("id")
    if ids is None:
        raise ValueError(f"{path}: no array 'id'; a probe list says who is on each image")
    if not isinstance(ids, list) or len(ids) != len(paths):
        raise ValueError(f"{path}: 'path' and 'id' must be arrays of one length")
    if not all(isinstance(one, (str, int)) and str(one).strip() for one in ids):
        raise ValueError(f"{path}: every 'id' must be a name or a number")
    check_paths(path, paths)
    return ProbeList(_base_name(path), tuple(paths), tuple(str(one) for one in ids))


def read_distractor_list(path: str | os.PathLike, size: int, index: int = 1) -> DistractorList:
    """Return the first `size` distractors of a JSON list (the kit's lists hold just `size`).

    Raises FileNotFoundError, and ValueError for a shorter list, duplicates, or a path that
    leaves its root.
    """
    paths = _strings(path, _read_json(path), "path")
    if size < 1 or len(paths) < size:
        raise ValueError(f"{path}: {len(paths)} distractors, size {size} was asked for")
    check_paths(path, paths)
    return DistractorList(_base_name(path), size, index, tuple(paths[:size]))


def read_distractor_lists(
    place: str | os.PathLike, sizes: Sequence[int], num_sets: int
) -> list[DistractorList]:
    """Return one list per size and set.

    place: a folder of the kit's lists (NAME_features_list.json_SIZE_SET, Challenge 2 too), or
    one JSON list, of which each size takes the first entries.
    """
    place = Path(place)
    if not place.exists():
        raise FileNotFoundError(f"{place}: no such list or folder of lists")
    if place.is_file():
        if num_sets != 1:
            raise ValueError(f"{place}: one list is one set, {num_sets} were asked for")
        whole = read_distractor_list(place, max(sizes))
        return [DistractorList(whole.name, size, 1, whole.paths[:size]) for size in sizes]
    return [
        read_distractor_list(_list_path(place, size, index), size, index)
        for size in sizes
        for index in range(1, num_sets + 1)
    ]


def read_image_list(path: str | os.PathLike) -> list[str]:
    """Return the relative image paths of a text list, one per line (facescrub_lst).

    Lines of the aligned lists, `1<TAB>path<TAB>label`, give their second field.
    """
    return _image_list(path, _text(path))


def _image_list(path: str | os.PathLike, text: str) -> list[str]:
    names = [line.split("\t")[1] if "\t" in line else line for line in _lines(text)]
    check_paths(path, names)
    if not names:
        raise ValueError(f"{path}: the list is empty")
    return names


def read_names(path: str | os.PathLike) -> list[str]:
    """Return the image names of a JSON list or a text list, whichever the file is."""
    text = _text(path)
    if not text.lstrip().startswith("{"):
        return _image_list(path, text)
    names = _strings(path, _object(path, text), "path")
    check_paths(path, names)
    return names


def read_noise_list(path: str | os.PathLike) -> set[str]:
    """Return the names of a noise list; '#' lines are comments, a TAB leads to the name."""
    lines = [line for line in _lines(_text(path)) if not line.startswith("#")]
    names = (line.split("\t")[1] if "\t" in line else line for line in lines)
    return {name.strip(BLANKS) for name in names} - {""}


def algorithm_name(ending: str) -> str:
    """Return the algorithm of a file ending: "_r100ii.bin" -> "r100ii"."""
    name = ending.split(".")[0].strip("_")
    if not name or "/" in name or "\\" in name:
        raise ValueError(f"file ending {ending!r}: wanted like _r100.bin, the algorithm is r100")
    return name


def check_paths(source: str | os.PathLike, paths: Sequence[str]) -> None:
    """Raise ValueError for paths that leave their root, are no names, or come twice."""
    bad = [name for name in paths if not is_plain(name)]
    if bad:
        raise ValueError(
            f"{source}: {len(bad)} paths leave their root, or are no file names: {_first(bad)}"
        )
    if len(set(paths)) != len(paths):
        seen: set[str] = set()
        twice = [name for name in paths if name in seen or seen.add(name)]
        raise ValueError(f"{source}: {len(twice)} duplicates: {_first(twice)}")


def _read_json(path: str | os.PathLike) -> dict:
    return _object(path, _text(path))


def _object(path: str | os.PathLike, text: str) -> dict:
    content = parse_json(text, str(path), "a list")
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not a list: it must be an object with the array 'path'")
    return content


def _strings(source: str | os.PathLike, content: dict, key: str) -> list[str]:
    values = content.get(key)
    if not isinstance(values, list) or not values:
        raise ValueError(f"{source}: no array {key!r}, or it is empty")
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{source}: {key!r} must hold text alone")
    return values


def _list_path(folder: Path, size: int, index: int) -> Path:
    found = sorted(
        path for path in folder.glob(f"*_features_list.json_{size}_{index}")
        if not is_left_behind(path.name)
    )  # fmt: skip
    if len(found) == 1:
        return found[0]
    if found:
        names = _first([one.name for one in found])
        raise ValueError(
            f"{folder}: {len(found)} lists of size {size}, set {index}: {names}; keep the one that "
            "is meant in a folder of its own"
        )
    raise FileNotFoundError(
        f"{folder}/megaface_features_list.json_{size}_{index}: no such list; "
        "choose -s and -ns by the lists that are there"
    )


def _base_name(path: str | os.PathLike) -> str:
    """Return what the kit names a list in its results: the file name up to the first '_'."""
    return Path(path).name.split("_")[0].split(".")[0]


def _lines(text: str) -> list[str]:
    return [line for line in (line.strip(BLANKS) for line in text.split("\n")) if line]


def _text(path: str | os.PathLike) -> str:
    return read_text(path, "list", names=True)


def _first(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names[:5])) + (", ..." if len(names) > 5 else "")
