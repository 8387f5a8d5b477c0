"""Files, and sets of files, that appear under their names only when they are complete.

A file is written beside its name as NAME.part-RANDOM, flushed to the disk and renamed.  Its
writer holds a lock on it: a part without one is what a killed process left, and goes with the
next that writes in the folder.

The files of a set are renamed one after the other.  Before the first of them HEAD.writing, named
after the first file of the set, says which files they are; after the last it goes.  It is
there for some milliseconds, or because that process was killed in them: then the files may not
belong together, who reads the set refuses, and writing the set again heals it.  A set without
that file, by whomever it was written, is read as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
import errno
import json
import os
from pathlib import Path
import re
import secrets
import shlex
import shutil
import stat
import sys
import time
from typing import IO, Any

from .locks import is_at, left_behind, locked, try_lock

PATIENCE = 20  # seconds for another process to rename the files of a set
LOCKLESS_PATIENCE = 1  # the same where no lock says that it lives
PART = re.compile(r".+\.part-[0-9a-f]{16}")
FOLDER = "arcface-part-"  # of folders: nobody else may have one of that name
PART_FOLDER = re.compile(rf".+\.{FOLDER}[0-9a-f]{{16}}")
# A folder is searched for left parts whenever something is written there, but one of more entries
# than SMALL_FOLDER in at most 1/SWEEP_SHARE of the time.
SMALL_FOLDER, SWEEP_SHARE = 300, 20
MARKER_LIMIT = 1 << 16  # bytes
DEVICES = ("/dev", "/proc")
LONGEST_CHAIN = 8  # symbolic links from a name on

_next_sweep: dict[Path, float] = {}  # folder: time.monotonic()


@contextmanager
def replace_file(
    path: str | os.PathLike, mode: str = "wb", *, sync: bool = True, **options: Any
) -> Iterator[IO]:
    """Yield a file that becomes `path` when the block ends well.

    If the block raises (a full disk included) the part is removed and the old file stays as it
    was.  The folder is made if it is absent.  Without sync the flush is left to the system.
    """
    path = Path(path)
    remove_left_parts(path.parent)
    part = _Part(path, mode, options)
    try:
        with naming(path):
            yield part.file
            part.complete(sync)
            part.publish()
    except BaseException:
        part.discard()
        raise
    if sync:
        _sync_folder(path.parent)


@contextmanager
def replace_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield the name of an empty file that becomes `path` when the block ends well.

    For what writes by name, such as SQLite; the rest is as with replace_file().
    """
    path = Path(path)
    remove_left_parts(path.parent)
    part = _Part(path, "wb", {})
    try:
        with naming(path):
            yield part.path
            part.complete(sync=True)
            part.publish()
    except BaseException:
        part.discard()
        raise
    _sync_folder(path.parent)


@contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
    """Let an OSError of the block that names no file name this one, as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)
        raise


class SetWriter:
    """The set that replace_set() is about to write: open(path) gives the file of a member."""

    def __init__(self, paths: tuple[Path, ...]):
        self.paths = paths
        self._parts: dict[Path, _Part] = {}

    def open(self, path: str | os.PathLike, mode: str = "wb", **options: Any) -> IO:
        """Return a file that becomes the member `path`; it is closed with the set."""
        path = Path(path)
        if path not in self.paths or path in self._parts:
            raise ValueError(f"{path}: not a file of this set, or opened twice")
        self._parts[path] = _Part(path, mode, options)
        return self._parts[path].file

    def _complete(self) -> None:
        for path, part in self._parts.items():
            with naming(path):
                part.complete(sync=True)

    def _publish(self) -> None:
        for path in self.paths:
            if path in self._parts:
                self._parts[path].publish()
            else:
                path.unlink(missing_ok=True)

    def _discard(self) -> None:
        for part in self._parts.values():
            part.discard()


@contextmanager
def replace_set(
    *paths: str | os.PathLike, head: str | os.PathLike | None = None
) -> Iterator[SetWriter]:
    """Yield what writes a set of files of one folder; they appear together when the block ends.

    head: the file by which readers know the set (the first path); it may be one that stays as it
    is, where a part of a set is written anew.  A member that the block does not open is removed.
    If the block raises, nothing changes.  Two processes may write one set at once: each appears
    whole, and the later stays.
    Raises ValueError if another set of that head, with more files, was interrupted here.
    """
    members = tuple(Path(path) for path in paths)
    folder, marker = members[0].parent, marker_path(Path(head or members[0]))
    if any(path.parent != folder for path in members):
        raise ValueError(f"the files of a set lie in one folder: {members}")
    remove_left_parts(folder)
    for member in members:  # now, and not after hours of writing
        refuse_no_file(member)
    _refuse_others(marker, members)
    writer = SetWriter(members)
    try:
        with naming(members[0]):
            yield writer
        writer._complete()
        with naming(marker), locked(marker, PATIENCE) as descriptor:
            _refuse_others(marker, members)
            _list(descriptor, marker, members)
            writer._publish()
            _sync_folder(folder)
            marker.unlink()
    finally:
        writer._discard()


@contextmanager
def reading_set(*paths: str | os.PathLike, mends: Collection[str] = ()) -> Iterator[None]:
    """Let the block read files of one set, the head first: all of one writing, or ValueError.

    mends: names of those that will be written anew, so that an interrupted writing of no other
    is not refused.  Waits while another process gives them their names.  Raises ValueError if a
    process was killed in that, or if the files were replaced while the block read them.
    """
    head = Path(paths[0])
    _wait_until_whole(head, mends)
    before = _states(paths)
    try:
        yield
    except (OSError, ValueError):
        if _states(paths) == before:
            raise  # a fault of the files themselves
    else:
        # In this order: without a marker the names are whole now, and they are the names that
        # the block saw if they are still the same afterwards.
        listing = _listing(marker_path(head))
        is_whole = listing is None or _mends(mends, listing)
        if _states(paths) == before and is_whole:
            return
    raise ValueError(f"{head}: was replaced while it was read; read it again")


def marker_path(head: Path) -> Path:
    """Return the file that lies beside the head of a set while its files get their names."""
    return head.with_name(f"{head.name}.writing")


def refuse_no_file(path: str | os.PathLike) -> None:
    """Raise an error if path names what must not be replaced by a file: a folder, or a device or
    pipe such as /dev/null and /dev/stdout, whatever that leads to."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except OSError:
        mode = stat.S_IFREG  # nothing, or what writing it will tell
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode) or _is_of_system(path):
        raise ValueError(
            f"{path}: is a device or a pipe; results appear under their name when they are "
            "complete, which takes a file: name one"
        )


def _is_of_system(path: str | os.PathLike) -> bool:
    """Return whether a name lies among the devices: /dev/stdout leads to a file where the output
    goes into one, and a rename would put a file in the place of the link, for everybody."""
    for _ in range(LONGEST_CHAIN):
        folder = os.path.realpath(os.path.dirname(os.path.abspath(path)))  # noqa: PTH100, PTH120
        if folder in DEVICES or folder.startswith("/proc/"):
            return True
        if not os.path.islink(path):  # noqa: PTH114
            return False
        path = os.path.join(folder, os.readlink(path))  # noqa: PTH115, PTH118
    return False


class _Part:
    """A file on its way to its name, locked by its writer."""

    def __init__(self, path: Path, mode: str, options: dict[str, Any]):
        refuse_no_file(path)
        self._path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        while True:
            self._part = path.with_name(f"{path.name}.part-{secrets.token_hex(8)}")
            descriptor = os.open(self._part, flags, 0o666)
            try_lock(descriptor)
            if is_at(descriptor, self._part):
                break
            os.close(descriptor)  # taken for a left one before it had its lock
        self.file = os.fdopen(descriptor, mode, **options)

    @property
    def path(self) -> Path:
        return self._part

    def complete(self, sync: bool) -> None:
        self.file.flush()
        if sync:
            os.fsync(self.file.fileno())

    def publish(self) -> None:
        """Give the file its name, while the lock still keeps others from it."""
        self._part.replace(self._path)
        self._part = None
        self.file.close()

    def discard(self) -> None:
        """Remove what has not got its name."""
        with suppress(OSError):  # the disk is full: what could not be written is not wanted either
            self.file.close()
        if self._part is not None:
            self._part.unlink(missing_ok=True)
            self._part = None


