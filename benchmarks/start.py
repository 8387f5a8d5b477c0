"""From the command to the answer: deploy/test.py on two photos, in a new process each time.

    python -m benchmarks.start

First with an empty cache of converted networks (converted, and compared with MXNet), then from
the warm one, where MXNet must not be imported.  Needs the pretrained networks (arcface-fetch fetch
sface mtcnn) and the LFW photos of ../shared/data.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median
import subprocess
import sys
import tempfile
import time

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT.parent / "shared/data/lfw/fold_1/Abel_Pacheco"
ROUNDS = 7
SCRIPT = """
import runpy, sys
sys.argv = ["deploy/test.py", *sys.argv[1:]]
try:
    runpy.run_path("deploy/test.py", run_name="__main__")
finally:
    print("with mxnet" if "mxnet" in sys.modules else "without mxnet", file=sys.stderr)
"""


def start(cache: str) -> tuple[float, bool]:
    """Return the seconds of one run, and whether it imported MXNet."""
    photos = [str(PHOTOS / f"Abel_Pacheco_000{number}.jpg") for number in (1, 4)]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *photos],
        cwd=ROOT, env=os.environ | {"XDG_CACHE_HOME": cache}, capture_output=True, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(done.stderr)
    return seconds, "without mxnet" not in done.stderr


def main() -> None:
    for needed in (PHOTOS, ROOT / "models/sface-m1-0000.params", ROOT / "models/mtcnn"):
        if not needed.exists():
            print(f"skipped: no {needed.relative_to(ROOT.parent)}")
            return
    with tempfile.TemporaryDirectory() as cache:
        cold, _ = start(cache)
        warm = [start(cache) for _ in range(ROUNDS)]
    seconds = [second for second, _ in warm]
    imported = sum(with_mxnet for _, with_mxnet in warm)
    print(
        f"deploy/test.py A B, first start: {cold:.2f} s; from a warm cache: "
        f"{median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), MXNet imported in "
        f"{imported} of {ROUNDS}  (wanted: 1.5 s, 0)"
    )


if __name__ == "__main__":
    main()
