"""Puts known faults into the package and demands that the tests named beside each fail."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
import sys
import time

from arcface_mxnet.cores import usable_cores

from .hand import BY_HAND
from .operators import draw
from .runner import Outcome, find_tests, sound_tests_fail, try_all
from .table import Mutant, read_drawn, write_drawn


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="try all faults; exit code 1 if one survives")
    run.add_argument("--only", default="", metavar="TEXT", help="whose file or name holds this")
    run.add_argument("--jobs", type=int, default=usable_cores(), help="at once (default: cores)")
    drawing = commands.add_parser("draw", help="draw faults by operators")
    drawing.add_argument("--seed", type=int, required=True)
    drawing.add_argument("--count", type=int, default=60)
    drawing.add_argument(
        "--write", action="store_true", help="keep these, with the tests that are known of them"
    )
    find = commands.add_parser("find", help="look for the tests that see the drawn faults")
    find.add_argument("--all", action="store_true", help="also of those that have tests")
    find.add_argument("--jobs", type=int, default=usable_cores(), help="at once (default: cores)")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.command == "draw":
        return _draw(args.seed, args.count, args.write)
    if args.command == "find":
        return _find(args.all, args.jobs)
    return _run(args.only, args.jobs)


def _run(only: str, jobs: int) -> int:
    mutants = [m for m in (*BY_HAND, *read_drawn()) if only in m.file or only in m.name]
    if not mutants:
        print(f"no fault holds {only!r}", file=sys.stderr)
        return 1
    start = time.monotonic()
    failing = sound_tests_fail(mutants)
    if failing:
        print(f"without any fault the tests fail: {failing}", file=sys.stderr)
        return 1
    outcomes = try_all(mutants, jobs, _print)
    survivors = [outcome for outcome in outcomes if not outcome.is_seen]
    minutes = (time.monotonic() - start) / 60
    print(f"{len(outcomes)} faults, {len(survivors)} not seen, {minutes:.1f} minutes")
    return 1 if survivors else 0


def _print(outcome: Outcome) -> None:
    mark = "seen" if outcome.is_seen else "NOT SEEN"
    mutant = outcome.mutant
    print(f"{mark:8} {outcome.seconds:5.0f} s  {mutant.file}: {mutant.name}", flush=True)
    print(f"{'':19}{outcome.words[:120]}", flush=True)


def _draw(seed: int, count: int, write: bool) -> int:
    drawn = draw(seed, count)
    for mutant in drawn:
        print(f"{mutant.file}: {mutant.name}\n- {mutant.old}\n+ {mutant.new}\n")
    if write:
        known = {(one.file, one.old, one.new): one.tests for one in read_drawn()}
        write_drawn(
            [replace(one, tests=known.get((one.file, one.old, one.new), ())) for one in drawn]
        )
    return 0


def _find(every: bool, jobs: int) -> int:
    mutants: list[Mutant] = read_drawn()
    wanted = [at for at, mutant in enumerate(mutants) if every or not mutant.tests]
    with ThreadPoolExecutor(jobs) as pool:
        found = {pool.submit(find_tests, mutants[at]): at for at in wanted}
        for future in as_completed(found):
            at, tests = found[future], future.result()
            mutants[at] = replace(mutants[at], tests=tests)
            words = " ".join(tests) or "NOT SEEN"
            print(f"{mutants[at].file}: {mutants[at].name}: {words}", flush=True)
            write_drawn(mutants)
    return 1 if any(not mutant.tests for mutant in mutants) else 0


if __name__ == "__main__":
    sys.exit(main())