def remove_left_parts(folder: Path) -> None:
    """Make the folder, and remove the parts, files and folders, that killed processes left in it.

    Where many files lie (a million features, crop by crop) it is searched now and then only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    if begin < _next_sweep.get(folder, 0):
        return
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        if "part-" in name and (PART.fullmatch(name) or PART_FOLDER.fullmatch(name)):
            _remove_if_left(folder / name)
    now = time.monotonic()
    if len(names) > SMALL_FOLDER:
        _next_sweep[folder] = now + SWEEP_SHARE * (now - begin)


def _remove_if_left(path: Path) -> None:
    with left_behind(path) as is_left:
        if is_left:
            with suppress(OSError):  # of another user, say
                shutil.rmtree(path) if PART_FOLDER.fullmatch(path.name) else path.unlink()


def _list(descriptor: int, marker: Path, members: tuple[Path, ...]) -> None:
    """Write the marker, one line of JSON, and make it survive a power cut.

    Over an earlier one in place, never through an empty file: that would say that the files
    are whole.
    """
    is_first = _listing(marker) is None
    listing = {"files": [path.name for path in members], "command": _command()}
    line = json.dumps(listing).encode() + b"\n"
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, line)
        os.ftruncate(descriptor, len(line))
        os.fsync(descriptor)
        _sync_folder(marker.parent)
    except OSError:
        if is_first:
            marker.unlink()
        raise


def _listing(marker: Path) -> dict[str, Any] | None:
    """Return what a marker says, None if there is none or its writer had not begun to rename."""
    try:
        if not stat.S_ISREG(marker.stat().st_mode):
            return {"files": [], "command": ""}  # none of ours: a pipe would be waited for
        with marker.open("rb") as file:
            text = file.read(MARKER_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # so there is none, whatever the head is called
            return None
        raise
    if b"\n" not in text and len(text) < MARKER_LIMIT:
        return None
    try:
        found = json.loads(text.split(b"\n")[0])
        return {"files": [str(name) for name in found["files"]], "command": str(found["command"])}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {"files": [], "command": ""}  # damaged: something was interrupted all the same


def _refuse_others(marker: Path, members: tuple[Path, ...]) -> None:
    """Raise ValueError if a set was interrupted that these members would mend only in part."""
    listing = _listing(marker)
    if listing and set(listing["files"]) - {path.name for path in members}:
        raise _interrupted(marker, listing)


def _mends(names: Collection[str], listing: dict[str, Any]) -> bool:
    return bool(listing["files"]) and set(listing["files"]) <= set(names)


def _wait_until_whole(head: Path, mends: Collection[str]) -> None:
    """Wait while another process renames the files of a set; raise ValueError if it is dead."""
    marker, begin = marker_path(head), time.monotonic()
    while _listing(marker) is not None:
        waited = time.monotonic() - begin
        with left_behind(marker) as is_left:
            listing = _listing(marker)  # while nobody else can begin
            is_dead = is_left or (is_left is None and waited > LOCKLESS_PATIENCE)
            if is_dead and listing is not None:
                if _mends(mends, listing):
                    return
                raise _interrupted(marker, listing)
        if waited > PATIENCE:
            raise ValueError(
                f"{head}: another process has been replacing it for {PATIENCE} seconds "
                f"({marker.name}); wait until it ends"
            )
        time.sleep(0.01)


def _interrupted(marker: Path, listing: dict[str, Any]) -> ValueError:
    names = ", ".join(listing["files"][:10]) or marker.stem
    command = listing["command"][:500]
    again = f"`{command}`" if command else "what wrote them"
    return ValueError(
        f"{marker.parent / marker.stem}: writing {names} was interrupted ({marker.name} is there), "
        f"so these files may not belong together; run {again} again"
    )


def _command() -> str:
    """Return the command line of this process; empty where there is none to repeat."""
    name = Path(sys.argv[0]).name if sys.argv else ""
    return shlex.join([name, *sys.argv[1:]]) if name.strip("-c") else ""


def _states(paths: tuple[str | os.PathLike, ...]) -> list[tuple[int, ...] | None]:
    """Return what tells that a name stands for the same bytes as before, for each path."""
    return [_state(path) for path in paths]


def _state(path: str | os.PathLike) -> tuple[int, ...] | None:
    try:
        facts = Path(path).stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
