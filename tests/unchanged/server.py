"""Run commands of a checkout, with that checkout's package whatever is installed.

    python server.py SOURCE

SOURCE is the folder that `arcface_mxnet` must come from; PYTHONPATH has to lead to it.  Reads
one job a line, JSON: target, arguments, folder, stdout, stderr, seconds.  A target is
`arcface_mxnet.data.rec:main` or the path of a script.  Answers each with its exit code in a
line, negative for a signal.

Every job is a process of its own, in which nothing of the package but its first lines was
imported before; it is forked from here, where MXNet and others are imported already, because
importing them takes longer than most jobs.
"""

from __future__ import annotations

from importlib import import_module
import json
import os
from pathlib import Path
import runpy
import signal
import sys
from typing import Any

# Of other people, slow to import, and without threads until they are used.
IMPORTED = (
    "mxnet", "cv2", "scipy.io", "scipy.stats", "skimage.transform", "sklearn.decomposition",
    "tqdm",
)  # fmt: skip


def main() -> int:
    del sys.path[0]  # the folder of this file: no module of it may stand in for another one
    refuse_other_package(Path(sys.argv[1]))
    for name in IMPORTED:
        import_module(name)
    with os.fdopen(os.dup(1), "w") as answers:
        for line in sys.stdin:
            child = os.fork()
            if not child:
                return job(**json.loads(line))
            _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status), file=answers, flush=True)
    return 0


def job(
    target: str, arguments: list[str], folder: str, stdout: str, stderr: str, seconds: int
) -> Any:
    """Run one job in this process and return its exit code; it is killed after so many seconds."""
    signal.alarm(seconds)
    os.chdir(folder)
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, file in enumerate((nothing, os.open(stdout, written), os.open(stderr, written))):
        os.dup2(file, number)
    if target.endswith(".py"):
        sys.argv = [target, *arguments]
        sys.path.insert(0, str(Path(target).parent))  # as `python FILE` has it
        runpy.run_path(target, run_name="__main__")
        return 0
    module, _, function = target.partition(":")
    sys.argv = [module, *arguments]
    return getattr(import_module(module), function)()


def refuse_other_package(source: Path) -> None:
    """Exit unless `arcface_mxnet` is the one of this folder."""
    import arcface_mxnet

    found = Path(arcface_mxnet.__file__).resolve().parent
    if found != source.resolve():
        sys.exit(f"arcface_mxnet comes from {found}, not from {source}: nothing was made")


if __name__ == "__main__":
    sys.exit(main())
