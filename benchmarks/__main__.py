"""Run every benchmark of this folder: `python -m benchmarks`, or `python -m benchmarks NAME...`.

Each is a module with main(); it prints its own small table.  Run nothing beside them: MXNet's
threads spin, and two such programs slow each other tenfold.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
import sys
import time
import traceback

NOT_BENCHMARKS = {"__main__", "__init__", "plain_mtcnn", "plain_torch", "steps", "timing"}


def names() -> list[str]:
    """Return the benchmarks of this folder."""
    return sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - NOT_BENCHMARKS)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*names(), []], metavar="NAME", default=[])
    chosen = parser.parse_args(argv).names or names()
    failed = []
    for name in chosen:
        print(f"== {name}", flush=True)
        start = time.perf_counter()
        try:
            import_module(f"benchmarks.{name}").main()
        except Exception:  # one figure that cannot be had does not hide the others
            traceback.print_exc()
            failed.append(name)
        print(f"   ({time.perf_counter() - start:.0f} s)\n", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
