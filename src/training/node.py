"""Be the scheduler or a server of a job of several machines, as DMLC_ROLE says, until it ends.

    DMLC_ROLE=scheduler python -m arcface_mxnet.training.node
    DMLC_ROLE=server python -m arcface_mxnet.training.node

MXNet alone would do: a process of such a role becomes one when it imports mxnet.  But it would
wait for ever where another process of the job died, or never came.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import os
import sys

from arcface_mxnet.cli import run

ROLE = "DMLC_ROLE"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser, which takes nothing: all is in the environment."""
    head, _, usage = __doc__.partition("\n\n")
    return argparse.ArgumentParser(
        description=head, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Serve; return 0 when the job ended in order, 1 when it did not, 2 for a bad environment."""
    build_parser().parse_args(argv)
    return run(work)


def work() -> int:
    """Serve in the role that the environment gives."""
    role = os.environ.get(ROLE)
    if role not in ("scheduler", "server"):
        raise ValueError(f"{ROLE}={role}: must be scheduler or server; see docs/distributed.md")
    os.environ[ROLE] = "worker"  # or the import would serve, and return no more
    from arcface_mxnet.training.serving import serve

    os.environ[ROLE] = role
    serve(role)
    return 0


if __name__ == "__main__":
    sys.exit(main())
