"""Try readers with damaged files: make fuzz-readers READER=lst N=10000, or all of them.

    python -m tests.fuzz                    every reader, 1,000 cases each
    python -m tests.fuzz lst property -n 10000
    python -m tests.fuzz lst --case 1234 --keep DIR    write the files of that case, and try it

Exit code 1 if a case ended in something that is not allowed.
"""

from __future__ import annotations

import argparse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
import json
import os
from pathlib import Path
import re
import sys
import time

from tests.fuzz.readers import READERS
from tests.fuzz.trying import cuts_of, keep, missing, prepare, try_reader
from tests.fuzz.workers import Fault

AT_ONCE = 500  # cases of one worker


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("readers", nargs="*", metavar="READER", help="of: " + ", ".join(READERS))
    add("-n", type=int, default=1000, help="mutations of each (%(default)s), after every cut")
    add("--case", type=int, help="this one alone")
    add("--keep", type=Path, metavar="DIR", help="where the files of --case are written")
    add("--processes", type=int, default=os.cpu_count() or 1)
    add("--json", action="store_true", help="print the results for a program")
    return parser


def main(argv: list[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    unknown = sorted(set(arguments.readers) - READERS.keys())
    if unknown:
        print(f"no reader {', '.join(unknown)}; known: {', '.join(READERS)}", file=sys.stderr)
        return 2
    chosen = [READERS[name] for name in arguments.readers or READERS]
    if arguments.case is not None and arguments.keep:
        for reader in chosen:
            print(keep(reader, arguments.case, arguments.keep / reader.name))
    for reader in chosen:
        if not missing(reader.needs):
            prepare(reader)
    results: dict[str, dict] = {}
    jobs = []
    with ThreadPoolExecutor(arguments.processes) as pool:
        for reader in chosen:
            left_out = missing(reader.needs)
            results[reader.name] = {"cases": 0, "faults": [], "missing": left_out, "seconds": 0.0}
            if left_out:
                continue
            numbers = range(cuts_of(reader) + arguments.n)
            numbers = numbers[:: 1 if arguments.readers else reader.cost]
            if arguments.case is not None:
                numbers = range(arguments.case, arguments.case + 1)
            for begin in range(0, len(numbers), AT_ONCE):
                part = numbers[begin : begin + AT_ONCE]
                jobs.append((reader, part, pool.submit(timed, reader, part)))
        for reader, part, job in jobs:
            faults, seconds = job.result()
            result = results[reader.name]
            result["cases"] += len(part)
            result["seconds"] += seconds
            result["faults"] += [vars(fault) for fault in faults]
    if arguments.json:
        print(json.dumps(results))
    else:
        for name, result in results.items():
            show(name, result, arguments.case is not None)
    return int(any(result["faults"] for result in results.values()))


def timed(reader, numbers: range) -> tuple[list[Fault], float]:
    began = time.monotonic()
    return try_reader(reader, numbers), time.monotonic() - began


def show(name: str, result: dict, in_full: bool) -> None:
    """Print a result: one line for each kind of fault, with a case of it."""
    if result["missing"]:
        print(f"{name}: left out, needs {', '.join(result['missing'])}")
        return
    print(f"{name}: {result['cases']} cases, {len(result['faults'])} faults, "
          f"{result['seconds']:.1f} s", flush=True)  # fmt: skip
    kinds = Counter(re.sub(r"[0-9]+", "0", fault["what"])[:90] for fault in result["faults"])
    told = set()
    for fault in result["faults"]:
        kind = re.sub(r"[0-9]+", "0", fault["what"])[:90]
        if kind not in told:
            told.add(kind)
            print(f"  {kinds[kind]} x case {fault['number']}: {fault['what'][:300]}")
            if in_full:
                print(fault["detail"])


if __name__ == "__main__":
    sys.exit(main())
