"""Draw the head of a report as a browser shows it: docs/pictures/verification.png.

    arcface-verify --data-dir ../shared/data/lfw --target lfw_folds_1_2 --nfolds 2 \\
        --model models/sface-m1,0 --alias m1 --report lfw.html
    python docs/draw_report.py lfw.html docs/pictures/verification.png

Needs playwright (pip install -e .[browser]) and a Chromium of the system.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import shutil
import sys

from arcface_mxnet.cli import run
from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1100, 700


def draw(report: Path, picture: Path) -> None:
    """Write the upper part of a report as a PNG."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise ValueError("no program chromium; on Debian: apt-get install chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(report.absolute().as_uri())
        page.screenshot(path=picture)
        browser.close()


def main(argv: list[str] | None = None) -> int:
    """Draw and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", type=Path, help="FILE.html of arcface-verify --report")
    parser.add_argument("picture", type=Path, help="FILE.png to write")
    arguments = parser.parse_args(argv)
    return run(lambda: draw(arguments.report, arguments.picture))


if __name__ == "__main__":
    sys.exit(main())
