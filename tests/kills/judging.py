"""What is read after a kill: the old set, the new one, a refusal that says so, or a fault."""

from __future__ import annotations

from collections.abc import Callable, Hashable
import contextlib
import io
from pathlib import Path
import shutil

from tests.kills.injection import count_points, killed
from tests.kills.kinds import NEW, OLD, Kind

READS = ("old", "new", "refused")
FAULTS = ("mixed", "mute", "not healed")
LEFT = ("*.part-*", "*.arcface-part-*", "*.partial", "*.writing")


class Rewriting:
    """The older set of a kind in a folder of its own, to be copied and rewritten."""

    def __init__(self, kind: Kind, folder: Path):
        self._kind, self._template, self._scratch = kind, folder / "old", folder / "scratch"
        self._template.mkdir(parents=True)
        with contextlib.redirect_stdout(io.StringIO()):
            kind.first(self._template)
            kind.write(self._template, OLD)
        self.renew()
        self._old = self._states()
        self.points = count_points(self.rewrite)
        self._new = self._states()
        assert all(old != new for old, new in zip(self._old, self._new, strict=True))

    def renew(self) -> None:
        """Bring the older set back."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        shutil.copytree(self._template, self._scratch)
        self._kind.before(self._scratch)

    def rewrite(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self._kind.write(self._scratch, NEW)

    def killed(self, at: int) -> list[str]:
        """Return what is read after a kill at a point, for each reader, and then the faults of
        writing the set again."""
        self.renew()
        killed(self.rewrite, at)
        found = self.read()
        self.rewrite()
        left = [path.name for ending in LEFT for path in self._scratch.rglob(ending)]
        return found if self._states() == self._new and not left else [*found, "not healed"]

    def read(self) -> list[str]:
        return [
            self._judge(state, old, new)
            for state, old, new in zip(self._states(), self._old, self._new, strict=True)
        ]

    def _states(self) -> list[tuple[str, Hashable]]:
        return [_state(read, self._scratch) for read in self._kind.reads]

    @staticmethod
    def _judge(
        state: tuple[str, Hashable], old: tuple[str, Hashable], new: tuple[str, Hashable]
    ) -> str:
        if state in (old, new):
            return "old" if state == old else "new"
        if state[0] == "read":
            return "mixed"
        is_said = "interrupted" in state[1] and "again" in state[1]
        return "refused" if is_said or "another process" in state[1] else "mute"


def _state(read: Callable[[Path], Hashable], folder: Path) -> tuple[str, Hashable]:
    try:
        return "read", read(folder)
    except (ValueError, OSError) as error:
        return "refused", str(error)
